"""How the leads of a time differ from those that a version was trained on, feature by feature.

Distances of counts, without a judgement: what is more than chance, with few false alarms, is what detectors
say (`verdicts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np
import sqlalchemy as sa

from leadscore.arrays import Counts
from leadscore.contract.clock import CLOCK_PARTS, follows_clock
from leadscore.drift.options import SCORE, EffectThresholds
from leadscore.drift.statistics.distances import chi_square, kl, kolmogorov_smirnov, psi
from leadscore.drift.verdict import Severity
from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.model_facts import ModelFacts, cell_names, range_names
from leadscore.monitoring.queries.counts import CellRow, read_cells
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.ranges import Selection
from leadscore.scoring.profile import comparable_cells

THRESHOLDS: Final = EffectThresholds()
_CLOCK: Final = (
    "It says when a lead came: a time shorter than that of training differs in it without a change."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """One feature, or the score, in a time against training.

    Attributes:
        name: As in the contract, or `score`.
        kind: As in the contract, or `score`.
        labels: Names of the cells.
        reference: Training leads per cell.
        window: Leads of the time per cell.
        psi: Population stability index.
        kl: Kullback-Leibler divergence of the time from training, in nats.
        ks: Largest difference of the distribution functions, of ordered cells; unknown for categories.
        chi_square: Pearson's statistic over its degrees of freedom: about 1 without a change.
        chance: The PSI that unchanged leads would show on average, so few as they are.
        severity: Where the PSI lies among the familiar thresholds; None while it is unknown.
        clock: Whether it says when a lead came, and is not compared for that reason.
    """

    name: str
    kind: Literal["numeric", "categorical", "boolean", "score"]
    labels: tuple[str, ...]
    reference: tuple[int, ...]
    window: tuple[int, ...]
    psi: Measure
    kl: Measure
    ks: Measure
    chi_square: Measure
    chance: float | None
    severity: Severity | None
    clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    name: str
    kind: Literal["numeric", "categorical", "boolean", "score"]
    labels: tuple[str, ...]
    reference: tuple[int, ...]


def read_feature_drift(
    connection: sa.Connection,
    selection: Selection,
    fresh: Freshness,
    facts: ModelFacts,
    without: Sequence[str] = CLOCK_PARTS,
) -> tuple[FeatureDrift, ...]:
    """Return the drift of each feature and the score, the largest PSI first.

    Features that say when a lead came have counts and no distance: pages, metrics and alerts leave them out.

    Args:
        connection: Of the event store.
        selection: Which predictions; only those of the facts' version are read.
        fresh: How far the roll-ups are.
        facts: Of the version, whose training leads are compared with.
        without: Ends of the names of such features (`contract.clock`).
    """
    rows = read_cells(connection, _of_version(selection, facts))
    return feature_drifts(rows, fresh, facts, without)


def feature_drifts(
    rows: Iterable[CellRow], fresh: Freshness, facts: ModelFacts, without: Sequence[str] = CLOCK_PARTS
) -> tuple[FeatureDrift, ...]:
    """Build the results of `read_feature_drift`."""
    counted = _counted(rows)
    found = [
        _compare(layout, counted.get(layout.name, {}), fresh, without) for layout in _layouts(facts).values()
    ]
    return tuple(sorted(found, key=lambda drift: (drift.psi.value is None, -(drift.psi.value or 0.0))))


def read_drift_series(
    connection: sa.Connection,
    selection: Selection,
    fresh: Freshness,
    facts: ModelFacts,
    features: Sequence[str],
    without: Sequence[str] = CLOCK_PARTS,
) -> tuple[MeasureSeries, ...]:
    """Return the PSI of features over time; steps with too few leads are unknown."""
    rows = read_cells(connection, _of_version(selection, facts), features, selection.time.coarse_step)
    return drift_series(rows, selection, fresh, facts, features, without)


def drift_series(
    rows: Iterable[CellRow],
    selection: Selection,
    fresh: Freshness,
    facts: ModelFacts,
    features: Sequence[str],
    without: Sequence[str] = CLOCK_PARTS,
) -> tuple[MeasureSeries, ...]:
    """Build the series of `read_drift_series`."""
    layouts = _layouts(facts)
    by_step: dict[datetime, list[CellRow]] = {}
    for row in rows:
        by_step.setdefault(row.start, []).append(row)
    counted = {start: _counted(of_step) for start, of_step in by_step.items()}
    return tuple(
        MeasureSeries(
            name=name,
            points=tuple(
                MeasurePoint(
                    start=start,
                    end=end,
                    measure=_compare(layouts[name], counted.get(start, {}).get(name, {}), fresh, without).psi,
                )
                for start, end in selection.time.steps(selection.time.coarse_step)
            ),
        )
        for name in features
        if name in layouts
    )


def _of_version(selection: Selection, facts: ModelFacts) -> Selection:
    return Selection(
        model=facts.name,
        time=selection.time,
        versions=(facts.version,),
        roles=selection.roles,
        maturity=selection.maturity,
    )


def _layouts(facts: ModelFacts) -> Mapping[str, _Layout]:
    profile = facts.profile
    found = {
        feature.name: _Layout(
            name=feature.name,
            kind=feature.kind,
            labels=cell_names(facts, feature),
            reference=comparable_cells(feature.kind, feature.counts, feature.missing),
        )
        for feature in profile.features
    }
    found[SCORE] = _Layout(
        name=SCORE,
        kind="score",
        labels=range_names(tuple(round(edge, 4) for edge in profile.score_edges)),
        reference=profile.score_counts,
    )
    return found


def _counted(rows: Iterable[CellRow]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        cells = found.setdefault(row.feature, {})
        cells[row.cell] = cells.get(row.cell, 0) + row.counts.predictions
    return found


def _compare(
    layout: _Layout, counted: Mapping[int, int], fresh: Freshness, without: Sequence[str]
) -> FeatureDrift:
    reference = np.array(layout.reference, dtype=np.int64)
    window = np.array([counted.get(cell, 0) for cell in range(len(reference))], dtype=np.int64)
    n = int(window.sum())
    chance = _chance(reference, window)
    clock = layout.kind != "score" and follows_clock(layout.name, without)
    why = _CLOCK if clock else _missing(layout, n, chance)

    def measure(value: float) -> Measure:
        if why:
            return Measure.missing(why, n=n, as_of=fresh.caught_up)
        return Measure(value=value, n=n, as_of=fresh.caught_up)

    ordered = layout.kind in {"numeric", "score"}
    statistic, degrees = chi_square(reference, window)
    stability = psi(reference, window)
    return FeatureDrift(
        name=layout.name,
        kind=layout.kind,
        labels=layout.labels,
        reference=layout.reference,
        window=tuple(window.tolist()),
        psi=measure(stability),
        kl=measure(kl(reference, window)),
        ks=measure(kolmogorov_smirnov(_present(layout, reference), _present(layout, window)))
        if ordered
        else Measure.missing("Categories have no order.", n=n, as_of=fresh.caught_up),
        chi_square=measure(statistic / degrees if degrees else 0.0),
        chance=chance,
        severity=None if why else THRESHOLDS.severity(stability),
        clock=clock,
    )


def _present(layout: _Layout, counts: Counts) -> Counts:
    """Without absent values, which have no place in the order."""
    return counts[:-1] if layout.kind == "numeric" else counts


def _chance(reference: Counts, window: Counts) -> float | None:
    """Mean PSI of two samples of one distribution: degrees of freedom times (1/n + 1/m), to first order."""
    n, m = int(window.sum()), int(reference.sum())
    degrees = int(((reference + window) > 0).sum()) - 1
    return degrees * (1 / n + 1 / m) if n and m else None


def _missing(layout: _Layout, n: int, chance: float | None) -> str:
    if n == 0:
        return "No lead of this version was counted in this time."
    if chance is None:
        return "The version's artefact has no training leads of this feature."
    if chance >= THRESHOLDS.moderate:
        return f"Too few leads: {n}. Chance alone would give a PSI of {chance:.2f} for {layout.name}."
    return ""
