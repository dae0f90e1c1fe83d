"""RetrainPolicy: gather the state, decide by `leadscore.policy`, and write the status. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from leadscore.policy.decide import decide_retraining
from leadscore.policy.state import Observation, PastRun, PolicyState, Postpone, Retrain, RetrainDecision
from leadscore.policy.triggers import next_slot
from leadscore_operator.decide.detector import observations
from leadscore_operator.kube.resources import RUNS, Manifest
from leadscore_operator.plan import Create, DecisionRecord, Event, Plan
from leadscore_operator.resources import DetectorSpec, PolicySpec, decode
from leadscore_operator.specs.trainings import retrain_run
from leadscore_operator.statuses import (
    ModelReleaseStatus,
    PolicyDecision,
    PolicyRun,
    PolicyStatus,
    RunStatus,
    condition_now,
    to_wire,
)

MANUAL: Final = "leadscore.dev/retrain"
ENDED: Final = ("Succeeded", "Failed")
RELEASE_ENDED: Final = ("Promoted", "Rejected", "Aborted", "RolledBack")
_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class PolicyObservation:
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
    known = _status_of(policy).runs
    return [r.name for r in known if r.finished is None and r.name not in listed]


def plan_policy(seen: PolicyObservation, now: datetime) -> Plan:
    """Decide for a policy now.

    Raises:
        BadInputError: The spec or a detector's status cannot be read.
    """
    policy = seen.policy
    spec = decode(policy["spec"], PolicySpec, "spec")
    runs = _runs(seen, now)
    state = PolicyState(
        created=datetime.fromisoformat(policy["metadata"]["creationTimestamp"]),
        observations=_observations(seen, spec.model),
        runs=tuple(PastRun(key=r.key, created=r.created, finished=r.finished) for r in runs),
        manual=policy["metadata"].get("annotations", {}).get(MANUAL) or None,
        release=_under_way(seen, spec),
    )
    decision = decide_retraining(spec, state, now)
    schedule = spec.triggers.schedule
    upcoming = None if schedule is None else next_slot(schedule.ramp, state.created, now)
    changes = ()
    if isinstance(decision, Retrain):
        run = retrain_run(policy, decision)
        changes = (Create(RUNS, run, policy["metadata"]["uid"]),)
        runs = [PolicyRun(name=run["metadata"]["name"], key=decision.key, created=now), *runs]
    return Plan(
        records=(_decision_record(policy, decision, state),),
        changes=changes,
        events=(_event(decision),),
        status=to_wire(_status(policy, decision, runs, upcoming, now)),
        again=_earliest(decision.until if isinstance(decision, Postpone) else None, upcoming),
    )


def _status_of(policy: Manifest) -> PolicyStatus:
    return decode(policy.get("status", {}), PolicyStatus, "status")


def _status(
    policy: Manifest,
    decision: RetrainDecision,
    runs: list[PolicyRun],
    upcoming: datetime | None,
    now: datetime,
) -> PolicyStatus:
    old, generation = _status_of(policy), policy["metadata"]["generation"]
    return PolicyStatus(
        observed_generation=generation,
        decision=_said(decision, old.decision, now),
        last_run=runs[0] if runs else None,
        runs=tuple(runs[:_KEPT]),
        next_schedule=upcoming,
        conditions=condition_now(
            old, now, ready=True, reason="Decided", message="The policy was decided.", generation=generation
        ),
    )


def _said(decision: RetrainDecision, old: PolicyDecision | None, now: datetime) -> PolicyDecision:
    """The decision in the status; `at` moves only when its meaning does."""
    if isinstance(decision, Retrain):
        said = PolicyDecision(
            action="Retrain", trigger=decision.trigger, key=decision.key, reason=decision.reason, at=now
        )
    else:
        until = None if decision.until is None else decision.until.replace(microsecond=0)
        said = PolicyDecision(action="Wait", hold=decision.hold, until=until, reason=decision.reason, at=now)
    same = old is not None and old.at is not None and replace(old, at=now) == said
    return old if old is not None and same else said


def _runs(seen: PolicyObservation, now: datetime) -> list[PolicyRun]:
    """Runs that exist, and those that the status remembers, newest first."""
    known = {run.name: run for run in _status_of(seen.policy).runs}
    for name in seen.gone:
        known[name] = replace(known[name], finished=now, outcome="Deleted")
    for run in seen.runs:
        status = decode(
            run.get("status", {}), RunStatus, f"status of the RetrainRun {run['metadata']['name']}"
        )
        known[run["metadata"]["name"]] = PolicyRun(
            name=run["metadata"]["name"],
            key=run["spec"].get("key") or f"by-hand-{run['metadata']['uid']}",
            created=datetime.fromisoformat(run["metadata"]["creationTimestamp"]),
            finished=status.finished if status.phase in ENDED else None,
            outcome=status.phase,
        )
    return sorted(known.values(), key=lambda r: (r.created, r.name), reverse=True)


def _of_model(detectors: Sequence[Manifest], model: str) -> list[Manifest]:
    def model_of(detector: Manifest) -> str:
        what = f"spec of the DriftDetector {detector['metadata']['name']}"
        return decode(detector["spec"], DetectorSpec, what).model_name

    return [d for d in detectors if model_of(d) == model]


def _observations(seen: PolicyObservation, model: str) -> tuple[Observation, ...]:
    """Return the verdicts of the model's detectors, without those about its predecessors.

    A check may end after the release that its model has left in; its verdict would start a retraining at
    once.
    """
    said = [o for d in _of_model(seen.detectors, model) for o in observations(d)]
    promoted = [
        (status.since, str(r["spec"]["version"]))
        for r in seen.releases
        if r["spec"].get("model") == model
        and (status := _release_status(r)).phase == "Promoted"
        and status.since is not None
    ]
    if not promoted:
        return tuple(said)
    since, version = max(promoted)
    return tuple(o for o in said if o.window_end > since or o.model_version == version)


def _under_way(seen: PolicyObservation, spec: PolicySpec) -> str | None:
    """Name a release of the model that has not ended, or is still to be made of a candidate that passed."""
    mine = [r for r in seen.releases if r["spec"].get("model") == spec.model]
    live = [r for r in mine if _release_status(r).phase not in RELEASE_ENDED]
    if live:
        return min(live, key=lambda r: r["metadata"]["creationTimestamp"])["metadata"]["name"]
    if spec.release is None:
        return None
    for run in seen.runs:
        status = decode(
            run.get("status", {}), RunStatus, f"status of the RetrainRun {run['metadata']['name']}"
        )
        passed = status.gate is not None and status.gate.result == "Passed"
        if passed and status.candidate is not None and not status.release:
            return f"of {status.candidate.ref}"
    return None


def _release_status(release: Manifest) -> ModelReleaseStatus:
    what = f"status of the ModelRelease {release['metadata']['name']}"
    return decode(release.get("status", {}), ModelReleaseStatus, what)


def _decision_record(policy: Manifest, decision: RetrainDecision, state: PolicyState) -> DecisionRecord:
    """The record of a decision.

    Its id is made from what was decided, so that the same decision is recorded once.
    """
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
    return DecisionRecord(identity, "retrain-decision", policy["spec"]["model"], document)


def _event(decision: RetrainDecision) -> Event:
    if isinstance(decision, Retrain):
        return Event("Retrain", f"{decision.reason} Retraining.", decision.key)
    return Event("Wait", f"{decision.hold}: {decision.reason}", f"{decision.hold}{decision.reason}")


def _earliest(*times: datetime | None) -> datetime | None:
    return min((t for t in times if t is not None), default=None)
