"""What alerts come to in one sentence, for the Overview and for the page of alerts alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from leadscore.alerts.episodes import read_open, read_rule_statuses
from leadscore.alerts.evaluate import Episode, RuleStatus
from leadscore.alerts.rules import AlertSeverity
from leadscore.console.numbers import age_text, as_sentence
from leadscore.console.page import PageVerdict, VerdictLevel
from leadscore.drift.verdict import as_utc
from leadscore.monitoring.queries.freshness import STALE

ALERT_LEVELS: Final[dict[AlertSeverity, VerdictLevel]] = {
    "critical": "critical", "warning": "warning", "info": "info",
}  # fmt: skip
_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsNow:
    """What the store says about alerts.

    Attributes:
        open: Episodes that are not over.
        statuses: When each rule was evaluated last (microseconds since the epoch), and what it said.
    """

    open: tuple[Episode, ...] = ()
    statuses: tuple[tuple[int, RuleStatus], ...] = ()

    @property
    def evaluated_at(self) -> datetime | None:
        """When the rules were evaluated last; None: never."""
        return as_utc(max(at for at, _ in self.statuses)) if self.statuses else None

    @property
    def told(self) -> tuple[Episode, ...]:
        """Episodes that people are told of, the worst first, of equals the one that has lasted longest."""
        ranks = list(ALERT_LEVELS)
        known = [episode for episode in self.open if episode.state != "pending"]
        known.sort(key=lambda e: (e.state != "firing", ranks.index(e.severity), e.fired_at or e.started_at))
        return tuple(known)

    @property
    def firing(self) -> tuple[Episode, ...]:
        """Those of them that fire now."""
        return tuple(episode for episode in self.told if episode.state == "firing")

    @property
    def unattended(self) -> tuple[Episode, ...]:
        """Alerts that fire and that nobody has said to look after."""
        return tuple(episode for episode in self.firing if episode.acknowledged is None)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Rules that are evaluated here and have no number now."""
        return tuple(status.rule for _, status in self.statuses if status.state == "unknown")

    def is_stale(self, now: datetime) -> bool:
        """Whether nobody has evaluated the rules lately: what they said then says nothing about now."""
        at = self.evaluated_at
        return at is None or now - at > STALE


def read_alerts_now(connection: sa.Connection) -> AlertsNow:
    """Read episodes that are open, and what each rule said last."""
    return AlertsNow(open=read_open(connection), statuses=read_rule_statuses(connection))


def alerts_verdict(alerts: AlertsNow, now: datetime) -> PageVerdict:
    """Say how alerts stand: what fires before what is unknown, and nothing good of what nobody looks at."""
    at = alerts.evaluated_at
    if alerts.firing:
        worst = alerts.firing[0]
        more = _more(len(alerts.told) - 1)
        old = (
            ""
            if at is None or not alerts.is_stale(now)
            else f" Rules were evaluated last {age_text(at, now)}."
        )
        says = as_sentence(f"{worst.rule}: {worst.summary or 'fires'}")
        return PageVerdict(level=ALERT_LEVELS[worst.severity], sentence=f"{says}{more}{old}")
    if at is None or alerts.is_stale(now):
        when = "never evaluated" if at is None else f"evaluated {age_text(at, now)}"
        return PageVerdict(
            level="unknown",
            sentence=f"Whether an alert fires is not known: rules were {when}. "
            "Check that `leadscore monitor` runs.",
        )
    if alerts.told:
        gone = alerts.told[0]
        says = as_sentence(f"{gone.rule} was firing, and its number is gone: {gone.unknown}")
        return PageVerdict(level="unknown", sentence=f"{says}{_more(len(alerts.told) - 1)}")
    return _nothing_fires(alerts)


def _nothing_fires(alerts: AlertsNow) -> PageVerdict:
    here = [status for _, status in alerts.statuses if status.state != "elsewhere"]
    without = alerts.unmeasured
    if not without:
        return PageVerdict(level="good", sentence="No alert fires, and every rule has its number.")
    # A rule that needs two thousand leads, or outcomes of a month, has no number in a quiet week; that a
    # source cannot be read is an alert of its own.
    level: VerdictLevel = "unknown" if len(without) == len(here) else "info"
    return PageVerdict(
        level=level,
        sentence=f"No alert fires; {len(without)} of {len(here)} rules {_have(without)} no number: "
        f"{_listed(without)}.",
    )


def _have(rules: Sequence[str]) -> str:
    return "has" if len(rules) == 1 else "have"


def _listed(rules: Sequence[str]) -> str:
    more = len(rules) - _NAMED
    return ", ".join(rules[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _more(count: int) -> str:
    return "" if count <= 0 else f" {count} more {'is' if count == 1 else 'are'} open."
