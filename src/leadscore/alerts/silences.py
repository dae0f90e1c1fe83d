"""Silences: for a time nobody is told of alerts whose labels match; they are stored all the same."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.alerts.evaluate import Episode
from leadscore.alerts.rules import AlertRules
from leadscore.alerts.tables import alert_episodes, alert_rules, alert_silences
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.records import Evidence, new_id
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller

SILENCE: Final = "alert-silence"
_LONGEST: Final = timedelta(days=30)
LONGEST_REASON_TEXT: Final = 500
_LONGEST_MATCHER: Final = 200
_MOST_MATCHERS: Final = 10
# Of so many episodes the labels are asked.
_LATEST: Final = 1_000
_ANY: Final = ".*"
_INVOLVED: Final = re.compile(r"[\\^$*+?{}()\[\]]")
_SEVERITIES: Final = ("info", "warning", "critical")
_MATCHER: Final = re.compile(r"^([A-Za-z_][A-Za-z0-9_]*)(=~|!=|=)(.+)$", re.DOTALL)


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """One silence.

    Attributes:
        silence_id: Its id.
        matchers: All of them must match: `alert=NAME`, `severity!=critical`, `model=~leads|trials.*`
            (names, each of which may begin or end with `.*`).
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

    @property
    def problem(self) -> str:
        """Why it matches nothing, as one that another release stored may not; empty if all of it is read."""
        try:
            for matcher in self.matchers:
                _parsed(matcher)
        except BadInputError as error:
            return error.message
        return "" if self.matchers else "It has no matcher."

    @property
    def words(self) -> str:
        """What it matches, as it is shown to people."""
        matchers = ", ".join(self.matchers)
        return f"{matchers[:200]} (matches nothing: {self.problem})" if self.problem else matchers

    def covers(self, episode: Episode, now: int) -> bool:
        """Whether nobody is to be told of this episode now."""
        if not self.starts_at <= now < self.ends_at or self.problem:
            return False
        labels = {**episode.labels, "alert": episode.rule, "severity": episode.severity}
        return all(_matches(matcher, labels) for matcher in self.matchers)


def _matches(matcher: str, labels: Mapping[str, str]) -> bool:
    name, sign, text = _parsed(matcher)
    return _fits(sign, text, labels.get(name, ""))


def _fits(sign: str, text: str, value: str) -> bool:
    if sign == "=~":
        return any(_alternative_fits(each, value) for each in text.split("|"))
    return (value == text) == (sign == "=")


def _alternative_fits(alternative: str, value: str) -> bool:
    """Compare text only: a regular expression that a person wrote could take for ever."""
    literal = alternative.removeprefix(_ANY).removesuffix(_ANY)
    before, after = alternative.startswith(_ANY), alternative.endswith(_ANY)
    if before and after:
        return literal in value
    if before:
        return value.endswith(literal)
    return value.startswith(literal) if after else value == literal


def _parsed(matcher: str) -> tuple[str, str, str]:
    if len(matcher) > _LONGEST_MATCHER:
        raise BadInputError(
            f"A matcher of {len(matcher)} characters is too long.",
            hint=f"At most {_LONGEST_MATCHER}; several matchers must all match.",
        )
    found = _MATCHER.match(matcher)
    if found is None:
        raise BadInputError(f"{matcher[:80]!r} is no matcher.", hint="Write alert=NAME, severity!=critical.")
    name, sign, text = found.groups()
    if sign == "=~":
        for each in text.split("|"):
            literal = each.removeprefix(_ANY).removesuffix(_ANY)
            if not each or _INVOLVED.search(literal):
                raise BadInputError(
                    f"{matcher[:80]!r} is too involved.",
                    hint="Write names with | between them; a name may begin or end with .*, no more.",
                )
    return name, sign, text


def add_silence(
    store: EventStore,
    rules: AlertRules,
    matchers: Sequence[str],
    length: timedelta,
    by: Caller,
    reason: str,
    *,
    now: int,
) -> Silence:
    """Silence alerts from now on, and put on record who did.

    Args:
        store: Where alerts are.
        rules: In force: with what was evaluated and what Alertmanager reported, the alerts that there are.
        matchers: At most 10; see `Silence`.
        length: At most 30 days.
        by: An authenticated person.
        reason: Why.
        now: Microseconds since the epoch.

    Raises:
        BadInputError: No matcher or too many, one that is none or that names an alert, a level or a label
            that there is not, too long a time, or no reason.
    """
    parsed = [_parsed(matcher) for matcher in matchers]
    if not 0 < len(matchers) <= _MOST_MATCHERS or not timedelta() < length <= _LONGEST:
        raise BadInputError(
            f"A silence needs 1 to {_MOST_MATCHERS} matchers and a time of at most 30 days.",
            hint="leadscore alerts silence alert=LeadScoringLatency --for 2h --reason '…'",
        )
    _check_names(store, rules, parsed)
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


def _check_names(store: EventStore, rules: AlertRules, parsed: Sequence[tuple[str, str, str]]) -> None:
    """Refuse what could never match, which somebody would take for a silence."""
    with store.reading() as connection:
        evaluated = connection.execute(sa.select(alert_rules.c.rule)).scalars().all()
        reported = connection.execute(sa.select(alert_episodes.c.rule).distinct()).scalars().all()
        newest = sa.select(alert_episodes.c.document).order_by(alert_episodes.c.started_at.desc())
        stored = connection.execute(newest.limit(_LATEST)).scalars().all()
    labels = {"alert", "severity", *(label for rule in rules.rules for label in rule.group_by)}
    for document in stored:
        labels |= msgspec.json.decode(document, type=Episode).labels.keys()
    strange = next((name for name, _, _ in parsed if name not in labels), None)
    if strange is not None:
        raise BadInputError(
            f"No alert is told apart by {strange[:80]!r}.",
            hint=f"Labels of alerts: {', '.join(sorted(labels))[:500]}.",
        )
    alerts = {*(rule.alert for rule in rules.rules), *evaluated, *reported}
    for name, sign, text in parsed:
        known = {"alert": sorted(alerts), "severity": _SEVERITIES}.get(name)
        # What is not to be matched must exist as well: `alert!=` of a name with a slip silences everything.
        if known is None or any(_fits("=" if sign == "!=" else sign, text, each) for each in known):
            continue
        near = difflib.get_close_matches(text, known, n=3)
        what = "alert" if name == "alert" else "level"
        raise BadInputError(
            f"No {what} is called {text[:80]!r}.",
            hint=f"Near: {', '.join(near)}." if near else "See: leadscore alerts list.",
        )


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
    if not any(c.isalnum() for c in reason):
        raise BadInputError(
            f"The reason says nothing: {reason!r}." if reason else "No reason was given.",
            hint="Say why in a few words: it is kept, and shown to whoever asks.",
        )
    if len(reason) > LONGEST_REASON_TEXT:
        raise BadInputError(
            f"The reason has {len(reason):,} characters.",
            hint=f"Say why in at most {LONGEST_REASON_TEXT} characters.",
        )
    return reason


def _record(store: EventStore, silence: Silence, now: int) -> None:
    document = msgspec.json.encode(silence).decode()
    store.record(
        Evidence(
            f"{SILENCE}-{silence.silence_id}-{now}", SILENCE, silence.silence_id, now, document, silence.by
        )
    )
