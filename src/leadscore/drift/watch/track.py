"""What charts have shown of a stream, as documents."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Sign(msgspec.Struct, frozen=True):
    """What one feature (or `score`, or `outcomes`) shows.

    Attributes:
        feature: Its name.
        how: The test of it that is most surprising (`shape`, `shift`, `missing`, `rare`, `unseen`), or how
            outcomes differ from what was predicted.
        surprise: -log p of that test, or the log of the e-detector.
        distance: Chi-square distance of its shares from the reference's, on PSI's scale; None for outcomes.
    """

    feature: str
    how: str
    surprise: float
    distance: float | None = None


class ChartEvaluation(msgspec.Struct, frozen=True):
    """What a chart showed after some leads.

    Attributes:
        at: When the last of them was scored.
        lead: How many leads that is from the stream's beginning.
        statistic: The chart's.
        level: An alarm is above it.
        signs: The most surprising features, first the one that decides.
        since: When the lead was scored with which the change most likely began; None where the chart cannot
            tell (that of features never can), or where it began before all that it has kept.
        since_lead: How many leads that is from the stream's beginning.
        newest: How many of the newest leads it is about, those that the chart's loudest
            memory still knows; None for outcomes.
    """

    at: datetime
    lead: int
    statistic: float
    level: float
    signs: tuple[Sign, ...]
    since: datetime | None = None
    since_lead: int | None = None
    newest: int | None = None


class Alarms(msgspec.Struct, frozen=True):
    """Alarms of a chart, which starts afresh after each.

    Attributes:
        count: How many.
        first: The first.
        last: The newest.
    """

    count: int = 0
    first: ChartEvaluation | None = None
    last: ChartEvaluation | None = None

    def and_one(self, evaluation: ChartEvaluation) -> Alarms:
        """With one more."""
        return Alarms(self.count + 1, self.first or evaluation, evaluation)


class OutcomesSaid(msgspec.Struct, frozen=True, kw_only=True):
    """What the chart of outcomes says, and of which leads.

    Attributes:
        followed: Charted leads in whole evaluations.
        pending: Charted leads that fill no evaluation yet.
        known: Outcomes taken in.
        waiting: Leads followed that have no outcome yet, and are young enough for one.
        unknown: Leads followed whose outcome did not come in time: left out.
        replaced: Leads followed that were scored again before any outcome: it goes to the newer score.
        evaluation: What it showed last; None before the first evaluation.
        alarms: What it said.
    """

    followed: int
    pending: int
    known: int
    waiting: int
    unknown: int
    replaced: int
    evaluation: ChartEvaluation | None = msgspec.field(name="look")
    alarms: Alarms
