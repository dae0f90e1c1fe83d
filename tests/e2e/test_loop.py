"""The whole loop, in one release under load.

From a market that turns to the model that has learnt it, and every way back.

The scenarios follow each other: each begins with the champion that the one before has left, and
versions are numbered as they were trained. What people do is what docs/tutorials/drift-to-canary.md
says, with the samples of manifests/examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.e2e.scenario.alerts import evaluated
from tests.e2e.scenario.approvers import approvers_secret
from tests.e2e.scenario.begin import installed, scenario
from tests.e2e.scenario.examples import example
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.history import history
from tests.e2e.scenario.images import FAULTY, load_faulty, project_values
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.loop import MODEL, LoopGiven, LoopThen
from tests.e2e.scenario.registry import claims, loop_values
from tests.e2e.scenario.release import FULL, ROOT, Release, Values, merged, scenario_values
from tests.e2e.scenario.runbooks import failing, looks

pytestmark = pytest.mark.e2e

# The service is slow with this version, and with this one only.
SLOW = 3
VALUES: Values = merged(
    loop_values(),
    {
        "operator": {"resyncSeconds": 10},
        # No shadow most of the time: half of the requests are copied to nobody, which no caller may notice.
        "shadow": {"enabled": True, "version": 0, "percent": 50},
        # At 10 %, 15 requests a second bring 180 scores in this time: enough for the chart's own maxPsi.
        "rollout": {
            "steps": [
                {"weight": 10, "duration": "25s"},
                {"weight": 50, "duration": "10s"},
                {"weight": 100, "duration": "10s"},
            ]
        },
        "analysis": {"gate": {"minimumRequests": 6, "minimumScores": 150}, "maxPsi": 0.2},
        "scoring": {
            # Each request's line, so that one that failed is found by its id.
            "logSample": 1,
            "extraEnv": [
                {"name": "LEADSCORE_FAULT", "value": "slow"},
                {"name": "LEADSCORE_FAULT_VERSION", "value": str(SLOW)},
            ],
        },
    },
)
ROLES = ("service", "jobs", "operator", "postgresql")


def resources() -> list[Object]:
    """The samples, with a check on request instead of by the clock, and training and watch of seconds."""
    # No lead has its 24 h of exposure in seconds: the end of the watch decides, and a fall of the share of
    # grade A.
    short = {"watchFor": "40s", "watchEvery": "10s", "watchMinimumLeads": 0}
    return [
        *example(
            "driftdetector",
            schedules=[{"name": "minute", "cron": "@yearly", "window": "1m"}],
            # Outcomes take longer than a scenario.
            performance=None,
        ),
        *example(
            "retrainpolicy",
            triggers={"drift": {"minSeverity": "significant"}, "performance": None, "schedule": None},
            coolDown="1s",
            budget={"runs": 20},
            run={"trials": 2, "minRecords": 5000, "resources": VALUES["operator"]["jobs"]["resources"]},
            release=short,
        ),
    ]


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The chart with operator, MLflow and PostgreSQL, a champion, and its log."""
    images = project_values(*ROLES)
    service = f"{images['image']['repository']}:{images['image']['tag']}"
    images = merged(images, {"image": {"repository": FAULTY, "tag": load_faulty(service)}})
    with installed(
        "loop", merged(scenario_values(steps_seconds=10), VALUES), images,
        objects=[*claims(), approvers_secret()], before_ready=history,
        definitions=sorted((ROOT / "charts" / "lead-scoring" / "files" / "crds").glob("*.yaml")),
    ) as made:  # fmt: skip
        for each in resources():
            made.kube.run("create", "--filename=-", stdin=json.dumps(each))
        with evaluated(made):
            yield made


@pytest.fixture
def given(request: pytest.FixtureRequest, release: Release) -> Iterator[Given]:
    """A scenario on this release."""
    yield from scenario(request, release, "", LoopGiven)


def approved(given: LoopGiven) -> LoopThen:
    """A person asks for a retraining, the gate passes its candidate, and a person lets it go to traffic.

    That person is known by a credential and not by a name.
    """
    return (
        given.market()
        .when.asked_to_retrain()
        .then.the_gate_says("Passed")
        .the_policy_releases_it()
        .it_is("AwaitingApproval")
        .when.an_approval_is_written_into_the_store("ada.lovelace")
        .then.it_is("AwaitingApproval", "does not count: it carries no proof")
        .when.approved("ada.lovelace", "The replay speaks for it.")
        .then
    )


def test_outcomes_that_speak_against_the_champion_are_found(given: LoopGiven) -> None:
    (
        given.when.the_policy_is_suspended()
        .outcomes_are_checked()
        .then.the_verdict_is("unclear", "significant", "critical")
        .it_is_about_outcomes(drop=0.05)
        .when.nobody_looks_at_outcomes_any_more()
        .the_policy_is_suspended(suspended=False)
    )


def test_a_fall_in_the_watch_brings_the_version_before_back(given: LoopGiven) -> None:
    (
        approved(given)
        .it_is("Watching")
        .it_went_through_the_weights()
        # Argo's own gate would see the turn, too, as long as it compares the two.
        .argo_has_done_its_part()
        .when.the_market_turns("poor")
        .then.it_is("RolledBack", "share of grade A fell")
        .the_champion_is(1)
        .only(1)
        .no_request_failed()
    )


def test_a_slow_canary_goes_back(given: LoopGiven) -> None:
    (
        approved(given)
        .it_is("Aborted", "Argo sent it back")
        .aborted(SLOW)
        .the_champion_is(1)
        .only(1)
        .no_request_failed()
    )


def test_a_person_denies(given: LoopGiven) -> None:
    (
        given.market()
        .when.released("leads-once-more", SLOW, evaluation="none")
        .then.it_is("AwaitingApproval")
        .when.denied("grace.hopper", "It was slow.")
        .then.it_is("Rejected", "grace.hopper denied it: It was slow.")
        .the_champion_is(1)
        .only(1)
        .no_request_failed()
    )


def test_a_candidate_is_tried_on_copies_of_the_traffic(given: LoopGiven) -> None:
    """Version 2 once more, which passed the gate against this champion.

    A person stops it when it has shown its canary.
    """
    (
        given.market()
        .when.released(
            "leads-in-the-shadow", 2, evaluation="shadow", shadow={"for": "60s", "minimumLeads": 500}
        )
        .then.it_is("Shadow", "Gets a copy of the traffic until")
        .the_shadow_is_the_candidate_s()
        .it_is("AwaitingApproval")
        .the_shadow_supports_it(leads=500, copied=0.9)
        .shadow_is_gone()
        .shadow_predictions_are_stored(version=2)
        .only(1)
        .when.approved("ada.lovelace", "Its shadow speaks for it.")
        .canary_at(10)
        .the_release_is_stopped()
        .then.it_is("Aborted", "A person stopped it")
        .the_champion_is(1)
        .only(1)
        .no_request_failed()
    )


def test_a_release_that_is_deleted_takes_its_shadow_along(given: LoopGiven) -> None:
    (
        given.market()
        .when.released("leads-thrown-away", 2, evaluation="shadow")
        .then.it_is("Shadow", "Gets a copy of the traffic until")
        .when.the_release_is_deleted()
        .then.shadow_is_gone()
        .only(1)
        .no_request_failed()
    )


def test_a_market_that_turns_ends_with_a_champion_that_knows_it(given: LoopGiven) -> None:
    (
        given.market()
        .when.drift_is_checked()
        .then.the_verdict_is("none", "none")
        .the_policy_waits("Nothing asks for a retraining.")
        .when.the_market_turns("covariate_shift")
        .drift_is_checked()
        .then.drift_makes_a_run()
        .the_verdict_is("market_moved", "significant", "critical")
        .the_gate_says("Passed")
        .the_policy_releases_it()
        .it_is("AwaitingApproval")
        .when.approved("ada.lovelace", "The replay speaks for it.")
        .then.it_is("Watching")
        .it_went_through_the_weights()
        .it_is("Promoted", "approved by ada.lovelace")
        .the_champion_is_the_candidate()
        .the_candidate_answers_everything()
        .no_request_failed()
        .the_scenario_took("drift to champion, times shortened")
    )


def test_a_candidate_that_is_no_better_is_refused(given: LoopGiven) -> None:
    (
        given.market()
        .when.asked_to_retrain()
        .then.the_gate_says("Refused")
        # The better one for some group of leads it may be, so that more can follow.
        .an_event_says("GateRefused", "Refused: no supported improvement. ")
        .nobody_releases_it()
        .no_request_failed()
    )


def test_a_broken_pipeline_retrains_nothing_and_says_so(given: LoopGiven, release: Release) -> None:
    runs = len(release.kube.list("retrainruns"))
    (
        given.market()
        .when.the_market_turns("pipeline_bug")
        .drift_is_checked()
        .then.the_verdict_is("pipeline_bug", "significant", "critical")
        .an_event_says("PipelineBug", "tell the data owner")
        .an_alert_fires("LeadScoringPipelineBug", severity="critical", audience="data-owner")
        .the_policy_waits("finds a pipeline bug")
        .nobody_retrained(since=runs)
        .no_request_failed()
    )


def test_what_runbooks_have_people_look_at_is_there(release: Release) -> None:
    kube = release.kube
    release_made = kube.list("modelreleases")[0]
    names = {
        "POD": release.ready_pods()[0],
        "JOB": next(job for job in kube.list("jobs") if job["status"].get("succeeded"))["metadata"]["name"],
        "CRONJOB": kube.list("cronjobs")[0]["metadata"]["name"],
        "DETECTOR": MODEL,
        "SCHEDULE": "minute",
        "POLICY": MODEL,
        "MODEL": MODEL,
        "RUN": kube.list("retrainruns")[-1]["metadata"]["name"],
        "RELEASE": release_made["metadata"]["name"],
        "VERSION": str(release_made["spec"]["version"]),
    }
    # The monitor's are typed where one runs.
    lines = looks(lambda line: "-monitor" not in line)
    assert len(lines) > 25
    assert failing(release, lines, names) == {}


# What the pod asks with its own token, and what the API server answers.
_ASK = """
import json, ssl, urllib.error, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
token, namespace = (open(account + name).read() for name in ("token", "namespace"))
trust = ssl.create_default_context(cafile=account + "ca.crt")
def ask(method, path, body=None):
    url = "https://kubernetes.default.svc" + path.replace("NS", namespace)
    request = urllib.request.Request(url, method=method)
    request.add_header("Authorization", "Bearer " + token)
    request.add_header("Content-Type", "application/json")
    try:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, context=trust, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps({name: ask(*asked) for name, asked in json.loads(ASKED).items()}))
"""
_POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": []}}
_SECRETS = "/api/v1/namespaces/NS/secrets"
ALLOWED = {"list detectors": ("GET", "/apis/leadscore.dev/v1alpha1/namespaces/NS/driftdetectors")}
DENIED = {
    "read the database's password": ("GET", f"{_SECRETS}/{FULL}-postgresql"),
    "list secrets": ("GET", _SECRETS),
    "create a pod": ("POST", "/api/v1/namespaces/NS/pods", _POD),
    "delete a Rollout": ("DELETE", f"/apis/argoproj.io/v1alpha1/namespaces/NS/rollouts/{FULL}"),
    "change a Deployment": ("PUT", f"/apis/apps/v1/namespaces/NS/deployments/{FULL}-operator", {}),
    "list services": ("GET", "/api/v1/namespaces/NS/services"),
    "delete a Job": ("DELETE", "/apis/batch/v1/namespaces/NS/jobs/x"),
    "change a policy": ("PUT", f"/apis/leadscore.dev/v1alpha1/namespaces/NS/retrainpolicies/{MODEL}", {}),
    "look into another namespace": (
        "GET",
        "/apis/leadscore.dev/v1alpha1/namespaces/default/driftdetectors",
    ),
    "list nodes": ("GET", "/api/v1/nodes"),
}


def test_the_operators_account_may_do_its_work_and_nothing_else(release: Release) -> None:
    code = _ASK.replace("ASKED", repr(json.dumps(ALLOWED | DENIED)))
    said = release.kube.run("exec", f"deployment/{FULL}-operator", "--", "python3", "-c", code)
    assert json.loads(said) == {**dict.fromkeys(ALLOWED, 200), **dict.fromkeys(DENIED, 403)}


def test_what_the_operator_starts_has_no_token(release: Release) -> None:
    jobs = release.kube.list("jobs", "app.kubernetes.io/managed-by=leadscore-operator")
    templates = [job["spec"]["template"] for job in jobs]
    assert templates
    assert {t["spec"]["automountServiceAccountToken"] for t in templates} == {False}
