from __future__ import annotations

import pytest

from leadscore.training.nomination import may_promote
from leadscore.training.verdict import GateThresholds, GateVerdict


def verdict(*, passed: bool, first: bool) -> GateVerdict:
    return GateVerdict(
        passed=passed,
        summary="",
        checks=(),
        challenger="a" * 64,
        champion=None if first else "b" * 64,
        data="",
        start=None,
        end=None,
        rows=1000,
        positives=100,
        thresholds=GateThresholds(),
        notes=(),
    )


@pytest.mark.parametrize(
    ("promote", "first", "passed", "expected"),
    [
        (None, True, True, True),
        (None, True, False, False),
        (None, False, True, False),
        (True, True, False, True),
        (True, False, True, True),
        (True, False, False, False),
        (False, True, True, False),
        (False, False, True, False),
    ],
)
def test_who_becomes_champion_at_once(
    promote: bool | None, first: bool, passed: bool, expected: bool
) -> None:
    assert may_promote(verdict(passed=passed, first=first), promote=promote) is expected
