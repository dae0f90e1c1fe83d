"""The alert of the conversion drop on made-up streams: false alarms in a year, and drops that are found."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.row import Row, at_least, at_most
from leadscore.alerts.conversion import BASELINE_DAYS, WINDOW_DAYS, conversion_change
from leadscore.alerts.evaluate import exceeds
from leadscore.alerts.rules import default_rules

RATE = 0.1
_EXPECTED = (50.0, 300.0, 3_000.0)
Days = npt.NDArray[np.int64]
_RULE = next(rule for rule in default_rules().rules if rule.alert == "LeadScoringConversionDrop")


def simulate(
    rng: np.random.Generator,
    expected: float,
    *,
    days: int,
    spread: float = 0.0,
    drop: float = 0.0,
    at: int = 0,
) -> Days:
    """Converted and labelled leads of each day (days, 2).

    Args:
        rng: Chance.
        expected: Conversions of a usual week.
        days: How many.
        spread: Standard deviation of a day's rate beyond chance, relative to the rate.
        drop: Share of the conversions that is lost from a day on.
        at: That day.
    """
    leads = rng.poisson(expected / RATE / 7, days)
    rate = np.full(days, RATE)
    rate[at:] *= 1 - drop
    rate = np.clip(rate * (1 + spread * rng.standard_normal(days)), 0, 1)
    return np.stack([rng.binomial(leads, rate), leads], axis=1)


def says(stream: Days, day: int, *, certain: bool = True) -> bool:
    """Whether the rule's condition holds when a day's week has just become old enough."""
    rows = [(int(k), int(n)) for k, n in stream[day - WINDOW_DAYS - BASELINE_DAYS : day]]
    found = conversion_change(rows[:BASELINE_DAYS], rows[BASELINE_DAYS:], as_of=None, completeness=None)
    return exceeds(_RULE, found) if certain else found.value is not None and found.value < -0.1


def alarms_of_a_year(stream: Days, *, certain: bool = True) -> int:
    """How often an alarm begins in 365 daily looks."""
    said = [says(stream, day, certain=certain) for day in range(35, 400)]
    return sum(now and not before for before, now in zip([False, *said], said, strict=False))


def found_within(stream: Days, *, at: int, days: int = 28) -> bool:
    """Whether a drop is found by one of the looks of the days after it."""
    return any(says(stream, day) for day in range(at + 1, at + days + 1))


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    years, streams = (10, 20) if bench.effort.rounds <= 2 else (200, 400)
    rng = np.random.default_rng(1)
    bench.say("conversion drop: calm streams")
    worst = 0.0
    for expected in _EXPECTED:
        for spread in (0.0, 0.3):
            calm = [simulate(rng, expected, days=400, spread=spread) for _ in range(years)]
            worst = max(worst, float(np.mean([alarms_of_a_year(stream) for stream in calm])))
    fixed = np.mean([alarms_of_a_year(simulate(rng, 300.0, days=400), certain=False) for _ in range(years)])
    bench.say("conversion drop: a fifth less")
    found = {
        n: float(
            np.mean([found_within(simulate(rng, n, days=90, drop=0.2, at=60), at=60) for _ in range(streams)])
        )
        for n in (150.0, 300.0, 1_000.0)
    }
    return [
        Row(
            "alert-conversion-false",
            "false alarms of the conversion drop in a year of daily looks",
            worst,
            "",
            at_most(1),
            beside=f"a fixed rule of 10 %: {fixed:.0f}",
            how=f"worst of {len(_EXPECTED)} sizes (50 to 3,000 conversions a week), calm or with campaigns, "
            f"{years} years each",
        ),
        Row(
            "alert-conversion-found",
            "drops by a fifth that are found within four weeks of their leads being old enough",
            100 * found[300.0],
            "%",
            at_least(80),
            beside=f"150 a week: {found[150.0]:.0%}; 1,000 a week: {found[1_000.0]:.0%}",
            how=f"300 conversions in a usual week (3,000 leads at 10 %), {streams} streams",
        ),
    ]


SUITES = (Suite(("alert-conversion-false", "alert-conversion-found"), _measure),)
