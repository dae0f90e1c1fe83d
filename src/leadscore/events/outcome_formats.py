"""Columns and formats of a table of outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from leadscore.contract import ColumnFormat, FeatureContract, Target
from leadscore.contract.text import USUAL


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """Columns by their meaning; None: the table has none."""

    lead: str
    converted: str
    occurred: str
    value: str | None = None
    prediction: str | None = None
    recorded: str | None = None

    def named(self) -> tuple[str, ...]:
        """The columns that the table must have."""
        columns = (self.lead, self.converted, self.occurred, self.value, self.prediction, self.recorded)
        return tuple(column for column in columns if column is not None)


@dataclass(frozen=True, slots=True)
class OutcomeFormats:
    """Formats of the table's cells, and which outcome is a conversion.

    Attributes:
        columns: Formats by column name.
        target: The contract's target: which value means converted, and which that the outcome is open; None:
            true/false, yes/no or 1/0.
    """

    columns: Mapping[str, ColumnFormat] = field(default_factory=dict[str, ColumnFormat])
    target: Target | None = None

    @classmethod
    def of(cls, contract: FeatureContract, columns: OutcomeColumns) -> OutcomeFormats:
        """Return a contract's columns by their names, or else by their roles."""
        known_at = contract.target.known_at or contract.time
        parts = (
            (columns.lead, contract.id),
            (columns.converted, contract.target.column),
            (columns.occurred, known_at),
            (columns.recorded, known_at),
            (columns.value, contract.value),
        )
        found = {
            column: contract.formats[name]
            for column, part in parts
            for name in (part, column)
            if column is not None and name in contract.formats
        }
        return cls(found, contract.target)

    def of_column(self, column: str | None) -> ColumnFormat:
        """The format of a column."""
        return USUAL if column is None else self.columns.get(column, USUAL)
