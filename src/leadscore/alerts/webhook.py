"""What Alertmanager tells us becomes the same episodes; it may say things again and again."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

import msgspec
import sqlalchemy as sa

from leadscore.alerts.episodes import Audience, announce, is_stored, lock_episodes, read_open, write_episodes
from leadscore.alerts.evaluate import Episode, alert_fingerprint, group_of, new_episode, settled
from leadscore.alerts.rules import AlertSeverity
from leadscore.documents import DECODE_ERRORS
from leadscore.errors import LeadScoreError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore

_log = logging.getLogger(__name__)
MAX_ALERTS: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LABELS: Final = 64
_TEXT: Final = 1_000


class _Alert(msgspec.Struct, frozen=True, kw_only=True):
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    starts_at: datetime = msgspec.field(name="startsAt")
    fingerprint: str


class _Notification(msgspec.Struct, frozen=True, kw_only=True):
    version: Literal["4"]
    alerts: list[_Alert]


class AlertmanagerReceiver:
    """The receiver behind `POST /alertmanager`.

    Args:
        store: Where episodes are.
        audience: Whom to tell, as it is now.
        token: The bearer token that Alertmanager must send, as it is now; empty: nothing is taken.
        now: Microseconds since the epoch.
    """

    def __init__(
        self,
        store: EventStore,
        audience: Callable[[], Audience],
        token: Callable[[], str],
        now: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._audience = audience
        self._token = token
        self._now = now
        self.refused = 0

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Take a notification; status and text of the reply.

        5xx asks Alertmanager to send it again, which it does for as long as the alert is there.
        """
        token = self._token()
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not token or not hmac.compare_digest(given.encode(), token.encode()):
            self.refused += 1
            return 401, "The token is not the one in LEADSCORE_ALERTMANAGER_TOKEN."
        try:
            found = msgspec.json.decode(body, type=_Notification)
        except DECODE_ERRORS:
            self.refused += 1
            return 400, "That is no notification of Alertmanager's webhook, version 4."
        if len(found.alerts) > MAX_ALERTS:
            return 413, f"More than {MAX_ALERTS} alerts: set max_alerts of the receiver."
        try:
            with self._store.writing() as connection:
                receive_alerts(connection, self._audience(), found.alerts, self._now())
        except LeadScoreError as error:
            _log.error("alerts not taken", extra={"fields": {"error": error.message}})
            return 503, "The alerts could not be stored; send them again."
        return 200, "ok"


def receive_alerts(connection: sa.Connection, audience: Audience, alerts: list[_Alert], now: int) -> None:
    """Bring episodes up to date with what Alertmanager says, and tell whom it concerns."""
    lock_episodes(connection)
    before = {episode.fingerprint: episode for episode in read_open(connection)}
    after = dict(before)
    for alert in alerts:
        labels = dict(sorted(_bounded(alert.labels).items())[:_LABELS])
        name = labels.get("alertname", "") or "unnamed"
        rule = audience.rules.named(name)
        group = group_of(rule, labels)
        mark = alert_fingerprint(name, group)
        known = after.get(mark)
        if alert.status == "resolved":
            if known is None or alert.fingerprint not in known.external:
                # Of an episode that is over, or that never was ours: nothing to say (alertmanager#878).
                continue
            external = {k: v for k, v in known.external.items() if k != alert.fingerprint}
        else:
            external = {**(known.external if known else {}), alert.fingerprint: labels}
        severity = rule.severity if rule else _severity(labels)
        episode = known or _begun(connection, name, severity, group, alert, now)
        summary = episode.summary or _bounded(alert.annotations).get("summary", name)
        changed = msgspec.structs.replace(
            episode, external=external, summary=summary, unknown="", unknown_since=None,
            heard_at=now if alert.status == "firing" else episode.heard_at,
        )  # fmt: skip
        then = settled(rule if changed.own else None, changed, now)
        if then is None:
            after.pop(mark, None)
        else:
            after[mark] = then
    write_episodes(connection, before, announce(connection, audience, after, now))


def _begun(
    connection: sa.Connection,
    name: str,
    severity: AlertSeverity,
    group: dict[str, str],
    alert: _Alert,
    now: int,
) -> Episode:
    """An episode that began when Alertmanager says, unless that is in the future or no time at all."""
    started = now
    if alert.starts_at.tzinfo is not None:
        # Go writes a time that is absent as the first moment of the year 1, in whatever zone.
        said = round((alert.starts_at - _EPOCH) / timedelta(microseconds=1))
        started = min(said, now) if said > 0 else now
    episode = new_episode(name, severity, group, started)
    # After Prometheus was cut off, Alertmanager calls an alert over and then reports it with the same start.
    # People were told that it is over: it is another episode, or nobody would be told of it.
    return new_episode(name, severity, group, now) if is_stored(connection, episode.episode_id) else episode


def _severity(labels: dict[str, str]) -> AlertSeverity:
    """What nobody has a rule for is told at its own level; without one, as a warning."""
    said = labels.get("severity", "")
    return cast("AlertSeverity", said) if said in {"info", "warning", "critical"} else "warning"


def _bounded(texts: dict[str, str]) -> dict[str, str]:
    return {name[:_TEXT]: text[:_TEXT] for name, text in texts.items()}
