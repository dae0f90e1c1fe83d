"""What people are told: an alert's message in plain words, the same for every channel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import msgspec

from leadscore.alerts.evaluate import AlertMember, Episode
from leadscore.alerts.rules import AlertRule, AlertUnit, written

MessageKind: TypeAlias = Literal["firing", "update", "unknown", "resolved", "closed", "acknowledged", "test"]
# As many as a person reads; the page has all of them.
_LISTED: Final = 10
_LINE: Final = 1_000
_WORDS: Final[dict[MessageKind, str]] = {
    "firing": "",
    "update": "More of the same: ",
    "unknown": "Not known any more: ",
    "resolved": "Over: ",
    "closed": "Closed without knowing: ",
    "acknowledged": "Looked after: ",
    "test": "Test, nothing is wrong: ",
}


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message's content, before a channel gives it its form.

    Attributes:
        kind: What has happened.
        episode_id: Of the alert: PagerDuty's `dedup_key`.
        rule: Its name.
        severity: Its level.
        title: One line.
        lines: What, since when, the number, what it means for people.
        links: Words and addresses: runbook, page.
        source: Which installation.
    """

    kind: MessageKind
    episode_id: str
    rule: str
    severity: str
    title: str
    lines: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()
    source: str = "leadscore"

    @property
    def text(self) -> str:
        """Title, lines and links as plain text."""
        return "\n".join([self.title, "", *self.lines, *(f"{name}: {url}" for name, url in self.links)])


@dataclass(frozen=True, slots=True)
class AlertLinks:
    """Where people read on; empty addresses leave links out.

    Attributes:
        console: Address of the console.
        runbooks: Address of the folder of runbooks.
        source: What this installation is called.
    """

    console: str = ""
    runbooks: str = ""
    source: str = "leadscore"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> AlertLinks:
        """As `LEADSCORE_CONSOLE_URL`, `LEADSCORE_RUNBOOK_URL` and `LEADSCORE_SOURCE` say."""
        return cls(
            environ.get("LEADSCORE_CONSOLE_URL", "").rstrip("/"),
            environ.get("LEADSCORE_RUNBOOK_URL", "").rstrip("/"),
            environ.get("LEADSCORE_SOURCE", "") or "leadscore",
        )

    def of(self, rule: AlertRule | None, alert: str) -> tuple[tuple[str, str], ...]:
        """The links of an alert. A runbook's name is always said, so that it is found without an address."""
        # An alert of Alertmanager's may be called anything.
        name = quote(alert, safe="")
        runbook = f"{self.runbooks}/{name}.md" if self.runbooks else f"docs/runbooks/{name}.md"
        page = f"{self.console}/{rule.page}" if rule is not None and rule.page and self.console else ""
        return (("Runbook", runbook), *((("Page", page),) if page else ()))


def alert_message(
    kind: MessageKind, episode: Episode, rule: AlertRule | None, links: AlertLinks, now: int
) -> AlertMessage:
    """Say what has happened to an episode.

    Args:
        kind: What.
        episode: As it is now.
        rule: Its rule; None for an alert of Alertmanager's that no rule here is called.
        links: Where to read on.
        now: Microseconds since the epoch.
    """
    said = episode.summary or episode.rule
    lines = [f"Since {_moment(episode.started_at)}{_until(episode, now)}."]
    if kind == "unknown":
        lines.append(f"It was firing, and cannot be measured now: {episode.unknown.rstrip('.')}.")
    elif kind == "closed":
        since = f" since {_moment(episode.unknown_since)}" if episode.unknown_since else ""
        lines.append(
            f"It was firing, and nothing is known of it{since}: {episode.unknown.rstrip('.')}."
            " That is not the same as being over."
        )
    elif kind == "acknowledged" and episode.acknowledged is not None:
        lines.append(f"{episode.acknowledged.by.name} looks after it: {episode.acknowledged.reason}")
    elif kind in {"firing", "update"}:
        lines += number_lines(episode.members, rule)
        lines += _label_lines(episode)
        if rule is not None:
            lines += [f"For people: {rule.people}"] if rule.people else []
            lines += [f"First: {rule.action}"] if rule.action and "$" not in rule.action else []
    return AlertMessage(
        kind=kind,
        episode_id=episode.episode_id,
        rule=episode.rule,
        severity=episode.severity,
        title=f"[{episode.severity}] {_WORDS[kind]}{said}",
        lines=tuple(lines),
        links=links.of(rule, episode.rule),
        source=links.source,
    )


def number_lines(
    members: tuple[AlertMember, ...], rule: AlertRule | None, *, bound: bool = True
) -> list[str]:
    """Each number with its unit, how many it counts and, if asked for, its threshold; the worst first."""
    lines = [_number_line(member, rule, bound=bound) for member in members[:_LISTED]]
    more = len(members) - _LISTED
    return [*lines, *([f"and {more} more; the page has all of them."] if more > 0 else [])]


def summary_of(rule: AlertRule, group: Mapping[str, str], members: tuple[AlertMember, ...]) -> str:
    """The rule's sentence with labels filled in: the worst number's, and how many numbers there are."""
    labels = {**(members[0].labels if members else {}), **group}
    text = rule.sentence
    for name, value in labels.items():
        text = text.replace(f"{{{{ $labels.{name} }}}}", value)
    return text if len(members) < 2 else f"{text} ({len(members)} in all)"


def bound_text(rule: AlertRule) -> str:
    """What a rule's number should be, with its unit; a dash where only Prometheus knows."""
    if rule.threshold is None:
        return "–"
    return f"at {'most' if rule.above is not None else 'least'} {written(rule.threshold, rule.unit)}"


def _number_line(member: AlertMember, rule: AlertRule | None, *, bound: bool) -> str:
    unit = "number" if rule is None else rule.unit
    whose = ", ".join(f"{name} {text}" for name, text in sorted(member.labels.items()))
    parts = [written(member.value, unit)]
    if member.low is not None or member.high is not None:
        parts.append(f"between {_end(member.low, unit)} and {_end(member.high, unit)}")
    if bound and rule is not None and rule.threshold is not None:
        parts.append(f"should be {bound_text(rule)}")
    if member.n:
        parts.append(f"n = {member.n:,}")
    return f"{whose + ': ' if whose else ''}{'; '.join(parts)}"


def _end(value: float | None, unit: AlertUnit) -> str:
    return "…" if value is None else written(value, unit)


def _label_lines(episode: Episode) -> list[str]:
    """What Alertmanager says of each alert, as long as channels take: PagerDuty refuses more than 512 kB."""
    found = [text for labels in episode.external.values() if (text := _label_words(labels, episode))]
    lines = [text if len(text) <= _LINE else f"{text[:_LINE]}…" for text in found[:_LISTED]]
    return [*lines, *([f"and {len(found) - _LISTED} more."] if len(found) > _LISTED else [])]


def _label_words(labels: Mapping[str, str], episode: Episode) -> str:
    left = {
        n: t for n, t in labels.items() if n not in {"alertname", "severity"} and episode.labels.get(n) != t
    }
    return ", ".join(f"{name} {text}" for name, text in sorted(left.items()))


def _until(episode: Episode, now: int) -> str:
    end = episode.ended_at or now
    minutes = (end - episode.started_at) // 60_000_000
    spent = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    return f", {spent}" + ("" if episode.ended_at is None else f", until {_moment(episode.ended_at)}")


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
