"""Suspect single columns that tell the outcome too well to be known when a lead comes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.leaks.cells import MISSING_CELL, KnownCells, known_cells
from leadscore.contract.leaks.groups import LeadGroup, groups_of
from leadscore.contract.leaks.suspicion import Suspicion
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract
from leadscore.intervals import Estimate, auc_estimate

LEAK_AUC, LEAK_AUC_BOUND = 0.95, 0.85
SUSPICIOUS_AUC, SUSPICIOUS_AUC_BOUND = 0.85, 0.75
LATER_SHARE = 0.01

# How much more often a value must stand with one outcome than with the other. In honest lead tables the
# strongest values reach some 15 (a customer of the campaign before).
_RATIO, _RATIO_BOUND = 25.0, 5.0
_LEAST_HITS = 6
_LEAST_SHARE = {True: 0.05, False: 0.2}  # of the outcome's leads that must hold the value
_LEAST_PURITY = 0.6
_ONE_SIDED = 2.33  # 99 %
_CONFIDENCE = 0.98  # two-sided, so that its lower end is a one-sided 99 % bound


def matrix_suspicions(
    contract: FeatureContract, matrix: NDArray[np.floating], labels: NDArray[np.floating]
) -> tuple[Suspicion, ...]:
    """Look at every input of a contract.

    Args:
        contract: What the columns mean; `known_before: true` marks a suspicion as answered.
        matrix: As `leadscore.data.matrix.encode_table` makes it; shape (n, inputs).
        labels: 1, 0 or NaN (unknown); shape (n,).

    Returns:
        At most one suspicion per input, in matrix order.
    """
    known = labels.astype(np.float64)
    found: list[Suspicion] = []
    for position, feature in enumerate(contract.inputs):
        suspicion = column_suspicion(
            feature.name, matrix[:, position].astype(np.float64), known, names=value_names(feature)
        )
        if suspicion is not None:
            found.append(msgspec.structs.replace(suspicion, known_before=feature.known_before))
    return tuple(found)


def value_names(feature: Feature) -> tuple[str, ...]:
    """The names of a feature's codes; empty for numbers."""
    match feature:
        case Categorical():
            return feature.categories
        case Boolean():
            return ("false", "true")
        case _:
            return ()


def column_suspicion(
    name: str, codes: NDArray[np.float64], labels: NDArray[np.float64], *, names: Sequence[str] = ()
) -> Suspicion | None:
    """The strongest reason to suspect one column, or None.

    Rates per value (or per bin of a number, missing being a value too) are learnt on one half of
    the leads and judged on the other, both ways round, so that a column of many values gains
    nothing by chance; every threshold is asked of the figure and, lower, of its 99 % bound, so that
    a small table does not accuse by chance either.

    Args:
        name: The column.
        codes: Numbers or category codes, NaN for missing; shape (n,).
        labels: 1, 0 or NaN (unknown); shape (n,).
        names: What the codes 0, 1, … stand for; empty for numbers.

    Returns:
        None also where there are too few leads of either outcome to judge (20 of each).
    """
    cells = known_cells(codes, labels)
    if cells is None or cells.size < 2:
        return None
    alone = max(
        (e for e in (_ranking(cells), None if names else _monotone(cells)) if e is not None),
        key=lambda e: e.low,
        default=None,
    )
    if alone is not None and alone.value >= LEAK_AUC and alone.low >= LEAK_AUC_BOUND:
        return _by_presence(name, cells, alone) or _tells(name, alone, "leak")
    pure = _one_outcome(name, cells, names, outcome=True) or _one_outcome(name, cells, names, outcome=False)
    if pure is not None and pure.strength == "leak":
        return pure
    if alone is not None and alone.value >= SUSPICIOUS_AUC and alone.low >= SUSPICIOUS_AUC_BOUND:
        return _by_presence(name, cells, alone) or pure or _tells(name, alone, "suspicion")
    return pure


def later_suspicion(
    name: str, moments: NDArray[np.datetime64], created: NDArray[np.datetime64]
) -> Suspicion | None:
    """Suspect a column of times that lie after the lead's creation in at least 1 % of the rows."""
    both = ~np.isnat(created) & ~np.isnat(moments)
    share = float((moments[both] > created[both]).mean()) if both.any() else 0.0
    if share < LATER_SHARE:
        return None
    sentence = f"{share:.0%} of its times lie after the lead's creation."
    return Suspicion(column=name, kind="later", strength="leak", figure=share, sentence=sentence)


def _ranking(cells: KnownCells) -> Estimate | None:
    """AUC of the conversion rate per cell, learnt on one half and judged on the other; mean of both ways."""
    found: list[Estimate] = []
    for learn, judge in cells.folds():
        prior = cells.converted[learn].mean()
        rates = (cells.count(learn & cells.converted) + prior) / (cells.count(learn) + 1.0)
        estimate = auc_estimate(cells.converted[judge], rates[cells.of_row[judge]], _CONFIDENCE)
        if estimate is None:
            return None
        found.append(estimate)
    value = sum(e.value for e in found) / 2.0
    # The halves are independent: their deviations add in squares.
    deviation = math.hypot(*(e.value - e.low for e in found)) / 2.0
    return Estimate(value, value - deviation, min(1.0, value + deviation))


def _monotone(cells: KnownCells) -> Estimate | None:
    """AUC of the number itself, high or low.

    A few leads of one outcome teach no rates, but they have an order.
    """
    numbers = np.where(np.isnan(cells.codes), np.nanmedian(cells.codes), cells.codes)
    estimates = [auc_estimate(cells.converted, sign * numbers, _CONFIDENCE) for sign in (1.0, -1.0)]
    return max((e for e in estimates if e is not None), key=lambda e: e.value, default=None)


def _tells(name: str, alone: Estimate, strength: Literal["leak", "suspicion"]) -> Suspicion:
    exact = alone.value > 0.9999
    sentence = (
        "It alone determines the outcome."
        if exact
        else f"It alone tells the outcome with an AUC of {alone.value:.3f}."
    )
    return Suspicion(
        column=name,
        kind="tells_outcome",
        strength=strength,
        figure=alone.value,
        sentence=sentence,
    )


def _by_presence(name: str, cells: KnownCells, alone: Estimate) -> Suspicion | None:
    """The same AUC explained by whether the column is filled in at all, where that is the reason."""
    filled = (cells.of_row != MISSING_CELL).astype(np.float64)
    presence = auc_estimate(cells.converted, filled, _CONFIDENCE)
    if presence is None:
        return None
    value = max(presence.value, 1.0 - presence.value)
    if value < alone.value - 0.02:
        return None
    of_converted, of_others = float(filled[cells.converted].mean()), float(filled[~cells.converted].mean())
    return Suspicion(
        column=name,
        kind="presence",
        strength="leak" if alone.value >= LEAK_AUC else "suspicion",
        figure=value,
        sentence=(
            f"Whether it is filled in tells the outcome: {_share(of_converted)} of the converted leads "
            f"have a value, {_share(of_others)} of the others."
        ),
    )


def _one_outcome(name: str, cells: KnownCells, names: Sequence[str], *, outcome: bool) -> Suspicion | None:
    """Suspect values that stand with one outcome far more often than with the other."""
    wanted = cells.converted == outcome
    best: tuple[float, float, LeadGroup] | None = None
    for group in groups_of(cells, wanted):
        ratio, purity = _leaning(group, wanted, least_share=_LEAST_SHARE[outcome])
        if ratio >= _RATIO and purity >= _LEAST_PURITY and (best is None or ratio > best[0]):
            best = ratio, purity, group
    if best is None:
        return None
    ratio, purity, group = best
    share = f"{_share(purity)} {'converted' if outcome else 'did not convert'}"
    return Suspicion(
        column=name,
        kind=group.kind,
        strength="leak" if outcome and ratio >= 2 * _RATIO and purity >= 0.9 else "suspicion",
        figure=purity,
        sentence=(
            f"Of the {int(group.rows.sum())} leads {group.phrase(names)}, {share} (of all leads "
            f"{_share(float(wanted.mean()))}): it may be written when the outcome is known."
        ),
    )


def _leaning(group: LeadGroup, wanted: NDArray[np.bool_], *, least_share: float) -> tuple[float, float]:
    """How many times more often the group's values stand with the wanted outcome, and how pure the group is.

    The ratio is 0 where its lower 99 % bound does not hold it up, or the group is too small a part to matter.
    """
    hits, misses = int((group.rows & wanted).sum()), int((group.rows & ~wanted).sum())
    of_wanted, of_rest = int(wanted.sum()), int((~wanted).sum())
    if hits < _LEAST_HITS or hits < least_share * of_wanted:
        return 0.0, 0.0
    if _wilson(hits, of_wanted, -1) < _RATIO_BOUND * _wilson(misses, of_rest, +1):
        return 0.0, 0.0
    return (hits / of_wanted) / ((misses + 0.5) / (of_rest + 1.0)), hits / (hits + misses)


def _wilson(hits: int, total: int, side: int) -> float:
    """One end of Wilson's interval of a share (side -1: lower, +1: upper), at 99 % one-sided."""
    z2 = _ONE_SIDED**2
    share = hits / total
    spread = _ONE_SIDED * math.sqrt(share * (1.0 - share) / total + z2 / (4.0 * total**2))
    return (share + z2 / (2.0 * total) + side * spread) / (1.0 + z2 / total)


def _share(value: float) -> str:
    """A share in per cent; never rounded to all or none where it is not."""
    if 0.0 < value < 0.01 or 0.99 < value < 1.0:
        return f"{value:.1%}"
    return f"{value:.0%}"
