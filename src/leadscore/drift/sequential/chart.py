"""The QT-EWMA chart as a detector: a window's counts go in, a step with alarm and state comes out."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from leadscore.drift.sequential.boundary import MOST_WINDOWS, Boundary, Floats, simulate_boundary
from leadscore.drift.sequential.histograms import (
    MEMORIES,
    Histogram,
    HistogramLayout,
    HistogramPaths,
    HistogramTestKind,
    faded,
)
from leadscore.drift.sequential.sample import Codes, SamplePaths
from leadscore.errors import BadInputError

_STREAMS = 2_000
_SEED = 20_260_101


class HistogramChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is watched: serialisable, so that levels are simulated once per model and kept.

    Attributes:
        histograms: The reference.
        window_rows: Rows per window that the levels were simulated for; other sizes are allowed for.
        memories: Weights of the newest window.
        boundary: Alarm levels on the scale of -log p.
    """

    histograms: tuple[Histogram, ...]
    window_rows: int
    memories: tuple[float, ...]
    boundary: Boundary


class HistogramState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the chart stands between windows.

    Attributes:
        window: Windows seen since the start or the last alarm.
        means: Faded bin shares per memory, flat over histograms.
        spread: Sum of squared weights over rows, per memory.
    """

    window: int
    means: tuple[tuple[float, ...], ...]
    spread: tuple[float, ...]


class HistogramStep(msgspec.Struct, frozen=True):
    """The chart's answer to a window.

    Attributes:
        state: To go on with; after an alarm the chart starts afresh.
        statistic: Largest surprise, -log p.
        level: An alarm is above it.
        alarm: Whether it is.
        surprises: Largest surprise of each histogram over its tests and the memories, in their order.
        kinds: Kind of the test that gave it.
        distances: Chi-square distance of each histogram's faded shares from the reference's, sum (z - p)^2 /
            p, in the memory that is most surprised.
        memory: Weight of the newest window in that memory.
    """

    state: HistogramState
    statistic: float
    level: float
    alarm: bool
    surprises: tuple[float, ...]
    kinds: tuple[HistogramTestKind, ...]
    distances: tuple[float, ...]
    memory: float


def design_chart(
    histograms: Sequence[Histogram],
    *,
    window_rows: int,
    run_length: float,
    sample: Codes | None = None,
    memories: Sequence[float] = MEMORIES,
    streams: int = _STREAMS,
    seed: int = _SEED,
    most_windows: int = MOST_WINDOWS,
) -> HistogramChart:
    """Simulate the levels for a reference: same arguments, same chart.

    Args:
        histograms: From `histograms_of`.
        window_rows: Rows per window.
        run_length: Expected windows to a false alarm.
        sample: Cells of leads of the reference, (rows, histograms) as `cell_codes` gives them: simulated
            leads are drawn from it, so that features hang together as they do there. Without it features are
            taken as independent, and the run length of correlated ones is longer than asked for.
        memories: Weights of the newest window.
        streams: Simulated; more make the levels steadier.
        seed: Of the simulation.
        most_windows: Simulated at most, see `simulate_boundary`.

    Raises:
        BadInputError: An argument is out of its range, or the sample does not fit the histograms.
    """
    if window_rows < 1:
        raise BadInputError(f"A window of {window_rows} rows.", hint="At least one row is needed.")
    layout = HistogramLayout(histograms, memories)
    rng = np.random.default_rng(seed)
    if sample is None:
        paths = HistogramPaths(layout, window_rows, streams, rng)
    else:
        paths = SamplePaths(layout, sample, window_rows, streams, rng)
    boundary = simulate_boundary(paths, run_length, rng, most_windows=most_windows)
    return HistogramChart(tuple(histograms), window_rows, tuple(memories), boundary)


class HistogramDetector:
    """A chart at work; `state` goes in and out, so that a job can pick up where the last one stopped."""

    def __init__(self, chart: HistogramChart) -> None:
        self.chart = chart
        self.layout = HistogramLayout(chart.histograms, chart.memories)

    def start(self) -> HistogramState:
        """The state before any window: as if the past had been like the reference."""
        means = tuple(self.layout.shares.tolist())
        return HistogramState(0, (means,) * len(self.chart.memories), (0.0,) * len(self.chart.memories))

    def watch(self, state: HistogramState, counts: Sequence[Sequence[int]]) -> HistogramStep:
        """Take in a window.

        Args:
            state: From `start` or the last step.
            counts: For each histogram the window's rows per cell (bins or categories, then
                missing), as `cell_codes` orders them.

        Raises:
            BadInputError: No rows, or counts that do not fit the histograms.
        """
        shares, rows = self._shares(counts)
        memories = self.layout.memories
        means, spread = faded(np.array(state.means), np.array(state.spread), shares, rows, memories)
        surprise = self.layout.surprise(means, spread)
        window = state.window + 1
        statistic, level = float(surprise.max()), self.chart.boundary.at(window)
        alarm = statistic > level
        after = HistogramState(window, tuple(tuple(m.tolist()) for m in means), tuple(spread.tolist()))
        loudest = int(surprise.max(axis=1).argmax())
        best = [self._best(surprise.max(axis=0), index) for index in range(len(self.chart.histograms))]
        return HistogramStep(
            state=self.start() if alarm else after,
            statistic=statistic,
            level=level,
            alarm=alarm,
            surprises=tuple(value for value, _ in best),
            kinds=tuple(kind for _, kind in best),
            distances=tuple(self.layout.distances(means[loudest]).tolist()),
            memory=float(memories[loudest]),
        )

    def _best(self, surprise: Floats, histogram: int) -> tuple[float, HistogramTestKind]:
        own: list[tuple[float, HistogramTestKind]] = [
            (float(surprise[i]), test.kind)
            for i, (owner, test) in enumerate(self.layout.tests)
            if owner == histogram
        ]
        return max(own)

    def _shares(self, counts: Sequence[Sequence[int]]) -> tuple[Floats, int]:
        histograms = self.chart.histograms
        if len(counts) != len(histograms):
            raise BadInputError(f"Counts of {len(counts)} histograms, the chart has {len(histograms)}.")
        parts: list[Floats] = []
        for histogram, counted in zip(histograms, counts, strict=True):
            total, width = sum(counted), len(histogram.counts)
            if len(counted) != width or total < 1:
                raise BadInputError(
                    f"The window's counts of {histogram.name!r} have {len(counted)} cells and {total} rows;"
                    f" the chart has {width} cells and needs at least one row."
                )
            parts.append(np.array(counted, dtype=np.float64) / total)
        return np.concatenate(parts), sum(counts[0])
