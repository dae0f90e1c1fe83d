"""Shared by the reconcilers: reading a Job's termination message, and setting a failed Ready condition."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from leadscore.errors import BadInputError, LeadScoreError
from leadscore_operator.decide.jobs import TerminationMessage, termination_message
from leadscore_operator.decide.metric_samples import metric_samples_of
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.engine.metrics import MetricSamples
from leadscore_operator.errors import KubeRefusedError, NameTakenError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import PODS, Manifest, Resource
from leadscore_operator.plan import Event, Plan
from leadscore_operator.resources import decode
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import Status, condition_now, to_wire


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What a reconcile works with."""

    kube: Kube
    applier: Applier
    clock: Clock
    workload: Workload
    metric_samples: MetricSamples = field(default_factory=MetricSamples)


async def get_live(context: ReconcileContext, resource: Resource, name: str) -> Manifest | None:
    """The object as it is now; None if it is gone or going, and then it has no metric samples any more."""
    item = await context.kube.get(resource, name)
    if item is None or "deletionTimestamp" in item["metadata"]:
        context.metric_samples.forget((resource.plural, name))
        return None
    return item


async def read_termination_message(kube: Kube, job: str, *, succeeded: bool) -> TerminationMessage | None:
    """What the Job's deciding pod said last; None if no such pod is there (any more)."""
    pods = await kube.list(PODS, labels=f"batch.kubernetes.io/job-name={job}")
    return termination_message(pods, succeeded=succeeded)


async def apply_plan(
    context: ReconcileContext, resource: Resource, item: Manifest, plan: Plan
) -> datetime | None:
    """Carry out a plan; when to look again.

    Raises:
        LeadScoreError: As `Applier.apply`. What a person has to fix is put into the Ready condition first.
    """
    try:
        await context.applier.apply(resource, item, plan)
    except (NameTakenError, KubeRefusedError) as error:
        await set_failed_condition(context, resource, item, error)
        raise
    # Metrics show a status only after the server has accepted it.
    status = item.get("status", {}) if plan.status is None else plan.status
    key = (resource.plural, item["metadata"]["name"])
    context.metric_samples.hold(key, metric_samples_of(resource.plural, {**item, "status": status}))
    return plan.again


async def set_failed_condition(
    context: ReconcileContext, resource: Resource, item: Manifest, error: LeadScoreError
) -> None:
    """Say in the status why the object cannot be served."""
    reason = "SpecInvalid" if isinstance(error, BadInputError) else "Refused"
    await not_ready(context, resource, item, reason, str(error), about=str(error))


async def not_ready(
    context: ReconcileContext, resource: Resource, item: Manifest, reason: str, message: str, *, about: str
) -> None:
    """Put a reason into the Ready condition, and a Warning beside it; the rest of the status stays as it is.

    Args:
        context: What it is done with.
        resource: Kind of the object.
        item: The object as it was read.
        reason: One word.
        message: For a person.
        about: Tells two Warnings of the same reason apart.
    """
    old: Manifest = item.get("status", {})
    conditions = condition_now(
        decode(old, Status, "status"),
        context.clock.now(),
        ready=False,
        reason=reason,
        message=message[:1000],
        generation=item["metadata"]["generation"],
    )
    event = Event(reason, message, about, "Warning")
    status = old | {"conditions": [to_wire(each) for each in conditions]}
    await context.applier.apply(resource, item, Plan(events=(event,), status=status))
    # A spec that cannot be read has no samples.
    with suppress(BadInputError):
        key = (resource.plural, item["metadata"]["name"])
        context.metric_samples.hold(key, metric_samples_of(resource.plural, {**item, "status": status}))
