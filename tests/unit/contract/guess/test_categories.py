"""Which values of a category column are one text, may be one, or stand for none."""

from __future__ import annotations

import unicodedata

from leadscore.contract.guess.categories import merged, placeholders, spellings


def test_unicode_forms_are_one_value():
    decomposed = unicodedata.normalize("NFD", "Událost")
    assert merged([("Událost", 3), ("Web", 4), (decomposed, 2)]) == [("Událost", 5), ("Web", 4)]


def test_case_and_spaces_are_told_and_kept():
    assert spellings([("Event", 5), ("Web", 4), ("event", 3), ("Event ", 1)]) == [
        [("Event", 5), ("event", 3), ("Event ", 1)]
    ]


def test_what_forms_show_before_an_answer_is_a_placeholder():
    seen = [
        (text, 1)
        for text in ("Select", "-- Please select --", "unknown", "Keine Angabe", "Other", "Web", "Selected")
    ]
    assert [text for text, _ in placeholders(seen)] == [
        "Select",
        "-- Please select --",
        "unknown",
        "Keine Angabe",
    ]
