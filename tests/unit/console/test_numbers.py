from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from leadscore.console import numbers
from leadscore.console.page import Money
from leadscore.monitoring.measures import Measure

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1234567, "count", "1,234,567"), (0.1234, "share", "12.3 %"), (0.00012, "share", "0.012 %"),
        (0.0, "share", "0.0 %"), (0.81234, "number", "0.8123"), (12.345, "number", "12.35"),
        (1234.5, "number", "1,234"), (12.4, "milliseconds", "12 ms"),
        (9.26, "milliseconds", "9.3 ms"), (0.31, "milliseconds", "0.31 ms"),
        (0.24493, "index", "0.245"), (3.44, "times", "3.4 ×"), (2.0, "per_second", "2.000 /s"),
        (12345.6, Money(), "12,346"), (9.5, Money(), "9.50"),
        (12345.6, Money("EUR"), "EUR 12,346"), (-9.5, Money("CHF"), "CHF -9.50"),
    ],
)  # fmt: skip
def test_a_number_is_written_in_one_way(value: float, unit: numbers.NumberUnit, text: str) -> None:
    assert numbers.value_text(value, unit) == text.replace(" ", "\u00a0")


def test_a_tiny_index_is_not_written_as_none() -> None:
    assert numbers.value_text(0.0002, "index") == "< 0.001"
    assert numbers.value_text(0.0, "index") == "0.000"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_what_is_no_number_is_unknown(value: float | None) -> None:
    assert numbers.value_text(value, "share") == "unknown"


def test_an_interval_has_both_ends_or_is_not_shown() -> None:
    assert (
        numbers.interval_text(Measure(value=0.1, n=3, low=0.05, high=0.2), "share")
        == "5.0\u00a0% to 20.0\u00a0%"
    )
    assert numbers.interval_text(Measure(value=0.1, n=3, low=0.05), "share") == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s ago"), (30, "30 s ago"), (119, "119 s ago"), (300, "5 min ago"),
     (86_399, "23 h ago"), (9e5, "10 days ago")],
)  # fmt: skip
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert numbers.age_text(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It fires", "It fires."),
        ("It fires.", "It fires."),
        ("It fires..", "It fires."),
        ("Does it? ", "Does it?"),
    ],
)
def test_a_sentence_has_one_full_stop(text: str, sentence: str) -> None:
    assert numbers.as_sentence(text) == sentence


@pytest.mark.parametrize(
    ("unit", "title"),
    [
        ("share", "rate (share of 1)"), ("milliseconds", "rate (ms)"), (Money("EUR"), "rate (EUR)"),
        (Money(), "rate"), ("count", "rate"), (None, "rate"),
    ],
)  # fmt: skip
def test_a_column_of_a_file_names_its_unit(unit: numbers.NumberUnit | None, title: str) -> None:
    assert numbers.column_title("rate", unit) == title
