"""What a watch found, as a document."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leadscore.drift.watch.plan import WatchPlan
from leadscore.drift.watch.track import Alarms, ChartEvaluation, OutcomesSaid


class ChartReport(msgspec.Struct, frozen=True, kw_only=True):
    """One chart.

    Attributes:
        followed: Leads that it has taken in since the stream's beginning.
        waiting: Those that have come and fill no evaluation yet.
        now: What it showed last; None before the first evaluation.
        alarms: Number, first and last.
    """

    followed: int
    waiting: int
    now: ChartEvaluation | None
    alarms: Alarms


class OutcomeReport(msgspec.Struct, frozen=True, kw_only=True):
    """The chart of outcomes.

    Attributes:
        share: Of the leads that are charted.
        every: Charted leads from one evaluation to the next.
        wait: Days that an outcome is waited for.
        timed: An outcome counts when it becomes known. Otherwise all are asked at the age of `wait`, since
            the artefact does not tell when those of its reference became known.
        said: What it says, and of which leads.
    """

    share: float
    every: int
    wait: float
    timed: bool
    said: OutcomesSaid


class WatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """All charts of a model's stream.

    Attributes:
        model: `NAME/VERSION`.
        since: Beginning of the stream: the first lead's time.
        until: Leads from then on were not read.
        newest: When the last lead was scored.
        plan: What was asked.
        leads_per_day: By which a budget in time was turned into leads, and the time of
            outcomes; None if neither was needed.
        alarmed: Whether any chart has signalled.
        leads: Features and score.
        outcomes: Outcomes against probabilities; None if they are not charted.
    """

    model: str
    since: datetime
    until: datetime
    newest: datetime
    plan: WatchPlan
    leads_per_day: float | None
    alarmed: bool
    leads: ChartReport
    outcomes: OutcomeReport | None = None
