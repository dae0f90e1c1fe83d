"""Count the CPUs that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")


def cpu_limit(cgroup: Path = _CGROUP, *, whole: Callable[[float], int] = math.floor) -> int:
    """Return the smaller of the CPU affinity and the cgroup's quota (v2, then v1), at least 1.

    Libraries that count the host's CPUs instead start a thread per host core, and ran a hundred times slower
    in a one-CPU container (dmlc/xgboost#7653).

    Args:
        cgroup: Where the cgroup's files are.
        whole: Rounds the quota.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, whole(quota)))


def _quota(cgroup: Path) -> float | None:
    try:
        if (cgroup / "cpu.max").exists():
            limit, period = (cgroup / "cpu.max").read_text().split()
        else:
            limit = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text().strip()
        return None if limit in ("max", "-1") else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None
