"""What a target is told, which score is the newer one, and what counts as a change."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.errors import BadInputError

UPDATE = ScoreUpdate(
    lead_id="00Q-1/ü",
    prediction_id="0192",
    model_name="leads",
    model_version="7",
    probability=0.25,
    score=25.0,
    grade="B",
    reasons=("Budget is high.",),
    scored_at=1_800_000_000_000_000,
)


def test_a_payload_says_all_of_the_update() -> None:
    assert parse_update(UPDATE.to_json()) == UPDATE


@pytest.mark.parametrize("payload", ["", "{}", "[1]", '{"lead_id": 3}'])
def test_what_is_no_update_is_refused(payload: str) -> None:
    with pytest.raises(BadInputError, match="no score update"):
        parse_update(payload)


moments, ids = st.integers(0, 95_617_584_000_000_000), st.text("0123456789abcdef", min_size=1, max_size=32)


@given(moments, ids, moments, ids)
def test_texts_of_sequences_compare_as_the_sequences_do(a: int, x: str, b: int, y: str) -> None:
    one = dataclasses.replace(UPDATE, scored_at=a, prediction_id=x)
    two = dataclasses.replace(UPDATE, scored_at=b, prediction_id=y)
    assert (one.sequence < two.sequence) == (one.sequence_text < two.sequence_text)


def test_the_same_score_under_another_id_has_not_changed() -> None:
    again = dataclasses.replace(UPDATE, prediction_id="0193", scored_at=UPDATE.scored_at + 1)
    told = ("score", "grade", "prediction_id", "scored_at")
    assert again.digest(told) == UPDATE.digest(told)


def test_only_what_the_target_is_told_can_change() -> None:
    other = dataclasses.replace(UPDATE, grade="A")
    assert other.digest(("score",)) == UPDATE.digest(("score",))
    assert other.digest(("score", "grade")) != UPDATE.digest(("score", "grade"))
