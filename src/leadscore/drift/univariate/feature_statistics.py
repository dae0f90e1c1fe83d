"""What is measured of a feature in a window.

Plain figures, which a report holds and reads back without computing.
"""

from __future__ import annotations

import msgspec


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """A window's feature against the training reference; see `drift.statistics.distances` for each.

    Attributes:
        psi: Over bins and, as one more, absent values: missing ones and unlisted categories together (see
            `comparable_cells`). The familiar figure.
        kl: Over the same bins, in nats.
        jensen_shannon: Over the same bins, in nats.
        chi_square: Over the same bins.
        chi_square_p: Its p-value.
        ks: On the finer grid if there is one, else on the bins; None unless numeric.
        ks_p: Its p-value (conservative on bins).
        wasserstein: Distance in reference standard deviations; None unless numeric.
        mean: Of the window.
        reference_mean: Of the reference.
        missing_rate: Of the window; with `absent_merged` the rate of missing and unlisted values together.
        reference_missing_rate: Of the reference, likewise.
        unseen_rate: Rate of unlisted categories in the window.
        range_rate: Share outside the contract's range, of the window.
        absent_merged: Whether the reference cannot tell missing values from unlisted categories.
    """

    psi: float
    kl: float
    jensen_shannon: float
    chi_square: float
    chi_square_p: float
    ks: float | None = None
    ks_p: float | None = None
    wasserstein: float | None = None
    mean: float | None = None
    reference_mean: float | None = None
    missing_rate: float = 0.0
    reference_missing_rate: float = 0.0
    unseen_rate: float = 0.0
    range_rate: float = 0.0
    absent_merged: bool = False
