"""One column of a table: a feature proposed for it, or the reason why it should be none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import ArrowColumn, counts, distinct_values, floats, kind_of, nulls
from leadscore.contract.findings import ColumnSummary, Finding, format_line, with_rows
from leadscore.contract.guess.categories import merged, placeholders, spellings
from leadscore.contract.guess.numbers import (
    NumberGuess,
    bounds_among_numbers,
    guess_numbers,
    is_code,
    several_formats,
)
from leadscore.contract.guess.phrases import says_nothing, with_phrase
from leadscore.contract.guess.times import guess_times, names_time
from leadscore.contract.model import (
    RESERVED,
    Boolean,
    Categorical,
    ColumnFormat,
    Feature,
    Numeric,
    is_usable_name,
)
from leadscore.contract.names import names_code, names_identifier
from leadscore.contract.ranges import sentinel, widen
from leadscore.contract.text import USUAL, is_missing, read_truth

MAX_CATEGORIES = 50
MIN_COVERAGE = 0.8
ID_LIKE_SHARE = 0.95
MIN_ID_ROWS = 50
NEARLY_CONSTANT = 0.99
MOSTLY_MISSING = 0.9

CountedTexts = list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to do with a column.

    Attributes:
        feature: None: leave the column out.
        summary: What was seen.
        findings: What a person should know.
        codes: Numbers, or places in `names`; NaN where missing; None where nothing can be judged by them.
        names: What the codes stand for; empty for numbers.
        form: How the column writes its values, where that is not the usual way.
    """

    feature: Feature | None
    summary: ColumnSummary
    findings: tuple[Finding, ...] = ()
    codes: NDArray[np.float64] | None = None
    names: tuple[str, ...] = ()
    form: ColumnFormat | None = None


@dataclass(frozen=True, slots=True)
class _Text:
    """A text column: its rows' texts, the distinct ones that do not mean "no value", and its numbers."""

    rows: Sequence[object]
    seen: CountedTexts
    numbers: NumberGuess | None

    def codes(self, of_text: dict[str, float]) -> NDArray[np.float64]:
        """Each row's code; NaN for texts that have none."""
        return np.array([of_text.get(str(row), math.nan) for row in self.rows], dtype=np.float64)


def seen_texts(column: ArrowColumn) -> CountedTexts:
    """The distinct texts of a text column that are values, most frequent first."""
    return [(str(text), count) for text, count in counts(column) if not is_missing(str(text))]


def propose(name: str, column: ArrowColumn) -> Proposal:
    """Propose a feature for one column, from its Arrow type and its content.

    Text is read as what it says (`leadscore.contract.text`): a table of texts gets the
    same contract as one whose file knows types.
    """
    kind = kind_of(column)
    text = None
    if kind == "text":
        seen = seen_texts(column)
        rows = column.cast("string").to_pylist()
        text = _Text(rows, seen, guess_numbers(seen))
        missing = (len(rows) - sum(count for _, count in seen)) / len(rows) if rows else 0.0
        summary = ColumnSummary(column=name, role="left out", missing=missing, distinct=len(seen))
    else:
        missing = float(nulls(column).mean()) if len(column) else 0.0
        summary = ColumnSummary(
            column=name, role="left out", missing=missing, distinct=distinct_values(column)
        )
    rejected = _unusable(summary, column) or _no_feature(summary, column, text)
    if rejected is not None:
        return Proposal(None, summary, (rejected,))
    if text is None:
        proposal = _typed(summary, column)
    elif text.numbers is not None:
        proposal = _number_texts(summary, text, text.numbers)
    elif all(value.strip().lower() in {"true", "false"} for value, _ in text.seen):
        summary = msgspec.structs.replace(summary, role="boolean")
        codes = text.codes({value: float(read_truth(value) is True) for value, _ in text.seen})
        proposal = Proposal(Boolean(name=name), summary, codes=codes)
    else:
        proposal = _categorical(summary, text)
    return _with_general_findings(proposal, _commonest(column, text) / (len(column) * (1.0 - missing)))


def _commonest(column: ArrowColumn, text: _Text | None) -> int:
    """Rows of the most frequent value."""
    if text is not None:
        return text.seen[0][1]
    values = floats(column)
    return int(np.unique(values[~np.isnan(values)], return_counts=True)[1].max())


def _unusable(summary: ColumnSummary, column: ArrowColumn) -> Finding | None:
    name = summary.column
    if not is_usable_name(name) or name in RESERVED:
        return Finding(name, "name", "the API cannot use this name", "left out; rename the column to use it")
    if summary.missing == 1.0:
        return Finding(name, "empty", "no row has a value", "left out")
    if kind_of(column) == "other":
        reason = f"columns of type {column.type} cannot enter the model"
        return Finding(name, "unsupported_type", reason, "left out; derive plain columns from it")
    return None


def _no_feature(summary: ColumnSummary, column: ArrowColumn, text: _Text | None) -> Finding | None:
    name = summary.column
    if summary.distinct == 1:
        return Finding(
            name, "constant", "every row has the same value", "left out: it tells the model nothing"
        )
    if kind_of(column) == "time" or _holds_times(name, column, text):
        return Finding(
            name, "time", "holds dates or times", "left out; derive durations from it if they help"
        )
    if text is not None and text.numbers is None and several_formats(text.seen):
        reason = "its numbers are written in several ways: no one format reads them all"
        return Finding(name, "number_format", reason, "left out; write them alike to use it")
    return _identifier(summary, column, text)


def _holds_times(name: str, column: ArrowColumn, text: _Text | None) -> bool:
    if text is not None:
        return guess_times(text.seen, counted=names_time(name)) is not None
    if kind_of(column) not in {"integer", "number"} or not names_time(name):
        return False
    seen = [(str(value), count) for value, count in counts(column)]
    return guess_times(seen, counted=True) is not None


def _identifier(summary: ColumnSummary, column: ArrowColumn, text: _Text | None) -> Finding | None:
    rows = round(len(column) * (1.0 - summary.missing))
    unique = rows >= MIN_ID_ROWS and summary.distinct >= ID_LIKE_SHARE * rows
    if not unique or not _names_leads(summary.column, column, text):
        return None
    reason = f"{summary.distinct} different values in {rows} rows: it names leads rather than describes them"
    return Finding(summary.column, "id_like", reason, "left out")


def _names_leads(name: str, column: ArrowColumn, text: _Text | None) -> bool:
    """Whether a column of nearly unique values is an identifier.

    Text, a telling name, or a running number.
    """
    numbers = None if text is None else text.numbers
    if text is not None and numbers is None:
        return True
    if not (kind_of(column) == "integer" or (numbers is not None and numbers.integer)):
        return False
    values = floats(column) if text is None or numbers is None else text.codes(numbers.values)
    steps = np.diff(values)
    return names_identifier(name) or bool(np.all(steps > 0)) or bool(np.all(steps < 0))


def _typed(summary: ColumnSummary, column: ArrowColumn) -> Proposal:
    if kind_of(column) == "boolean":
        summary = msgspec.structs.replace(summary, role="boolean")
        return Proposal(Boolean(name=summary.column), summary, codes=floats(column))
    return _numeric(summary, floats(column), integer=kind_of(column) == "integer")


def _numeric(
    summary: ColumnSummary, values: NDArray[np.float64], *, integer: bool, unit: str = ""
) -> Proposal:
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    feature = Numeric(
        name=summary.column, integer=integer, range=widen(low, high, integer=integer), unit=unit
    )
    summary = msgspec.structs.replace(summary, role="numeric", minimum=low, maximum=high)
    findings: list[Finding] = []
    odd = sentinel(finite)
    if odd:
        findings.append(
            Finding(summary.column, "sentinel", odd, "kept as a number; null would say it better")
        )
    if integer and names_code(summary.column):
        findings.append(
            Finding(
                summary.column, "code",
                "its name says that it is a code, but it holds numbers: zeros in front are lost",
                "kept as a number; write it as text to have it as a category",
            )
        )  # fmt: skip
    return Proposal(feature, summary, tuple(findings), values)


def _number_texts(summary: ColumnSummary, text: _Text, numbers: NumberGuess) -> Proposal:
    """Propose a feature for numbers written as text, and ask about their marks, units and words."""
    name = summary.column
    words = [(value, count) for value, count in text.seen if value not in numbers.values]
    missing = summary.missing + numbers.word_rows / len(text.rows)
    summary = msgspec.structs.replace(summary, missing=missing, distinct=len(numbers.values))
    unit = numbers.units[0] if len(numbers.units) == 1 else ""
    if len(numbers.units) > 1:
        reason = f"its numbers stand in several units: {', '.join(numbers.units)}"
        finding = Finding(name, "number_format", reason, "left out; write it in one unit to use it")
        return Proposal(None, msgspec.structs.replace(summary, role="left out"), (finding,))
    proposal = _numeric(
        summary, text.codes(numbers.values), integer=numbers.integer, unit=_UNITS.get(unit, unit)
    )
    findings = number_findings(name, numbers, words)
    return Proposal(
        proposal.feature,
        proposal.summary,
        (*findings, *proposal.findings),
        proposal.codes,
        form=None if numbers.form == USUAL else numbers.form,
    )


# The dollar sign stands for many currencies.
_UNITS = {"€": "EUR", "£": "GBP", "₹": "INR"}


def number_findings(name: str, numbers: NumberGuess, words: Sequence[tuple[str, int]]) -> tuple[Finding, ...]:
    """Return the findings about how a column writes its numbers; none where that is unambiguous."""
    if numbers.plain:
        return ()
    found: list[Finding] = []
    line, form = format_line(name, numbers.form), numbers.form
    if numbers.other is not None:
        other = numbers.other
        mark = numbers.form.thousands or numbers.form.decimal
        taken, left = ("thousands", "decimals") if form.thousands else ("decimals", "thousands")
        reason = (
            f"in {numbers.marked} rows three digits stand behind {mark!r}, always: it may group "
            "thousands, or begin decimals"
        )
        action = (
            f"taken for {taken} ({line}); if they are {left}, write {format_line(name, other)} (and "
            "fix the feature's `range`)"
        )
        found.append(Finding(name, "number_format", reason, action))
    elif form.thousands or form.decimal != "." or numbers.units:
        marks = [f"{form.decimal!r} before decimals"] if form.decimal != "." else []
        marks += [f"{form.thousands!r} between thousands"] if form.thousands else []
        marks += [f"in {unit}" for unit in numbers.units]
        reason = f"its numbers are written as text, with {', '.join(marks)}"
        action = (f"read by {line}; " if form != USUAL else "") + "requests send JSON numbers (1234.5)"
        found.append(Finding(name, "number_format", reason, action))
    if numbers.unread_rows:
        reason = f"{numbers.unread_rows} rows hold text that is no number"
        action = (
            "correct them (`leadscore contract check` names the first); what means that there is no value "
            f"goes into {format_line(name, ColumnFormat(missing=('…',)))}"
        )
        found.append(Finding(name, "number_format", reason, action))
    elif words:
        reason = f"beside its numbers stand words: {with_rows(words)}"
        action = f"taken to mean that there is no value, by {line}"
        found.append(Finding(name, "number_format", reason, action))
    return tuple(found)


def _categorical(summary: ColumnSummary, text: _Text) -> Proposal:
    name, seen = summary.column, merged(text.seen)
    rows = sum(count for _, count in seen)
    kept = seen[:MAX_CATEGORIES]
    covered = sum(count for _, count in kept) / rows
    summary = msgspec.structs.replace(summary, distinct=len(seen))
    findings = _category_findings(name, seen)
    if covered < MIN_COVERAGE:
        reason = (
            f"{len(seen)} different texts, of which the {MAX_CATEGORIES} most "
            f"frequent cover only {covered:.0%}"
        )
        left_out = Finding(name, "many_categories", reason, "left out; group the values to use it")
        return Proposal(None, summary, (left_out, *findings))
    if len(seen) > len(kept):
        reason = f"{len(seen) - len(kept)} of {len(seen)} categories make up {1 - covered:.1%} of the rows"
        findings += (Finding(name, "rare_categories", reason, "not listed: they are scored as unseen"),)
    feature = Categorical(name=name, categories=tuple(value for value, _ in kept))
    summary = msgspec.structs.replace(summary, role="categorical", categories=tuple(kept))
    names = tuple(value for value, _ in seen)
    places = {value: float(place) for place, value in enumerate(names)}
    codes = text.codes({value: places.get(value, math.nan) for value, _ in text.seen})
    return Proposal(feature, summary, findings, codes, names)


def _category_findings(name: str, seen: CountedTexts) -> tuple[Finding, ...]:
    found: list[Finding] = []
    for group in spellings(seen):
        reason = f"{with_rows(group)} differ only in case or spaces: did you mean {group[0][0]!r}?"
        action = "kept apart, as requests will send them; write them alike in the source to have one category"
        found.append(Finding(name, "spellings", reason, action))
    hidden = placeholders(seen)
    if hidden:
        reason = f"{with_rows(hidden)} may stand for no answer"
        line = format_line(name, ColumnFormat(missing=tuple(value.strip() for value, _ in hidden)))
        action = (
            f"kept as a category; if nothing was chosen there, write {line} and take it out of `categories`"
        )
        found.append(Finding(name, "placeholder", reason, action))
    bounds = bounds_among_numbers(seen)
    if bounds is not None:
        numbers, others = bounds
        rows = sum(count for _, count in numbers)
        reason = f"{rows} rows hold numbers, the others bounds of some: {with_rows(others)}"
        action = (
            "taken as categories, which have no order, and numbers that are not listed are unseen; write a "
            "number in the rows with bounds, or ranges in all rows"
        )
        found.append(Finding(name, "number_format", reason, action))
    if is_code([value for value, _ in seen]):
        reason = "its digits are a code: some begin with zero, or are too many for a number"
        found.append(Finding(name, "code", reason, "taken as a category; requests must send it as text"))
    return tuple(found)


def _with_general_findings(proposal: Proposal, share: float) -> Proposal:
    """Add what holds for features of every type, and the words in which people speak of the feature."""
    if proposal.feature is None:
        return proposal
    name, found = proposal.summary.column, list(proposal.findings)
    if proposal.summary.missing >= MOSTLY_MISSING:
        reason = f"{proposal.summary.missing:.1%} of the rows have no value"
        action = "kept; if it is filled in later than the lead comes in, remove it"
        found.append(Finding(name, "mostly_missing", reason, action))
    if share >= NEARLY_CONSTANT:
        reason = f"one value stands in {share:.1%} of the rows that have one"
        found.append(Finding(name, "nearly_constant", reason, "kept; it can tell little"))
    if says_nothing(name):
        reason = "its name does not say what it holds, so reasons will not either"
        action = f"write `description` (and `unit`) for people, instead of “{proposal.feature.name} of 0”"
        found.append(Finding(name, "description", reason, action))
    feature = with_phrase(proposal.feature)
    return Proposal(feature, proposal.summary, tuple(found), proposal.codes, proposal.names, proposal.form)
