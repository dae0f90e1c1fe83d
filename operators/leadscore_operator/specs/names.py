"""Names of children: the same parent and reason always give the same name, and no two parents share one."""

from __future__ import annotations

import hashlib
import re


def digest(*parts: str, length: int = 8) -> str:
    """A short name-safe digest."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def cron_job_name(detector: str, uid: str, schedule: str) -> str:
    """At most 52 characters, which is what a CronJob may have."""
    return f"{_cut(detector, 33)}-{schedule}-{digest(uid, length=6)}"


def run_name(policy: str, uid: str, key: str) -> str:
    """Name of the RetrainRun of a decision."""
    return f"{_cut(policy, 40)}-{digest(uid, key)}"


def job_name(run: str, uid: str, attempt: int) -> str:
    """Name of the Job of an attempt, at most 63 characters."""
    return f"{_cut(run, 50)}-{digest(uid, length=6)}-{attempt}"


def release_name(model: str, version: int) -> str:
    """Name of the ModelRelease of a candidate."""
    return f"{_cut(re.sub(r'[^a-z0-9]+', '-', model.lower()).strip('-'), 40)}-{version}"


def _cut(text: str, length: int) -> str:
    return text[:length].rstrip("-.")
