"""What `leadscore train` tells a person to type next can be typed."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest
from tests.support.gate import gate_verdict

from leadscore.cli.train import next_step
from leadscore.registry.versions import ModelRef, ModelVersion
from leadscore.training.nomination import Nomination


def version(number: int) -> ModelVersion:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return ModelVersion("leads", number, (), "None", f"{number}" * 64, "xgboost", "c1", at, {}, {}, ())


def nominated(*, passed: bool, first: bool = False, promoted: bool = False) -> Nomination:
    champion = None if first else version(6)
    verdict = gate_verdict(
        passed=passed, challenger="7" * 64, champion=None if champion is None else champion.digest
    )
    return Nomination(version(7), verdict, champion, promoted)


@pytest.mark.parametrize(
    ("result", "verb", "refs"),
    [
        (nominated(passed=True), "promote", ["leads/7"]),
        (nominated(passed=False, first=True), "promote", ["leads/7"]),
        (nominated(passed=False), "compare", ["leads/6", "leads/7"]),
    ],
    ids=["passed", "first", "refused"],
)
def test_the_next_step_names_versions_as_the_commands_take_them(
    result: Nomination, verb: str, refs: list[str]
) -> None:
    words = shlex.split(next_step(result).removeprefix("Next: "))
    assert words[:3] == ["leadscore", "models", verb]
    assert words[3 : 3 + len(refs)] == refs
    assert [str(ModelRef.parse(ref)) for ref in refs] == refs


def test_a_champion_is_served_next() -> None:
    words = next_step(nominated(passed=True, promoted=True))
    assert words.endswith("leadscore serve --model leads@champion --port 3000")
