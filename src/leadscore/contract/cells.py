"""Read a table's column by the contract, and collect its issues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from leadscore.arrays import Flags
from leadscore.contract.arrow import ArrowColumn, ArrowKind, counts, kind_of, nulls
from leadscore.contract.model import ColumnFormat, FeatureContract
from leadscore.contract.text import is_missing, missing_words_of


class Issue(msgspec.Struct, frozen=True):
    """One thing about one column.

    Attributes:
        column: Its name.
        level: `error`: training or scoring of this table fails or misleads; `warning`: look at it.
        kind: Stable word.
        message: A sentence; names categories and outcomes, never a number or an id.
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
        "empty",
        "future_time",
        "ambiguous_number",
        "mixed_units",
        "unlisted_outcome",
    ]
    message: str
    row: int | None = None
    share: float = 1.0


class Cells:
    """One column as the contract reads it.

    Attributes:
        name: Of the column.
        column: The Arrow column.
        kind: What its type can hold.
        form: How it is written as text.
        decided: Whether the contract says how it is written.
        seen: Its different texts and how many rows hold each, if it is text.
        missing: Which rows hold no value.
    """

    def __init__(self, contract: FeatureContract, name: str, column: ArrowColumn) -> None:
        self.name = name
        self.column = column
        self.kind: ArrowKind = kind_of(column)
        self.form: ColumnFormat = contract.format_of(name)
        self.decided = name in contract.formats
        self.seen = {str(text): count for text, count in counts(column)} if self.kind == "text" else {}
        words = missing_words_of(contract, name)
        self._gone = {text for text in self.seen if is_missing(text, words)}
        self.missing: Flags = nulls(column) | self.rows(self._gone.__contains__)

    @cached_property
    def texts(self) -> Sequence[object]:
        """Its cells, if it is text."""
        return self.column.cast("string").to_pylist()

    def distinct(self) -> list[str]:
        """The different texts that are values."""
        return [text for text in self.seen if text not in self._gone]

    def rows(self, wanted: Callable[[str], bool]) -> Flags:
        """The rows whose text is wanted; each different text is looked at once."""
        found = {text for text in self.seen if wanted(text)}
        if not found:
            return np.zeros(len(self.column), dtype=np.bool_)
        return np.array([text in found for text in self.texts], dtype=np.bool_)

    def values(self) -> Sequence[object]:
        """The cells as Python objects, without the noise of single precision: 1.1, not 1.10000002384."""
        if str(self.column.type) in {"float", "halffloat"}:
            return [float(str(value)) for value in self.column.to_numpy()]
        return self.column.to_pylist()

    def issue(
        self,
        level: Literal["error", "warning"],
        kind: Literal[
            "wrong_type",
            "not_finite",
            "not_whole",
            "out_of_range",
            "missing_value",
            "duplicate_id",
            "unreadable_time",
            "future_time",
            "unseen_category",
        ],
        bad: Flags,
        message: str,
    ) -> Iterator[Issue]:
        """An issue for the rows where `bad`, if there are any."""
        if bad.any():
            yield Issue(self.name, level, kind, message, int(bad.argmax()) + 1, float(bad.mean()))

    def wrong_type(self, wanted: str) -> Issue:
        """The issue of a type that cannot hold what is wanted."""
        return Issue(
            self.name, "error", "wrong_type", f"holds {self.column.type}, but the contract says {wanted}", 1
        )
