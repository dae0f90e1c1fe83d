"""What the figures were measured on: without it a figure says nothing."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_NAMED = (
    "leadscore",
    "bentoml",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "numpy",
    "xgboost-cpu",
    "optuna",
    "lightgbm",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and what ran on it.

    Attributes:
        cpu: Model name as the kernel gives it.
        cores: CPUs this process may use.
        memory_gib: Physical memory.
        system: Kernel and architecture.
        python: Version.
        load: Load average of the last minute when the run began: above 0.5 the machine was not idle; None:
            not noted.
        versions: Package and version.
        date: Of the run, UTC.
    """

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    load: float | None
    versions: tuple[tuple[str, str], ...]
    date: str

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        return cls(
            cpu=_cpu_model(),
            cores=available_cores(),
            memory_gib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30,
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            python=platform.python_version(),
            load=os.getloadavg()[0],
            versions=tuple((name, found) for name in _NAMED if (found := _version(name))),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )


def available_cores() -> int:
    """CPUs this process may run on (affinity counts, not what the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
