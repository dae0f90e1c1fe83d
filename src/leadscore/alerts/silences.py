"""Silences: for a time nobody is told of alerts whose labels match; they are stored all the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.alerts.evaluate import Episode
from leadscore.alerts.tables import alert_silences
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.records import Evidence, new_id
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller

SILENCE: Final = "alert-silence"
_LONGEST: Final = timedelta(days=30)
LONGEST_REASON_TEXT: Final = 500
_MATCHER: Final = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)(=~|!=|=)(.+)$", re.DOTALL)


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """One silence.

    Attributes:
        silence_id: Its id.
        matchers: All of them must match: `alert=NAME`, `severity!=critical`, `model=~leads|trials`.
        starts_at: Microseconds since the epoch.
        ends_at: It ends by itself.
        by: Who made it.
        reason: Why.
    """

    silence_id: str
    matchers: tuple[str, ...]
    starts_at: int
    ends_at: int
    by: Caller
    reason: str

    def covers(self, episode: Episode, now: int) -> bool:
        """Whether nobody is to be told of this episode now."""
        if not self.starts_at <= now < self.ends_at:
            return False
        labels = {**episode.labels, "alert": episode.rule, "severity": episode.severity}
        return all(_matches(matcher, labels) for matcher in self.matchers)


def _matches(matcher: str, labels: Mapping[str, str]) -> bool:
    name, sign, text = _parsed(matcher)
    value = labels.get(name, "")
    if sign == "=~":
        return re.fullmatch(text, value) is not None
    return (value == text) == (sign == "=")


def _parsed(matcher: str) -> tuple[str, str, str]:
    found = _MATCHER.match(matcher)
    if found is None:
        raise BadInputError(f"{matcher[:80]!r} is no matcher.", hint="Write alert=NAME, severity!=critical.")
    name, sign, text = found.groups()
    if sign == "=~":
        # A person's pattern is run on labels of a few words: bounded, without nesting that takes for ever.
        if len(text) > 200 or re.search(r"[)\]][*+{]|\\[1-9]", text):
            raise BadInputError(f"{matcher[:80]!r} is too involved.", hint="Write names with | between them.")
        try:
            re.compile(text)
        except re.error as error:
            raise BadInputError(f"{matcher[:80]!r} has no valid pattern: {error}.") from error
    return name, sign, text


def add_silence(
    store: EventStore, matchers: Sequence[str], length: timedelta, by: Caller, reason: str, now: int
) -> Silence:
    """Silence alerts from now on, and put on record who did.

    Args:
        store: Where alerts are.
        matchers: See `Silence`.
        length: At most 30 days.
        by: An authenticated person.
        reason: Why.
        now: Microseconds since the epoch.

    Raises:
        BadInputError: No matcher, one that is none, too long a time, or no reason.
    """
    for matcher in matchers:
        _parsed(matcher)
    if not matchers or not timedelta() < length <= _LONGEST:
        raise BadInputError(
            "A silence needs a matcher and a time of at most 30 days.",
            hint="leadscore alerts silence alert=LeadScoringLatency --for 2h --reason '…'",
        )
    silence = Silence(
        silence_id=new_id(),
        matchers=tuple(matchers),
        starts_at=now,
        ends_at=now + length // timedelta(microseconds=1),
        by=by,
        reason=checked_reason(reason),
    )
    _record(store, silence, now)
    row = {name: getattr(silence, name) for name in ("silence_id", "starts_at", "ends_at")}
    with store.writing() as connection:
        document = msgspec.json.encode(silence).decode()
        connection.execute(sa.insert(alert_silences).values(**row, document=document))
    return silence


def end_silence(store: EventStore, silence_id: str, by: Caller, now: int) -> Silence:
    """End a silence early.

    Raises:
        NotFoundError: There is none of that id that is in force.
    """
    with store.writing() as connection:
        silence = next((s for s in read_silences(connection, now) if s.silence_id == silence_id), None)
        if silence is None:
            raise NotFoundError(f"No silence {silence_id} is in force.", hint="See: leadscore alerts list.")
        ended = msgspec.structs.replace(silence, ends_at=now)
        connection.execute(
            sa.update(alert_silences)
            .where(alert_silences.c.silence_id == silence_id)
            .values(ends_at=now, document=msgspec.json.encode(ended).decode())
        )
    _record(store, msgspec.structs.replace(ended, by=by), now)
    return ended


def read_silences(connection: sa.Connection, now: int) -> tuple[Silence, ...]:
    """Silences that are in force or to come, by their end."""
    table = alert_silences
    query = sa.select(table.c.document).where(table.c.ends_at > now).order_by(table.c.ends_at)
    return tuple(
        msgspec.json.decode(text, type=Silence) for text in connection.execute(query).scalars().all()
    )


def checked_reason(reason: str) -> str:
    """The reason without space around it.

    Raises:
        BadInputError: There is none, or it is too long.
    """
    reason = reason.strip()
    if not any(c.isalnum() for c in reason) or len(reason) > LONGEST_REASON_TEXT:
        raise BadInputError(
            f"The reason has {len(reason)} characters.",
            hint=f"Say why in 1 to {LONGEST_REASON_TEXT} characters: --reason '…'.",
        )
    return reason


def _record(store: EventStore, silence: Silence, now: int) -> None:
    document = msgspec.json.encode(silence).decode()
    store.record(
        Evidence(
            f"{SILENCE}-{silence.silence_id}-{now}", SILENCE, silence.silence_id, now, document, silence.by
        )
    )
