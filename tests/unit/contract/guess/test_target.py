"""What the values of a target mean."""

from __future__ import annotations

import pytest

from leadscore.contract.guess.target import TargetGuess, Value, guess_target, meaning_of
from leadscore.errors import TableError


def guess(rows: dict[object, int], wanted: Value | None = None) -> TargetGuess:
    return guess_target("stage", sorted(rows.items(), key=lambda pair: -pair[1]), wanted)


@pytest.mark.parametrize(
    "won", ["Won", "Closed Won", "closed-won", "CLOSED_WON", "Won - signed", "Gewonnen", "Sold", "Yes"]
)
@pytest.mark.parametrize(
    "lost",
    ["Lost", "Closed Lost", "closed-lost", "Not won", "Won't buy", "Verloren", "No sale", "rejected", "No"],
)
def test_the_words_for_won_are_positive_however_frequent(won: str, lost: str):
    for majority in ({won: 40, lost: 20}, {won: 20, lost: 40}):
        found = guess(dict(majority))
        assert (found.positive.value, found.sure) == (won, True)


@pytest.mark.parametrize(("won", "lost"), [("Signed up", "Lost"), ("Stays", "Churned")])
def test_beside_a_word_for_lost_the_other_value_is_won(won: str, lost: str):
    assert guess({lost: 10, won: 50}).positive.value == won


def test_spellings_are_one_value():
    found = guess({"Lost": 35, "won": 9, "Won": 8, "Won ": 8})
    assert (found.positive.rows, found.positive.value) == (25, "won")
    assert guess({"Lost": 35, "won": 9, "Won": 8}, "Won").positive.value == "Won"


@pytest.mark.parametrize("wanted", [None, "Won", "won"])
def test_deals_that_are_open_among_won_and_lost_are_not_lost(wanted: str | None):
    found = guess({"Won": 15, "Lost": 14, "Engaging": 13, "Prospecting": 12, "Stage 3": 3}, wanted)
    assert [group.value for group in found.negatives] == ["Lost"]
    assert [group.value for group in found.open] == ["Engaging", "Prospecting", "Stage 3"]


def test_values_of_which_none_means_lost_are_refused_or_said_by_the_caller():
    with pytest.raises(TableError, match="still open"):
        guess({"Won": 5, "In progress": 10})
    assert not guess({"Won": 5, "In progress": 10}, "Won").open
    assert len(guess({"a": 5, "b": 10, "c": 3}, "b").negatives) == 2


def test_counts_are_refused_with_what_to_do():
    with pytest.raises(TableError) as caught:
        guess({n: 50 - n for n in range(22)})
    assert "0 and 1" in caught.value.hint
    assert [group.value for group in guess({0: 5, 1: 3, 2: 2}, 1).negatives] == [0, 2]


def test_numbers_and_truth_are_values_and_not_texts():
    assert guess({"0": 5, "1": 3}).positive.value == 1
    assert guess({0.0: 5, 1.0: 3}).positive.value == 1
    assert guess({"False": 5, "True": 3}).positive.value is True
    assert guess({"1": 3, "2": 4, "3": 5}, "2").positive.value == 2


@pytest.mark.parametrize(
    "word", ["Engaging", "In Progress", "open", "Negotiation/Review", "Qualification", "Proposal sent"]
)
def test_words_of_open_deals(word: str):
    assert meaning_of(word) == "open"


def test_an_answer_that_says_nothing_is_unknown():
    assert meaning_of("Stage 3") == "unknown"
    assert not guess({"A": 3, "B": 5}).sure
