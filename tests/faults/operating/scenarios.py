"""The operator's scenarios: each must end alike whatever happens between the operator and the API server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World
from tests.faults.harness.servers import Server
from tests.faults.operating import databases, stage

_DETECTOR = {"model": "leads@champion", "schedules": [{"name": "daily", "cron": "@daily", "window": "1d"}]}


@dataclass(frozen=True)
class _OperatorScenario:
    operators: tuple[str, ...] = ("a",)
    seconds: float = 90.0
    rules = stage.RULES
    title = ""

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.title}{f', {len(self.operators)} at once' if len(self.operators) > 1 else ''}"

    def program(self) -> Program:
        """The operator's process."""
        return stage.operator()

    def servers(self, namespace: str) -> AbstractContextManager[Sequence[Server]]:
        """The event store."""
        return databases.fresh(namespace)

    def problems(self, world: World) -> list[str]:
        """Nothing twice, nothing left over."""
        return stage.doubles(world)

    def state(self, world: World) -> object:
        """What detectors, policies and runs say, without names, times and ids."""
        runs = world.api.items(stage.custom(world, "retrainruns"))
        policy = stage.find(world, f"{stage.custom(world, 'retrainpolicies')}/leads") or {}
        detector = stage.find(world, f"{stage.custom(world, 'driftdetectors')}/leads") or {}
        decision = policy.get("status", {}).get("decision", {})
        return {
            "runs": sorted(
                (
                    run["spec"]["trigger"],
                    run["status"]["phase"],
                    run["status"].get("attempt"),
                    run["status"].get("candidate", {}).get("ref"),
                    run["status"].get("gate", {}).get("result"),
                )
                for run in runs
            ),
            "decision": (decision.get("action"), decision.get("hold")),
            "remembered": len(policy.get("status", {}).get("runs", [])),
            "severity": detector.get("status", {}).get("severity"),
            "triage": detector.get("status", {}).get("triage"),
            "verdicts": len(detector.get("status", {}).get("verdicts", [])),
            "cron jobs": len(world.api.items(world.path("cronjobs", "batch"))),
            "trainings": [stage.ended(job) for job in stage.trainings(world)],
        }

    def _settled(self, world: World, runs: int) -> bool:
        """So many runs have ended, and the policy has decided after the last one."""
        found = world.api.items(stage.custom(world, "retrainruns"))
        policy = stage.find(world, f"{stage.custom(world, 'retrainpolicies')}/leads") or {}
        remembered = policy.get("status", {}).get("runs", [])
        return (
            len(found) == runs
            and all(r.get("status", {}).get("phase") in {"Succeeded", "Failed"} for r in found)
            and len(remembered) == runs
            and all(r.get("outcome") in {"Succeeded", "Failed"} for r in remembered)
            and policy["status"]["decision"]["action"] == "Wait"
        )


def _policy(world: World, **more: object) -> None:
    spec = {"model": "leads", "triggers": {"drift": {}}, "run": {"retryDelay": "1s"}, **more}
    stage.create(world, "retrainpolicies", "RetrainPolicy", "leads", spec)


def _check(world: World, severity: str, triage: str) -> None:
    """Run the daily check once; its verdict is written once and for all."""
    if "check" not in world.memory:
        name = stage.start_check(world, "daily", 1)
        if name is not None:
            world.memory["check"] = name
    elif "checked" not in world.memory:
        stage.finish(world, world.memory["check"], stage.verdict(severity, triage))
        world.memory["checked"] = True


@dataclass(frozen=True)
class DriftScenario(_OperatorScenario):
    """Drift, one retraining, a candidate that passes the gate."""

    title = "drift to candidate"

    def begin(self, world: World) -> None:
        """A detector and a policy."""
        stage.install(world)
        stage.create(world, "driftdetectors", "DriftDetector", "leads", _DETECTOR)
        _policy(world)

    def act(self, world: World) -> None:
        """The check finds significant drift; what trains succeeds."""
        _check(world, "significant", "market_moved")
        for job in stage.trainings(world):
            if not stage.ended(job):
                stage.finish(world, job["metadata"]["name"], stage.report(7))

    def ended(self, world: World) -> bool:
        """One run has succeeded and the policy waits again."""
        return self._settled(world, 1)


@dataclass(frozen=True)
class AttemptsScenario(_OperatorScenario):
    """Asked for by hand; the first attempt dies, the second trains, the gate refuses."""

    title = "by hand, second attempt"

    def begin(self, world: World) -> None:
        """A policy, and a person's annotation."""
        stage.install(world)
        _policy(world)
        path = f"{stage.custom(world, 'retrainpolicies')}/leads"
        world.api.merge(path, {"metadata": {"annotations": {"leadscore.dev/retrain": "monday"}}})

    def act(self, world: World) -> None:
        """Attempt 1 is killed, attempt 2 reports."""
        for job in stage.trainings(world):
            name = job["metadata"]["name"]
            if not stage.ended(job):
                first = name.endswith("-1")
                stage.finish(
                    world,
                    name,
                    "Killed." if first else stage.report(8, passed=False),
                    code=137 if first else 0,
                )

    def ended(self, world: World) -> bool:
        """The run has succeeded at its second attempt."""
        return self._settled(world, 1)


@dataclass(frozen=True)
class PipelineBugScenario(_OperatorScenario):
    """Critical drift that is a pipeline bug: nobody retrains."""

    title = "pipeline bug"

    def begin(self, world: World) -> None:
        """A detector and a policy."""
        stage.install(world)
        stage.create(world, "driftdetectors", "DriftDetector", "leads", _DETECTOR)
        _policy(world)

    def act(self, world: World) -> None:
        """The check finds a pipeline bug."""
        _check(world, "critical", "pipeline_bug")

    def ended(self, world: World) -> bool:
        """The policy says why it waits."""
        policy = stage.find(world, f"{stage.custom(world, 'retrainpolicies')}/leads") or {}
        decision = policy.get("status", {}).get("decision", {})
        return "checked" in world.memory and "pipeline bug" in decision.get("reason", "")


@dataclass(frozen=True)
class QueueScenario(_OperatorScenario):
    """Two people ask at once: one run after the other."""

    title = "two people at once"

    def begin(self, world: World) -> None:
        """A policy and two runs."""
        stage.install(world)
        _policy(world)
        for name in ("anna", "bert"):
            stage.create(
                world, "retrainruns", "RetrainRun", name, {"policy": "leads", "reason": f"{name} asks."}
            )

    def act(self, world: World) -> None:
        """What trains succeeds; two that train at once are noted."""
        live = [job for job in stage.trainings(world) if not stage.ended(job)]
        if len(live) > 1:
            world.memory["together"] = True
        for job in live:
            stage.finish(world, job["metadata"]["name"], stage.report(7))

    def ended(self, world: World) -> bool:
        """Both have succeeded."""
        return self._settled(world, 2)

    def problems(self, world: World) -> list[str]:
        """Also: never both at once."""
        together = ["two runs of one policy trained at once"] if "together" in world.memory else []
        return [*super().problems(world), *together]


OPERATOR_STORIES = (
    DriftScenario(),
    AttemptsScenario(),
    PipelineBugScenario(),
    QueueScenario(),
    DriftScenario(operators=("a", "b")),
)
