"""The columns with a role of their own: what the target's values mean, how times and revenue are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import ArrowColumn, counts, kind_of
from leadscore.contract.findings import Finding, format_line, shape_of, with_rows
from leadscore.contract.guess.numbers import guess_numbers
from leadscore.contract.guess.target import TargetGuess, Value, ValueSpellings, guess_target
from leadscore.contract.guess.times import TimeGuess, guess_times
from leadscore.contract.model import ColumnFormat
from leadscore.contract.propose import number_findings, seen_texts
from leadscore.contract.text import USUAL, is_missing, nearly

_Read = tuple[ColumnFormat | None, list[Finding]]


@dataclass(frozen=True, slots=True)
class TargetReading:
    """What the target says.

    Attributes:
        positive: The value that means converted.
        open_values: Values of leads whose outcome is not known yet.
        labels: 1, 0 or NaN (not known yet) per row.
        findings: What a person should know.
    """

    positive: Value
    open_values: tuple[Value, ...]
    labels: NDArray[np.float64]
    findings: tuple[Finding, ...]


def read_target(name: str, column: ArrowColumn, wanted: Value | None) -> TargetReading:
    """Decide what the target's values mean (`leadscore.contract.guess.target`), and label the rows by it.

    Raises:
        TableError: There is nothing to learn, or nothing tells which value means converted.
    """
    seen = [
        (value, count)
        for value, count in counts(column)
        if not isinstance(value, str) or nearly(value) == nearly(str(wanted)) or not is_missing(value)
    ]
    guess = guess_target(name, seen, wanted)
    label = {
        value: known
        for groups, known in (((guess.positive,), 1.0), (guess.negatives, 0.0), (guess.open, math.nan))
        for group in groups
        for value, _ in group.spellings
    }
    rows: list[object] = list(
        column.cast("string").to_pylist() if kind_of(column) == "text" else column.to_pylist()
    )
    labels = np.array([label.get(row, math.nan) for row in rows], dtype=np.float64)
    positive, opened = guess.positive.value, tuple(group.value for group in guess.open)
    return TargetReading(positive, opened, labels, tuple(_target_findings(name, guess)))


def _target_findings(name: str, guess: TargetGuess) -> list[Finding]:
    found: list[Finding] = []
    positive, negatives = guess.positive, guess.negatives
    if not guess.sure:
        reason = f"values {_groups((positive, *negatives))} do not say which means converted"
        action = f"took the rarer, {positive.value!r}; correct `target.positive` if that is wrong"
        found.append(Finding(name, "target", reason, action))
    if len(positive.spellings) > 1:
        reason = f"{with_rows(positive.spellings)} are spellings of {positive.value!r}"
        action = f"all are read as converted ({positive.rows} rows); write them alike in the source"
        found.append(Finding(name, "target", reason, action))
    if guess.open:
        words = ", ".join(repr(group.value) for group in guess.open)
        reason = (
            f"{_groups(guess.open)} are neither {positive.value!r} ({positive.rows} rows) nor a word for a "
            f"lost lead ({_groups(negatives)}): the outcome is not known yet"
        )
        action = (
            f"not trained on, by `open_values: [{words}]` under `target`; take a value out of the list if "
            "it means that the lead did not convert"
        )
        found.append(Finding(name, "open_values", reason, action))
    counted = [g for g in negatives if isinstance(g.value, int) and not isinstance(g.value, bool)]
    if len(counted) > 1 and isinstance(positive.value, int):
        reason = (
            f"its values are numbers, and all but {positive.value} count as not converted: "
            f"{_groups(tuple(counted))}"
        )
        action = "if it counts something, make a column of 0 and 1 that says whether the lead converted"
        found.append(Finding(name, "target", reason, action))
    elif len(negatives) > 1 and any(group.meaning != "lost" for group in negatives):
        reason = f"beside {positive.value!r}, all values count as not converted: {_groups(negatives)}"
        action = "list those whose outcome is not known yet as `open_values: [...]` under `target`"
        found.append(Finding(name, "target", reason, action))
    return found


def _groups(groups: tuple[ValueSpellings, ...]) -> str:
    return with_rows((group.value, group.rows) for group in groups)


def value_format(name: str, column: ArrowColumn) -> _Read:
    """How the revenue is written, where that is not the usual way, and what to ask about it."""
    if kind_of(column) != "text":
        return None, []
    seen = seen_texts(column)
    numbers = guess_numbers(seen)
    if numbers is None:
        if not seen:
            return None, []
        reason = f"its texts, written like {shape_of(seen[0][0])!r}, are not numbers"
        action = "revenue must be a number per lead; correct the column, or name another one with --value"
        return None, [Finding(name, "number_format", reason, action)]
    words = [(text, count) for text, count in seen if text not in numbers.values]
    findings = list(number_findings(name, numbers, words))
    if len(numbers.units) > 1:
        reason = f"its numbers stand in several units: {', '.join(numbers.units)}"
        findings.append(
            Finding(name, "number_format", reason, "read as if they were one; convert them to one")
        )
    return (None if numbers.form == USUAL else numbers.form), findings


def read_role_times(name: str, column: ArrowColumn) -> _Read:
    """How a time column is written, where that is not ISO 8601, and what to ask about it."""
    kind = kind_of(column)
    if kind in {"time", "empty"}:
        return None, []
    texts = kind == "text"
    seen = seen_texts(column) if texts else [(str(value), count) for value, count in counts(column)]
    if not seen:
        return None, []
    guess = guess_times(seen, counted=True)
    if guess is None:
        reason = f"its values, written like {shape_of(seen[0][0])!r}, cannot be read as times"
        action = (
            f"write how they are written, as {format_line(name, ColumnFormat(time_format='%d.%m.%Y %H:%M'))} "
            "(directives of strptime; epoch_s, epoch_ms or excel for numbers), or name another column"
        )
        return None, [Finding(name, "time_format", reason, action)]
    return guess.form if guess.form != USUAL else None, _time_findings(name, seen, guess)


def _time_findings(name: str, seen: list[tuple[str, int]], guess: TimeGuess) -> list[Finding]:
    found: list[Finding] = []
    rows = sum(count for _, count in seen)
    if guess.form is None:
        lines = " or ".join(format_line(name, form) for form in guess.forms)
        reason = (
            f"its {rows} times, written like {shape_of(seen[0][0])!r}, can be read with the day or the month "
            "first: no number settles it"
        )
        found.append(Finding(name, "time_format", reason, f"not readable yet: write {lines}"))
    elif guess.form != USUAL:
        reason = f"its times are written like {shape_of(seen[0][0])!r}, which is not ISO 8601"
        found.append(Finding(name, "time_format", reason, f"read by {format_line(name, guess.form)}"))
    if guess.unread:
        reason = f"{guess.unread} of {rows} rows hold no time that can be read in the same way"
        found.append(Finding(name, "time_format", reason, "correct them, or leave those rows out"))
    return found
