from __future__ import annotations

import os
from pathlib import Path

import pytest

from leadscore.training.cpus import available_cpus

HOST = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "cpus"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", HOST), ("junk", HOST)]
)
def test_the_container_limit_counts_not_the_host(tmp_path: Path, text: str, cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert available_cpus(tmp_path / "cpu.max", tmp_path / "none") == cpus


def test_old_cgroups_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert available_cpus(tmp_path / "none", tmp_path) == 1


def test_without_cgroups_the_affinity_decides(tmp_path: Path) -> None:
    assert available_cpus(tmp_path / "none", tmp_path / "none") == HOST
