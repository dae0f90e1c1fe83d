"""Sums of the roll-ups, by time step and group: added up by the database, so few rows come back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from leadscore.drift.verdict import as_utc
from leadscore.monitoring.queries.ranges import Selection, moment_us, step_start
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_features, rollup_hours, rollup_latencies

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionCounts:
    """What was counted of some predictions; the columns of `rollup_hours`, added up."""

    predictions: int = 0
    superseded: int = 0
    superseded_unlabelled: int = 0
    labelled: int = 0
    converted: int = 0
    valued: int = 0
    sum_probability: float = 0.0
    sum_variance: float = 0.0
    sum_value: float = 0.0
    sum_squared_value: float = 0.0
    labelled_sum_probability: float = 0.0
    sum_squared_error: float = 0.0

    def __add__(self, other: PredictionCounts) -> PredictionCounts:
        return PredictionCounts(**{name: getattr(self, name) + getattr(other, name) for name in _SUMS})

    @classmethod
    def total(cls, groups: Iterable[PredictionCounts]) -> PredictionCounts:
        """Return the sum of several."""
        return sum(groups, cls())

    @property
    def expected(self) -> int:
        """Predictions that can have an outcome: not scored again before it came."""
        return self.predictions - self.superseded_unlabelled


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsRow:
    """One group of one time step.

    Attributes:
        start: First moment of the step; of the whole range if it is not cut into steps.
        version: Empty if not grouped by it, as the others.
        role: Part that the model played.
        source: Where the predictions came from.
        grade: `A` to `D`.
        bin: Probability bin; -1 if not grouped by it.
        counts: What was counted.
    """

    start: datetime
    version: str = ""
    role: str = ""
    source: str = ""
    grade: str = ""
    bin: int = -1
    counts: PredictionCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCounts:
    """What was counted of the predictions in one cell of one feature; columns of `rollup_features`."""

    predictions: int = 0
    selected: int = 0
    labelled: int = 0
    converted: int = 0
    selected_labelled: int = 0
    selected_converted: int = 0
    sum_probability: float = 0.0
    sum_value: float = 0.0

    def __add__(self, other: CellCounts) -> CellCounts:
        return CellCounts(**{name: getattr(self, name) + getattr(other, name) for name in _CELL_SUMS})

    @classmethod
    def total(cls, cells: Iterable[CellCounts]) -> CellCounts:
        """Return the sum of several."""
        return sum(cells, cls())


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRow:
    """One cell of one feature of one version and role in one time step."""

    start: datetime
    version: str
    role: str
    feature: str
    cell: int
    counts: CellCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRow:
    """Predictions in one latency bin of one version in one time step."""

    start: datetime
    version: str
    bin: int
    predictions: int


_SUMS: Final = tuple(field.name for field in fields(PredictionCounts))
_CELL_SUMS: Final = tuple(field.name for field in fields(CellCounts))
_GROUPS: Final = {
    "version": "model_version",
    "role": "role",
    "source": "source",
    "grade": "grade",
    "bin": "probability_bin",
}


def read_counts(
    connection: sa.Connection, selection: Selection, by: Sequence[str] = (), step: timedelta | None = None
) -> tuple[CountsRow, ...]:
    """Add up the predictions of a selection.

    Args:
        connection: Of the event store.
        selection: Which predictions.
        by: Groups: `version`, `role`, `source`, `grade`, `bin`.
        step: Also by time, in such steps; None: the whole range.
    """
    table = rollup_hours
    start = _start(table, selection, step)
    columns = [table.c[_GROUPS[name]].label(name) for name in by]
    sums = [_sum(table, name) for name in _SUMS]
    query = _grouped(sa.select(start, *columns, *sums).where(_where(table, selection)), step, columns)
    return tuple(
        CountsRow(
            start=max(as_utc(row["start"]), selection.time.start),
            **{name: row[name] for name in by},
            counts=PredictionCounts(**{name: row[name] for name in _SUMS}),
        )
        for row in connection.execute(query).mappings()
        if row["predictions"]
    )


def read_cells(
    connection: sa.Connection,
    selection: Selection,
    features: Sequence[str] | None = None,
    step: timedelta | None = None,
) -> tuple[CellRow, ...]:
    """Add up the cells of features by version (cells of two versions mean different things) and role.

    Args:
        connection: Of the event store.
        selection: Which predictions; its sources are not kept by feature and play no part.
        features: Only these; None: all.
        step: Also by time, in such steps.
    """
    table = rollup_features
    start = _start(table, selection, step)
    columns = [table.c.model_version, table.c.role, table.c.feature, table.c.cell]
    query = sa.select(start, *columns, *(_sum(table, name) for name in _CELL_SUMS))
    query = query.where(_where(table, selection))
    if features is not None:
        query = query.where(table.c.feature.in_(features))
    return tuple(
        CellRow(
            start=max(as_utc(row["start"]), selection.time.start),
            version=row["model_version"],
            role=row["role"],
            feature=row["feature"],
            cell=row["cell"],
            counts=CellCounts(**{name: row[name] for name in _CELL_SUMS}),
        )
        for row in connection.execute(_grouped(query, step, columns)).mappings()
        if row["predictions"]
    )


def read_latencies(
    connection: sa.Connection, selection: Selection, step: timedelta | None = None
) -> tuple[LatencyRow, ...]:
    """Add up the latencies by version."""
    table = rollup_latencies
    start = _start(table, selection, step)
    columns = [table.c.model_version, table.c.latency_bin]
    query = sa.select(start, *columns, _sum(table, "predictions")).where(_where(table, selection))
    return tuple(
        LatencyRow(
            start=max(as_utc(row["start"]), selection.time.start),
            version=row["model_version"],
            bin=row["latency_bin"],
            predictions=row["predictions"],
        )
        for row in connection.execute(_grouped(query, step, columns)).mappings()
        if row["predictions"]
    )


def group_counts(rows: Iterable[CountsRow], key: Callable[[CountsRow], Key]) -> dict[Key, PredictionCounts]:
    """Add up rows that have the same key, in order of first sight."""
    found: dict[Key, PredictionCounts] = {}
    for row in rows:
        name = key(row)
        found[name] = found[name] + row.counts if name in found else row.counts
    return found


def version_order(version: str) -> tuple[int, str]:
    """Sort key of versions: as numbers where they are some."""
    return (int(version) if version.isdecimal() else -1, version)


def _start(table: sa.Table, selection: Selection, step: timedelta | None) -> sa.ColumnElement[int]:
    if step is None:
        return sa.literal(moment_us(selection.time.start), sa.BigInteger).label("start")
    # Whole steps from the one that the range begins in; SQLite and PostgreSQL agree on division of positives.
    first = step_start(moment_us(selection.time.start), step)
    length = step // timedelta(microseconds=1)
    if length == HOUR_US:
        return table.c.hour.label("start")
    at = sa.literal(first, sa.BigInteger)
    width = sa.literal(length, sa.BigInteger)
    return (table.c.hour - (table.c.hour - at) % width).label("start")


def _sum(table: sa.Table, name: str) -> sa.ColumnElement[int | float]:
    # PostgreSQL adds BIGINTs up as NUMERIC, slowly; sums of counts are exact as DOUBLE below 2 ** 53.
    column = table.c[name]
    return sa.cast(sa.func.coalesce(sa.func.sum(sa.cast(column, sa.Double)), 0), column.type).label(name)


def _grouped(
    query: sa.Select[Any], step: timedelta | None, columns: Sequence[sa.ColumnElement[Any]]
) -> sa.Select[Any]:
    """By time, if it is cut into steps, and group; in this order."""
    keys = [*([] if step is None else [sa.literal_column("start")]), *columns]
    return query.group_by(*keys).order_by(*keys) if keys else query


def _where(table: sa.Table, selection: Selection) -> sa.ColumnElement[bool]:
    c = table.c
    conditions: list[sa.ColumnElement[bool]] = [
        c.hour >= moment_us(selection.time.start),
        c.hour < moment_us(selection.time.end),
        c.model_name == selection.model,
    ]
    if selection.versions:
        conditions.append(c.model_version.in_(selection.versions))
    if selection.roles:
        conditions.append(c.role.in_(selection.roles))
    if selection.sources and "source" in c:
        conditions.append(c.source.in_(selection.sources))
    return sa.and_(*conditions)
