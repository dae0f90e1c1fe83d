"""How well one column alone tells the outcome: what is too good to be known when a lead comes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.leaks.cells import MISSING, Cells, cells_of
from leadscore.contract.leaks.suspicion import Suspicion, SuspicionKind
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract
from leadscore.intervals import Estimate, auc_estimate

LEAK_AUC, LEAK_AUC_BOUND = 0.95, 0.85
SUSPICIOUS_AUC, SUSPICIOUS_AUC_BOUND = 0.85, 0.75
LATER_SHARE = 0.01

# How much more often a value must stand with one outcome than with the other. In honest lead tables the
# strongest values reach some 15 (a customer of the campaign before).
_RATIO, _RATIO_BOUND = 25.0, 5.0
_LEARN_RATIO = 10.0
_LEAST_ROWS = 3  # of one outcome, for a value to be learnt
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

    Rates per value (or per bin of a number, missing being a value too) are learnt on one half of the leads and
    judged on the other, both ways round, so that a column of many values gains nothing by chance; every threshold
    is asked of the figure and, lower, of its 99 % bound, so that a small table does not accuse by chance either.

    Args:
        name: The column.
        codes: Numbers or category codes, NaN for missing; shape (n,).
        labels: 1, 0 or NaN (unknown); shape (n,).
        names: What the codes 0, 1, … stand for; empty for numbers.

    Returns:
        None also where there are too few leads of either outcome to judge (20 of each).
    """
    cells = cells_of(codes, labels)
    if cells is None or cells.size < 2:
        return None
    alone = _ranking(cells)
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


def _ranking(cells: Cells) -> Estimate | None:
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


def _by_presence(name: str, cells: Cells, alone: Estimate) -> Suspicion | None:
    """The same AUC explained by whether the column is filled in at all, where that is the reason."""
    filled = (cells.of_row != MISSING).astype(np.float64)
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
            f"Whether it is filled in tells the outcome: {_share(of_converted)} of the converted leads have a value, "
            f"{_share(of_others)} of the others."
        ),
    )


def _one_outcome(name: str, cells: Cells, names: Sequence[str], *, outcome: bool) -> Suspicion | None:
    """Suspect values that stand with one outcome far more often than with the other."""
    wanted = cells.converted == outcome
    inside = np.zeros(len(wanted), dtype=np.bool_)
    for learn, judge in cells.folds():
        chosen = _pure_cells(cells.count(learn & wanted), cells.count(learn & ~wanted))
        inside |= judge & chosen[cells.of_row]
    hits, misses = int((inside & wanted).sum()), int((inside & ~wanted).sum())
    of_wanted, of_rest = int(wanted.sum()), int((~wanted).sum())
    if hits < 2 * _LEAST_ROWS or hits < _LEAST_SHARE[outcome] * of_wanted:
        return None
    ratio = (hits / of_wanted) / ((misses + 0.5) / (of_rest + 1.0))
    bound = _wilson(hits, of_wanted, -1) / _wilson(misses, of_rest, +1)
    purity = hits / (hits + misses)
    if ratio < _RATIO or bound < _RATIO_BOUND or purity < _LEAST_PURITY:
        return None
    chosen = _pure_cells(cells.count(wanted), cells.count(~wanted))
    kind, phrase = _which(cells, chosen, names)
    share = f"{_share(purity)} {'converted' if outcome else 'did not convert'}"
    overall = of_wanted / (of_wanted + of_rest)
    return Suspicion(
        column=name,
        kind=kind,
        strength="leak" if outcome and ratio >= 2 * _RATIO and purity >= 0.9 else "suspicion",
        figure=purity,
        sentence=(
            f"Of the {hits + misses} leads {phrase}, {share} (of all leads {_share(overall)}): it may be written when "
            "the outcome is known."
        ),
    )


def _pure_cells(wanted: NDArray[np.float64], rest: NDArray[np.float64]) -> NDArray[np.bool_]:
    ratios = ((wanted + 0.5) / (wanted.sum() + 1.0)) / ((rest + 0.5) / (rest.sum() + 1.0))
    return (wanted >= _LEAST_ROWS) & (ratios >= _LEARN_RATIO)


def _which(cells: Cells, chosen: NDArray[np.bool_], names: Sequence[str]) -> tuple[SuspicionKind, str]:
    """The kind of suspicion and the leads in question, as a phrase: by presence, by one value, or by several."""
    occupied = cells.count(np.ones(len(cells.of_row), dtype=np.bool_)) > 0
    present = occupied.copy()
    present[MISSING] = False
    if occupied[MISSING] and chosen[MISSING] and not (chosen & present).any():
        return "presence", "in which it is empty"
    if occupied[MISSING] and (chosen & present).sum() >= 0.9 * present.sum():
        return "presence", "in which it is filled in"
    places = np.flatnonzero(chosen & present)
    value = cells.values[places[0]] if len(places) == 1 else math.nan
    if not math.isnan(value):
        shown = f"“{names[int(value)]}”" if names else f"{value:g}"
        return "value", f"in which it is {shown}"
    return "value", f"with one of {len(places)} of its values" if names else "in some of its ranges"


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
