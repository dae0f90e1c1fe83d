"""Episodes in the store, and who is told of them.

One transaction reads, decides, writes, and puts messages into the outbox: whatever is killed in between,
either nothing has happened or all of it, and the next round goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.alerts.evaluate import (
    GONE_US,
    Acknowledgement,
    Episode,
    RuleStatus,
    SeriesLabels,
    evaluate_rule,
    group_of,
    rule_status,
)
from leadscore.alerts.messages import AlertLinks, MessageKind, alert_message, summary_of
from leadscore.alerts.rules import AlertRule, AlertRules
from leadscore.alerts.silences import LONGEST_REASON_TEXT, read_silences
from leadscore.alerts.tables import alert_episodes, alert_rules
from leadscore.errors import ConflictError, NotFoundError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller, checked_reason
from leadscore.monitoring.measures import Measure
from leadscore.outbox.queue import OutboxMessage, enqueue

ACKNOWLEDGED: Final = "alert-acknowledgement"
# How long a firing alert must have been unknown before people are told: a restart is no news.
_UNKNOWN_US: Final = 10 * 60_000_000
# More numbers of the same alert are told at most so often.
_UPDATE_US: Final = 3_600_000_000
RuleMeasures = Mapping[str, Mapping[SeriesLabels, Measure]]


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom to tell, and where they read on.

    Attributes:
        rules: In force; their levels name channels.
        channels: Names of the channels that are set up.
        links: Runbooks and pages.
    """

    rules: AlertRules
    channels: frozenset[str]
    links: AlertLinks

    def of(self, episode: Episode) -> tuple[str, ...]:
        """Channels of the episode's level that are set up."""
        named = self.rules.levels.get(episode.severity, ())
        others = sorted(name for name in self.channels if name.startswith("other-"))
        wanted = [each for name in named for each in (others if name == "other" else (name,))]
        return tuple(name for name in dict.fromkeys(wanted) if name in self.channels)


def evaluate_round(
    connection: sa.Connection, audience: Audience, measured: RuleMeasures, elsewhere: Sequence[str], now: int
) -> tuple[RuleStatus, ...]:
    """Evaluate every rule that was measured, write what it says, and tell whom it concerns.

    Args:
        connection: Of a transaction that writes.
        audience: Whom to tell.
        measured: Numbers by labels, by the rule's name.
        elsewhere: Rules that only Prometheus evaluates.
        now: Microseconds since the epoch.
    """
    lock_episodes(connection)
    before = {episode.fingerprint: episode for episode in read_open(connection)}
    after = {mark: _without_silent_alertmanager(episode, now) for mark, episode in before.items()}
    statuses = [RuleStatus(rule=name, state="elsewhere") for name in elsewhere]
    for rule in audience.rules.rules:
        if rule.alert not in measured:
            continue
        found: list[Episode] = []
        for group, measures, previous in _groups(rule, measured[rule.alert], tuple(after.values())):
            episode = evaluate_rule(rule, group, measures, previous, now)
            if episode is not None and episode.own:
                summary = summary_of(rule, group, episode.members)
                episode = msgspec.structs.replace(episode, summary=summary)
            mark = previous.fingerprint if previous is not None else episode.fingerprint if episode else ""
            after.pop(mark, None)
            if episode is not None:
                after[mark] = episode
                found.append(episode)
        statuses.append(rule_status(rule, measured[rule.alert], tuple(found)))
    _close_orphans(after, audience.rules, measured, now)
    write_episodes(connection, before, announce(connection, audience, after, now))
    _write_statuses(connection, statuses, now)
    return tuple(statuses)


def _groups(
    rule: AlertRule, measures: Mapping[SeriesLabels, Measure], known: Iterable[Episode]
) -> Iterable[tuple[dict[str, str], dict[SeriesLabels, Measure], Episode | None]]:
    """Numbers by group, and groups that were open and have none now."""
    groups: dict[SeriesLabels, dict[SeriesLabels, Measure]] = {}
    for labels, measure in measures.items():
        group = tuple(sorted(group_of(rule, dict(labels)).items()))
        groups.setdefault(group, {})[labels] = measure
    previous = {tuple(sorted(e.labels.items())): e for e in known if e.rule == rule.alert}
    for group in dict.fromkeys((*groups, *previous)):
        yield dict(group), groups.get(group, {}), previous.get(group)


def _without_silent_alertmanager(episode: Episode, now: int) -> Episode:
    """Take back what Alertmanager has not repeated for a day: it repeats what fires, by default every 4 h.

    One that lost its memory never says that an alert is over.
    """
    if not episode.external:
        return episode
    if episode.heard_at is None:
        # An older release did not write it down.
        return msgspec.structs.replace(episode, heard_at=now)
    if now - episode.heard_at < GONE_US:
        return episode
    return msgspec.structs.replace(episode, external={})


def _close_orphans(after: dict[str, Episode], rules: AlertRules, measured: RuleMeasures, now: int) -> None:
    """Make alerts unknown whose rule is gone, or that nothing measures and Alertmanager does not report."""
    for mark, episode in after.items():
        if episode.ended_at is not None or episode.external or episode.rule in measured:
            continue
        # What only Alertmanager knew of never had a rule here.
        silent = episode.heard_at is not None and not episode.own
        gone = not silent and rules.named(episode.rule) is None
        why = "its rule was taken away" if gone else "nothing measures it here any more"
        why = "Alertmanager has not repeated it for a day" if silent else why
        since = episode.unknown_since or now
        after[mark] = msgspec.structs.replace(
            episode, state="unknown", unknown=why, unknown_since=since, seen_at=now,
            ended_at=now if gone or now - since >= GONE_US else None,
        )  # fmt: skip


def announce(
    connection: sa.Connection,
    audience: Audience,
    after: Mapping[str, Episode],
    now: int,
) -> dict[str, Episode]:
    """Put messages about what has changed into the outbox; returns the episodes with what people know now."""
    silences = read_silences(connection, now)
    told: dict[str, Episode] = {}
    for mark, episode in after.items():
        rule = audience.rules.named(episode.rule)
        hidden = any(silence.covers(episode, now) for silence in silences) or _said_by(rule, episode, after)
        kind, channels = _news_and_channels(audience, episode, now, hidden=hidden)
        if kind is None or not channels:
            # What could be told to nobody is not told: it is, once a channel of its level is set up.
            told[mark] = episode
            continue
        message = alert_message(kind, episode, rule, audience.links, now)
        payload = msgspec.json.encode(message).decode()
        name = f"{episode.episode_id}/{kind}" + (f"-{now}" if kind == "update" else "")
        enqueue(
            connection,
            [OutboxMessage(name, channel, episode.episode_id, payload) for channel in channels],
            now,
        )
        more = channels if kind == "firing" else ()
        told[mark] = msgspec.structs.replace(
            episode,
            announced_at=episode.announced_at or now,
            told_members=max(episode.told_members, len(episode.members)),
            told_at=now,
            told_unknown=episode.told_unknown or kind == "unknown",
            told_channels=tuple(dict.fromkeys((*_told_channels(audience, episode), *more))),
        )
    return told


def _news_and_channels(
    audience: Audience, episode: Episode, now: int, *, hidden: bool
) -> tuple[MessageKind | None, tuple[str, ...]]:
    """What is to be told of an episode, and to which channels.

    Who was told that it fires is told how it goes on, also where levels, severity or secrets have changed
    since: a channel without its secret has the message wait. Who was not, is told that it fires.
    """
    kind, channels = news_of(episode, now, hidden=hidden), audience.of(episode)
    if episode.announced_at is None:
        return kind, channels
    told = _told_channels(audience, episode)
    if kind is not None:
        return kind, told
    untold = tuple(name for name in channels if name not in told)
    wanted = episode.state == "firing" and not hidden and episode.acknowledged is None
    return ("firing", untold) if wanted else (None, ())


def _told_channels(audience: Audience, episode: Episode) -> tuple[str, ...]:
    """Channels that know that it fires; of an older release's episode, those of its level."""
    if episode.announced_at is None or episode.told_channels:
        return episode.told_channels
    return audience.of(episode)


def news_of(episode: Episode, now: int, *, hidden: bool) -> MessageKind | None:
    """What people are to be told of an episode now; None: nothing.

    Args:
        episode: As it is now.
        now: Microseconds since the epoch.
        hidden: It is silenced, or a worse alert says it. Who was told that it fires is told that it is over
            all the same.
    """
    if episode.announced_at is None:
        return "firing" if episode.state == "firing" and not hidden else None
    if episode.state == "resolved":
        return "resolved"
    if episode.state == "unknown":
        if episode.ended_at is not None:
            return "closed"
        late = episode.unknown_since is not None and now - episode.unknown_since >= _UNKNOWN_US
        return "unknown" if late and not episode.told_unknown else None
    more = len(episode.members) > episode.told_members and episode.state == "firing"
    again = episode.told_at is None or now - episode.told_at >= _UPDATE_US
    return "update" if more and again and not hidden else None


def _said_by(rule: AlertRule | None, episode: Episode, after: Mapping[str, Episode]) -> bool:
    """Whether a worse alert of the same group fires, whose message says it all."""
    return rule is not None and any(
        other.rule == rule.unless and other.labels == episode.labels and other.state == "firing"
        for other in after.values()
    )


def acknowledge(
    store: EventStore, audience: Audience, episode_id: str, by: Caller, reason: str, now: int
) -> Episode:
    """Put on record that somebody looks after an alert, and tell the others.

    Args:
        store: Where it is.
        audience: Whom to tell.
        episode_id: Of the alert.
        by: An authenticated person.
        reason: What they do about it.
        now: Microseconds since the epoch.

    Raises:
        NotFoundError: There is no such alert.
        ConflictError: It is over, or somebody looks after it already.
        BadInputError: No reason.
    """
    said = Acknowledgement(by=by, at=now, reason=checked_reason(reason, LONGEST_REASON_TEXT))
    with store.writing() as connection:
        lock_episodes(connection)
        episode = next((e for e in read_open(connection) if e.episode_id == episode_id), None)
        if episode is None:
            if any(e.episode_id == episode_id for e in read_recent(connection, 0, limit=None)):
                raise ConflictError(f"The alert {episode_id} is over.", hint="See: leadscore alerts list.")
            raise NotFoundError(f"There is no alert {episode_id}.", hint="See: leadscore alerts list.")
        if episode.acknowledged is not None:
            raise ConflictError(
                f"{episode.acknowledged.by.name} looks after it already.", hint="Talk to them."
            )
        episode = msgspec.structs.replace(episode, acknowledged=said)
        write_episodes(connection, {episode.fingerprint: episode}, {episode.fingerprint: episode})
        if episode.announced_at is not None:
            rule = audience.rules.named(episode.rule)
            payload = msgspec.json.encode(alert_message("acknowledged", episode, rule, audience.links, now))
            name = f"{episode_id}/acknowledged"
            channels = _told_channels(audience, episode)
            told = [OutboxMessage(name, c, episode_id, payload.decode()) for c in channels]
            enqueue(connection, told, now)
    document = msgspec.json.encode(said).decode()
    store.record(Evidence(f"{ACKNOWLEDGED}-{episode_id}", ACKNOWLEDGED, episode_id, now, document, by))
    return episode


def lock_episodes(connection: sa.Connection) -> None:
    """Let nobody else change episodes until the end of this transaction; SQLite's has seen to that."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE alert_episodes IN SHARE ROW EXCLUSIVE MODE")


def read_open(connection: sa.Connection) -> tuple[Episode, ...]:
    """Episodes that are not over, oldest first."""
    table = alert_episodes
    query = sa.select(table.c.document).where(table.c.ended_at.is_(None)).order_by(table.c.started_at)
    return _decoded(connection.execute(query).scalars())


def read_shown(connection: sa.Connection, since: int, *, limit: int | None = 1_000) -> tuple[Episode, ...]:
    """Every episode that is not over, and those that were over since a moment, newest first.

    Args:
        connection: To read by.
        since: Microseconds since the epoch.
        limit: Of those that are over: however many there were, what fires is among them.
    """
    table = alert_episodes
    over = sa.select(table.c.document).where(table.c.ended_at >= since).order_by(table.c.ended_at.desc())
    found = (*read_open(connection), *_decoded(connection.execute(over.limit(limit)).scalars()))
    return tuple(sorted(found, key=lambda episode: -episode.started_at))


def read_recent(connection: sa.Connection, since: int, *, limit: int | None = 1_000) -> tuple[Episode, ...]:
    """Episodes that began at or after a moment (microseconds since the epoch), newest first."""
    table = alert_episodes
    query = sa.select(table.c.document).where(table.c.started_at >= since).order_by(table.c.started_at.desc())
    return _decoded(connection.execute(query.limit(limit)).scalars())


def is_stored(connection: sa.Connection, episode_id: str) -> bool:
    """Whether there is or was an episode of that id."""
    query = sa.select(alert_episodes.c.episode_id).where(alert_episodes.c.episode_id == episode_id)
    return connection.execute(query).first() is not None


def _decoded(documents: Iterable[str]) -> tuple[Episode, ...]:
    return tuple(msgspec.json.decode(text, type=Episode) for text in documents)


def read_rule_statuses(connection: sa.Connection) -> tuple[tuple[int, RuleStatus], ...]:
    """When each rule was evaluated last (microseconds since the epoch), and what it said."""
    table = alert_rules
    query = sa.select(table.c.evaluated_at, table.c.document).order_by(table.c.rule)
    return tuple(
        (row.evaluated_at, msgspec.json.decode(row.document, type=RuleStatus))
        for row in connection.execute(query)
    )


def write_episodes(
    connection: sa.Connection, before: Mapping[str, Episode], after: Mapping[str, Episode]
) -> None:
    """Make the stored episodes what they are now; pending ones that were nothing go."""
    for mark, episode in before.items():
        if mark not in after:
            _delete(connection, episode.episode_id)
    for episode in after.values():
        row = {
            name: getattr(episode, name)
            for name in ("fingerprint", "rule", "severity", "state", "started_at", "ended_at")
        }
        row["document"] = msgspec.json.encode(episode).decode()
        known = alert_episodes.c.episode_id == episode.episode_id
        if not connection.execute(sa.update(alert_episodes).where(known).values(**row)).rowcount:
            connection.execute(sa.insert(alert_episodes).values(episode_id=episode.episode_id, **row))


def _delete(connection: sa.Connection, episode_id: str) -> None:
    connection.execute(sa.delete(alert_episodes).where(alert_episodes.c.episode_id == episode_id))


def _write_statuses(connection: sa.Connection, statuses: Iterable[RuleStatus], now: int) -> None:
    rows = [
        {"rule": s.rule, "evaluated_at": now, "document": msgspec.json.encode(s).decode()} for s in statuses
    ]
    connection.execute(sa.delete(alert_rules))
    if rows:
        connection.execute(sa.insert(alert_rules), rows)
