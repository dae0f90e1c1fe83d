"""RetrainPolicy: gather what is known, decide, and say it. Pure; the decision itself is `leadscore.policy`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from leadscore.durations import format_time
from leadscore.policy.decide import decide
from leadscore.policy.state import Decision, Observation, PastRun, PolicyState, Retrain, Wait
from leadscore.policy.triggers import next_slot
from leadscore_operator.decide.detector import observations
from leadscore_operator.decide.jobs import parse_time
from leadscore_operator.kube.resources import RUNS, Manifest
from leadscore_operator.plan import Create, Finding, Happening, Plan, condition, prune
from leadscore_operator.resources import DetectorSpec, PolicySpec, RunSeen, decode
from leadscore_operator.specs.trainings import retrain_run

MANUAL: Final = "leadscore.dev/retrain"
ENDED: Final = ("Succeeded", "Failed")
RELEASE_ENDED: Final = ("Promoted", "Rejected", "Aborted", "RolledBack")
_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class PolicySeen:
    """What was read.

    Attributes:
        policy: The object.
        detectors: All DriftDetectors of the namespace.
        runs: All RetrainRuns that name this policy.
        gone: Names of runs in the status that, asked for by name, do not exist any more.
        releases: All ModelReleases of the namespace.
    """

    policy: Manifest
    detectors: Sequence[Manifest]
    runs: Sequence[Manifest]
    gone: frozenset[str]
    releases: Sequence[Manifest]


def unlisted(policy: Manifest, runs: Sequence[Manifest]) -> list[str]:
    """Names of runs that the status calls live and the list lacks: each must be asked for by name."""
    listed = {run["metadata"]["name"] for run in runs}
    known = policy.get("status", {}).get("runs", [])
    return [r["name"] for r in known if "finished" not in r and r["name"] not in listed]


def plan_policy(seen: PolicySeen, now: datetime) -> Plan:
    """Decide for a policy now.

    Raises:
        BadInputError: The spec or a detector's status cannot be read.
    """
    policy = seen.policy
    spec = decode(policy["spec"], PolicySpec, "spec")
    runs = _runs(seen, now)
    state = PolicyState(
        created=parse_time(policy["metadata"]["creationTimestamp"]),
        observations=_observations(seen, spec.model),
        runs=tuple(PastRun(key=r.key, created=r.created, finished=r.finished) for r in runs),
        manual=policy["metadata"].get("annotations", {}).get(MANUAL) or None,
        release=_under_way(seen, spec),
    )
    decision = decide(spec, state, now)
    schedule = spec.triggers.schedule
    upcoming = None if schedule is None else next_slot(schedule.ramp, state.created, now)
    changes = ()
    if isinstance(decision, Retrain):
        run = retrain_run(policy, decision)
        changes = (Create(RUNS, run, policy["metadata"]["uid"]),)
        runs = [RunSeen(name=run["metadata"]["name"], key=decision.key, created=now), *runs]
    return Plan(
        findings=(_finding(policy, decision, state),),
        changes=changes,
        happenings=(_happening(decision),),
        status=_status(policy, decision, runs, upcoming, now),
        again=_earliest(decision.until if isinstance(decision, Wait) else None, upcoming),
    )


def _status(
    policy: Manifest, decision: Decision, runs: list[RunSeen], upcoming: datetime | None, now: datetime
) -> Manifest:
    old: Manifest = policy.get("status", {})
    generation = policy["metadata"]["generation"]
    entries = [msgspec.to_builtins(run) for run in runs]
    for entry in entries:
        entry.update({k: _rfc(v) for k, v in entry.items() if k in {"created", "finished"}})
    return prune(
        {
            "observedGeneration": generation,
            "decision": _said(decision, old.get("decision", {}), now),
            "lastRun": entries[0] if entries else None,
            "runs": entries[:_KEPT],
            "nextSchedule": None if upcoming is None else format_time(upcoming),
            "conditions": condition(
                old,
                now,
                ready=True,
                reason="Decided",
                message="The policy was decided.",
                generation=generation,
            ),
        }
    )


def _rfc(value: str) -> str:
    return format_time(parse_time(value))


def _said(decision: Decision, old: Manifest, now: datetime) -> Manifest:
    """The decision in the status; `at` moves only when its meaning does."""
    if isinstance(decision, Retrain):
        said: Manifest = {"action": "Retrain", "trigger": decision.trigger, "key": decision.key}
    else:
        said = {"action": "Wait", "hold": decision.hold}
        if decision.until is not None:
            said["until"] = format_time(decision.until)
    said["reason"] = decision.reason
    same = {k: v for k, v in old.items() if k != "at"} == said
    return {**said, "at": old["at"] if same and "at" in old else format_time(now)}


def _runs(seen: PolicySeen, now: datetime) -> list[RunSeen]:
    """Runs that exist, and those that the status remembers, newest first."""
    known = {
        item["name"]: decode(item, RunSeen, "status.runs")
        for item in seen.policy.get("status", {}).get("runs", [])
    }
    for name in seen.gone:
        known[name] = msgspec.structs.replace(known[name], finished=now, outcome="Deleted")
    for run in seen.runs:
        status: Manifest = run.get("status", {})
        ended = status.get("phase") in ENDED
        known[run["metadata"]["name"]] = RunSeen(
            name=run["metadata"]["name"],
            key=run["spec"].get("key") or f"by-hand-{run['metadata']['uid']}",
            created=parse_time(run["metadata"]["creationTimestamp"]),
            finished=parse_time(status["finished"]) if ended else None,
            outcome=status.get("phase"),
        )
    return sorted(known.values(), key=lambda r: (r.created, r.name), reverse=True)


def _of_model(detectors: Sequence[Manifest], model: str) -> list[Manifest]:
    def model_of(detector: Manifest) -> str:
        what = f"spec of the DriftDetector {detector['metadata']['name']}"
        return decode(detector["spec"], DetectorSpec, what).model_name

    return [d for d in detectors if model_of(d) == model]


def _observations(seen: PolicySeen, model: str) -> tuple[Observation, ...]:
    """What the model's detectors have said, without what was said of its predecessors.

    A check may end after the release that its model has left in; its verdict would start a retraining at once.
    """
    said = [o for d in _of_model(seen.detectors, model) for o in observations(d)]
    promoted = [
        (parse_time(r["status"]["since"]), str(r["spec"]["version"]))
        for r in seen.releases
        if r["spec"].get("model") == model
        and r.get("status", {}).get("phase") == "Promoted"
        and "since" in r["status"]
    ]
    if not promoted:
        return tuple(said)
    since, version = max(promoted)
    return tuple(o for o in said if o.window_end > since or o.model_version == version)


def _under_way(seen: PolicySeen, spec: PolicySpec) -> str | None:
    """A release of the model that has not ended, or is still to be made of a candidate that passed."""
    mine = [r for r in seen.releases if r["spec"].get("model") == spec.model]
    live = [r for r in mine if r.get("status", {}).get("phase") not in RELEASE_ENDED]
    if live:
        return min(live, key=lambda r: r["metadata"]["creationTimestamp"])["metadata"]["name"]
    if spec.release is None:
        return None
    for run in seen.runs:
        status: Manifest = run.get("status", {})
        if status.get("gate", {}).get("result") == "Passed" and not status.get("release"):
            return f"of {status['candidate']['ref']}"
    return None


def _finding(policy: Manifest, decision: Decision, state: PolicyState) -> Finding:
    """The record of a decision. Its id is made from what was decided, so that the same decision is recorded once."""
    uid, name = policy["metadata"]["uid"], policy["metadata"]["name"]
    if isinstance(decision, Retrain):
        identity = f"retrain-{uid}-{decision.key}"
    else:
        said = f"{decision.hold}\0{decision.reason}\0{decision.until}\0{len(state.runs)}"
        identity = f"wait-{uid}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"
    document: dict[str, object] = {
        "policy": name,
        "decision": msgspec.to_builtins(decision),
        "state": msgspec.to_builtins(state),
    }
    return Finding(identity, "retrain-decision", policy["spec"]["model"], document)


def _happening(decision: Decision) -> Happening:
    if isinstance(decision, Retrain):
        return Happening("Retrain", f"{decision.reason} Retraining.", decision.key)
    return Happening("Wait", f"{decision.hold}: {decision.reason}", f"{decision.hold}{decision.reason}")


def _earliest(*times: datetime | None) -> datetime | None:
    return min((t for t in times if t is not None), default=None)
