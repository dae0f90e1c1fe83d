from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import web
from tests.support.kubeapi import KubeApi
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, job, stamp, thing

from leadscore.errors import RefusedError, UnavailableError
from leadscore.release.expected import ExpectedPsi
from leadscore.release.machine import decide_step
from leadscore.release.states import (
    Action,
    ApprovalObservation,
    Finish,
    GateObservation,
    Observations,
    PatchRollout,
    ReleaseStatus,
    ReportKpi,
    ReportObservation,
    Step,
    VersionObservation,
    Wait,
)
from leadscore_operator.decide.actions import EFFECTS, Effect, ReleaseObjects
from leadscore_operator.decide.release import (
    blocking_release,
    machine_spec,
    machine_status,
    object_status,
    plan_step,
    report_of,
)
from leadscore_operator.plan import Create
from leadscore_operator.registry_view import RegistryView
from leadscore_operator.resources import ModelReleaseSpec, decode
from leadscore_operator.specs.releases import kpi_report
from leadscore_operator.specs.rollouts import observe_rollout, version_patch

WISH = {"model": "leads", "version": 7, "rollout": "leads", "evaluation": "replay", "replayWindow": "14d"}

READS = {
    "name": "LEADSCORE_MODEL_VERSION",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['leadscore.dev/model-version']"}},
}


def release(status: Manifest | None = None, name: str = "leads-7", **spec: Any) -> Manifest:
    return thing(name, WISH | spec, status)


def rollout(version: int = 6, **status: Any) -> Manifest:
    template = {
        "metadata": {"labels": {"leadscore.dev/model-version": str(version)}},
        "spec": {
            "initContainers": [
                {
                    "name": "model",
                    "image": f"registry:5000/demo-model:{version}",
                    "env": [{"name": "LEADSCORE_ARTEFACT_VERSION", "value": str(version)}],
                }
            ],
            "containers": [
                {
                    "name": "scoring",
                    "image": "registry:5000/scoring:6",
                    "env": [READS, {"name": "A", "value": "6"}],
                }
            ],
        },
    }
    found = {"observedGeneration": "1", "phase": "Healthy", "stableRS": "h6", "currentPodHash": "h6"}
    return thing("leads", {"template": template}, found | status)


def replica_set(hash_: str, version: int) -> Manifest:
    template = {"metadata": {"labels": {"leadscore.dev/model-version": str(version)}}}
    return thing(f"rs-{hash_}", {"template": template}, labels={"rollouts-pod-template-hash": hash_})


def test_the_patch_writes_the_label_and_the_tag_that_brings_the_version_and_nothing_else() -> None:
    patch = version_patch(rollout(), "leads", 7, "uid-1")
    template = patch["spec"]["template"]
    assert template["metadata"] == {"labels": {"leadscore.dev/model-version": "7"}}
    assert list(template["spec"]) == ["initContainers"], "the service's own containers are Helm's"
    (bringing,) = template["spec"]["initContainers"]
    assert bringing["image"] == "registry:5000/demo-model:7"
    assert bringing["env"] == [{"name": "LEADSCORE_ARTEFACT_VERSION", "value": "7"}]
    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch["metadata"]["annotations"]["leadscore.dev/release"] == "uid-1"


def test_what_was_approved_goes_with_the_version_and_goes_away_with_the_next() -> None:
    def annotations(expected: ExpectedPsi | None) -> Manifest:
        found = version_patch(rollout(), "leads", 7, "uid-1", expected)["metadata"]["annotations"]
        return {k.removeprefix("leadscore.dev/"): v for k, v in found.items() if "expected" in k}

    found = ExpectedPsi(against=6, scores=0.93, grades=0.41, scores_spread=3.2, grades_spread=1.5)
    assert annotations(found) == {
        "expected-candidate": "7",
        "expected-stable": "6",
        "expected-score-psi": "0.9300",
        "expected-grade-psi": "0.4100",
        "expected-score-psi-spread": "3.2000",
        "expected-grade-psi-spread": "1.5000",
    }
    gone = annotations(None)
    assert len(gone) == 6
    assert set(gone.values()) == {None}, "a merge patch takes away what is null"


def by(mount: Manifest | None = None, model: str = "") -> Manifest:
    """A Rollout whose model comes from a claim, or from the registry."""
    item = rollout()
    spec = item["spec"]["template"]["spec"]
    del spec["initContainers"]
    (container,) = spec["containers"]
    container["volumeMounts"] = [{"name": "tmp", "subPath": "x/6"}, *([mount] if mount else [])]
    if model:
        container["env"].append({"name": "LEADSCORE_MODEL", "value": model})
    return item


@pytest.mark.parametrize(
    "item",
    [
        by(model="leads/$(LEADSCORE_MODEL_VERSION)"),
        by({"name": "model", "subPathExpr": "leads/$(LEADSCORE_MODEL_VERSION)"}),
    ],
    ids=["registry", "claim"],
)
def test_where_the_pods_read_the_label_the_patch_holds_no_list(item: Manifest) -> None:
    template = version_patch(item, "leads", 7, "r")["spec"]["template"]
    assert template == {"metadata": {"labels": {"leadscore.dev/model-version": "7"}}}


def test_pods_that_would_answer_as_another_version_are_refused() -> None:
    literal = by(model="leads/$(LEADSCORE_MODEL_VERSION)")
    env = literal["spec"]["template"]["spec"]["containers"][0]["env"]
    env[0] = {"name": "LEADSCORE_MODEL_VERSION", "value": "6"}
    with pytest.raises(RefusedError, match="serve one version and answer as another"):
        version_patch(literal, "leads", 7, "r")


def test_a_release_of_another_model_than_the_rollout_s_is_refused() -> None:
    with pytest.raises(RefusedError, match="the release is of the model leads"):
        version_patch(by(model="churn/$(LEADSCORE_MODEL_VERSION)"), "leads", 7, "r")


def test_an_image_by_digest_is_refused_rather_than_patched_to_nothing() -> None:
    digested = rollout()
    digested["spec"]["template"]["spec"]["initContainers"][0]["image"] = "demo-model@sha256:66"
    with pytest.raises(RefusedError, match="does not name version 6"):
        version_patch(digested, "leads", 7, "r")


def test_a_rollout_in_mid_canary_is_seen_as_it_is() -> None:
    item = rollout(
        7, stableRS="h6", currentPodHash="h7", phase="Paused", canary={"weights": {"canary": {"weight": 10}}}
    )
    seen = observe_rollout(item, [replica_set("h6", 6), replica_set("h7", 7)])
    assert (seen.desired, seen.stable, seen.weight, seen.state) == (7, 6, 10, "Paused")
    assert (
        observe_rollout(rollout(7, stableRS="h7", currentPodHash="h7"), [replica_set("h7", 7)]).weight == 100
    )


def test_a_status_of_an_older_generation_never_says_healthy() -> None:
    stale = rollout()
    stale["metadata"]["generation"] = 2
    assert observe_rollout(stale, []).state == "Progressing"


def test_a_patched_rollout_has_no_traffic_yet_while_argo_still_tells_of_the_version_before() -> None:
    behind = rollout(7, stableRS="h6", currentPodHash="h6", canary={"weights": {"canary": {"weight": 50}}})
    behind["metadata"]["generation"] = 2
    seen = observe_rollout(behind, [replica_set("h6", 6)])
    assert (seen.desired, seen.stable, seen.weight, seen.state) == (7, 6, 0, "Progressing")
    # Even if the generation were told before the hashes.
    behind["metadata"]["generation"] = 1
    behind["status"]["canary"] = {}
    assert observe_rollout(behind, [replica_set("h6", 6)]).weight == 0


def test_a_rollout_of_somebody_else_is_refused() -> None:
    with pytest.raises(RefusedError, match="pod template"):
        observe_rollout(thing("x", {"template": {"metadata": {"labels": {}}}}), [])


def test_the_status_comes_back_as_it_was_written() -> None:
    status = ReleaseStatus(
        phase="Watching", reason="r", since=NOW, digest="d", champion=6, gate="g", evaluation="e",
        approval="a", approved_by="Ada", previous=6, watch_since=NOW, retreat="RolledBack", kpi="k",
    )  # fmt: skip
    written = object_status(status, release(), NOW)
    assert written["approvedBy"] == "Ada"
    assert machine_status(release(written)) == status
    assert machine_status(release()) == ReleaseStatus()


def test_a_report_on_record_counts_more_than_its_job_and_a_newer_job_more_than_an_older_report() -> None:
    done = ReportObservation(state="done", number=2, evidence="kpi-2", passed=True)

    def kpi(number: int, ended: str = "") -> Manifest:
        return job(f"kpi-{number}", ended=ended, **{"leadscore.dev/step": f"kpi-{number}"})

    assert report_of(done, [kpi(1, "Failed"), kpi(2, "Failed")], "kpi") == done
    assert report_of(done, [kpi(3)], "kpi").state == "running"
    assert report_of(done, [kpi(3, "Failed")], "kpi").state == "failed"
    assert report_of(ReportObservation(), [kpi(1)], "replay").state == "absent"


def test_one_release_at_a_time_changes_a_rollout_and_the_older_goes_first() -> None:
    older = release(name="leads-6", version=6)
    older["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert blocking_release(release(), [older, release()]) == "leads-6"
    assert blocking_release(older, [older, release()]) == ""
    assert blocking_release(release(), [older | {"status": {"phase": "Promoted"}}]) == ""
    assert blocking_release(release(), [older | {"spec": older["spec"] | {"rollout": "other"}}]) == ""


def test_a_release_goes_from_gate_to_canary_by_the_machine_and_each_step_is_one_job_or_record() -> None:
    """The pure part, told as a story: what is seen changes, the status is what was written."""
    item = release()
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    digest, champion = "d" * 64, VersionObservation(version=6, digest="c" * 64)
    gate = GateObservation(evidence="gate-1", passed=True, summary="ok", digest=digest, champion="c" * 64)
    candidate = VersionObservation(version=7, digest=digest)
    seen = Observations(
        candidate=candidate,
        champion=champion,
        gate=gate,
        rollout=observe_rollout(rollout(), [replica_set("h6", 6)]),
    )
    made: list[str] = []
    for _ in range(12):
        step = decide_step(spec, machine_status(item), seen, NOW)
        plan = plan_step(step, spec, ReleaseObjects(item, rollout()), WORKLOAD, NOW)
        made += [
            c.body["metadata"]["labels"]["leadscore.dev/step"] for c in plan.changes if isinstance(c, Create)
        ]
        action = type(step.action).__name__
        if action == "Nominate":
            seen = msgspec.structs.replace(
                seen, candidate=msgspec.structs.replace(candidate, challenger=True)
            )
        elif action == "StartReplay":
            report = ReportObservation(
                state="done",
                evidence="replay-1",
                digest=digest,
                passed=True,
                summary="alike",
                at=NOW,
                number=1,
            )
            seen = msgspec.structs.replace(seen, evaluation=report)
        elif action == "RequestApproval":
            answer = ApprovalObservation(
                evidence="approval-1", verdict="approved", by="Ada", reason="good", model="leads", version=7,
                digest=digest, bound_to=("gate-1", "replay-1"),
            )  # fmt: skip
            seen = msgspec.structs.replace(seen, requested=True, approval=answer)
        elif isinstance(step.action, PatchRollout):
            assert step.action == PatchRollout(7, "uid-leads-7", step.action.reason)
            break
        item = release(plan.status)
    else:
        pytest.fail("never came to the canary")
    assert made == ["nominate", "replay"]
    assert machine_status(item).approved_by == "Ada"


def test_a_release_that_ends_has_been_so_since_it_ended() -> None:
    began = NOW - timedelta(hours=48)
    item = release({"phase": "Watching", "since": stamp(began)})
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    ended = ReleaseStatus(phase="Promoted", reason="leads/7 is champion.", since=began)
    first = plan_step(
        Step(Finish("Promoted", ended.reason), ended), spec, ReleaseObjects(item), WORKLOAD, NOW
    )
    assert first.status is not None
    assert first.status["since"] == stamp(NOW)
    later = NOW + timedelta(hours=1)
    known = machine_status(release(first.status))
    again = plan_step(
        Step(Wait("It has ended."), known), spec, ReleaseObjects(release(first.status)), WORKLOAD, later
    )
    assert again.status is not None
    assert again.status["since"] == stamp(NOW)


def test_a_release_that_asks_a_person_warns_and_says_since_when() -> None:
    item = release({"phase": "AwaitingApproval", "since": stamp(NOW)})
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    status = ReleaseStatus(phase="AwaitingApproval", reason="Waits for a person.", since=NOW)
    asks = plan_step(
        Step(Wait(status.reason, needs_human_since=NOW), status),
        spec,
        ReleaseObjects(item),
        WORKLOAD,
        NOW + timedelta(hours=1),
    )
    assert [h.type for h in asks.events] == ["Warning"]
    assert asks.status is not None
    assert asks.status["askedSince"] == stamp(NOW)
    waits = plan_step(Step(Wait(status.reason), status), spec, ReleaseObjects(item), WORKLOAD, NOW)
    assert [h.type for h in waits.events] == ["Normal"]
    assert waits.status is not None
    assert "askedSince" not in waits.status


def test_the_registry_is_read_and_its_silence_is_not_an_answer() -> None:
    api = KubeApi()
    version = {
        "version": "7",
        "tags": [{"key": "digest", "value": "d"}, {"key": "stage", "value": "Staging"}],
    }
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}

    async def story() -> None:
        async with api.serving() as address:
            view = RegistryView(address)
            api.answers.append(web.json_response({"model_version": version}))
            assert await view.version("leads", 7) == VersionObservation(
                version=7, digest="d", challenger=True
            )
            api.answers.append(web.json_response(missing, status=404))
            assert await view.version("leads", 8) is None
            aliases = [{"alias": "champion", "version": "7"}]
            api.answers.append(web.json_response({"registered_model": {"aliases": aliases}}))
            api.answers.append(web.json_response({"model_version": version}))
            champion = await view.champion("leads")
            assert champion is not None
            assert champion.version == 7
            for answer in (
                web.json_response({}, status=500),
                web.Response(text="<html>", status=404),
                web.json_response({"login": "please"}),
            ):
                api.answers.append(answer)
                with pytest.raises(UnavailableError):
                    await view.version("leads", 7)
        with pytest.raises(UnavailableError):
            await RegistryView(address).champion("leads")

    asyncio.run(story())


def test_every_action_of_the_machine_has_its_line_in_the_table() -> None:
    assert set(EFFECTS) == set(get_args(Action))
    doing = {kind.__name__ for kind, effect in EFFECTS.items() if effect != Effect()}
    assert doing == {kind.__name__ for kind in EFFECTS} - {"Note", "Wait"}


def test_times_of_the_wish_are_the_machines() -> None:
    item = release(watchFor="2h", approvalFor="1d", replayWindow="2w")
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    assert (spec.soak_seconds, spec.approval_seconds, spec.replay_days) == (7200, 86_400, 14)
    assert spec.release == "uid-leads-7"


@pytest.mark.parametrize(("declared", "seconds"), [({}, "86400"), ({"watchExposure": "90m"}, "5400")])
def test_a_watch_gives_each_lead_the_time_that_was_asked_for(declared: Manifest, seconds: str) -> None:
    item = release(**declared)
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    made = kpi_report(ReportKpi(7, 6, NOW, 3), spec)
    assert made.step == "kpi-3"
    assert f"--exposure={seconds}s" in made.command


@pytest.mark.parametrize(
    ("declared", "least"), [({}, 200), ({"watchMinimumLeads": 0}, 0), ({"watchMinimumLeads": 50}, 50)]
)
def test_the_least_leads_of_a_watch_are_the_machines(declared: Manifest, least: int) -> None:
    item = release(**declared)
    assert machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec")).soak_minimum_leads == least


def test_an_approval_without_proof_is_a_condition_and_a_warning() -> None:
    item = release({"phase": "AwaitingApproval", "since": stamp(NOW)})
    spec = machine_spec(item, decode(item["spec"], ModelReleaseSpec, "spec"))
    why = "The answer approval-1 (approved by 'Ada') does not count: it carries no proof of who made it."
    status = msgspec.structs.replace(machine_status(item), reason=f"{why} Waits for a person.")
    plan = plan_step(Step(Wait("", None, NOW, why), status), spec, ReleaseObjects(item), WORKLOAD, NOW)
    assert plan.status is not None
    ready, proven = plan.status["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    assert (proven["type"], proven["status"], proven["message"]) == ("ApprovalProven", "False", why)
    (told,) = plan.events
    assert (told.type, told.message) == ("Warning", f"{why} Waits for a person.")
    after = plan_step(Step(Wait("", None, NOW), status), spec, ReleaseObjects(item), WORKLOAD, NOW)
    assert after.status is not None
    assert [c["type"] for c in after.status["conditions"]] == ["Ready"]
