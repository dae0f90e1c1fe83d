"""Whether probabilities mean what they say: reliability bins and the losses of single predictions."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.intervals import Flags, Floats

CALIBRATION_BINS = 10
# Log-loss of a confident error is bounded by this probability's.
_FLOOR = 1e-12


class CalibrationBin(msgspec.Struct, frozen=True):
    """Leads of similar probability: what was said and what came (bins hold about as many leads each)."""

    leads: int
    predicted: float
    observed: float


def calibration_bins(
    converted: Flags, probabilities: Floats, weights: Floats | None = None
) -> tuple[CalibrationBin, ...]:
    """Ten bins of about equal size, by rising probability; empty ones (many equal probabilities) left out.

    With weights, means are weighted; `leads` stays the number of leads.
    """
    codes = bin_codes(probabilities)
    each = np.ones(len(codes)) if weights is None else weights
    counts = np.bincount(codes, minlength=CALIBRATION_BINS)
    total = np.bincount(codes, weights=each, minlength=CALIBRATION_BINS)
    predicted = np.bincount(codes, weights=each * probabilities, minlength=CALIBRATION_BINS)
    observed = np.bincount(codes, weights=each * converted, minlength=CALIBRATION_BINS)
    return tuple(
        CalibrationBin(int(n), float(p / w), float(o / w))
        for n, w, p, o in zip(counts, total, predicted, observed, strict=True)
        if n
    )


def bin_codes(probabilities: Floats) -> npt.NDArray[np.intp]:
    """Bin of each probability, 0 … 9: cut at the deciles, equal probabilities together."""
    cuts = np.quantile(probabilities, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS)
    return np.searchsorted(cuts, probabilities, side="right")


def log_losses(converted: Flags, probabilities: Floats) -> Floats:
    """Negative log-likelihood of each label, in nats, bounded where the probability is 0 or 1."""
    p = np.clip(np.where(converted, probabilities, 1 - probabilities), _FLOOR, 1.0)
    return -np.log(p)
