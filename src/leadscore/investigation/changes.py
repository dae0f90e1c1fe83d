"""What changed around a complaint: promotions, rollbacks, releases, drift verdicts, alerts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.alerts.episodes import read_recent
from leadscore.alerts.evaluate import Episode
from leadscore.documents import DECODE_ERRORS
from leadscore.drift.verdict import Severity, as_utc
from leadscore.events.records import Evidence
from leadscore.events.rows import evidence_of
from leadscore.events.schema import evidence
from leadscore.investigation.observed import RecordedChange
from leadscore.investigation.request import InvestigationRequest
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.registry.versions import ModelVersion
from leadscore.release.progress import in_a_sentence

_RELEASES: Final = ("release", "approval", "kpi")
_DRIFT: Final = "drift"
# A detector that judges each hour writes some hundreds a month; those without drift are passed over.
_MOST: Final = 1_000
_MOST_ALERTS: Final = 50
_WORDS: Final = {"promote": "became", "rollback": "became again"}


class _Verdict(msgspec.Struct, frozen=True):
    severity: Severity
    reasons: tuple[str, ...] = ()


class _Report(msgspec.Struct, frozen=True):
    verdict: _Verdict


class _Drift(msgspec.Struct, frozen=True):
    report: _Report


def read_changes(connection: sa.Connection, request: InvestigationRequest) -> tuple[RecordedChange, ...]:
    """Read the records about a model from both spans, oldest first."""
    c = evidence.c
    of_model = sa.or_(
        c.subject == request.model,
        c.subject.startswith(f"{request.model}/", autoescape=True),
    )
    query = sa.select(evidence).where(
        of_model,
        c.kind.in_((*_RELEASES, _DRIFT)),
        c.at >= moment_us(request.before.start),
        c.at < moment_us(request.time.end),
    )
    records = [
        evidence_of(tuple(row)) for row in connection.execute(query.order_by(c.at.desc()).limit(_MOST))
    ]
    found = [_change(record) for record in reversed(records)]
    return tuple(change for change in found if change is not None)


def changes_of_versions(
    versions: Sequence[ModelVersion], request: InvestigationRequest
) -> tuple[RecordedChange, ...]:
    """Promotions and rollbacks in both spans, from the registry."""
    decisions = [decision for version in versions for decision in version.decisions]
    return tuple(
        RecordedChange(
            at=decision.at,
            what=(
                f"Version {decision.version} {_WORDS[decision.action]} the one that answers, by"
                f" {': '.join(text for text in (decision.by, (decision.reason or '').rstrip('.')) if text)}."
            ),
            evidence=decision.id,
            changes_model=True,
        )
        for decision in sorted(decisions, key=lambda d: (d.at, d.id))
        if decision.action in _WORDS and request.before.start <= decision.at < request.time.end
    )


def read_alerts(connection: sa.Connection, request: InvestigationRequest) -> tuple[RecordedChange, ...]:
    """Read the alerts that fired in both spans and are not of another model, oldest first."""
    begin, end = moment_us(request.before.start), moment_us(request.time.end)
    found = [
        episode
        for episode in read_recent(connection, begin, limit=_MOST)
        if episode.fired_at is not None
        and begin <= episode.fired_at < end
        and episode.labels.get("model", request.model) == request.model
    ]
    # Of a rule that comes and goes for weeks, the newest say enough.
    return tuple(_alert(episode) for episode in reversed(found[:_MOST_ALERTS]))


def _alert(episode: Episode) -> RecordedChange:
    fired = as_utc(episode.fired_at or episode.started_at)
    until = (
        "it still fires" if episode.ended_at is None else f"until {as_utc(episode.ended_at):%Y-%m-%d %H:%M}"
    )
    said = episode.summary.rstrip(".") or "it says no more"
    what = f"The {episode.severity} alert {episode.rule} fired ({until}): {said}."
    return RecordedChange(fired, what, episode.episode_id)


def _change(record: Evidence) -> RecordedChange | None:
    try:
        if record.kind != _DRIFT:
            what = f"{record.kind.capitalize()} of {record.subject}: {in_a_sentence(record)}"
            return RecordedChange(as_utc(record.at), what, record.evidence_id)
        verdict = msgspec.json.decode(record.document, type=_Drift).report.verdict
    except DECODE_ERRORS:
        what = f"A record of {record.subject} ({record.kind}) that cannot be read."
        return RecordedChange(as_utc(record.at), what, record.evidence_id)
    if verdict.severity == "none":
        return None
    said = verdict.reasons[0] if verdict.reasons else ""
    return RecordedChange(
        as_utc(record.at),
        f"The drift check found {verdict.severity} drift. {said}".strip(),
        record.evidence_id,
    )
