"""DriftDetectors."""

from __future__ import annotations

from datetime import datetime

from leadscore.errors import BadInputError
from leadscore_operator.decide.detector import DetectorSeen, plan_detector, unread
from leadscore_operator.decide.jobs import LastWords, job_end
from leadscore_operator.kube.resources import CRONJOBS, DETECTORS, JOBS, OWNER_LABEL
from leadscore_operator.reconcile.base import Shell, living, settle, trouble, words_of


async def reconcile_detector(shell: Shell, name: str) -> datetime | None:
    """Read a detector and its children, and do what is to be done; when to look again."""
    detector = await living(shell, DETECTORS, name)
    if detector is None:
        return None
    mine = f"{OWNER_LABEL}={detector['metadata']['uid']}"
    cron_jobs = await shell.kube.list(CRONJOBS, labels=mine)
    jobs = await shell.kube.list(JOBS, labels=mine)
    ends = {job["metadata"]["name"]: job_end(job) for job in jobs}
    words: dict[str, LastWords] = {}
    for job in unread(detector, jobs):
        end = ends[job]
        said = await words_of(shell.kube, job, succeeded=end is not None and end.succeeded)
        if said is not None:
            words[job] = said
    seen = DetectorSeen(detector, cron_jobs, jobs, words)
    try:
        plan = plan_detector(seen, shell.workload, shell.clock.now())
    except BadInputError as error:
        await trouble(shell, DETECTORS, detector, error)
        return None
    return await settle(shell, DETECTORS, detector, plan)
