"""What is said in words holds the numbers that were measured, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.console.insights import (
    MOST_SENTENCES,
    InsightFinding,
    InsightSentence,
    QuotedMeasure,
    chosen_insights,
    numbers_in,
    says_only,
)
from leadscore.console.numbers import value_text
from leadscore.console.page import Money, NumberUnit
from leadscore.monitoring.measures import Measure

_UNITS: tuple[NumberUnit, ...] = ("count", "share", "number", "index", "milliseconds", Money("EUR"))


@given(
    st.floats(min_value=0, max_value=1e9, allow_nan=False),
    st.floats(min_value=0, max_value=1e9),
    st.sampled_from(_UNITS),
)
def test_a_number_of_a_sentence_is_its_measure_as_it_is_written(
    now: float, before: float, unit: NumberUnit
) -> None:
    numbers = {
        name: QuotedMeasure(Measure(value=value, n=1), unit)
        for name, value in (("now", now), ("then", before))
    }
    sentence = InsightSentence(template="From {then} to {now}.", numbers=numbers)
    expected = numbers_in(value_text(now, unit)) | numbers_in(value_text(before, unit))
    assert numbers_in(sentence.text) == expected


def test_a_template_has_no_number_of_its_own() -> None:
    with pytest.raises(ValueError, match="a measure"):
        InsightSentence(template="12 leads were scored.")


def test_a_name_with_braces_is_text() -> None:
    said = InsightSentence(template="The rule {rule} fires.", names={"rule": "{now} <b>"})
    assert said.text == "The rule {now} <b> fires."


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("14.6\u00a0% of 5,406 leads", {"14.6%", "5406"}),
        ("14.6 percent, 14.6 per cent", {"14.6%"}),
        ("fell by -3.2 %", {"-3.2%"}),
        ("since 2026-11-29", {"2026-11-29"}),
        ("\u0662 or ½ or ²", {"2", "½", "²"}),
        ("version 7.", {"7"}),
        ("nothing", set()),
    ],
)
def test_numbers_are_found_however_they_are_written(text: str, numbers: set[str]) -> None:
    assert numbers_in(text) == numbers


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Of 5406 leads 14.6 percent became customers.", True),
        ("14.6 % of leads became customers.", True),
        ("14.7 % of leads became customers.", False),
        ("14.6 leads became customers.", False),
        ("146 % of leads became customers.", False),
        ("Twice as many leads became customers.", False),
        ("A third of leads became customers.", False),
        ("Leads became customers ½ as often.", False),
        ("Conversion is fine.", True),
    ],
)
def test_a_text_may_say_only_numbers_of_the_facts(text: str, holds: bool) -> None:
    assert says_only(text, ["14.6\u00a0% of leads became customers.", "5,406 leads were scored."]) is holds


def finding(level: str, word: str) -> InsightFinding:
    said = [InsightSentence(template=f"{word} {part}.") for part in ("changed", "matters", "do")]
    return InsightFinding(level=level, changed=said[0], matters=said[1], do=said[2])  # type: ignore[arg-type]


def test_the_worst_finding_is_said_in_full_and_others_in_a_sentence_each() -> None:
    found = [
        finding("good", "Calm"),
        finding("critical", "Bad"),
        finding("warning", "Odd"),
        finding("info", "New"),
    ]
    said = [sentence.text for sentence in chosen_insights(found)]
    assert said == ["Bad changed.", "Bad matters.", "Bad do.", "Odd changed.", "New changed."]
    assert len(said) == MOST_SENTENCES
    assert len(chosen_insights([finding("good", "Calm")])) == 3
    assert chosen_insights([]) == ()
