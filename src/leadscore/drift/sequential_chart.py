"""The QT-EWMA chart as a detector: a window's counts go in, a step with alarm and state comes out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from leadscore.drift.sequential import Boundary, Floats, simulate_boundary
from leadscore.drift.sequential_histograms import MEMORIES, Histogram, HistogramPaths, Layout, faded
from leadscore.drift.verdict import DriftVerdict, FeatureVerdict, Severity
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
        surprises: Largest surprise of each histogram over the memories, in their order.
        distances: Pearson's chi-square distance of each histogram's faded shares, sum (z - p)^2 / p, of the
            memory that is most surprised.
    """

    state: HistogramState
    statistic: float
    level: float
    alarm: bool
    surprises: tuple[float, ...]
    distances: tuple[float, ...]


def design_chart(
    histograms: Sequence[Histogram],
    *,
    window_rows: int,
    run_length: float,
    memories: Sequence[float] = MEMORIES,
    streams: int = _STREAMS,
    seed: int = _SEED,
) -> HistogramChart:
    """Simulate the levels for a reference: same arguments, same chart.

    Args:
        histograms: From `histograms_of`.
        window_rows: Rows per window.
        run_length: Expected windows to a false alarm.
        memories: Weights of the newest window.
        streams: Simulated; more make the levels steadier.
        seed: Of the simulation.
    """
    if window_rows < 1:
        raise BadInputError(f"A window of {window_rows} rows.", hint="At least one row is needed.")
    layout = Layout(histograms, memories)
    rng = np.random.default_rng(seed)
    boundary = simulate_boundary(HistogramPaths(layout, window_rows, streams, rng), run_length, rng)
    return HistogramChart(tuple(histograms), window_rows, tuple(memories), boundary)


class HistogramDetector:
    """A chart at work; `state` goes in and out, so that a job can pick up where the last one stopped."""

    def __init__(self, chart: HistogramChart) -> None:
        self.chart = chart
        self.layout = Layout(chart.histograms, chart.memories)
        self._cells = [np.array(h.cells, dtype=np.intp) for h in chart.histograms]

    def start(self) -> HistogramState:
        """The state before any window: as if the past had been like the reference."""
        means = tuple(self.layout.shares.tolist())
        return HistogramState(0, (means,) * len(self.chart.memories), (0.0,) * len(self.chart.memories))

    def watch(self, state: HistogramState, counts: Sequence[Sequence[int]]) -> HistogramStep:
        """Take in a window.

        Args:
            state: From `start` or the last step.
            counts: For each histogram the window's rows per cell (bins or categories, then missing).

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
        loudest = means[np.unravel_index(int(surprise.argmax()), surprise.shape)[0]]
        distances = np.add.reduceat(
            (loudest - self.layout.shares) ** 2 / self.layout.shares, self.layout.offsets[:-1]
        )
        return HistogramStep(
            state=self.start() if alarm else after,
            statistic=statistic,
            level=level,
            alarm=alarm,
            surprises=tuple(surprise.max(axis=0).tolist()),
            distances=tuple(distances.tolist()),
        )

    def _shares(self, counts: Sequence[Sequence[int]]) -> tuple[Floats, int]:
        if len(counts) != len(self._cells):
            raise BadInputError(f"Counts of {len(counts)} histograms, the chart has {len(self._cells)}.")
        parts: list[Floats] = []
        for name, cells, piece, counted in zip(
            self.layout.names, self._cells, self.layout.slices, counts, strict=True
        ):
            total = sum(counted)
            if len(counted) != len(cells) or total < 1:
                raise BadInputError(
                    f"The window's counts of {name!r} have {len(counted)} cells and {total} rows;"
                    f" the chart has {len(cells)} cells and needs at least one row."
                )
            parts.append(np.bincount(cells, weights=counted, minlength=piece.stop - piece.start) / total)
        return np.concatenate(parts), sum(counts[0])


def chart_verdict(
    chart: HistogramChart,
    step: HistogramStep,
    *,
    model: tuple[str, str],
    start: datetime,
    end: datetime,
    rows: int,
) -> DriftVerdict:
    """The step in the words that every detector uses; `model` is name and version.

    The chart says that something has changed, with the run length that was asked for; how much is said by the
    chi-square distance, which for small changes is PSI's scale, so PSI's familiar cuts name the severity. An alarm
    is at least moderate.
    """
    ranked = sorted(zip(chart.histograms, step.surprises, step.distances, strict=True), key=lambda r: -r[1])
    worst = tuple(
        FeatureVerdict(
            feature=histogram.name,
            statistic="qt_ewma",
            value=surprise,
            cut=step.level,
            effect=distance,
            p_value=float(np.exp(-surprise)),
            severity=_severity(distance) if surprise > step.level else "none",
        )
        for histogram, surprise, distance in ranked[:5]
    )
    only_score = step.alarm and ranked[0][0].name == "score"
    return DriftVerdict(
        detector="qt-ewma",
        model_name=model[0],
        model_version=model[1],
        window_start=start,
        window_end=end,
        rows=rows,
        severity=worst[0].severity,
        drifted=step.alarm,
        worst=worst,
        since=start if step.alarm else None,
        confidence=_confidence(step),
        triage="unclear" if step.alarm else "none",
        reasons=(_reason(chart, step, ranked[0][0].name),),
        kind="prediction" if only_score else "data",
    )


def _confidence(step: HistogramStep) -> float:
    """Of an alarm one minus its point-wise p-value; of calm the share of the way to the level that is left."""
    sure = 1.0 - np.exp(-step.statistic) if step.alarm else 1.0 - step.statistic / step.level
    return float(np.clip(sure, 0.0, 1.0))


def _severity(distance: float) -> Severity:
    return "critical" if distance >= 0.5 else "significant" if distance >= 0.25 else "moderate"


def _reason(chart: HistogramChart, step: HistogramStep, name: str) -> str:
    asked = f"one false alarm in {chart.boundary.run_length:,.0f} windows"
    if step.alarm:
        return (
            f"{name} has left its reference: surprise {step.statistic:.1f} over {step.level:.1f} ({asked})."
        )
    return f"Nothing beyond chance: largest surprise {step.statistic:.1f} of {step.level:.1f} ({asked})."
