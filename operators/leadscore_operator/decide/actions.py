"""Effects of each action of the release machine: Job, changes and record (table `EFFECTS`). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from leadscore.errors import UnavailableError
from leadscore.events.store import EventStore
from leadscore.release.evidence import record_end, record_request
from leadscore.release.states import (
    Action,
    Finish,
    Nominate,
    Note,
    PatchRollout,
    Promote,
    ReleaseSpec,
    ReleaseStatus,
    ReportKpi,
    ReportShadow,
    RequestApproval,
    ReturnAlias,
    RollBack,
    StartReplay,
    StartShadow,
    Step,
    StopShadow,
    Wait,
)
from leadscore_operator.kube.resources import DEPLOYMENTS, JOBS, ROLLOUTS, Manifest
from leadscore_operator.plan import Change, Create, Delete, Patch
from leadscore_operator.specs import releases
from leadscore_operator.specs.releases import JobCommand, release_job
from leadscore_operator.specs.rollouts import version_patch
from leadscore_operator.specs.shadows import shadow_deployment
from leadscore_operator.specs.workload import Workload


@dataclass(frozen=True, slots=True)
class ReleaseObjects:
    """A release and the objects around it that it changes; None: not there.

    Attributes:
        release: The ModelRelease.
        rollout: The Rollout.
        mirrored: The Service that copies of requests go to.
        shadow: The Deployment behind it, whoever made it.
    """

    release: Manifest
    rollout: Manifest | None = None
    mirrored: Manifest | None = None
    shadow: Manifest | None = None


WriteRecord = Callable[[EventStore, ReleaseSpec, ReleaseStatus, Any, int], object]


@dataclass(frozen=True, slots=True)
class Effect:
    """Effects of an action; None: nothing of that kind.

    Attributes:
        job: Name and command line of its Job. Each may run twice.
        changes: What else it changes in the cluster.
        record: Puts it into the event store, before anything is changed and once, whoever does
            it again. Takes the store, the release, the status that the step writes, the action,
            and microseconds since the epoch.
    """

    job: Callable[[Any, ReleaseSpec], JobCommand] | None = None
    changes: Callable[[Any, ReleaseSpec, ReleaseObjects], tuple[Change, ...]] | None = None
    record: WriteRecord | None = None


def changes_of(
    step: Step, spec: ReleaseSpec, objects: ReleaseObjects, workload: Workload
) -> tuple[Change, ...]:
    """Everything that a step changes in the cluster.

    Raises:
        UnavailableError: The Rollout that the step is about went away since the decision.
        RefusedError: The Rollout or the Service cannot be served (`specs.rollouts`, `specs.shadows`).
    """
    effect, release = EFFECTS[type(step.action)], objects.release
    others = () if effect.changes is None else effect.changes(step.action, spec, objects)
    if effect.job is None:
        return others
    job = release_job(release, effect.job(step.action, spec), workload)
    return (Create(JOBS, job, release["metadata"]["uid"]), *others)


def _set_version(
    action: PatchRollout | RollBack, spec: ReleaseSpec, objects: ReleaseObjects
) -> tuple[Change, ...]:
    rollout = _there(objects.rollout)
    version, expected = (
        (action.version, action.expected) if isinstance(action, PatchRollout) else (action.to, None)
    )
    patch = version_patch(rollout, spec.model, version, action.release, expected)
    return (Patch(ROLLOUTS, rollout["metadata"]["name"], patch),)


def _start_shadow(action: StartShadow, spec: ReleaseSpec, objects: ReleaseObjects) -> tuple[Change, ...]:
    rollout, mirrored = _there(objects.rollout), _there(objects.mirrored)
    body = shadow_deployment(objects.release, rollout, mirrored, spec.model, action.version)
    return (Create(DEPLOYMENTS, body, objects.release["metadata"]["uid"]),)


def _stop_shadow(_: StopShadow, __: ReleaseSpec, objects: ReleaseObjects) -> tuple[Change, ...]:
    if objects.shadow is None:
        return ()
    meta = objects.shadow["metadata"]
    return (Delete(DEPLOYMENTS, meta["name"], meta["uid"]),)


def _there(item: Manifest | None) -> Manifest:
    if item is None:
        raise UnavailableError("The Rollout or its shadow's Service went away between the read and the step.")
    return item


EFFECTS: Final[Mapping[type[Action], Effect]] = {
    Note: Effect(),
    Wait: Effect(),
    Nominate: Effect(job=releases.nomination_command),
    StartReplay: Effect(job=releases.replay_command),
    StartShadow: Effect(changes=_start_shadow),
    ReportShadow: Effect(job=releases.shadow_report),
    StopShadow: Effect(changes=_stop_shadow),
    RequestApproval: Effect(record=record_request),
    PatchRollout: Effect(changes=_set_version),
    ReportKpi: Effect(job=releases.kpi_report),
    Promote: Effect(job=releases.promote),
    RollBack: Effect(changes=_set_version),
    ReturnAlias: Effect(job=releases.return_alias),
    Finish: Effect(record=record_end),
}
