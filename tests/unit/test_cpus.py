"""The container's limit counts, in both versions of cgroups, and never more than the affinity."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from leadscore.cpus import cpu_limit

AFFINITY = len(os.sched_getaffinity(0))
V1 = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "150000 100000"}, 1),
        ({"cpu.max": "100000 0"}, None),
        ({"cpu.max": "garbage"}, None),
        (dict(zip(V1, ("-1", "100000"), strict=True)), None),
        (dict(zip(V1, ("100000\n", "100000\n"), strict=True)), 1),
    ],
)
def test_the_containers_limit_counts_not_the_host(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_limit(tmp_path) == (AFFINITY if expected is None else expected)


def test_part_of_a_cpu_counts_as_one_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000")
    assert cpu_limit(tmp_path, whole=math.ceil) == min(2, AFFINITY)


def test_a_large_quota_is_cut_to_the_affinity(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("6400000 100000")
    assert cpu_limit(tmp_path) == min(64, AFFINITY)
