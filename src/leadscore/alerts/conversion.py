"""Whether conversion is down: a week's leads against the four weeks before them. Pure.

Leads count from the age at which their outcome should be known, and whole weeks hold each day of the week
as often. The interval is wide enough for somebody who looks every day: it errs on one day in 365, so that on
streams that do not change there is at most one false alarm a year. Where days differ by more than chance
(campaigns, holidays), their own spread widens it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import NormalDist
from typing import Final

from leadscore.monitoring.measures import Measure

WINDOW_DAYS: Final = 7
BASELINE_DAYS: Final = 28
LOOKS_PER_YEAR: Final = 365
# Conversions in the week that the baseline's rate promises; with fewer, intervals of logarithms do not hold.
LEAST_EXPECTED: Final = 50.0
LEAST_COMPLETENESS: Final = 0.5
_Z: Final = NormalDist().inv_cdf(1 - 1 / LOOKS_PER_YEAR)
# (converted, labelled) of one day.
Day = tuple[int, int]


def conversion_change(
    baseline: Sequence[Day], window: Sequence[Day], *, as_of: datetime | None, completeness: float | None
) -> Measure:
    """Return the relative change of the conversion rate, -0.1 for a tenth less, with its interval.

    Args:
        baseline: Days before.
        window: Days that are compared with them.
        as_of: Until when the records were read.
        completeness: Share of the window's leads whose outcome is known.
    """
    (k0, n0), (k1, n1) = _total(baseline), _total(window)
    why = ""
    if completeness is not None and completeness < LEAST_COMPLETENESS:
        why = f"Only {completeness:.0%} of the leads that are old enough have an outcome."
    elif n0 == 0 or n1 == 0 or k0 == 0 or n1 * k0 / n0 < LEAST_EXPECTED:
        expected = n1 * k0 / n0 if n0 else 0.0
        why = f"Too few leads: {expected:.0f} conversions are usual in a week, {LEAST_EXPECTED:.0f} needed."
    if why:
        return Measure(value=None, n=n1, as_of=as_of, completeness=completeness, unknown=why)
    p0, p1 = k0 / n0, k1 / n1
    # Nobody converted: the logarithm takes half a lead.
    seen = max(k1, 0.5)
    centre = math.log(seen / n1 / p0)
    spread = _Z * math.sqrt(_dispersion((baseline, window)) * ((1 - p1) / seen + (1 - p0) / k0))
    return Measure(
        value=p1 / p0 - 1,
        n=n1,
        as_of=as_of,
        low=math.exp(centre - spread) - 1,
        high=math.exp(centre + spread) - 1,
        completeness=completeness,
    )


def _dispersion(groups: Sequence[Sequence[Day]]) -> float:
    """How much more days differ than chance alone would make them: Pearson's X² over its degrees of freedom.

    Never less than 1.
    """
    total, freedom = 0.0, 0
    for days in groups:
        k, n = _total(days)
        rate = k / n if n else 0.0
        if not 0 < rate < 1:
            continue
        used = [(converted, labelled) for converted, labelled in days if labelled]
        total += sum(
            (converted - labelled * rate) ** 2 / (labelled * rate * (1 - rate))
            for converted, labelled in used
        )
        freedom += len(used) - 1
    return max(1.0, total / freedom) if freedom > 0 else 1.0


def _total(days: Sequence[Day]) -> Day:
    return sum(day[0] for day in days), sum(day[1] for day in days)
