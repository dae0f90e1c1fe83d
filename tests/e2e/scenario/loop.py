"""Words for the whole loop.

A market that turns, a check, a retraining, a person's answer, a release to its end.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Self

import msgspec
from tests.e2e.scenario import alerts
from tests.e2e.scenario.approvers import people
from tests.e2e.scenario.examples import example
from tests.e2e.scenario.given import Given
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.load import Load, bodies_of
from tests.e2e.scenario.market import Market, Mood
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL
from tests.e2e.scenario.scene import Scene
from tests.e2e.scenario.then import Then
from tests.e2e.scenario.toolbox import Toolbox
from tests.e2e.scenario.when import When

from leadscore.release.approval import Approval, Binding

MODEL = "leads"
ENDED = ("Promoted", "Rejected", "Aborted", "RolledBack")
# How long the market must have been so before a check is asked about it.
_ENOUGH = timedelta(seconds=30)
OUTCOMES = "outcomes"
_VERDICTS = {f"LeadScoring{name}" for name in ("PipelineBug", "DriftCritical", "DriftSignificant")}
_TRAINING = "leadscore.dev/part in (retrain,drift-check)"


class LoopGiven(Given):
    """Beginnings of a scenario about the loop."""

    def market(self, rate: float = 15) -> LoopGiven:
        """Callers send the synthetic CRM's leads at a constant rate until the scenario ends.

        Some requests bring 40.
        """
        scene, market = self._scene, Market()
        scene.notes["market"] = market
        scene.load = Load(
            scene.release.endpoint(),
            bodies_of(lambda: next(market), bulk_share=0.1, bulk_rows=40),
            rate,
            scene.inquiry.about,
        ).__enter__()
        wait_until(lambda: len(scene.tally.requests) >= rate, seconds=30, what="the first replies")
        return self

    @property
    def when(self) -> LoopWhen:
        """Something happens."""
        return LoopWhen(self._scene)


class LoopWhen(When):
    """Things that happen in the loop."""

    def the_market_turns(self, mood: Mood) -> Self:
        """Callers send other leads from now on."""
        market: Market = self._scene.notes["market"]
        market.mood = mood
        self._scene.notes["turned"] = datetime.now(UTC)
        return self

    def drift_is_checked(self) -> Self:
        """The detector's CronJob is run by hand at the end of a minute with enough of the present market."""
        scene = self._scene
        enough = scene.notes.get("turned", datetime.min.replace(tzinfo=UTC)) + _ENOUGH
        end = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end += timedelta(minutes=1) if end < enough else timedelta()
        wait_until(lambda: datetime.now(UTC) > end, seconds=130, what=f"{end:%H:%M}")
        stored = f"SELECT count(*) FROM predictions WHERE scored_at >= {int(end.timestamp() * 1e6)}"
        # Once a later prediction is in the store, so is the minute.
        wait_until(lambda: int(scene.release.psql(stored)) > 0, seconds=30, what=f"{end:%H:%M} in the store")
        return self._checked(MODEL, f"check-{end:%H%M%S}")

    def a_detector_looks_at(self, name: str, *, window: str, methods: list[str], args: list[str]) -> Self:
        """Another detector of the same model; its CronJob is run by hand (`the_detector_runs`)."""
        schedule = {"name": "asked", "cron": "@yearly", "window": window, "methods": methods, "args": args}
        # Its arguments may say a budget of their own; without any it is the sample's.
        (detector,) = example("driftdetector", schedules=[schedule], performance=None, falseAlarms=None)
        detector["metadata"]["name"] = name
        self._scene.kube.run("create", "--filename=-", stdin=json.dumps(detector))
        made = lambda: self._scene.kube.list("cronjobs", f"leadscore.dev/owner={name}")  # noqa: E731
        wait_until(lambda: bool(made()), seconds=30, what="the detector's CronJob")
        return self

    def the_detector_runs(self, name: str, *, seconds: float = 90) -> Self:
        """Its CronJob is run by hand, now."""
        return self._checked(name, f"{name}-{datetime.now(UTC):%H%M%S}", seconds)

    def the_stream_goes_on(self, leads: int) -> Self:
        """So many more leads are in the event store."""
        stored = lambda: int(self._scene.release.psql("SELECT count(*) FROM predictions"))  # noqa: E731
        wanted = stored() + leads
        wait_until(lambda: stored() >= wanted, seconds=180, what=f"{leads} more leads")
        return self

    def the_policy_counts(self, severity: str, detector: str) -> Self:
        """A person says whose verdicts, from which severity on, ask for a retraining."""
        trigger = {"minSeverity": severity, "detectors": [detector]}
        change = json.dumps({"spec": {"triggers": {"drift": trigger}}})
        self._scene.kube.run("patch", "retrainpolicy", MODEL, "--type=merge", f"--patch={change}")
        return self

    def outcomes_are_checked(self) -> Self:
        """A second detector looks at nothing but outcomes; its CronJob is run by hand.

        No policy acts on it.
        """
        scene = self._scene
        (detector,) = example(
            "driftdetector",
            schedules=[{"name": "outcomes", "cron": "@yearly", "window": "7d"}],
            methods=["performance", "cbpe"],
            performance={"window": "90d"},
        )
        detector["metadata"]["name"] = OUTCOMES
        scene.kube.run("create", "--filename=-", stdin=json.dumps(detector))
        made = lambda: scene.kube.list("cronjobs", f"leadscore.dev/owner={OUTCOMES}")  # noqa: E731
        wait_until(lambda: bool(made()), seconds=30, what="the detector's CronJob")
        return self._checked(OUTCOMES, "check-outcomes")

    def nobody_looks_at_outcomes_any_more(self) -> Self:
        """That detector is deleted."""
        self._scene.kube.run("delete", "driftdetector", OUTCOMES)
        return self

    def the_policy_is_suspended(self, *, suspended: bool = True) -> Self:
        """A person holds the policy, or lets it go on."""
        change = json.dumps({"spec": {"suspend": suspended}})
        self._scene.kube.run("patch", "retrainpolicy", MODEL, "--type=merge", f"--patch={change}")
        return self

    def _checked(self, detector: str, name: str, seconds: float = 90) -> Self:
        scene = self._scene
        (cron,) = scene.kube.list("cronjobs", f"leadscore.dev/owner={detector}")
        scene.notes["check"], scene.notes["detector"] = name, detector
        watch = scene.watch("jobs", _TRAINING)
        scene.kube.run("create", "job", f"--from=cronjob/{cron['metadata']['name']}", name)
        seen = watch.until(
            lambda job: _is(job, name) and _ended(job), seconds=seconds, what="the check's end"
        )
        scene.began = seen.at
        return self

    def asked_to_retrain(self) -> Self:
        """A person creates a RetrainRun."""
        scene = self._scene
        made = scene.kube.run("create", "--output=name", "--filename=-", stdin=_yaml(example("retrainrun")))
        scene.notes["run"] = made.strip().rpartition("/")[2]
        scene.began = time.monotonic()
        return self

    def released(self, name: str, version: int, **spec: Any) -> Self:
        """A person creates a ModelRelease of a version."""
        scene = self._scene
        (release,) = example("modelrelease", version=version, **spec)
        release["metadata"]["name"] = name
        scene.kube.run("create", "--filename=-", stdin=json.dumps(release))
        scene.notes["release"] = name
        scene.began = time.monotonic()
        return self

    def the_release_is_stopped(self) -> Self:
        """A person says `abort: true`."""
        scene = self._scene
        scene.began = time.monotonic()
        change = json.dumps({"spec": {"abort": True}})
        scene.kube.run("patch", "modelrelease", scene.notes["release"], "--type=merge", f"--patch={change}")
        return self

    def the_release_is_deleted(self) -> Self:
        """`kubectl delete modelrelease`."""
        self._scene.kube.run("delete", "modelrelease", self._scene.notes["release"])
        return self

    def approved(self, by: str, reason: str) -> Self:
        """`leadscore approve` of the release's version."""
        return self._answered("approve", by, reason)

    def an_approval_is_written_into_the_store(self, by: str) -> Self:
        """What whoever may write the event store can do: a record that names a person, without a proof."""
        scene = self._scene
        ref = f"{MODEL}/{release_of(scene)['spec']['version']}"
        records = Toolbox(scene.release).records(ref)
        asked = next(record for record in records if record["kind"] == "approval-request")
        binding = msgspec.convert(asked["document"], Binding)
        said = Approval(verdict="approved", by=by, reason="I say so.", binding=binding)
        document = msgspec.json.encode(said).decode().replace("'", "''")
        scene.release.psql(
            "INSERT INTO evidence (evidence_id, kind, subject, at, document) VALUES"
            f" ('{binding.evidence_id}', 'approval', '{ref}', {time.time_ns() // 1000}, '{document}')"
        )
        return self

    def denied(self, by: str, reason: str) -> Self:
        """`leadscore release deny` of the release's version."""
        return self._answered("release deny", by, reason)

    def _answered(self, verb: str, by: str, reason: str) -> Self:
        scene = self._scene
        version = release_of(scene)["spec"]["version"]
        scene.began = time.monotonic()
        Toolbox(scene.release).leadscore(
            *verb.split(), f"{MODEL}/{version}", "--reason", reason, "--key-file", "-",
            stdin=people().credential(by).decode(),
        )  # fmt: skip
        return self

    @property
    def then(self) -> LoopThen:
        """What must be so afterwards."""
        return LoopThen(self._scene)


class LoopThen(Then):
    """Claims about detector, policy, run, release and registry."""

    @property
    def when(self) -> LoopWhen:
        """Something else happens."""
        return LoopWhen(self._scene)

    # --- drift ----------------------------------------------------------------------------------------------

    def the_verdict_is(self, triage: str, *severities: str) -> Self:
        """The check that was run last says so in the detector's status."""
        scene = self._scene
        job = scene.notes["check"]

        def said(detector: Object) -> Object | None:
            verdicts = detector.get("status", {}).get("verdicts", [])
            return next((v for v in verdicts if v["job"] == job), None)

        name = scene.notes["detector"]
        verdict = said(
            self._until("driftdetector", name, lambda d: said(d) is not None, 30, f"a verdict of {job}")
        )
        assert verdict is not None
        assert verdict["triage"] == triage, verdict
        assert verdict["severity"] in severities, verdict
        scene.notes["verdict"] = verdict
        return self

    def its_state_is_kept(self, runs: int) -> Self:
        """Each run has left one record, and the last one has followed more leads than the first."""
        detector = self._scene.notes["detector"]
        query = (
            "SELECT document::json->'stream'->'track'->>'seen' FROM evidence WHERE kind = 'drift' AND"
            f" subject LIKE '{MODEL}/%:{detector}-asked' ORDER BY at"
        )
        seen = [int(line) for line in self._scene.release.psql(query).split()]
        assert len(seen) == runs, seen
        assert seen == sorted(set(seen)), seen
        return self

    def it_ran_in(self, repository: str) -> Self:
        """The check's Job had this image."""
        job = self._scene.kube.get("job", self._scene.notes["check"])
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert f"{repository}:" in container["image"] or f"{repository}@" in container["image"], container[
            "image"
        ]
        return self

    def it_is_about_outcomes(self, drop: float) -> Self:
        """The verdict says how much the AUC has fallen, at least this, on leads up to when."""
        verdict = self._scene.notes["verdict"]
        assert verdict["kind"] == "concept", verdict
        assert verdict["drop"] >= drop, verdict
        assert verdict["outcomesEnd"] < verdict["windowEnd"], verdict
        return self

    def an_alert_fires(self, name: str, **labels: str) -> Self:
        """It does in the cluster's Prometheus, and no other alert about verdicts does.

        Its command is one that works.
        """
        kube = self._scene.kube
        ours = partial(alerts.firing, kube.namespace, _VERDICTS)
        # The verdict before may have had an alert of its own, until Prometheus has read of this one.
        alone = lambda: [alert["labels"]["alertname"] for alert in ours()] == [name]  # noqa: E731
        wait_until(alone, seconds=60, what=f"the alert {name}, and no other")
        (alert,) = ours()
        assert alert["labels"].items() >= {"alertname": name, **labels}.items(), alert
        command = alert["annotations"]["action"].partition(": kubectl ")[2].partition(" says ")[0]
        said = kube.run(*shlex.split(command))
        assert self._scene.notes["verdict"]["why"] in said
        return self

    def the_policy_waits(self, pattern: str) -> Self:
        """The policy's decision is to wait, and its reason says why."""
        began = self._scene.began
        said = lambda policy: _decision(policy, "Wait", pattern)  # noqa: E731
        self._until("retrainpolicy", MODEL, said, 60, f"a wait: {pattern}", since=began)
        return self

    def an_event_says(self, reason: str, pattern: str) -> Self:
        """`kubectl get events` has a warning of this reason."""
        said = lambda: [  # noqa: E731
            event["message"]
            for event in self._scene.kube.list("events")
            if event["reason"] == reason and pattern in event["message"]
        ]
        wait_until(lambda: bool(said()), seconds=30, what=f"an event {reason}: {pattern}")
        return self

    def nobody_retrained(self, since: int) -> Self:
        """There are as many RetrainRuns as there were."""
        assert len(self._scene.kube.list("retrainruns")) == since
        return self

    # --- retraining -----------------------------------------------------------------------------------------

    def drift_makes_a_run(self) -> Self:
        """The verdict makes a RetrainRun whose Job trains; its delay is written down."""
        scene = self._scene
        ended = scene.began
        trains = lambda job: _part(job) == "retrain" and not _ended(job)  # noqa: E731
        seen = scene.watch("jobs", _TRAINING).until(trains, seconds=30, what="a training", since=ended)
        scene.figure("check ended to training Job created", seen.at - ended, "s", 2)
        scene.notes["run"] = seen.object["metadata"]["labels"]["leadscore.dev/owner"]
        run = scene.kube.get("retrainrun", scene.notes["run"])
        assert run["spec"]["trigger"] == "drift", run["spec"]
        return self

    def the_gate_says(self, result: str, seconds: float = 180) -> Self:
        """The run ends with this verdict of the gate on its candidate."""
        scene = self._scene
        run = self._until(
            "retrainrun", scene.notes["run"],
            lambda r: r.get("status", {}).get("phase") in {"Succeeded", "Failed"}, seconds, "the run's end",
        )  # fmt: skip
        assert run["status"]["phase"] == "Succeeded", run["status"]
        assert run["status"]["gate"]["result"] == result, run["status"]
        scene.notes["candidate"] = run["status"]["candidate"]["version"]
        return self

    def the_policy_releases_it(self) -> Self:
        """The candidate has a ModelRelease of the policy's making."""
        scene = self._scene
        made = lambda r: bool(r.get("status", {}).get("release"))  # noqa: E731
        run = self._until("retrainrun", scene.notes["run"], made, 30, "a release of the candidate")
        scene.notes["release"] = run["status"]["release"]
        return self

    def nobody_releases_it(self) -> Self:
        """The refused candidate has no ModelRelease, and is not champion."""
        scene = self._scene
        versions = [r["spec"]["version"] for r in scene.kube.list("modelreleases")]
        assert scene.notes["candidate"] not in versions
        assert Toolbox(scene.release).champion(MODEL) != scene.notes["candidate"]
        return self

    # --- release --------------------------------------------------------------------------------------------

    def it_is(self, phase: str, pattern: str = "", seconds: float = 150) -> Self:
        """The release comes to this phase (and not to another end), with these words as its reason."""
        scene = self._scene

        def there(release: Object) -> bool:
            status = release.get("status", {})
            now = status.get("phase")
            assert now == phase or now not in ENDED, status
            return now == phase and pattern in status.get("reason", "")

        self._until("modelrelease", scene.notes["release"], there, seconds, f"{phase} {pattern}")
        return self

    def the_shadow_is_the_candidate_s(self) -> Self:
        """The release has a Deployment whose pods serve its version to nobody."""
        scene = self._scene
        release = release_of(scene)
        deployment = scene.kube.get("deployment", f"{FULL}-shadow")
        assert [o["uid"] for o in deployment["metadata"]["ownerReferences"]] == [release["metadata"]["uid"]]
        assert scene.release.pods("shadow", version=release["spec"]["version"])
        stable = [pod["metadata"]["name"] for pod in scene.release.pods()]
        assert not any("-shadow-" in name for name in stable)
        return self

    def the_shadow_supports_it(self, leads: int, copied: float) -> Self:
        """Its report is what the approval is asked on.

        So many leads, hardly a copy lost, both artefacts as logged.
        """
        scene = self._scene
        release = release_of(scene)
        ref = f"{MODEL}/{release['spec']['version']}"
        record = next(r for r in Toolbox(scene.release).records(ref) if r["kind"] == "shadow")
        assert record["evidence_id"] == release["status"]["evaluation"]
        report = record["document"]
        assert report["passed"], report["summary"]
        assert (report["reproduced"], report["shadow_reproduced"]) == (1.0, 1.0), report["remarks"]
        assert report["rows"] >= leads
        assert report["copied"] >= copied
        # What was under way when it was ready, at most.
        assert report["unpaired"] <= 0.01 * report["rows"]
        scene.figure("leads that shadow and champion both scored in a minute", report["rows"], "leads")
        scene.figure("share of the copies that the shadow scored", 100 * report["copied"], "%")
        return self

    def the_champion_is_the_candidate(self) -> Self:
        """Alias and stage have moved."""
        scene = self._scene
        version = release_of(scene)["spec"]["version"]
        versions = Toolbox(scene.release).versions(MODEL)
        assert "champion" in versions[version]["aliases"], versions
        assert versions[version]["stage"] == "Production"
        assert sum(found["stage"] == "Production" for found in versions.values()) == 1
        return self

    def the_champion_is(self, version: int) -> Self:
        """The alias names this version."""
        assert Toolbox(self._scene.release).champion(MODEL) == version
        return self

    def the_candidate_answers_everything(self) -> Self:
        """Every request is answered by the release's version from now on."""
        return self.only(release_of(self._scene)["spec"]["version"])  # type: ignore[return-value]

    def it_went_through_the_weights(self) -> Self:
        """10, 50, 100, in this order, since the answer was given."""
        return self.weights_only_grew()  # type: ignore[return-value]

    def argo_has_done_its_part(self) -> Self:
        """The version that has all traffic is the stable one; the operator watches on."""

        def ended() -> bool:
            status = self._scene.release.rollout()["status"]
            return status.get("phase") == "Healthy" and status.get("stableRS") == status.get("currentPodHash")

        wait_until(ended, seconds=60, what="the end of the rollout")
        return self

    def the_scenario_took(self, what: str) -> Self:
        """Write down how long the scenario has taken so far."""
        scene = self._scene
        scene.figure(what, time.monotonic() - scene.started, "s")
        return self

    def _until(
        self,
        kind: str,
        name: str,
        condition: Callable[[Object], bool],
        seconds: float,
        what: str,
        since: float = 0.0,
    ) -> Object:
        """The first version of an object, from the scenario's beginning on, of which the condition holds."""
        watch = self._scene.watch(kind, name)
        try:
            return watch.until(condition, seconds=seconds, what=what, since=since).object
        except AssertionError as error:
            said = json.dumps(watch.seen[-1].object.get("status", {})) if watch.seen else "nothing"
            raise AssertionError(
                f"{error}; {kind} {name} says {said}; the operator says:\n{self._operator_says()}"
            ) from error

    def _operator_says(self) -> str:
        """The end of the operator's log, for whoever was not there."""
        return self._scene.kube.run("logs", f"deployment/{FULL}-operator", "--tail=25")


def release_of(scene: Scene) -> Object:
    """The ModelRelease of the scenario."""
    return scene.kube.get("modelrelease", scene.notes["release"])


def _decision(policy: Object, action: str, pattern: str) -> bool:
    said = policy.get("status", {}).get("decision", {})
    return said.get("action") == action and pattern in said.get("reason", "")


def _is(job: Object, name: str) -> bool:
    return job["metadata"]["name"] == name


def _part(job: Object) -> str:
    return job["metadata"]["labels"].get("leadscore.dev/part", "")


def _ended(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


def _yaml(objects: list[Object]) -> str:
    return "\n---\n".join(json.dumps(each) for each in objects)
