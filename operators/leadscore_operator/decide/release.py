"""ModelRelease: convert the object to inputs of the release machine (`leadscore.release`) and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from leadscore.durations import parse_duration
from leadscore.release.states import (
    FINAL,
    ReleaseSpec,
    ReleaseStatus,
    ReportObservation,
    Step,
    StopShadow,
    Wait,
)
from leadscore_operator.decide.actions import ReleaseObjects, changes_of
from leadscore_operator.decide.jobs import job_end
from leadscore_operator.kube.resources import Manifest
from leadscore_operator.plan import Event, Plan
from leadscore_operator.resources import ModelReleaseSpec, ShadowSpec, decode
from leadscore_operator.specs.releases import STEP_LABEL
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import ModelReleaseStatus, condition_now, to_wire

# Approvals, the registry and the Rollout send no events to us.
_POLL: Final = timedelta(seconds=5)


def machine_spec(release: Manifest, declared: ModelReleaseSpec) -> ReleaseSpec:
    """What is wanted."""
    shadow = declared.shadow or ShadowSpec()
    return ReleaseSpec(
        release=release["metadata"]["uid"],
        model=declared.model,
        version=declared.version,
        evaluation=declared.evaluation,
        replay_days=max(1, round(parse_duration(declared.replay_window) / timedelta(days=1))),
        shadow_seconds=parse_duration(shadow.for_).total_seconds(),
        shadow_minimum_leads=shadow.minimum_leads,
        shadow_extend_seconds=parse_duration(shadow.extend_for, zero=True).total_seconds(),
        approval_seconds=parse_duration(declared.approval_for).total_seconds(),
        soak_seconds=parse_duration(declared.soak_for).total_seconds(),
        soak_every_seconds=parse_duration(declared.soak_every).total_seconds(),
        soak_exposure_seconds=parse_duration(declared.soak_exposure).total_seconds(),
        soak_minimum_leads=declared.soak_minimum_leads,
        abort=declared.abort,
    )


def machine_status(release: Manifest) -> ReleaseStatus:
    """Return what was decided so far.

    Raises:
        BadInputError: The status is not one.
    """
    return decode(release.get("status", {}), ReleaseStatus, "status")


def object_status(
    status: ReleaseStatus,
    release: Manifest,
    now: datetime,
    asked_since: datetime | None = None,
    unproven: str = "",
) -> Manifest:
    """Return the machine's status as the object's; what is empty is left out.

    Args:
        status: The machine's.
        release: The object as it was read.
        now: For conditions that change.
        asked_since: Since when a person is asked.
        unproven: What is wrong with an answer on record that does not count.
    """
    generation = release["metadata"]["generation"]
    old = decode(release.get("status", {}), ModelReleaseStatus, "status")
    conditions = condition_now(old, now, ready=True, reason="AsAsked", message="", generation=generation)
    if unproven:
        conditions += condition_now(
            old,
            now,
            kind="ApprovalProven",
            ready=False,
            reason="Unproven",
            message=unproven[:1000],
            generation=generation,
        )
    said = ModelReleaseStatus(
        **msgspec.structs.asdict(status),
        observed_generation=generation,
        asked_since=asked_since,
        conditions=conditions,
    )
    return {key: value for key, value in to_wire(said).items() if value != ""}


def report_of(done: ReportObservation, jobs: Sequence[Manifest], step: str) -> ReportObservation:
    """A report on record, or how far the Job is that makes a newer one.

    Args:
        done: Newest report on record.
        jobs: The release's Jobs.
        step: `replay`, `shadow`, or `kpi` for the numbered ones.
    """
    newest = done
    for job in jobs:
        name, _, number = job["metadata"].get("labels", {}).get(STEP_LABEL, "").partition("-")
        count = int(number) if number.isdigit() else 1
        if name != step or count <= newest.number:
            continue
        end = job_end(job)
        state = "running" if end is None or end.succeeded else "failed"
        # Until a new report is made the last one stays the evidence.
        newest = ReportObservation(
            state=state,
            number=count,
            summary="" if end is None else end.reason,
            evidence="",
        )
    return newest


def blocking_release(release: Manifest, releases: Sequence[Manifest]) -> str:
    """An older release of the same Rollout that has not ended, or ""."""

    def age(item: Manifest) -> tuple[str, str]:
        return item["metadata"]["creationTimestamp"], item["metadata"]["name"]

    older = [
        other
        for other in releases
        if other["spec"].get("rollout") == release["spec"]["rollout"]
        and other.get("status", {}).get("phase") not in FINAL
        and age(other) < age(release)
    ]
    return min(older, key=age)["metadata"]["name"] if older else ""


def plan_step(
    step: Step, spec: ReleaseSpec, objects: ReleaseObjects, workload: Workload, now: datetime
) -> Plan:
    """The cluster's part of a step: what it changes, and the status.

    Raises:
        UnavailableError, RefusedError: As `changes_of`.
    """
    release = objects.release
    changes = changes_of(step, spec, objects, workload)
    waits = step.action if isinstance(step.action, Wait) else None
    needs_human_since = None if waits is None else waits.needs_human_since
    old, new = machine_status(release), step.status
    if new.phase in FINAL and old.phase not in FINAL:
        new = msgspec.structs.replace(new, since=now)
    status = object_status(new, release, now, needs_human_since, "" if waits is None else waits.unproven)
    events: tuple[Event, ...] = ()
    known = release.get("status", {})
    if (known.get("phase"), known.get("reason")) != (status["phase"], status.get("reason")):
        # Marked as warnings in `kubectl get events`.
        warns = needs_human_since is not None or new.phase in {"Rejected", "Aborted", "RolledBack"}
        text = new.reason or f"Phase {new.phase}."
        events = (Event(new.phase, text, f"{new.phase}{text}", "Warning" if warns else "Normal"),)
    over = new.phase in FINAL and not isinstance(step.action, StopShadow)
    again = None if over else now + _POLL
    if isinstance(step.action, Wait) and step.action.until is not None and again is not None:
        again = min(again, step.action.until)
    return Plan(changes=changes, events=events, status=status, again=again)
