"""Follow the leads of a stream through their chart, resumable at any lead."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from leadscore.arrays import Codes, Moments
from leadscore.drift.sequential import HistogramDetector, HistogramState, HistogramStep
from leadscore.drift.verdict import as_utc
from leadscore.drift.watch.design import WatchDesign
from leadscore.drift.watch.track import Alarms, ChartEvaluation, Sign

_WORST = 5


class Track(msgspec.Struct, frozen=True, kw_only=True):
    """How far the leads of a stream were followed; enough to go on with.

    Attributes:
        seen: Leads followed.
        start: When the first of them was scored, microseconds since the epoch; None before any.
        at: When the last of them was.
        at_rows: How many of them were scored in that very microsecond: bulk requests have one time.
        state: The chart's; None where it begins afresh.
        evaluation: What it showed last.
        alarms: What it said.
    """

    seen: int = 0
    start: int | None = None
    at: int = 0
    at_rows: int = 0
    state: HistogramState | None = None
    evaluation: ChartEvaluation | None = msgspec.field(default=None, name="look")
    alarms: Alarms = Alarms()


def follow_leads(
    design: WatchDesign,
    track: Track,
    codes: Codes,
    at: Moments,
    *,
    on_evaluation: Callable[[int], object] = lambda _: None,
) -> Track:
    """Go on with the leads that come next; those that fill no evaluation are left for the next time.

    Args:
        design: The charts.
        track: Where it stands.
        codes: Cells of the leads that follow, in order of time, (leads, histograms); from `cell_codes`.
        at: When they were scored, microseconds since the epoch, (leads,).
        on_evaluation: Told the number of leads of each evaluation.
    """
    every = design.plan.every
    detector = HistogramDetector(design.leads)
    widths = [len(histogram.counts) for histogram in design.leads.histograms]
    state, evaluation, alarms = track.state, track.evaluation, track.alarms
    followed = len(codes) // every * every
    for end in range(every, followed + 1, every):
        group = codes[end - every : end]
        counts = [np.bincount(group[:, i], minlength=width).tolist() for i, width in enumerate(widths)]
        step = detector.watch(state or detector.start(), counts)
        followed_since = (state.window if state else 0) + 1
        known = min(followed_since, round(2 / step.memory - 1)) * every
        evaluation = _evaluation_of(detector, step, int(at[end - 1]), track.seen + end, known)
        alarms = alarms.and_one(evaluation) if step.alarm else alarms
        # After an alarm the chart's state is that of its beginning, which None stands for.
        state = None if step.alarm else step.state
        on_evaluation(every)
    if not followed:
        return track
    last = int(at[followed - 1])
    held = int((at[:followed] == last).sum())
    return Track(
        seen=track.seen + followed,
        start=int(at[0]) if track.start is None else track.start,
        at=last,
        at_rows=held + (track.at_rows if track.seen and track.at == last else 0),
        state=state,
        evaluation=evaluation,
        alarms=alarms,
    )


def _evaluation_of(
    detector: HistogramDetector, step: HistogramStep, at: int, lead: int, newest: int
) -> ChartEvaluation:
    names = [histogram.name for histogram in detector.chart.histograms]
    signs = [Sign(*found) for found in zip(names, step.kinds, step.surprises, step.distances, strict=True)]
    worst = sorted(signs, key=lambda sign: -sign.surprise)[:_WORST]
    return ChartEvaluation(as_utc(at), lead, step.statistic, step.level, tuple(worst), newest=newest)
