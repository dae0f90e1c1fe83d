"""How good the scores are: on leads whose outcome is known, beside what the scores alone promise.

Leads are known by probability bin and grade, not one by one: an AUC comes with how far the one of single
scores may lie from it (`resolution`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import sqlalchemy as sa

from leadscore.drift.options import SCORE
from leadscore.drift.performance.cbpe import expected_from_bins
from leadscore.intervals import auc_of_counts
from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.business import bin_name
from leadscore.monitoring.queries.counts import (
    CellCounts,
    CellRow,
    CountsRow,
    PredictionCounts,
    group_counts,
    read_cells,
    read_counts,
    version_order,
)
from leadscore.monitoring.queries.estimates import label_completeness, measure_conversions, measure_shares
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.ranges import Selection
from leadscore.monitoring.rollups.tables import PROBABILITY_BINS
from leadscore.reliability import CalibrationBin
from leadscore.scoring.grades import GRADES

# Conversions, and as many other leads, without which an AUC says nothing.
LEAST_OF_A_CLASS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRow:
    """Leads of one probability bin: what was said and what came.

    Attributes:
        name: Of the bin.
        said: Mean probability of the leads with an outcome.
        came: Conversion rate of them.
        lift: Conversion rate over that of all; None where nothing converted.
    """

    name: str
    said: float
    came: Measure
    lift: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelQuality:
    """One version in one role.

    Attributes:
        version: Of the model.
        role: Part it played.
        auc: On matured labels, with DeLong's interval.
        resolution: How far the AUC of single scores may lie from it, at most.
        expected_auc: What the scores of the whole time promise without any outcome (CBPE); blind to a change
            of how leads convert.
        holdout_auc: Of the hold-out in training.
        precision: Share of the leads called likely that converted.
        recall: Share of the converted leads that were called likely.
        f1: Harmonic mean of the two; its interval is what theirs leave open.
        brier: Mean squared error of the probability.
        conversion: Rate of matured leads.
        promised: Rate that their scores promised.
        calibration: By probability bin, empty ones left out.
    """

    version: str
    role: str
    auc: Measure
    resolution: float | None
    expected_auc: Measure
    holdout_auc: Measure
    precision: Measure
    recall: Measure
    f1: Measure
    brier: Measure
    conversion: Measure
    promised: Measure
    calibration: tuple[CalibrationRow, ...]


def read_quality(
    connection: sa.Connection, selection: Selection, fresh: Freshness, facts: Mapping[str, ModelFacts]
) -> tuple[ModelQuality, ...]:
    """Return how good each version is in each role of the selection.

    Args:
        connection: Of the event store.
        selection: Which predictions; those that are old enough are measured.
        fresh: How far the roll-ups are.
        facts: By version; of those that are missing the hold-out is unknown.
    """
    mature = None if fresh.caught_up is None else selection.mature(fresh.caught_up)
    groups = ("version", "role", "bin", "grade")
    return model_qualities(
        read_counts(connection, selection, ("version", "role", "bin")),
        () if mature is None else read_counts(connection, mature, groups),
        () if mature is None else read_cells(connection, mature, (SCORE,)),
        fresh,
        facts,
    )


def model_qualities(
    scored: Iterable[CountsRow],
    mature: Iterable[CountsRow],
    cells: Iterable[CellRow],
    fresh: Freshness,
    facts: Mapping[str, ModelFacts],
) -> tuple[ModelQuality, ...]:
    """Build the results of `read_quality`."""
    promised = group_counts(scored, lambda row: (row.version, row.role, row.bin))
    known = group_counts(mature, lambda row: (row.version, row.role, row.bin, row.grade))
    likely: dict[tuple[str, str], CellCounts] = {}
    for row in cells:
        key = (row.version, row.role)
        likely[key] = likely.get(key, CellCounts()) + row.counts
    return tuple(
        _quality(
            (version, role),
            [promised.get((version, role, index), PredictionCounts()) for index in range(PROBABILITY_BINS)],
            {(b, g): counts for (v, r, b, g), counts in known.items() if (v, r) == (version, role)},
            likely.get((version, role), CellCounts()),
            fresh,
            facts.get(version),
        )
        for version, role in sorted(
            {(v, r) for v, r, _ in promised}, key=lambda k: (version_order(k[0]), k[1])
        )
    )


def read_auc_series(
    connection: sa.Connection, selection: Selection, fresh: Freshness
) -> tuple[MeasureSeries, ...]:
    """Return the AUC of each version over time; steps with too few outcomes are unknown."""
    mature = None if fresh.caught_up is None else selection.mature(fresh.caught_up)
    groups = ("version", "bin", "grade")
    rows = () if mature is None else read_counts(connection, mature, groups, selection.time.coarse_step)
    return auc_series(rows, selection, fresh)


def auc_series(
    rows: Iterable[CountsRow], selection: Selection, fresh: Freshness
) -> tuple[MeasureSeries, ...]:
    """Build the series of `read_auc_series`."""
    by_step: dict[tuple[str, datetime], dict[tuple[int, str], PredictionCounts]] = {}
    for row in rows:
        by_step.setdefault((row.version, row.start), {})[row.bin, row.grade] = row.counts
    return tuple(
        MeasureSeries(
            name=version,
            points=tuple(
                MeasurePoint(
                    start=start, end=end, measure=measure_auc(by_step.get((version, start), {}), fresh)[0]
                )
                for start, end in selection.time.steps(selection.time.coarse_step)
            ),
        )
        for version in sorted({version for version, _ in by_step}, key=version_order)
    )


def measure_auc(
    known: Mapping[tuple[int, str], PredictionCounts], fresh: Freshness
) -> tuple[Measure, float | None]:
    """Return the AUC of matured leads by bin and grade, and its resolution.

    Within a bin the better grade has the higher probability, so the two together part leads finer than bins.
    """
    places = sorted(known, key=lambda key: (key[0], -GRADES.index(key[1]) if key[1] in GRADES else 0))
    converted = np.array([known[place].converted for place in places], dtype=np.int64)
    labelled = np.array([known[place].labelled for place in places], dtype=np.int64)
    total = PredictionCounts.total(known.values())
    share = label_completeness(total)
    smaller = min(total.converted, total.labelled - total.converted)
    found = auc_of_counts(converted, labelled - converted) if smaller >= LEAST_OF_A_CLASS else None
    if found is None:
        why = f"{total.converted} conversions and {total.labelled - total.converted} other outcomes"
        return (
            Measure(
                value=None,
                n=total.labelled,
                as_of=fresh.caught_up,
                completeness=share,
                unknown=f"Too few outcomes: {why}; it takes {LEAST_OF_A_CLASS} of each.",
            ),
            None,
        )
    auc, resolution = found
    measure = Measure(
        value=auc.value,
        n=total.labelled,
        as_of=fresh.caught_up,
        low=auc.low,
        high=auc.high,
        completeness=share,
    )
    return measure, resolution


def _quality(
    key: tuple[str, str],
    promised: Sequence[PredictionCounts],
    known: Mapping[tuple[int, str], PredictionCounts],
    likely: CellCounts,
    fresh: Freshness,
    facts: ModelFacts | None,
) -> ModelQuality:
    total = PredictionCounts.total(known.values())
    share = label_completeness(total)
    as_of = fresh.caught_up
    auc, resolution = measure_auc(known, fresh)
    precision, recall, brier = measure_shares(
        [
            (likely.selected_converted, likely.selected_labelled),
            (likely.selected_converted, likely.converted),
            (total.sum_squared_error, total.labelled),
        ],
        as_of=as_of,
        completeness=[share] * 3,
        missing="No outcome of such leads is known.",
    )
    (conversion,) = measure_conversions([total], as_of)
    return ModelQuality(
        version=key[0],
        role=key[1],
        auc=auc,
        resolution=resolution,
        expected_auc=_expected(promised, as_of, facts),
        holdout_auc=_holdout(facts),
        precision=precision,
        recall=recall,
        f1=_harmonic(precision, recall, likely.labelled),
        brier=brier,
        conversion=conversion,
        promised=Measure(value=total.labelled_sum_probability / total.labelled, n=total.labelled, as_of=as_of)
        if total.labelled
        else Measure.missing("No outcome to compare with.", as_of=as_of),
        calibration=_calibration(known, as_of),
    )


def _calibration(
    known: Mapping[tuple[int, str], PredictionCounts], as_of: datetime | None
) -> tuple[CalibrationRow, ...]:
    bins: dict[int, PredictionCounts] = {}
    for (index, _), counts in known.items():
        bins[index] = bins.get(index, PredictionCounts()) + counts
    filled = [index for index in sorted(bins) if bins[index].labelled]
    rates = measure_conversions([bins[index] for index in filled], as_of)
    total = PredictionCounts.total(known.values())
    base = total.converted / total.labelled if total.labelled else 0.0
    return tuple(
        CalibrationRow(
            name=bin_name(index),
            said=bins[index].labelled_sum_probability / bins[index].labelled,
            came=rate,
            lift=None if base == 0 or rate.value is None else rate.value / base,
        )
        for index, rate in zip(filled, rates, strict=True)
    )


def _expected(
    promised: Sequence[PredictionCounts], as_of: datetime | None, facts: ModelFacts | None
) -> Measure:
    reliability: tuple[CalibrationBin, ...] = ()
    if facts is not None and facts.holdout is not None:
        reliability = facts.holdout.calibration
    found = expected_from_bins(
        np.array([counts.predictions for counts in promised], dtype=np.int64),
        np.array([counts.sum_probability for counts in promised]),
        np.array([counts.sum_variance for counts in promised]),
        reliability=reliability,
    )
    if found is None:
        n = sum(counts.predictions for counts in promised)
        return Measure.missing("Fewer than 20 leads were scored.", n=n, as_of=as_of)
    return Measure(value=found.auc.value, n=found.rows, as_of=as_of, low=found.auc.low, high=found.auc.high)


def _holdout(facts: ModelFacts | None) -> Measure:
    auc = None if facts is None else facts.metrics.get("auc")
    if facts is None or auc is None:
        return Measure.missing("The version's artefact is not at hand, or does not say.")
    rows = facts.holdout.rows if facts.holdout is not None else 0
    return Measure(value=auc.value, n=rows, as_of=None, low=auc.low, high=auc.high)


def _harmonic(precision: Measure, recall: Measure, n: int) -> Measure:
    """F1; it rises with either, so its bounds are those of both."""

    def mean(p: float | None, r: float | None) -> float | None:
        if p is None or r is None:
            return None
        return 2 * p * r / (p + r) if p + r else 0.0

    value = mean(precision.value, recall.value)
    if value is None:
        return Measure(
            value=None,
            n=n,
            as_of=recall.as_of,
            completeness=recall.completeness,
            unknown=precision.unknown or recall.unknown,
        )
    return Measure(
        value=value,
        n=n,
        as_of=recall.as_of,
        low=mean(precision.low, recall.low),
        high=mean(precision.high, recall.high),
        completeness=recall.completeness,
    )
