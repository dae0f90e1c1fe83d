"""Whether groups of leads are treated alike, and how segments convert; of features that the model reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from leadscore.monitoring.measures import Measure
from leadscore.monitoring.model_facts import ModelFacts, cell_names
from leadscore.monitoring.queries.counts import CellCounts, CellRow, read_cells
from leadscore.monitoring.queries.estimates import ALPHA, measure_shares
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.ranges import Selection

# As training has it (`training.fairness`): smaller groups are counted, not measured.
LEAST_GROUP: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRates:
    """One group of an attribute.

    Attributes:
        name: Category, range, `yes`/`no` or `(missing)`.
        leads: Scored in the time.
        selection_rate: Share called likely.
        true_positive_rate: Share called likely of the leads that converted; matured ones only.
        false_positive_rate: Share called likely of the leads that did not.
        conversion: Rate of matured leads.
    """

    name: str
    leads: int
    selection_rate: Measure
    true_positive_rate: Measure
    false_positive_rate: Measure
    conversion: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeRates:
    """One attribute over its groups; those with too few leads are left out of the comparison.

    Attributes:
        attribute: Name of the feature.
        groups: Most leads first.
        parity_ratio: Smallest by largest selection rate (Fairlearn's demographic parity ratio); its interval
            holds for all groups together.
        odds_difference: The larger of the spreads of true and of false positive rates.
    """

    attribute: str
    groups: tuple[GroupRates, ...]
    parity_ratio: Measure
    odds_difference: Measure


def read_fairness(
    connection: sa.Connection, selection: Selection, fresh: Freshness, facts: ModelFacts
) -> tuple[AttributeRates, ...]:
    """Return the rates by group of each sensitive attribute that the version reads.

    Attributes that it does not read are in no log, so training alone can measure them.
    """
    names = [feature.name for feature in facts.contract.sensitive if feature.input]
    return tuple(read_segments(connection, selection, fresh, facts, name) for name in names)


def read_segments(
    connection: sa.Connection, selection: Selection, fresh: Freshness, facts: ModelFacts, feature: str
) -> AttributeRates:
    """Return the same of any feature that the version reads: conversion by country, say."""
    of_version = Selection(
        model=facts.name,
        time=selection.time,
        versions=(facts.version,),
        roles=selection.roles,
        maturity=selection.maturity,
    )
    mature = None if fresh.caught_up is None else of_version.mature(fresh.caught_up)
    return attribute_rates(
        read_cells(connection, of_version, (feature,)),
        () if mature is None else read_cells(connection, mature, (feature,)),
        fresh,
        facts,
        feature,
    )


def attribute_rates(
    scored: Iterable[CellRow],
    mature: Iterable[CellRow],
    fresh: Freshness,
    facts: ModelFacts,
    feature: str,
) -> AttributeRates:
    """Build the results of `read_segments`.

    Args:
        scored: Cells of all predictions of the time.
        mature: Cells of those that are old enough.
        fresh: How far the roll-ups are.
        facts: Of the version.
        feature: Which one.
    """
    profile = next(item for item in facts.profile.features if item.name == feature)
    names = cell_names(facts, profile)
    all_cells, old_cells = _by_cell(scored), _by_cell(mature)
    places = sorted(all_cells, key=lambda cell: -all_cells[cell].predictions)
    groups = _groups(names, places, all_cells, old_cells, fresh.caught_up)
    measured = [group for group in groups if group.leads >= LEAST_GROUP]
    alpha = ALPHA / max(len(measured), 1)
    kept = [cell for cell in places if all_cells[cell].predictions >= LEAST_GROUP]
    selection = _selections([all_cells[cell] for cell in kept], fresh.caught_up, alpha)
    true_rates, false_rates = _odds(
        [old_cells.get(c, CellCounts()) for c in kept], fresh.caught_up, alpha / 2
    )
    return AttributeRates(
        attribute=feature,
        groups=groups,
        parity_ratio=_ratio(selection, fresh.caught_up),
        odds_difference=_wider(_spread(true_rates, fresh.caught_up), _spread(false_rates, fresh.caught_up)),
    )


def _by_cell(rows: Iterable[CellRow]) -> dict[int, CellCounts]:
    found: dict[int, CellCounts] = {}
    for row in rows:
        found[row.cell] = found.get(row.cell, CellCounts()) + row.counts
    return found


def _groups(
    names: Sequence[str],
    places: Sequence[int],
    scored: dict[int, CellCounts],
    mature: dict[int, CellCounts],
    as_of: datetime | None,
) -> tuple[GroupRates, ...]:
    old = [mature.get(cell, CellCounts()) for cell in places]
    selection = _selections([scored[cell] for cell in places], as_of, ALPHA)
    true_rates, false_rates = _odds(old, as_of, ALPHA)
    conversions = measure_shares(
        [(counts.converted, counts.labelled) for counts in old],
        as_of=as_of,
        missing="No outcome is known of leads that are old enough.",
    )
    found: list[GroupRates] = []
    for place, cell in enumerate(places):
        leads = scored[cell].predictions
        few = Measure.missing(f"Fewer than {LEAST_GROUP} leads.", n=leads, as_of=as_of)
        enough = leads >= LEAST_GROUP
        found.append(
            GroupRates(
                name=names[cell] if cell < len(names) else f"cell {cell}",
                leads=leads,
                selection_rate=selection[place] if enough else few,
                true_positive_rate=true_rates[place] if enough else few,
                false_positive_rate=false_rates[place] if enough else few,
                conversion=conversions[place] if enough else few,
            )
        )
    return tuple(found)


def _selections(cells: Sequence[CellCounts], as_of: datetime | None, alpha: float) -> tuple[Measure, ...]:
    return measure_shares([(c.selected, c.predictions) for c in cells], as_of=as_of, alpha=alpha)


def _odds(
    cells: Sequence[CellCounts], as_of: datetime | None, alpha: float
) -> tuple[tuple[Measure, ...], tuple[Measure, ...]]:
    """True and false positive rates."""
    return (
        measure_shares(
            [(c.selected_converted, c.converted) for c in cells],
            as_of=as_of,
            missing="No lead that is old enough has converted.",
            alpha=alpha,
        ),
        measure_shares(
            [(c.selected_labelled - c.selected_converted, c.labelled - c.converted) for c in cells],
            as_of=as_of,
            missing="No lead that is old enough is known not to have converted.",
            alpha=alpha,
        ),
    )


def _ratio(rates: Sequence[Measure], as_of: datetime | None) -> Measure:
    """Smallest by largest; the bounds are those of the bounds, which hold together."""
    values, lows, highs = _ends(rates)
    if len(values) < 2:
        return Measure.missing(f"Fewer than two groups have {LEAST_GROUP} leads.", as_of=as_of)
    n = sum(rate.n for rate in rates)
    if max(values) == 0:
        return Measure.missing("No lead of any group is called likely.", n=n, as_of=as_of)
    return Measure(
        value=min(values) / max(values),
        n=n,
        as_of=as_of,
        low=min(lows) / max(highs) if max(highs) else 0.0,
        high=min(1.0, min(highs) / max(lows)) if max(lows) else 1.0,
    )


def _spread(rates: Sequence[Measure], as_of: datetime | None) -> Measure:
    """Largest less smallest."""
    values, lows, highs = _ends(rates)
    if len(values) < 2:
        return Measure.missing("Fewer than two groups have outcomes to compare.", as_of=as_of)
    return Measure(
        value=max(values) - min(values),
        n=sum(rate.n for rate in rates),
        as_of=as_of,
        low=max(0.0, max(lows) - min(highs)),
        high=max(highs) - min(lows),
    )


def _wider(first: Measure, second: Measure) -> Measure:
    if first.value is None or second.value is None:
        return first if second.value is None else second
    return first if first.value >= second.value else second


def _ends(rates: Sequence[Measure]) -> tuple[list[float], list[float], list[float]]:
    known = [rate for rate in rates if rate.value is not None]
    return (
        [rate.value for rate in known if rate.value is not None],
        [0.0 if rate.low is None else rate.low for rate in known],
        [1.0 if rate.high is None else rate.high for rate in known],
    )
