"""From numbers to episodes. Pure: a rule, what was measured, what was known before, and the time.

Unknown is a state: an alert whose number is gone stays open as unknown, and is never called over because
nothing was measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from leadscore.alerts.rules import AlertRule, AlertSeverity
from leadscore.identity.caller import Caller
from leadscore.monitoring.measures import Measure

EpisodeState: TypeAlias = Literal["pending", "firing", "unknown", "resolved"]
RuleState: TypeAlias = Literal["ok", "pending", "firing", "unknown", "elsewhere"]
_WORSE: Final[tuple[RuleState, ...]] = ("pending", "unknown", "firing")
SeriesLabels: TypeAlias = tuple[tuple[str, str], ...]
# An alert whose number has been gone for so long is closed, as unknown: nobody will measure it any more.
GONE_US: Final = 24 * 3_600_000_000


class AlertMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number that is beyond its threshold.

    Attributes:
        labels: Whose number.
        value: It; None where only Alertmanager knows.
        n: How many it counts; 0 where nobody says.
        low: Lower end of its interval.
        high: Upper end.
    """

    labels: dict[str, str]
    value: float | None = None
    n: int = 0
    low: float | None = None
    high: float | None = None


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    """Who has said that they look after it, when (microseconds since the epoch), and why."""

    by: Caller
    at: int
    reason: str


class Episode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A time during which a rule's condition held for one group.

    Times are microseconds since the epoch.

    Attributes:
        episode_id: Fingerprint and start: the same from the rule to the receipt.
        fingerprint: Of rule and group.
        rule: Name of the alert.
        severity: As the rule says.
        labels: Of the group.
        state: `pending` until the condition has held for the rule's `for`; `unknown`: it was firing, and its
            number is gone.
        started_at: When the condition began to hold.
        seen_at: When it was looked at last.
        summary: What is wrong.
        fired_at: When it began to fire.
        ended_at: When it was over, or given up as unknown.
        clear_since: Since when the condition does not hold, while the alert is kept.
        unknown: Why its number is not known.
        unknown_since: Since when.
        members: Numbers beyond the threshold, as the monitor measured them.
        external: Alerts of Alertmanager that fire for it: labels by Alertmanager's fingerprint.
        own: Whether the monitor itself finds the condition true.
        announced_at: When people were told; None: they were not (silenced, or not yet).
        told_members: Of how many members they were told.
        told_at: When they were told something last.
        told_unknown: Whether they were told that it is unknown.
        told_channels: Which channels were told that it fires; empty, too, if an older release told them.
        heard_at: When Alertmanager said last that it fires.
        acknowledged: Who looks after it.
    """

    episode_id: str
    fingerprint: str
    rule: str
    severity: AlertSeverity
    labels: dict[str, str]
    state: EpisodeState
    started_at: int
    seen_at: int
    summary: str = ""
    fired_at: int | None = None
    ended_at: int | None = None
    clear_since: int | None = None
    unknown: str = ""
    unknown_since: int | None = None
    members: tuple[AlertMember, ...] = ()
    external: dict[str, dict[str, str]] = {}
    own: bool = False
    announced_at: int | None = None
    told_members: int = 0
    told_at: int | None = None
    told_unknown: bool = False
    told_channels: tuple[str, ...] = ()
    heard_at: int | None = None
    acknowledged: Acknowledgement | None = None


class RuleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says now, for people.

    Attributes:
        rule: Name of the alert.
        state: `ok`: measured and within bounds. `unknown`: not measured. `elsewhere`: only Prometheus
            evaluates it. Else as the worst of its episodes.
        members: What was measured, the worst first.
        unknown: Why not everything could be.
    """

    rule: str
    state: RuleState
    members: tuple[AlertMember, ...] = ()
    unknown: str = ""


def alert_fingerprint(rule: str, group: Mapping[str, str]) -> str:
    """What makes two observations the same alert: the rule, and the labels of its group."""
    document = msgspec.json.encode((rule, sorted(group.items())))
    return hashlib.sha256(document).hexdigest()[:16]


def group_of(rule: AlertRule | None, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that make an alert of its own; all of them where no rule says which."""
    if rule is None:
        return {name: text for name, text in labels.items() if name not in {"alertname", "severity"}}
    return {name: labels[name] for name in rule.group_by if name in labels}


def exceeds(rule: AlertRule, measure: Measure) -> bool:
    """Whether a number is beyond the rule's threshold, and surely so where the rule asks for that."""
    value = measure.value
    if value is None:
        return False
    if rule.above is not None:
        certain = measure.low is not None and measure.low > rule.neutral
        return value > rule.above and (certain or not rule.certain)
    certain = measure.high is not None and measure.high < rule.neutral
    return rule.below is not None and value < rule.below and (certain or not rule.certain)


def new_episode(rule: str, severity: AlertSeverity, group: Mapping[str, str], now: int) -> Episode:
    """An episode that begins now."""
    mark = alert_fingerprint(rule, group)
    return Episode(
        episode_id=f"{mark}-{now}",
        fingerprint=mark,
        rule=rule,
        severity=severity,
        labels=dict(group),
        state="pending",
        started_at=now,
        seen_at=now,
    )


def evaluate_rule(
    rule: AlertRule,
    group: Mapping[str, str],
    measures: Mapping[SeriesLabels, Measure],
    previous: Episode | None,
    now: int,
) -> Episode | None:
    """Return the group's episode as it is now; None if there is none (any more: a pending one was nothing).

    Args:
        rule: What is wrong.
        group: Labels of the group.
        measures: Its numbers, by their labels; nothing if none could be measured.
        previous: Its open episode.
        now: Microseconds since the epoch.
    """
    beyond = {labels: each for labels, each in measures.items() if exceeds(rule, each)}
    if beyond:
        episode = previous or new_episode(rule.alert, rule.severity, group, now)
        return settled(
            rule,
            msgspec.structs.replace(
                episode, members=members_of(beyond, rule), own=True, severity=rule.severity,
                clear_since=None, unknown="", unknown_since=None,
            ),
            now,
        )  # fmt: skip
    if previous is None:
        return None
    why = _unknown(previous, measures)
    if why and previous.state == "pending":
        # It neither holds nor does not: the time it has to hold goes on when it is measured again.
        return msgspec.structs.replace(previous, unknown=why, seen_at=now)
    if why and not previous.external:
        since = previous.unknown_since or now
        ended = now if now - since >= GONE_US else None
        return msgspec.structs.replace(
            previous, state="unknown", unknown=why, unknown_since=since, seen_at=now, ended_at=ended
        )
    return settled(rule, msgspec.structs.replace(previous, own=False, unknown="", unknown_since=None), now)


def settled(rule: AlertRule | None, episode: Episode, now: int) -> Episode | None:
    """Return an episode whose condition is known, in the state that follows; None: it was nothing.

    Args:
        rule: None for an alert of Alertmanager's that no rule here is called.
        episode: With `own` and `external` as they are now.
        now: Microseconds since the epoch.
    """
    episode = msgspec.structs.replace(episode, seen_at=now)
    wait, keep = (0, 0) if rule is None else (rule.for_us, rule.keep_us)
    if episode.own or episode.external:
        # Prometheus has waited for its own `for` already.
        fires = episode.state != "pending" or bool(episode.external) or now - episode.started_at >= wait
        return msgspec.structs.replace(
            episode, state="firing" if fires else "pending", clear_since=None,
            fired_at=(episode.fired_at or now) if fires else None,
        )  # fmt: skip
    if episode.state == "pending":
        return None
    since = episode.clear_since or now
    if now - since < keep:
        return msgspec.structs.replace(episode, state="firing", clear_since=since)
    return msgspec.structs.replace(episode, state="resolved", clear_since=since, ended_at=now)


def members_of(measures: Mapping[SeriesLabels, Measure], rule: AlertRule) -> tuple[AlertMember, ...]:
    """Numbers that are known, the worst first."""
    known = [
        AlertMember(labels=dict(labels), value=each.value, n=each.n, low=each.low, high=each.high)
        for labels, each in measures.items()
        if each.value is not None
    ]
    sign = 1 if rule.above is None else -1
    return tuple(
        sorted(known, key=lambda member: (sign * (member.value or 0.0), sorted(member.labels.items())))
    )


def rule_status(
    rule: AlertRule, measures: Mapping[SeriesLabels, Measure], episodes: tuple[Episode, ...]
) -> RuleStatus:
    """What a rule says now, after its groups were evaluated."""
    why = next((each.unknown for each in measures.values() if each.value is None), "")
    if not measures:
        why = "There is nothing to measure yet."
    states = {episode.state for episode in episodes if episode.ended_at is None}
    members = members_of(measures, rule)
    # Something known and within bounds, whatever else is not: `unknown` says of that why.
    state: RuleState = "ok" if members else "unknown"
    for worse in _WORSE:
        state = worse if worse in states else state
    return RuleStatus(rule=rule.alert, state=state, members=members[:50], unknown=why)


def _unknown(previous: Episode, measures: Mapping[SeriesLabels, Measure]) -> str:
    """Why it cannot be said that the condition is over; empty if it can."""
    if not measures:
        return "nothing was measured for it"
    if previous.own or previous.state == "unknown":
        for member in previous.members:
            found = measures.get(tuple(sorted(member.labels.items())))
            if found is None:
                return "its number is not measured any more"
            if found.value is None:
                return found.unknown
    return next((each.unknown for each in measures.values() if each.value is None), "")
