"""DriftDetectors."""

from __future__ import annotations

from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.detector import DetectorSeen, plan_detector, unread, without
from leadscore_operator.decide.jobs import LastWords, job_end
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
from leadscore_operator.reconcile.base import Shell, living, settle, trouble, words_of
from leadscore_operator.specs.checks import CHECK
from leadscore_operator.specs.workload import NAME_LABEL, PART_LABEL


async def reconcile_detector(shell: Shell, name: str) -> datetime | None:
    """Read a detector and its children, and do what is to be done; when to look again."""
    detector = await living(shell, DETECTORS, name)
    named = await shell.kube.list(
        CRONJOBS, labels=f"{MANAGED_LABEL}={MANAGER},{PART_LABEL}={CHECK},{NAME_LABEL}={name}"
    )
    if detector is None:
        # They belong to the installation: nobody else deletes them.
        for change in without(named):
            await shell.applier.change(change)
        return None
    uid = detector["metadata"]["uid"]
    cron_jobs = [c for c in named if c["metadata"]["labels"].get(OWNER_LABEL) == uid]
    left = [c for c in named if c["metadata"]["labels"].get(OWNER_LABEL) != uid]
    jobs = await shell.kube.list(JOBS, labels=f"{OWNER_LABEL}={uid}")
    try:
        words = await _words(shell, detector, jobs)
        seen = DetectorSeen(detector, cron_jobs, jobs, words, left, await _installation(shell))
        plan = plan_detector(seen, shell.workload, shell.clock.now())
    except BadInputError as error:
        await trouble(shell, DETECTORS, detector, error)
        return None
    return await settle(shell, DETECTORS, detector, plan)


async def _words(shell: Shell, detector: Manifest, jobs: list[Manifest]) -> dict[str, LastWords]:
    """What the Jobs that were not read yet have said last, by their names."""
    ends = {job["metadata"]["name"]: job_end(job) for job in jobs}
    found: dict[str, LastWords] = {}
    for name in unread(detector, jobs):
        end = ends[name]
        said = await words_of(shell.kube, name, succeeded=end is not None and end.succeeded)
        if said is not None:
            found[name] = said
    return found


async def _installation(shell: Shell) -> Manifest | None:
    """The operator's own Deployment, which CronJobs belong to; None where none was named.

    Raises:
        KubeError: It is gone or going: CronJobs that are made now would outlive the release.
    """
    name = shell.workload.installation
    found = await shell.kube.get(DEPLOYMENTS, name) if name else None
    if name and (found is None or "deletionTimestamp" in found["metadata"]):
        raise KubeError(
            f"The operator's own Deployment {name} is gone: nothing is scheduled for a release without it."
        )
    return found
