"""Compare training's conversion rate with the true one.

The rate of the known outcomes beside the one without selection.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from leadscore.intervals import Estimate, Flags, Floats
from leadscore.training.delay import DelayRecord

_Z = 1.959963984540054
# An open share up to this cannot move a rate by much.
_OPEN = 0.02


class WindowRate(msgspec.Struct, frozen=True, kw_only=True):
    """The conversion rate of one window.

    Attributes:
        window: `training`, `calibration` or `hold-out`.
        leads: Leads with a known outcome.
        known: Rate among them as they are.
        rate: The same with each lead's weight, that is with the leads still open
            counted to the classes of their age.
        low: Of the 95 % interval (Wilson) of `rate`.
        high: Its other end.
    """

    window: str
    leads: int
    known: float
    rate: float
    low: float
    high: float


def window_rate(window: str, converted: Flags, weights: Floats) -> WindowRate:
    """Measure one window of n leads."""
    rate = float(np.average(converted, weights=weights))
    # Weighted leads are worth fewer plain ones (Kish 1965).
    worth = float(weights.sum() ** 2 / np.square(weights).sum())
    interval = wilson(rate, worth)
    return WindowRate(
        window=window,
        leads=len(converted),
        known=float(converted.mean()),
        rate=rate,
        low=interval.low,
        high=interval.high,
    )


def wilson(share: float, n: float) -> Estimate:
    """Wilson's 95 % interval of a share of n."""
    z2 = _Z**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def rate_warnings(
    rates: tuple[WindowRate, ...], delay: DelayRecord, *, unknown: int, labelled: int
) -> tuple[str, ...]:
    """Say in sentences where training's rate differs from the true one.

    Args:
        rates: Of the windows, training first.
        delay: What is known of the delays.
        unknown: Leads of the run's months without a known outcome.
        labelled: Leads of them with one.
    """
    found = [
        f"Of the known outcomes of {rate.window} {rate.known:.1%} converted; with the leads that are still "
        f"open it is {rate.rate:.1%} ({rate.low:.1%} to {rate.high:.1%}), and the leads are weighted so."
        for rate in rates
        if not rate.low <= rate.known <= rate.high
    ]
    training = rates[0]
    if delay.rate is not None and not training.low <= delay.rate <= training.high:
        found.append(
            f"Training's conversion rate is {training.rate:.1%} ({training.low:.1%} to "
            f"{training.high:.1%}); over all cohorts of the table, young and open ones included, it is "
            f"{delay.rate:.1%}: the population has shifted."
        )
    total = unknown + labelled
    if not delay.learnt and total and unknown / total > _OPEN:
        won = training.known * labelled
        found.append(
            f"{unknown:,} of {total:,} leads of these months have no known outcome, and {delay.note}: the "
            f"true conversion rate is somewhere between {won / total:.1%} and "
            f"{(won + unknown) / total:.1%} ({training.known:.1%} of the training leads converted)."
        )
    elif delay.note and delay.learnt:
        found.append(f"{delay.note[0].upper()}{delay.note[1:]}; what would have become of them is not known.")
    return tuple(found)
