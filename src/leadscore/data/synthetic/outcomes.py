"""What becomes of a lead, when that is known, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadscore.data.synthetic.arrivals import Times
from leadscore.data.synthetic.population import Bools, SyntheticLeads
from leadscore.data.synthetic.streams import Floats, Streams

MEDIAN_DELAY_DAYS = 14.0
_LONGEST_DELAY_DAYS = 400.0
# Wins and losses against the common median.
_PACE = (0.85, 1.025)

_REVENUE_BY_SIZE = (6.3, 6.8, 7.4, 8.1, 8.7)
_REVENUE_BY_INDUSTRY = (0.1, 0.0, 0.25, -0.05, -0.3, 0.1, 0.15, 0.0, 0.1, -0.15, 0.45, -0.2, 0.1)


@dataclass(frozen=True, slots=True)
class SyntheticOutcomes:
    """One entry per lead.

    Attributes:
        converted: Whether the lead became a customer.
        known_at: When that was settled; datetime64[us].
        revenue: First-year revenue in EUR; NaN for leads that did not convert.
    """

    converted: Bools
    known_at: Times
    revenue: Floats


def draw_outcomes(
    leads: SyntheticLeads,
    probability: Floats,
    times: Times,
    streams: Streams,
    loss_delay: float | None = None,
) -> SyntheticOutcomes:
    """Draw outcomes. The delay is log-normal with a median of two weeks.

    One in twenty takes more than ten weeks. A loss takes a little longer to be admitted than a win, so a
    table cut off today holds too many wins among its latest leads; with `loss_delay`, the median of the
    losses in days, it takes as long as that.
    """
    converted = streams.uniform("converted") < probability
    won, lost = _PACE
    lost = lost if loss_delay is None else loss_delay / MEDIAN_DELAY_DAYS
    days = MEDIAN_DELAY_DAYS * np.exp(1.0 * streams.normal("delay")) * np.where(converted, won, lost)
    longest = max(_LONGEST_DELAY_DAYS, _LONGEST_DELAY_DAYS / MEDIAN_DELAY_DAYS * (loss_delay or 0.0))
    microseconds = (np.clip(days, 0.01, longest) * 86_400e6).astype(np.int64)
    amount = np.exp(
        np.asarray(_REVENUE_BY_SIZE)[leads.company_size]
        + np.asarray(_REVENUE_BY_INDUSTRY)[leads.industry]
        + 0.55 * streams.normal("revenue")
    )
    return SyntheticOutcomes(
        converted,
        times + microseconds.astype("timedelta64[us]"),
        np.where(converted, np.round(amount, 2), np.nan),
    )
