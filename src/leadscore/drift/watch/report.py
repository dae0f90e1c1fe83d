"""What a watch found, as a document."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leadscore.drift.watch.plan import WatchPlan
from leadscore.drift.watch.track import Alarms, Look


class ChartReport(msgspec.Struct, frozen=True, kw_only=True):
    """One chart.

    Attributes:
        followed: Leads (or outcomes) that it has taken in since the stream's beginning.
        waiting: Those that have come and fill no look yet.
        unknown: Leads that are old enough and have no outcome; they are left out.
        now: What it showed last; None before the first look.
        alarms: How often it spoke, first and last.
    """

    followed: int
    waiting: int
    unknown: int = 0
    now: Look | None
    alarms: Alarms


class WatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """All charts of a model's stream.

    Attributes:
        model: `NAME/VERSION`.
        since: Beginning of the stream: the first lead's time.
        until: Leads from then on were not read.
        plan: What was asked.
        leads_per_day: By which a budget in time was turned into leads; None if it was given in leads.
        alarmed: Whether any chart has spoken.
        leads: Features and score.
        outcomes: Outcomes against probabilities; None if they are not charted.
    """

    model: str
    since: datetime
    until: datetime
    plan: WatchPlan
    leads_per_day: float | None
    alarmed: bool
    leads: ChartReport
    outcomes: ChartReport | None = None
