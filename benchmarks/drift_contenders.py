"""What the charts are compared with.

alibi-detect's online Cramer-von Mises detector, KS per window, fixed PSI.

Each gives its statistic at every evaluation of a stream, so that cuts can be set for any run length.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.drift_delay import WINDOW, Detector, Floats, Leads, Matrix, World
from leadscore.drift.statistics.distances import half_row_psi

ALIBI_WINDOW, ALIBI_REFERENCE = 50, 2_000

Codes = npt.NDArray[np.intp]


def fixed_psi(world: World) -> Detector:
    """Largest PSI over the columns, half a row in each bin."""
    profile = world.profile
    sizes = [len(f.counts) + 1 for f in profile.features] + [len(profile.score_counts)]
    reference = [np.array([*f.counts, f.missing]) for f in profile.features] + [
        np.array(profile.score_counts)
    ]

    def read(leads: Leads) -> Floats:
        codes = world.codes(leads)
        found = [
            half_row_psi(counts, counts_of(codes[:, i], sizes[i])).sum(axis=-1)
            for i, counts in enumerate(reference)
        ]
        return np.max(found, axis=0)

    return read


def counts_of(codes: Codes, cells: int) -> npt.NDArray[np.intp]:
    """Rows per cell of each window; a rest that fills none is left out: (windows, cells)."""
    windows = len(codes) // WINDOW
    flat = codes[: windows * WINDOW] + np.repeat(np.arange(windows) * cells, WINDOW)
    return np.bincount(flat, minlength=windows * cells).reshape(windows, cells)


def ks_per_window(world: World) -> Detector:
    """Largest two-sample KS statistic over the columns.

    alibi-detect's KSDrift decides by the smallest p-value; windows and reference are always as large, so that
    is the same.
    """
    reference = np.sort(filled(world.reference.watched), axis=0)

    def read(leads: Leads) -> Floats:
        watched = filled(leads.watched)
        windows = len(watched) // WINDOW
        pieces = watched[: windows * WINDOW].reshape(windows, WINDOW, -1)
        return np.max(
            [ks_statistics(reference[:, i], pieces[..., i]) for i in range(watched.shape[1])], axis=0
        )

    return read


def ks_statistics(reference: Matrix, windows: Matrix) -> Floats:
    """SciPy's `ks_2samp(...).statistic` of each window (windows, rows), for a reference sorted once."""
    values = np.sort(windows, axis=1)
    n, m = len(reference), values.shape[1]
    after = _last_of_ties(values) / m
    before = _first_of_ties(values) / m
    # Between two values of the window its distribution rests and the reference's rises: the gap is widest at
    # the ends.
    high = np.abs(np.searchsorted(reference, values, side="right") / n - after)
    low = np.abs(np.searchsorted(reference, values, side="left") / n - before)
    return np.maximum(high, low).max(axis=1)


def alibi_statistic(world: World) -> Detector:
    """Largest statistic over the columns of alibi-detect's CVMDriftOnline after every lead.

    -inf until its window is full.

    Its own code takes a millisecond per lead; this is the same figure from the reference's ranks
    (`cvm_statistics`). The row of the bench compares the two.
    """
    reference = np.sort(filled(world.reference.watched[:ALIBI_REFERENCE]), axis=0)

    def read(leads: Leads) -> Floats:
        watched = filled(leads.watched)
        found = [cvm_statistics(reference[:, i], watched[:, i]) for i in range(watched.shape[1])]
        return np.concatenate([np.full(ALIBI_WINDOW - 1, -np.inf), np.max(found, axis=0)])

    return read


def cvm_statistics(reference: Matrix, stream: Matrix) -> Floats:
    """Standardised two-sample Cramer-von Mises statistic (Anderson 1962) of each sliding window of 50 leads.

    Args:
        reference: Sorted (n,).
        stream: One column of the leads (rows,).

    Returns:
        (rows - 49,), as alibi-detect 0.11.4 has it.
    """
    n, m = len(reference), ALIBI_WINDOW
    at_most = np.searchsorted(reference, reference, side="right") / n
    # Sum of the reference's distribution over its leads from each place on.
    onwards = np.concatenate([np.cumsum(at_most[::-1])[::-1], [0.0]])
    # Small whole numbers in the same order sort faster, and a value's places in the reference are looked up
    # once.
    values, ranks = np.unique(stream, return_inverse=True)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(ranks.astype(np.int16), m), axis=1)
    below = np.searchsorted(reference, values, side="left")
    place = below[windows]
    odd = 2.0 * np.arange(1, m + 1) - 1.0
    over_reference = (
        (at_most**2).sum() - 2.0 / m * onwards[below][windows].sum(axis=1) + (n - place) @ odd / m**2
    )
    share = np.searchsorted(reference, values, side="right") / n
    total = over_reference + ((share[windows] - _last_of_ties(windows) / m) ** 2).sum(axis=1)
    mean = 1 / 6 + 1 / (6 * (n + m))
    spread = (n + m + 1) * (4 * n * m * (n + m) - 3 * (n * n + m * m) - 2 * n * m)
    scale = np.sqrt(spread / (45 * (n + m) ** 2 * 4 * n * m))
    return (total * n * m / (n + m) ** 2 - mean) / scale


def _last_of_ties(values: npt.NDArray[np.generic]) -> Codes:
    """How many values of a sorted row are at most each value, (rows, m)."""
    m = values.shape[1]
    ends = np.concatenate([values[:, 1:] != values[:, :-1], np.ones((len(values), 1), np.bool_)], axis=1)
    numbers = np.where(ends, np.arange(1, m + 1), m)
    return np.minimum.accumulate(numbers[:, ::-1], axis=1)[:, ::-1]


def _first_of_ties(values: Matrix) -> Codes:
    """How many values of a sorted row are below each value, (rows, m)."""
    m = values.shape[1]
    begins = np.concatenate([np.ones((len(values), 1), np.bool_), values[:, 1:] != values[:, :-1]], axis=1)
    return np.maximum.accumulate(np.where(begins, np.arange(m), 0), axis=1)


def filled(watched: Matrix) -> Matrix:
    """Missing values as a value of their own, below all others."""
    return np.where(np.isnan(watched), np.float32(-1.0), watched)
