"""Unchanged streams in counts, fast: what a detector with a false-alarm budget does when nothing happens.

Leads are correlated normals (so features alarm together), cut at the deciles of each simulated
reference. Cuts come from the library as they do in a check; only the counting of windows is done for
thousands at a time. Where a false alarm comes once in thousands of windows, its chance is measured
by drawing windows that are known to hold one (`breach_chance`); plain simulation
(`static_run_lengths`) is what that is tested against.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from scipy.special import gammaln, logsumexp, ndtr, ndtri, xlogy

from leadscore.contract import FeatureContract, Numeric, Target
from leadscore.drift.options import DriftOptions
from leadscore.drift.reference import build_profile
from leadscore.drift.runlength import FalseAlarms, Hysteresis, breach_probability
from leadscore.drift.statistics.budget import solve_level
from leadscore.drift.statistics.overlap import score_blocks
from leadscore.drift.univariate.comparison_baseline import Calibrated, calibrate, comparison_baseline
from leadscore.drift.windows.history import ALL, History
from leadscore.drift.windows.inputs import LeadWindow, Reference

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
LOADING = 0.7
# Windows that are simulated at once: what fits the second-level cache by feature.
_CHUNK_ROWS = 400_000
# Windows that are drawn to hold an alarm: variances relative to a plain draw's, and shifts in standard
# deviations.
_WIDER, _SHIFTS, _DRAWS = (2.5, 5.0), (-4.5, -3.0, 3.0, 4.5), 100


@dataclass(frozen=True, slots=True)
class Stream:
    """A setting.

    Attributes:
        features: Numeric, all with the same common factor.
        reference: Leads of the reference.
        window: Leads per window.
        run_length: Windows per false alarm asked for.
        hysteresis: Of the detector.
        learn_windows: Of the detector.
    """

    features: int
    reference: int
    window: int
    run_length: float
    hysteresis: Hysteresis = field(default_factory=Hysteresis)
    learn_windows: int = 50

    @property
    def options(self) -> DriftOptions:
        """No least effect: it only takes alarms away, and the budget is what is measured."""
        return DriftOptions(
            false_alarms=FalseAlarms(expected=1.0, per_hours=self.run_length),
            hysteresis=self.hysteresis,
            min_effect=0.0,
            season="none",
            learn_windows=self.learn_windows,
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """Cuts in the statistics' own units: G and |z| per feature (features,)."""

    g: np.ndarray
    z: np.ndarray


def leads(stream: Stream, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Encoded leads, float32 (rows, features)."""
    common = rng.standard_normal((rows, 1), dtype=np.float32)
    own = rng.standard_normal((rows, stream.features), dtype=np.float32)
    return np.float32(LOADING) * common + np.float32(math.sqrt(1 - LOADING**2)) * own


def make_reference(stream: Stream, rng: np.random.Generator) -> Reference:
    """A model's reference of such leads."""
    matrix = leads(stream, stream.reference, rng)
    contract = FeatureContract(
        name="stream",
        id="id",
        target=Target(column="y"),
        features=tuple(Numeric(name=f"x{i}") for i in range(stream.features)),
    )
    profile = build_profile(contract, matrix, np.full(len(matrix), 0.5))
    return Reference.of("stream", "1", contract, profile, sample=matrix)


def cuts(stream: Stream, reference: Reference, history: History, counts: np.ndarray) -> Cut:
    """The library's cuts for a window of these counts (features, bins)."""
    found = _calibrated(stream, reference, history, counts)
    return _cut(stream, found, found.critical_values.level)


def _calibrated(stream: Stream, reference: Reference, history: History, counts: np.ndarray) -> Calibrated:
    window = _window(reference, counts)
    beside = comparison_baseline(reference, stream.options, history, window)
    return calibrate(reference, window, stream.options, beside, every=HOUR)


def _cut(stream: Stream, found: Calibrated, level: float) -> Cut:
    g, z = np.full(stream.features, np.inf), np.full(stream.features, np.inf)
    for test in found.tests:
        (g if test.name == "distribution" else z)[test.feature] = test.tail.critical_value(level)[0]
    return Cut(g, z)


def breach_chances(stream: Stream, references: int, seed: int) -> np.ndarray:
    """Chance that an unchanged window breaches, given each of many references (references,).

    Nothing is added to a reference.

    Its inverse is the mean run length given that reference, since windows are then
    independent. The tests' nulls depend on the sizes of reference and window alone and are
    made once; the level is solved for every reference.
    """
    found: Calibrated | None = None
    breach = breach_probability(stream.run_length, stream.hysteresis)
    results: list[float] = []
    for number in range(references):
        rng = np.random.default_rng([seed, number])
        reference = make_reference(stream, rng)
        if found is None:
            found = _calibrated(
                stream, reference, History(model=reference.model), _counts(stream, reference, 1, rng)[0]
            )
        blocks = score_blocks(reference.cells, tuple((test.feature, test.name) for test in found.tests))
        tails = tuple(test.tail for test in found.tests)
        level = solve_level(tails, blocks, breach, seed=stream.options.seed).level
        results.append(breach_chance(stream, reference, _cut(stream, found, level), rng))
    return np.array(results)


def breach_chance(stream: Stream, reference: Reference, cut: Cut, rng: np.random.Generator) -> float:
    """P(some feature of a window breaches), unbiased, from windows in which one does.

    It is the sum over features of P(this feature breaches) times the mean of 1 / (features that breach)
    given that it does. The feature's counts come from a mixture that reaches where cuts lie and are
    weighted by the ratio of their multinomial probabilities, which are known here because the leads are;
    the window's leads are then drawn given them.
    """
    base = _base(reference)
    total = 0.0
    for index, feature in enumerate(reference.profile.features):
        ends = np.array([-np.inf, *np.float32(feature.edges), np.inf])
        draws, weights = _weighted_counts(np.diff(ndtr(ends)), stream.window, rng)
        own = Cut(cut.g[[index]], cut.z[[index]])
        hits = np.flatnonzero(_breaching(draws[:, None], base[[index]], own)[:, 0])
        if len(hits):
            counts = _bin(stream, reference, _leads_given(stream, index, draws[hits], ends, rng), len(hits))
            breaching = _breaching(counts, base, cut)
            # Rounding on an edge must not say that the feature itself does not.
            breaching[:, index] = True
            total += float((weights[hits] / breaching.sum(axis=1)).sum())
    return total


def _weighted_counts(
    shares: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of one feature (draws, bins), and weights (draws,) that make sums over them expectations."""
    middles = np.cumsum(shares) - shares / 2 - 0.5
    scores = middles / np.sqrt((shares * middles**2).sum())
    parts: list[tuple[np.ndarray, float]] = [(shares, np.inf)]
    parts += [(shares, (size - wider) / (wider - 1)) for wider in _WIDER for _ in range(2)]
    for shift in _SHIFTS:
        tilted = shares * np.exp(shift / math.sqrt(size) * scores)
        parts.append((tilted / tilted.sum(), np.inf))
    draws, logs = [], []
    for around, concentration in parts:
        exact = np.isinf(concentration)
        drawn = around if exact else rng.dirichlet(concentration * around, _DRAWS)
        draws.append(rng.multinomial(size, drawn, _DRAWS))
    counts = np.concatenate(draws)
    for around, concentration in parts:
        if np.isinf(concentration):
            logs.append(counts @ np.log(around))
        else:
            start = concentration * around
            gained = (gammaln(counts + start) - gammaln(start)).sum(axis=1)
            logs.append(gained + gammaln(concentration) - gammaln(size + concentration))
    mixture = logsumexp(np.stack(logs, axis=1), axis=1) - math.log(len(parts))
    return counts, np.exp(counts @ np.log(shares) - mixture) / len(counts)


def _leads_given(
    stream: Stream, feature: int, counts: np.ndarray, ends: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Leads of windows in which one feature has these counts (windows, bins), window by window."""
    windows, bins = counts.shape
    cell = np.repeat(np.tile(np.arange(bins), windows), counts.ravel())
    below, above = ndtr(ends[cell]), ndtr(ends[cell + 1])
    value = ndtri(below + (above - below) * rng.random(len(cell)))
    rest = math.sqrt(1 - LOADING**2)
    common = LOADING * value + rest * rng.standard_normal(len(value))
    matrix = LOADING * common[:, None] + rest * rng.standard_normal((len(value), stream.features))
    matrix[:, feature] = value
    return matrix.astype(np.float32)


def static_run_lengths(
    stream: Stream, references: int, alarms: int, seed: int, *, most_windows: float = 60.0
) -> np.ndarray:
    """Mean run length given each of many references that nothing is added to (references,).

    Args:
        stream: With a reference so large that nothing is learned, or with `learn_windows` 0.
        references: How many.
        alarms: Per reference.
        seed: Of everything.
        most_windows: Simulation of one reference ends after so many times the asked run length
            and alarms: the run length of such a one counts as windows per alarm so far, which
            is too small rather than too large.
    """
    results: list[float] = []
    for number in range(references):
        rng = np.random.default_rng([seed, number])
        reference = make_reference(stream, rng)
        cut = cuts(stream, reference, History(model=reference.model), _counts(stream, reference, 1, rng)[0])
        windows = found = 0
        recent: list[bool] = []
        while found < alarms and windows < most_windows * alarms * stream.run_length:
            size = max(1, min(_CHUNK_ROWS // stream.window, int(alarms * stream.run_length)))
            breaches = _breaches(_counts(stream, reference, size, rng), _base(reference), cut)
            for breached in breaches:
                windows += 1
                recent = [*recent, bool(breached)][-stream.hysteresis.windows :]
                if stream.hysteresis.met(tuple(recent)):
                    found += 1
                    recent = []
                    if found == alarms:
                        break
        results.append(windows / max(found, 1))
    return np.array(results)


def learning_run_lengths(stream: Stream, runs: int, seed: int, *, growth: float = 1.1) -> np.ndarray:
    """Windows to the first alarm of detectors that learn from windows without drift (runs,).

    Each has a new reference.

    The null of a decile histogram depends on the sizes of both samples and hardly on the counts, so the cuts
    of the first run serve all at the same size of the pool; they are renewed when it has grown by a tenth.
    """
    known: dict[int, Cut] = {}
    results: list[int] = []
    for number in range(runs):
        rng = np.random.default_rng([seed, number])
        reference = make_reference(stream, rng)
        pool = _base(reference).astype(np.float64)
        windows = 0
        while True:
            size = int(pool[0].sum())
            step = round(math.log(size / stream.reference) / math.log(growth))
            counts = _counts(stream, reference, 1, rng)
            if step not in known:
                known[step] = cuts(
                    stream, reference, _with_pool(reference, pool - _base(reference)), counts[0]
                )
            windows += 1
            if _breaches(counts, pool, known[step])[0]:
                break
            if size < stream.learn_windows * stream.window:
                pool = pool + counts[0]
        results.append(windows)
    return np.array(results)


def _base(reference: Reference) -> np.ndarray:
    return np.array([feature.counts for feature in reference.profile.features])


def _counts(stream: Stream, reference: Reference, windows: int, rng: np.random.Generator) -> np.ndarray:
    """Counts of simulated windows: (windows, features, bins)."""
    return _bin(stream, reference, leads(stream, windows * stream.window, rng), windows)


def _bin(stream: Stream, reference: Reference, matrix: np.ndarray, windows: int) -> np.ndarray:
    """Counts of leads that stand window by window: (windows, features, bins)."""
    bins = len(reference.profile.features[0].counts)
    result = np.empty((windows, stream.features, bins), np.int64)
    offset = np.repeat(np.arange(windows) * bins, stream.window)
    for i, feature in enumerate(reference.profile.features):
        column = np.ascontiguousarray(matrix[:, i])
        cell = np.zeros(len(column), np.uint8)
        for edge in feature.edges:
            cell += column >= np.float32(edge)
        result[:, i] = np.bincount(offset + cell, minlength=windows * bins).reshape(windows, bins)
    return result


def _breaches(counts: np.ndarray, pool: np.ndarray, cut: Cut) -> np.ndarray:
    """Which windows breach: (windows,)."""
    return _breaching(counts, pool, cut).any(axis=1)


def _breaching(counts: np.ndarray, pool: np.ndarray, cut: Cut) -> np.ndarray:
    """Which features of which windows breach: (windows, features)."""
    n, m = pool[0].sum(), counts[0, 0].sum()
    both = counts + pool
    cells = xlogy(counts, counts) + xlogy(pool, pool) - xlogy(both, both)
    g = 2.0 * (cells.sum(axis=2) - xlogy(n, n) - xlogy(m, m) + xlogy(n + m, n + m))
    # Midranks of the pooled counts, standardised, as `rank_scores` has them, for all windows at once.
    ranks = np.cumsum(both, axis=2) - both / 2
    centred = ranks - (n + m) / 2
    spread = np.sqrt((centred**2 * both).sum(axis=2) / (n + m))
    z = np.abs((counts * centred).sum(axis=2) / spread) / math.sqrt(m * n / (n + m - 1))
    return (g >= cut.g) | (z >= cut.z)


def _window(reference: Reference, counts: np.ndarray) -> LeadWindow:
    from leadscore.drift.windows.counts import FeatureCounts, WindowCounts  # noqa: PLC0415

    del reference
    features = tuple(FeatureCounts(counts=tuple(row.tolist()), missing=0) for row in counts)
    return LeadWindow(START, START + HOUR, WindowCounts(rows=int(counts[0].sum()), features=features))


def _with_pool(reference: Reference, learned: np.ndarray) -> History:
    if not learned.any():
        return History(model=reference.model)
    counts = _window(reference, learned.astype(np.int64)).counts
    return History(model=reference.model, pools={ALL: counts})
