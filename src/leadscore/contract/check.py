"""Check a table against a contract: what would make training or offline scoring fail, and what to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import numpy as np

from leadscore.contract.arrow import ArrowTable, floats
from leadscore.contract.categories import Categories, categories_of
from leadscore.contract.cells import Cells, Flags, Issue
from leadscore.contract.model import (
    NUMERIC_TIMES,
    Boolean,
    Categorical,
    ColumnFormat,
    Feature,
    FeatureContract,
    Numeric,
)
from leadscore.contract.outcomes import is_outcome, unlisted_in
from leadscore.contract.plain import ID_MAX, ID_MIN, bounds, id_problem, is_nan
from leadscore.contract.text import (
    is_value,
    may_be_thousands,
    mixed_units,
    nearly,
    read_number,
    read_time,
    read_truth,
    time_of_number,
    whole_id,
)
from leadscore.contract.words import span_of

_SHOWN = 3
# A day is over later elsewhere.
_TODAY = timedelta(days=1)


class CheckReport(msgspec.Struct, frozen=True):
    """The table's fit: number of rows, and the issues in the contract's column order."""

    rows: int
    issues: tuple[Issue, ...]

    @property
    def status(self) -> Literal["ok", "warnings", "errors"]:
        """The worst level found."""
        if any(issue.level == "error" for issue in self.issues):
            return "errors"
        return "warnings" if self.issues else "ok"


def check_table(contract: FeatureContract, table: ArrowTable, now: datetime | None = None) -> CheckReport:
    """Compare an Arrow table with a contract; other columns of the table are ignored.

    Args:
        contract: What the columns mean, and how they are written.
        table: A `pyarrow.Table`.
        now: Later leads and outcomes are warned of; the present if None.
    """
    latest = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None) + _TODAY
    checks: list[tuple[str | None, Callable[[Cells], Iterator[Issue]]]] = [
        (contract.id, _check_id),
        (contract.time, lambda cells: _check_lead_times(cells, latest, _open_rows(contract, table))),
        *((f.name, _feature_check(f)) for f in contract.features),
        (contract.target.column, lambda cells: _check_target(contract, cells)),
        (contract.target.known_at, lambda cells: _check_times(cells, latest)),
        (contract.value, lambda cells: _check_numbers(Numeric(name=cells.name), cells)),
    ]
    issues: list[Issue] = []
    for name, check in checks:
        if name is None:
            continue
        if name in table.column_names:
            issues += check(Cells(contract, name, table.column(name)))
        else:
            issues.append(Issue(name, "error", "missing_column", "the table does not have it"))
    return CheckReport(table.num_rows, tuple(issues))


def _check_id(cells: Cells) -> Iterator[Issue]:
    if cells.kind == "text":
        ids = [
            None if gone else whole_id(str(text))
            for text, gone in zip(cells.texts, cells.missing, strict=True)
        ]
        bad = cells.rows(lambda text: id_problem(text) is not None) & ~cells.missing
        yield from cells.issue(
            "error",
            "wrong_type",
            bad,
            "ids that the API would refuse: long, only blanks, or control characters",
        )
    elif cells.kind in {"integer", "number"} or str(cells.column.type).startswith("date"):
        values = cells.column.to_pylist()
        if cells.kind == "number":
            numbers = floats(cells.column)
            with np.errstate(invalid="ignore"):
                bad = ~cells.missing & ((numbers % 1.0 != 0.0) | (numbers < ID_MIN) | (numbers >= ID_MAX))
            if not str(cells.column.type).startswith("decimal"):
                yield from cells.issue(
                    "error", "wrong_type", bad, "numbers that are no ids: not whole, or beyond 64 bits"
                )
        ids = [None if gone else str(value) for value, gone in zip(values, cells.missing, strict=True)]
    elif cells.kind == "empty":
        ids = []
    else:
        yield cells.wrong_type("an id (text or a whole number)")
        return
    yield from cells.issue("error", "missing_value", cells.missing, "rows without an id")
    often = {value for value, count in Counter(ids).items() if count > 1 and value is not None}
    repeated = np.array([value in often for value in ids], dtype=np.bool_)
    yield from cells.issue("warning", "duplicate_id", repeated, "rows share their id with another row")


def _open_rows(contract: FeatureContract, table: ArrowTable) -> Flags:
    """The rows whose outcome is not known: nothing is learnt from them."""
    target = contract.target
    if target.column not in table.column_names:
        return np.zeros(table.num_rows, dtype=np.bool_)
    cells = Cells(contract, target.column, table.column(target.column))
    return cells.missing | cells.rows(lambda text: any(is_value(text, value) for value in target.open_values))


def _check_lead_times(cells: Cells, latest: datetime, unknown: Flags) -> Iterator[Issue]:
    yield from _check_times(cells, latest)
    known, still_open = cells.missing & ~unknown, cells.missing & unknown
    yield from cells.issue("error", "missing_value", known, "rows without a time")
    message = "rows without a time whose outcome is not known: nothing is learnt from them"
    yield from cells.issue("warning", "missing_value", still_open, message)


def _check_times(cells: Cells, latest: datetime) -> Iterator[Issue]:
    limit = np.datetime64(latest, "us")
    form = cells.form
    if cells.kind == "text":
        moments = {text: read_time(text, form) for text in cells.distinct()}
        bad = cells.rows(lambda text: text in moments and moments[text] is None)
        wanted = (
            "ISO 8601 month, date or time" if form.time_format is None else f"time as {form.time_format!r}"
        )
        hint = f"; `formats: {{{cells.name}: {{format: …}}}}` in the contract says how they are written"
        yield from cells.issue("error", "unreadable_time", bad, f"no {wanted}{hint}")
        ahead = cells.rows(lambda text: (found := moments.get(text)) is not None and found > latest)
    elif cells.kind == "time":
        ahead = cells.column.to_numpy().astype("datetime64[us]") > limit
    elif cells.kind in {"integer", "number"} and form.time_format in NUMERIC_TIMES:
        values = cells.column.to_pylist()
        ahead = np.array(
            [not gone and _is_after(v, form, latest) for v, gone in zip(values, cells.missing, strict=True)]
        )
    elif cells.kind == "empty":
        ahead = np.zeros(len(cells.column), dtype=np.bool_)
    else:
        yield cells.wrong_type("a time")
        return
    if ahead.any():
        row = int(ahead.argmax()) + 1
        yield from cells.issue("warning", "future_time", ahead, f"row {row} lies after today")


def _is_after(value: object, form: ColumnFormat, latest: datetime) -> bool:
    if not isinstance(value, int | float) or form.time_format is None:
        return False
    try:
        return time_of_number(value, form.time_format) > latest
    except (OverflowError, ValueError):
        return True


def _check_target(contract: FeatureContract, cells: Cells) -> Iterator[Issue]:
    target = contract.target
    if cells.kind in {"time", "other"}:
        yield cells.wrong_type(f"an outcome with the value {target.positive!r}")
        return
    seen = set(cells.distinct()) if cells.kind == "text" else set(cells.values())
    known = [value for value in seen if value is not None and not is_nan(value)]
    known = [value for value in known if not any(is_outcome(value, wanted) for wanted in target.open_values)]
    hits = sum(is_outcome(value, target.positive) for value in known)
    if hits == 0 or hits == len(known):
        which = "no row holds" if hits == 0 else "every known outcome is"
        yield Issue(cells.name, "error", "one_outcome", f"{which} the positive value {target.positive!r}")
    for unlisted in unlisted_in(contract, cells.column):
        spellings = unlisted.spellings
        values = cells.texts if cells.kind == "text" else cells.values()
        row = next((number for number, value in enumerate(values, 1) if value in spellings), None)
        share = unlisted.rows / len(cells.missing)
        yield Issue(cells.name, "warning", "unlisted_outcome", unlisted.sentence, row, share)


def _feature_check(feature: Feature) -> Callable[[Cells], Iterator[Issue]]:
    def check(cells: Cells) -> Iterator[Issue]:
        if feature.required:
            message = "rows without a value, but it is required"
            yield from cells.issue("error", "missing_value", cells.missing, message)
        if cells.missing.all():
            if len(cells.missing) and not feature.required:
                yield Issue(feature.name, "warning", "empty", f"is empty in all {len(cells.missing)} rows")
            return
        match feature:
            case Numeric():
                yield from _check_numbers(feature, cells)
            case Categorical():
                yield from _check_categories(feature, cells)
            case Boolean():
                yield from _check_truths(cells)

    return check


def _check_numbers(feature: Numeric, cells: Cells) -> Iterator[Issue]:
    if cells.kind == "text":
        read = {text: read_number(text, cells.form) for text in cells.distinct()}
        bad = cells.rows(lambda text: text in read and read[text] is None)
        hint = f"; `formats: {{{cells.name}: …}}` in the contract says how they are written"
        yield from cells.issue("error", "wrong_type", bad, f"text that is not a number{hint}")
        if bad.any():
            return
        yield from _check_marks(cells, list(read))
        found = [read.get(text) if isinstance(text, str) else None for text in cells.texts]
        numbers = np.array([np.nan if number is None else number for number in found], dtype=np.float64)
    elif cells.kind in {"integer", "number"}:
        numbers = floats(cells.column)
    elif cells.kind == "empty":
        return
    else:
        yield cells.wrong_type("numeric")
        return
    yield from cells.issue("error", "not_finite", np.isinf(numbers), "infinite numbers")
    if feature.integer:
        bad = np.isfinite(numbers) & (numbers != np.floor(numbers))
        yield from cells.issue("error", "not_whole", bad, "numbers with a fraction, but it is integer")
    low, high = bounds(feature)
    bad = np.isfinite(numbers) & ((numbers < low) | (numbers > high))
    expected = span_of(feature) or "within single precision"
    message = f"numbers outside the expected range ({expected})"
    yield from cells.issue("warning", "out_of_range", bad, message)


def _check_marks(cells: Cells, texts: list[str]) -> Iterator[Issue]:
    if units := mixed_units(texts):
        message = f"numbers with different signs behind or before them: {', '.join(units)}"
        yield Issue(cells.name, "error", "mixed_units", message)
    if not cells.decided and may_be_thousands(texts, cells.form):
        message = (
            "the dots may be decimal points or group thousands: each has three digits behind it. They are "
            f'read as decimal points; `formats: {{{cells.name}: {{decimal: ",", thousands: "."}}}}` in the '
            'contract reads them as thousands, `{decimal: "."}` says that they are none'
        )
        yield Issue(cells.name, "warning", "ambiguous_number", message)


def _check_categories(feature: Categorical, cells: Cells) -> Iterator[Issue]:
    if cells.kind == "other" and not str(cells.column.type).startswith("time"):
        yield cells.wrong_type("categorical")
        return
    known = categories_of(feature, cells.form)
    if cells.kind == "text":
        strange = {text: cells.seen[text] for text in cells.distinct() if known.find(text) is None}
        bad = cells.rows(lambda text: text in strange) if strange else np.zeros(0, dtype=np.bool_)
    else:
        values = cells.values()
        unlisted = {
            value for value in set(values) if known.find_typed(value) is None and not is_nan(value)
        } - {None}
        bad = np.array([value in unlisted for value in values], dtype=np.bool_)
        strange = Counter(str(value) for value in values if value in unlisted)
    if not strange:
        return
    frequent = sorted(strange, key=lambda text: (-strange[text], text))
    shown = ", ".join(repr(text) + _meant(text, known) for text in frequent[:_SHOWN])
    more = ", …" if len(frequent) > _SHOWN else ""
    message = f"categories that the contract does not list ({len(frequent)}): {shown}{more}"
    yield from cells.issue("warning", "unseen_category", bad, message)


def _meant(text: str, known: Categories) -> str:
    """Return a listed category that differs only in case, spaces or Unicode form."""
    for name in known.codes:
        if nearly(name) == nearly(text):
            return f" (did you mean {name!r}? They differ in case, spaces or Unicode form)"
    for name in known.codes:
        if name.isdecimal() and text.isdecimal() and name.lstrip("0") == text.lstrip("0"):
            return f" (did you mean {name!r}? They differ in leading zeros)"
    return ""


def _check_truths(cells: Cells) -> Iterator[Issue]:
    if cells.kind == "text":
        bad = cells.rows(lambda text: read_truth(text) is None) & ~cells.missing
        yield from cells.issue("error", "wrong_type", bad, "text that is not a boolean")
    elif cells.kind in {"integer", "number"}:
        numbers = floats(cells.column)
        bad = ~(np.isnan(numbers) | (numbers == 0.0) | (numbers == 1.0))
        yield from cells.issue("error", "wrong_type", bad, "numbers other than 0 and 1")
    elif cells.kind != "boolean":
        yield cells.wrong_type("boolean")
