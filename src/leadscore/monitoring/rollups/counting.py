"""Counts of predictions as rows of the roll-ups. Pure: arrays in, rows out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from leadscore.arrays import Floats
from leadscore.monitoring.rollups.reading import GroupedPredictions
from leadscore.monitoring.rollups.tables import LATENCY_EDGES_US, PROBABILITY_BINS
from leadscore.scoring.probability_bins import PROBABILITY_EDGES
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile, feature_cells

SCORE_FEATURE: Final = "score"
# Beginning of the reason why predictions have no cells though their version's are known.
ENCODED: Final = "encoded by"
RollupRow = tuple[int | float | str, ...]
"""A row, its columns in the order of its table's."""

_EDGES: Final = np.array(PROBABILITY_EDGES)
_LATENCIES: Final = np.array(LATENCY_EDGES_US)
# Columns after the key that are counts; the others are sums.
_HOUR_COUNTS: Final = 6
_FEATURE_COUNTS: Final = 6


@dataclass(frozen=True, slots=True)
class CellsOfVersion:
    """How a version's predictions are counted by feature.

    Attributes:
        profile: Its training leads; its cells are those that are counted in.
        contract_version: Of the contract that its rows are encoded by.
        threshold: Probability from which a lead is called likely.
    """

    profile: ReferenceProfile
    contract_version: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Why there are no cells."""

    reason: str


VersionView = CellsOfVersion | Uncounted
"""What is known of a version."""


@dataclass(slots=True)
class HourCounts:
    """Rows of one hour.

    Attributes:
        hours: Of `rollup_hours`.
        features: Of `rollup_features`.
        latencies: Of `rollup_latencies`.
        unprofiled: Of `rollup_unprofiled`.
    """

    hours: list[RollupRow] = field(default_factory=list[RollupRow])
    features: list[RollupRow] = field(default_factory=list[RollupRow])
    latencies: list[RollupRow] = field(default_factory=list[RollupRow])
    unprofiled: list[RollupRow] = field(default_factory=list[RollupRow])


_Key = tuple[str, ...]
_Sums = dict[tuple[int, _Key], Floats]


class HourCounter:
    """Adds up groups of predictions, in any order and any number of parts.

    Args:
        cells_of: What is known of a version, by model name and version.
    """

    def __init__(self, cells_of: Callable[[str, str], VersionView]) -> None:
        self._cells_of = cells_of
        self._hours: _Sums = {}
        self._latencies: _Sums = {}
        self._features: _Sums = {}
        self._unprofiled: dict[tuple[int, _Key], tuple[int, str]] = {}

    def add(self, part: GroupedPredictions) -> None:
        """Add some predictions."""
        group = part.group
        version = (group.model_name, group.model_version)
        by_grade = (*version, group.role, group.source, group.grade)
        _add(self._hours, (group.hour, by_grade), _by_probability(part))
        waited = part.latencies[part.latencies >= 0]
        if len(waited):
            # "left": a bin holds its upper edge.
            bins = np.searchsorted(_LATENCIES, waited, side="left")
            counts = np.bincount(bins, minlength=len(_LATENCIES) + 1)[:, None]
            _add(self._latencies, (group.hour, by_grade[:4]), counts.astype(np.float64))
        cells = self._cells_of(*version)
        why = cells.reason if isinstance(cells, Uncounted) else _other_encoding(part, cells)
        if why:
            before = self._unprofiled.get((group.hour, version), (0, ""))[0]
            self._unprofiled[group.hour, version] = (before + len(part.probabilities), why)
        elif isinstance(cells, CellsOfVersion):
            for name, table in _by_feature(part, cells):
                _add(self._features, (group.hour, (*version, group.role, name)), table)

    def rows(self) -> Mapping[int, HourCounts]:
        """What was counted, by hour."""
        found: dict[int, HourCounts] = {}

        def of(hour: int) -> HourCounts:
            return found.setdefault(hour, HourCounts())

        for (hour, key), table in self._hours.items():
            of(hour).hours.extend(_rows(hour, key, table, _HOUR_COUNTS))
        for (hour, key), table in self._features.items():
            of(hour).features.extend(_rows(hour, key, table, _FEATURE_COUNTS))
        for (hour, key), table in self._latencies.items():
            of(hour).latencies.extend(_rows(hour, key, table, 1))
        for (hour, key), (count, why) in self._unprofiled.items():
            of(hour).unprofiled.append((hour, *key, count, why))
        return found


def _add(sums: _Sums, key: tuple[int, _Key], table: Floats) -> None:
    known = sums.get(key)
    sums[key] = table if known is None else known + table


def _rows(hour: int, key: _Key, table: Floats, counts: int) -> Iterator[RollupRow]:
    for cell in np.flatnonzero(table[:, 0]):
        numbers = table[cell].tolist()
        yield (hour, *key, int(cell), *map(int, numbers[:counts]), *numbers[counts:])


def _by_probability(part: GroupedPredictions) -> Floats:
    """Columns of `rollup_hours` by bin of probability."""
    group, p = part.group, part.probabilities
    # "left": a bin holds its upper edge.
    bins = np.searchsorted(_EDGES, p, side="left")
    n = _count(bins, PROBABILITY_BINS)
    none = np.zeros(PROBABILITY_BINS)
    known = ~np.isnan(part.values)
    labelled = group.converted is not None
    error = (p - float(group.converted or 0)) ** 2
    columns = (
        n,
        n if group.superseded else none,
        n if group.superseded and not labelled else none,
        n if labelled else none,
        n if group.converted else none,
        _count(bins[known], PROBABILITY_BINS) if labelled else none,
        _sum(bins, p, PROBABILITY_BINS),
        _sum(bins, p * (1 - p), PROBABILITY_BINS),
        _sum(bins[known], part.values[known], PROBABILITY_BINS) if labelled else none,
        _sum(bins[known], part.values[known] ** 2, PROBABILITY_BINS) if labelled else none,
        _sum(bins, p, PROBABILITY_BINS) if labelled else none,
        _sum(bins, error, PROBABILITY_BINS) if labelled else none,
    )
    return np.stack(columns, axis=1)


def _by_feature(part: GroupedPredictions, cells: CellsOfVersion) -> Iterator[tuple[str, Floats]]:
    """Columns of `rollup_features` by cell, for each feature and the score."""
    profile, p = cells.profile, part.probabilities
    rows = np.ascontiguousarray(part.features).view("<f4").reshape(len(p), len(profile.features))
    likely = (p >= cells.threshold).astype(np.intp)
    edges = np.array(profile.score_edges)
    yield SCORE_FEATURE, _by_cell(part, np.searchsorted(edges, p, side="right"), likely, len(edges) + 1)
    for column, feature in enumerate(profile.features):
        found = _valid_cells(feature, rows[:, column])
        yield feature.name, _by_cell(part, found, likely, len(feature.counts) + 1)


def _valid_cells(feature: FeatureProfile, values: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """Cells of encoded values; a code that no category has counts as not listed."""
    return np.clip(feature_cells(feature, np.array(feature.edges), values), 0, len(feature.counts))


def _by_cell(
    part: GroupedPredictions, cells: npt.NDArray[np.intp], likely: npt.NDArray[np.intp], size: int
) -> Floats:
    both = np.bincount(2 * cells + likely, minlength=2 * size).reshape(size, 2).astype(np.float64)
    n, selected, none = both.sum(axis=1), both[:, 1], np.zeros(size)
    labelled, converted = part.group.converted is not None, bool(part.group.converted)
    known = ~np.isnan(part.values)
    columns = (
        n,
        selected,
        n if labelled else none,
        n if converted else none,
        selected if labelled else none,
        selected if converted else none,
        _sum(cells, part.probabilities, size),
        _sum(cells[known], part.values[known], size) if labelled else none,
    )
    return np.stack(columns, axis=1)


def _count(bins: npt.NDArray[np.intp], size: int) -> Floats:
    return np.bincount(bins, minlength=size).astype(np.float64)


def _sum(bins: npt.NDArray[np.intp], weights: Floats, size: int) -> Floats:
    # Without a row the result would be of whole numbers.
    return np.bincount(bins, weights=weights, minlength=size).astype(np.float64)


def _other_encoding(part: GroupedPredictions, cells: CellsOfVersion) -> str:
    """Why rows cannot be counted by these cells; empty if they can."""
    if part.group.contract_version != cells.contract_version:
        return f"{ENCODED} contract {part.group.contract_version}, the version's is {cells.contract_version}"
    width = 4 * len(cells.profile.features)
    if part.group.width != width:
        return f"{ENCODED} something else: {part.group.width} bytes a row, the contract needs {width}"
    return ""
