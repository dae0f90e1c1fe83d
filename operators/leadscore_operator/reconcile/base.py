"""What the reconcilers share: how the last words of a Job are read, and how trouble gets into the Ready condition."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from leadscore.errors import BadInputError, LeadScoreError
from leadscore_operator.decide.figures import figures_of
from leadscore_operator.decide.jobs import LastWords, last_words
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.engine.metrics import Figures
from leadscore_operator.errors import KubeRefusedError, NameTakenError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import PODS, Manifest, Resource
from leadscore_operator.plan import Happening, Plan
from leadscore_operator.resources import decode
from leadscore_operator.specs.workload import Workload
from leadscore_operator.statuses import Status, condition_now, to_wire


@dataclass(frozen=True, slots=True)
class Shell:
    """What a reconcile works with."""

    kube: Kube
    applier: Applier
    clock: Clock
    workload: Workload
    figures: Figures = field(default_factory=Figures)


async def living(shell: Shell, resource: Resource, name: str) -> Manifest | None:
    """The object as it is now; None if it is gone or going, and then it has no figures any more."""
    item = await shell.kube.get(resource, name)
    if item is None or "deletionTimestamp" in item["metadata"]:
        shell.figures.forget((resource.plural, name))
        return None
    return item


async def words_of(kube: Kube, job: str, *, succeeded: bool) -> LastWords | None:
    """What the Job's deciding pod said last; None if no such pod is there (any more)."""
    pods = await kube.list(PODS, labels=f"batch.kubernetes.io/job-name={job}")
    return last_words(pods, succeeded=succeeded)


async def settle(shell: Shell, resource: Resource, item: Manifest, plan: Plan) -> datetime | None:
    """Carry out a plan; when to look again.

    Raises:
        LeadScoreError: As `Applier.apply`. What a person has to mend is put into the Ready condition first.
    """
    try:
        await shell.applier.apply(resource, item, plan)
    except (NameTakenError, KubeRefusedError) as error:
        await trouble(shell, resource, item, error)
        raise
    # Only what the server has taken counts: a status that was refused is not shown either.
    status = item.get("status", {}) if plan.status is None else plan.status
    key = (resource.plural, item["metadata"]["name"])
    shell.figures.hold(key, figures_of(resource.plural, {**item, "status": status}))
    return plan.again


async def trouble(shell: Shell, resource: Resource, item: Manifest, error: LeadScoreError) -> None:
    """Say in the status why the object cannot be served."""
    reason = "SpecInvalid" if isinstance(error, BadInputError) else "Refused"
    await not_ready(shell, resource, item, reason, str(error), about=str(error))


async def not_ready(
    shell: Shell, resource: Resource, item: Manifest, reason: str, message: str, *, about: str
) -> None:
    """Put a reason into the Ready condition, and a Warning beside it; the rest of the status stays as it is.

    Args:
        shell: What it is done with.
        resource: Kind of the object.
        item: The object as it was read.
        reason: One word.
        message: For a person.
        about: Tells two Warnings of the same reason apart.
    """
    old: Manifest = item.get("status", {})
    conditions = condition_now(
        decode(old, Status, "status"),
        shell.clock.now(),
        ready=False,
        reason=reason,
        message=message[:1000],
        generation=item["metadata"]["generation"],
    )
    happening = Happening(reason, message, about, "Warning")
    status = old | {"conditions": [to_wire(each) for each in conditions]}
    await shell.applier.apply(resource, item, Plan(happenings=(happening,), status=status))
