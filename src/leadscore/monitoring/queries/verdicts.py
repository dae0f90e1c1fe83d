"""What drift detectors said, read without the rest of their records (memory, charts, statistics)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from leadscore.documents import DECODE_ERRORS
from leadscore.drift.verdict import DriftVerdict
from leadscore.events.schema import evidence
from leadscore.monitoring.queries.ranges import HourRange, moment_us

# Kind of a detector's record in the event store (`monitoring.records`, which brings all that detectors are).
DRIFT_KIND: Final = "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorVerdict:
    """One window that a detector judged.

    Attributes:
        evidence_id: Of the record.
        detector: Its name.
        verdict: What it said; None if the record cannot be read, which is not "no drift".
    """

    evidence_id: str
    detector: str
    verdict: DriftVerdict | None


class _Report(msgspec.Struct, frozen=True):
    verdict: DriftVerdict


class _Record(msgspec.Struct, frozen=True):
    report: _Report


def read_latest_verdicts(connection: sa.Connection, model: str, version: str) -> tuple[DetectorVerdict, ...]:
    """Return the newest verdict of each detector of a version, however old."""
    c = evidence.c
    newest = (
        sa.select(c.subject, sa.func.max(c.at).label("at"))
        .where(c.kind == DRIFT_KIND, *_subjects(model, version))
        .group_by(c.subject)
        .subquery()
    )
    query = (
        sa.select(c.evidence_id, c.subject, c.document)
        .join(newest, sa.and_(c.subject == newest.c.subject, c.at == newest.c.at))
        .where(c.kind == DRIFT_KIND)
        .order_by(c.subject)
    )
    return tuple(_judged(*row) for row in connection.execute(query))


def read_verdicts(
    connection: sa.Connection, model: str, version: str, time: HourRange, *, limit: int = 100
) -> tuple[DetectorVerdict, ...]:
    """Return the verdicts on windows that end in a time, newest first, at most `limit`."""
    c = evidence.c
    query = (
        sa.select(c.evidence_id, c.subject, c.document)
        .where(
            c.kind == DRIFT_KIND,
            *_subjects(model, version),
            c.at >= moment_us(time.start),
            c.at < moment_us(time.end),
        )
        .order_by(c.at.desc(), c.evidence_id.desc())
        .limit(limit)
    )
    return tuple(_judged(*row) for row in connection.execute(query))


def _subjects(model: str, version: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Subjects `model/version:detector`, as a range that an index answers."""
    subject = evidence.c.subject
    return subject > f"{model}/{version}:", subject < f"{model}/{version};"


def _judged(evidence_id: str, subject: str, document: str) -> DetectorVerdict:
    detector = subject.partition(":")[2]
    try:
        verdict = msgspec.json.decode(document, type=_Record).report.verdict
    except DECODE_ERRORS:
        verdict = None
    return DetectorVerdict(evidence_id=evidence_id, detector=detector, verdict=verdict)
