"""DriftDetectors."""

from __future__ import annotations

import asyncio
from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.detector import DetectorObservation, plan_detector, unread, without
from leadscore_operator.decide.freshness import JudgedCondition
from leadscore_operator.decide.jobs import TerminationMessage, job_end
from leadscore_operator.errors import KubeError
from leadscore_operator.kube.resources import (
    CRONJOBS,
    DEPLOYMENTS,
    DETECTORS,
    JOBS,
    MANAGED_LABEL,
    MANAGER,
    OWNER_LABEL,
    Manifest,
)
from leadscore_operator.reconcile.base import (
    ReconcileContext,
    apply_plan,
    get_live,
    read_termination_message,
    set_failed_condition,
)
from leadscore_operator.reconcile.freshness import FreshnessReader
from leadscore_operator.resources import DetectorSpec, decode
from leadscore_operator.specs.checks import CHECK
from leadscore_operator.specs.workload import NAME_LABEL, PART_LABEL


async def reconcile_detector(
    context: ReconcileContext, freshness: FreshnessReader, name: str
) -> datetime | None:
    """Read a detector and its children, and do what is to be done; when to look again."""
    detector = await get_live(context, DETECTORS, name)
    named = await context.kube.list(
        CRONJOBS, labels=f"{MANAGED_LABEL}={MANAGER},{PART_LABEL}={CHECK},{NAME_LABEL}={name}"
    )
    if detector is None:
        # They belong to the installation: nobody else deletes them.
        for change in without(named):
            await context.applier.change(change)
        return None
    uid = detector["metadata"]["uid"]
    cron_jobs = [c for c in named if c["metadata"]["labels"].get(OWNER_LABEL) == uid]
    left = [c for c in named if c["metadata"]["labels"].get(OWNER_LABEL) != uid]
    jobs = await context.kube.list(JOBS, labels=f"{OWNER_LABEL}={uid}")
    try:
        words = await _words(context, detector, jobs)
        installation, fresh = await _installation(context), await _fresh(context, freshness, detector)
        seen = DetectorObservation(detector, cron_jobs, jobs, words, left, installation, fresh)
        plan = plan_detector(seen, context.workload, context.clock.now())
    except BadInputError as error:
        await set_failed_condition(context, DETECTORS, detector, error)
        return None
    return await apply_plan(context, DETECTORS, detector, plan)


async def _words(
    context: ReconcileContext, detector: Manifest, jobs: list[Manifest]
) -> dict[str, TerminationMessage]:
    """What the Jobs that were not read yet have said last, by their names."""
    ends = {job["metadata"]["name"]: job_end(job) for job in jobs}
    found: dict[str, TerminationMessage] = {}
    for name in unread(detector, jobs):
        end = ends[name]
        said = await read_termination_message(context.kube, name, succeeded=end is not None and end.succeeded)
        if said is not None:
            found[name] = said
    return found


async def _fresh(
    context: ReconcileContext, reader: FreshnessReader, detector: Manifest
) -> tuple[JudgedCondition, ...]:
    model = decode(detector["spec"], DetectorSpec, "spec").model_name
    return await asyncio.to_thread(reader.read, model, context.clock.now())


async def _installation(context: ReconcileContext) -> Manifest | None:
    """The operator's own Deployment, which CronJobs belong to; None where none was named.

    Raises:
        KubeError: It is gone or going: CronJobs that are made now would outlive the release.
    """
    name = context.workload.installation
    found = await context.kube.get(DEPLOYMENTS, name) if name else None
    if name and (found is None or "deletionTimestamp" in found["metadata"]):
        raise KubeError(
            f"The operator's own Deployment {name} is gone: nothing is scheduled for a release without it."
        )
    return found
