"""What a window is compared with, and the calibrated tests of that comparison."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from leadscore.drift.options import SCORE, DriftOptions
from leadscore.drift.runlength import breach_probability
from leadscore.drift.statistics.budget import CriticalValues, solve_level, window_p_value
from leadscore.drift.statistics.overlap import score_blocks
from leadscore.drift.univariate.compare import Test, feature_tests, score_tests
from leadscore.drift.univariate.seasonal import window_season
from leadscore.drift.windows.counts import FeatureCounts, WindowCounts
from leadscore.drift.windows.history import ALL, History
from leadscore.drift.windows.inputs import LeadWindow, Reference

# Draws are shared out so that few features get more: their errors do not average.
_EFFORT_TESTS = 80
_MOST_EFFORT = 6


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonBaseline:
    """What a window is compared with, feature by feature.

    Attributes:
        stratum: Part of the week, or `all`.
        follows: Features that follow the week: compared with that part if windows of it are known.
        untested: Features whose change is measured and not judged.
        general: Training reference and windows without drift.
        seasonal: Windows without drift of that part.
        base: What the size of a change is measured against: the training reference, or the part of the week.
        pool: What its significance is measured against.
        base_scores: The same for the score.
        pool_scores: The same for the score.
    """

    stratum: str
    follows: frozenset[str]
    untested: frozenset[str]
    general: WindowCounts
    seasonal: WindowCounts
    base: tuple[FeatureCounts, ...]
    pool: tuple[FeatureCounts, ...]
    base_scores: tuple[int, ...]
    pool_scores: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The tests of a window and their critical values."""

    tests: tuple[Test, ...]
    critical_values: CriticalValues
    p_value: float
    run_length: float


def comparison_baseline(
    reference: Reference,
    options: DriftOptions,
    history: History,
    window: LeadWindow,
    *,
    ignored: Collection[str] = (),
) -> ComparisonBaseline:
    """What a window is compared with; nothing is judged by `ignored` features."""
    profile = reference.profile
    season = window_season(profile, history, options, window.start, window.end)
    general = reference.base + history.pool(profile, ALL)
    seasonal = history.pool(profile, season.stratum)
    untested = season.incomparable
    if seasonal.rows == 0:
        untested |= season.follows
    compared = season.follows - untested
    return ComparisonBaseline(
        stratum=season.stratum,
        follows=season.follows,
        untested=untested | frozenset(ignored),
        general=general,
        seasonal=seasonal,
        base=tuple(
            seasonal.features[i] if feature.name in compared else reference.base.features[i]
            for i, feature in enumerate(profile.features)
        ),
        pool=tuple(
            (seasonal if feature.name in compared else general).features[i]
            for i, feature in enumerate(profile.features)
        ),
        base_scores=seasonal.scores if SCORE in compared else profile.score_counts,
        pool_scores=(seasonal if SCORE in compared else general).scores,
    )


def calibrate(
    reference: Reference,
    window: LeadWindow,
    options: DriftOptions,
    baseline: ComparisonBaseline,
    *,
    every: timedelta | None,
) -> Calibrated:
    """The tests of a window and the critical values that keep the budget; `every` as in `check`."""
    tests = _tests(reference, window, options, baseline)
    # Methods share the budget: this one may raise every so-many-eth of the false alarms.
    run_length = (
        options.false_alarms.run_length(every or window.end - window.start) * options.alarming_methods
    )
    breach = breach_probability(run_length, options.hysteresis)
    if not tests:
        return Calibrated((), CriticalValues(0.0, breach, 0.0, 1.0), 1.0, run_length)
    tails = tuple(test.tail for test in tests)
    blocks = score_blocks(reference.cells, tuple((test.feature, test.name) for test in tests))
    values = solve_level(tails, blocks, breach, seed=options.seed)
    smallest = min((test.p_value for test in tests), default=1.0)
    return Calibrated(tests, values, window_p_value(tails, values.overlap, smallest), run_length)


def _tests(
    reference: Reference, window: LeadWindow, options: DriftOptions, baseline: ComparisonBaseline
) -> tuple[Test, ...]:
    profile = reference.profile
    effort = max(1, min(_MOST_EFFORT, _EFFORT_TESTS // (2 * len(profile.features) + 1)))
    tests: list[Test] = []
    for i, feature in enumerate(profile.features):
        if feature.name in baseline.untested:
            continue
        tests.extend(
            feature_tests(
                i, feature, baseline.base[i], baseline.pool[i], window.counts.features[i],
                _generator(options, feature.name), effort=effort, in_range=reference.in_range(i),
                seasonal=feature.name in baseline.follows,
            )
        )  # fmt: skip
    if SCORE not in baseline.untested:
        tests.extend(
            score_tests(
                len(profile.features), baseline.base_scores, baseline.pool_scores, window.counts.scores,
                _generator(options, SCORE), effort=effort, seasonal=SCORE in baseline.follows,
            )
        )  # fmt: skip
    return tuple(tests)


def _generator(options: DriftOptions, name: str) -> np.random.Generator:
    """Of one feature: a new feature must not move the critical values of the others."""
    return np.random.default_rng([options.seed, zlib.crc32(name.encode())])
