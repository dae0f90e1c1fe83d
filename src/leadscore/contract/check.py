"""Whether a table fits a contract: what would make training or offline scoring fail, and what to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import (
    ArrowColumn,
    ArrowTable,
    counts,
    distinct,
    floats,
    is_number_text,
    is_time_text,
    kind_of,
    nulls,
    number_texts,
)
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract, Numeric
from leadscore.contract.plain import bounds
from leadscore.contract.words import span_of

_TRUTH_WORDS = frozenset({"true", "yes", "1", "false", "no", "0"})
_SHOWN = 3


class Issue(msgspec.Struct, frozen=True):
    """One thing about one column.

    Attributes:
        column: Its name.
        level: `error`: training or scoring of this table fails or misleads; `warning`: look at it.
        kind: Stable word.
        message: A sentence; names categories, never a number or an id.
        row: First offending row, the first row of data being 1; None where the whole column is meant.
        share: Share of offending rows, 0 to 1.
    """

    column: str
    level: Literal["error", "warning"]
    kind: Literal[
        "missing_column",
        "wrong_type",
        "not_finite",
        "not_whole",
        "out_of_range",
        "unseen_category",
        "missing_value",
        "duplicate_id",
        "unreadable_time",
        "one_outcome",
    ]
    message: str
    row: int | None = None
    share: float = 1.0


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


def check_table(contract: FeatureContract, table: ArrowTable) -> CheckReport:
    """Compare an Arrow table with a contract; other columns of the table are ignored."""
    issues: list[Issue] = []
    checks: list[tuple[str | None, Callable[[str, ArrowColumn], Iterator[Issue]]]] = [
        (contract.id, _check_id),
        (contract.time, _check_times),
        *((f.name, _feature_check(f)) for f in contract.features),
        (contract.target.column, _target_check(contract)),
        (contract.target.known_at, _check_known_at),
        (contract.value, _check_value),
    ]
    for name, check in checks:
        if name is None:
            continue
        if name in table.column_names:
            issues += check(name, table.column(name))
        else:
            issues.append(Issue(name, "error", "missing_column", "the table does not have it"))
    return CheckReport(table.num_rows, tuple(issues))


def _issue(
    name: str,
    level: Literal["error", "warning"],
    kind: Literal[
        "wrong_type",
        "not_finite",
        "not_whole",
        "out_of_range",
        "missing_value",
        "duplicate_id",
        "unreadable_time",
    ],
    bad: NDArray[np.bool_],
    message: str,
) -> Iterator[Issue]:
    """An issue for the rows where `bad`, if there are any."""
    if bad.any():
        yield Issue(name, level, kind, message, int(bad.argmax()) + 1, float(bad.mean()))


def _wrong_type(name: str, column: ArrowColumn, wanted: str) -> Issue:
    return Issue(name, "error", "wrong_type", f"holds {column.type}, but the contract says {wanted}", 1)


def _text_rows(column: ArrowColumn, good: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Rows whose text is not null and not good; each distinct text is looked at once."""
    bad = {str(value) for value, _ in counts(column) if not good(str(value))}
    if not bad:
        return np.zeros(len(column), dtype=np.bool_)
    return np.array([text in bad for text in column.cast("string").to_pylist()], dtype=np.bool_)


def _check_id(name: str, column: ArrowColumn) -> Iterator[Issue]:
    if kind_of(column) not in {"text", "integer"}:
        yield _wrong_type(name, column, "an id (text or integer)")
        return
    yield from _issue(name, "error", "missing_value", nulls(column), "rows without an id")
    if distinct(column) < len(column) - int(nulls(column).sum()):
        repeated = {value for value, count in counts(column) if count > 1}
        values = column.cast("string").to_pylist() if kind_of(column) == "text" else column.to_pylist()
        bad = np.array([value in repeated for value in values], dtype=np.bool_)
        yield from _issue(name, "warning", "duplicate_id", bad, "rows share their id with another row")


def _check_times(name: str, column: ArrowColumn) -> Iterator[Issue]:
    yield from _check_known_at(name, column)
    yield from _issue(name, "error", "missing_value", nulls(column), "rows without a time")


def _check_known_at(name: str, column: ArrowColumn) -> Iterator[Issue]:
    kind = kind_of(column)
    if kind == "text":
        bad = _text_rows(column, is_time_text)
        yield from _issue(name, "error", "unreadable_time", bad, "no ISO 8601 month, date or time")
    elif kind not in {"time", "empty"}:
        yield _wrong_type(name, column, "a time")


def _check_value(name: str, column: ArrowColumn) -> Iterator[Issue]:
    yield from _check_numbers(Numeric(name=name), column)


def _target_check(contract: FeatureContract) -> Callable[[str, ArrowColumn], Iterator[Issue]]:
    positive = contract.target.positive

    def check(name: str, column: ArrowColumn) -> Iterator[Issue]:
        if kind_of(column) in {"time", "other"}:
            yield _wrong_type(name, column, f"an outcome with the value {positive!r}")
            return
        seen = [value for value, _ in counts(column)]
        hits = sum(_is_positive(value, positive) for value in seen)
        if hits == 0 or hits == len(seen):
            which = "no row holds" if hits == 0 else "every known outcome is"
            yield Issue(name, "error", "one_outcome", f"{which} the positive value {positive!r}")

    return check


def _is_positive(value: object, positive: str | int | bool) -> bool:
    """As `leadscore.data.matrix.labels` decides it: by text in text, by truth in booleans, by number in numbers."""
    if isinstance(value, str):
        return value == (str(positive).lower() if isinstance(positive, bool) else str(positive))
    if isinstance(value, bool):
        return value == (str(positive).lower() in {"true", "yes", "1"})
    return not isinstance(positive, str) and value == positive


def _feature_check(feature: Feature) -> Callable[[str, ArrowColumn], Iterator[Issue]]:
    def check(name: str, column: ArrowColumn) -> Iterator[Issue]:
        if feature.required:
            bad = nulls(column)
            yield from _issue(name, "error", "missing_value", bad, "rows without a value, but it is required")
        if kind_of(column) == "empty":
            return
        match feature:
            case Numeric():
                yield from _check_numbers(feature, column)
            case Categorical():
                yield from _check_categories(feature, column)
            case Boolean():
                yield from _check_truths(name, column)

    return check


def _check_numbers(feature: Numeric, column: ArrowColumn) -> Iterator[Issue]:
    name, kind = feature.name, kind_of(column)
    if kind == "text":
        numbers = number_texts(column)
        if numbers is None:
            bad = _text_rows(column, is_number_text)
            yield from _issue(name, "error", "wrong_type", bad, "text that is not a number")
            return
    elif kind in {"integer", "number"}:
        numbers = floats(column)
    elif kind == "empty":
        return
    else:
        yield _wrong_type(name, column, "numeric")
        return
    yield from _issue(name, "error", "not_finite", np.isinf(numbers), "infinite numbers")
    if feature.integer:
        bad = np.isfinite(numbers) & (numbers != np.floor(numbers))
        yield from _issue(name, "error", "not_whole", bad, "numbers with a fraction, but it is integer")
    low, high = bounds(feature)
    bad = np.isfinite(numbers) & ((numbers < low) | (numbers > high))
    expected = span_of(feature) or "within single precision"
    yield from _issue(
        name, "warning", "out_of_range", bad, f"numbers outside the expected range ({expected})"
    )


def _check_categories(feature: Categorical, column: ArrowColumn) -> Iterator[Issue]:
    if kind_of(column) not in {"text", "integer", "number"}:
        yield _wrong_type(feature.name, column, "categorical")
        return
    known = set(feature.categories)
    unseen = [(str(v), n) for v, n in counts(column) if _category(v) not in known]
    if not unseen:
        return
    shown = ", ".join(repr(value) for value, _ in unseen[:_SHOWN]) + (", …" if len(unseen) > _SHOWN else "")
    bad = np.array([v is not None and _category(v) not in known for v in column.to_pylist()], dtype=np.bool_)
    yield Issue(
        feature.name,
        "warning",
        "unseen_category",
        f"categories that the contract does not list ({len(unseen)}): {shown}",
        int(bad.argmax()) + 1,
        float(bad.mean()),
    )


def _category(value: object) -> str:
    """A table's value as a category: whole numbers lose the point that gaps gave them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_truths(name: str, column: ArrowColumn) -> Iterator[Issue]:
    kind = kind_of(column)
    if kind == "text":
        bad = _text_rows(column, lambda text: text.lower() in _TRUTH_WORDS)
        yield from _issue(name, "error", "wrong_type", bad, "text that is not a boolean")
    elif kind in {"integer", "number"}:
        numbers = floats(column)
        bad = ~(np.isnan(numbers) | (numbers == 0.0) | (numbers == 1.0))
        yield from _issue(name, "error", "wrong_type", bad, "numbers other than 0 and 1")
    elif kind != "boolean":
        yield _wrong_type(name, column, "boolean")
