"""Count the CPUs that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def available_cpus(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> int:
    """The smaller of the CPU affinity and the cgroup's quota (rounded up), at least 1.

    Tree libraries look at the host: in a container limited to one CPU they start a thread per host core and
    spend their time waiting for each other (dmlc/xgboost#7653).
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(v2, v1)
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def _quota(v2: Path, v1: Path) -> float | None:
    try:
        quota, period = v2.read_text().split()[:2]
    except (OSError, ValueError):
        try:
            quota = (v1 / "cpu.cfs_quota_us").read_text().strip()
            period = (v1 / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)
