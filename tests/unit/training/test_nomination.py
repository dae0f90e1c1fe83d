from __future__ import annotations

import pytest
from tests.support.gate import gate_verdict

from leadscore.training.nomination import may_promote


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
    verdict = gate_verdict(passed=passed, champion=None if first else "a" * 64)
    assert may_promote(verdict, promote=promote) is expected
