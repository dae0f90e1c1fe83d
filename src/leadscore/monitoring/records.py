"""A detector's records in the event store: each judged window with the memory to go on from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import sqlalchemy as sa

from leadscore.documents import DECODE_ERRORS
from leadscore.drift.report.document import DriftReport
from leadscore.drift.windows.history import History
from leadscore.errors import BadInputError, NotFoundError, UnavailableError
from leadscore.events.records import Evidence
from leadscore.events.schema import evidence
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds
from leadscore.registry.model_reference import find_version
from leadscore.settings import Home

KIND: Final = "drift"


class DriftRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One judged window as it is kept: what was decided, and the memory to go on from.

    Attributes:
        detector: Name of the detector (of a schedule), as given by `--detector`.
        report: The result.
        history: The memory after it.
        stream: How far a watch (`sequential`) followed its stream: a
            `stream_memory.StreamState`, read only by who goes on.
    """

    detector: str
    report: DriftReport
    history: History
    stream: msgspec.Raw = msgspec.Raw(b"null")


def subject_of(model: str, detector: str) -> str:
    """Return the subject of a detector's records."""
    return f"{model}:{detector}"


def record_id(model: str, detector: str, start: datetime, end: datetime) -> str:
    """The id of a window's record: a job that runs twice writes one."""
    said = msgspec.json.encode((model, detector, to_microseconds(start), to_microseconds(end)))
    return f"drift-{hashlib.sha256(said).hexdigest()[:32]}"


def latest_record(store: EventStore, model: str, detector: str) -> DriftRecord | None:
    """The detector's newest record; None if it never judged a window.

    Raises:
        UnavailableError: The store cannot be read, which is not the same as an empty one.
        BadInputError: The record is damaged.
    """
    found = store.evidence(kind=KIND, subject=subject_of(model, detector), limit=1)
    return _decode(found[0].document) if found else None


class WindowKey(NamedTuple):
    """A stored window without its report."""

    evidence_id: str
    subject: str
    at: int


def list_windows(store: EventStore) -> tuple[WindowKey, ...]:
    """Every judged window of every detector, oldest first; `at` is its end, microseconds since the epoch.

    Raises:
        UnavailableError: The store cannot be read.
    """
    c = evidence.c
    query = sa.select(c.evidence_id, c.subject, c.at).where(c.kind == KIND).order_by(c.at, c.evidence_id)
    with store.reading() as connection:
        return tuple(WindowKey(*row) for row in connection.execute(query))


def read_windows(store: EventStore, ids: Sequence[str]) -> tuple[DriftRecord, ...]:
    """Records by their ids, at most some hundred, oldest first.

    Raises:
        UnavailableError: The store cannot be read.
        BadInputError: A record is damaged.
    """
    c = evidence.c
    query = sa.select(c.document).where(c.evidence_id.in_(ids)).order_by(c.at, c.evidence_id)
    with store.reading() as connection:
        return tuple(_decode(document) for document in connection.execute(query).scalars())


def save(store: EventStore, model: str, record: DriftRecord) -> None:
    """Record a judged window; recording it again changes nothing."""
    verdict = record.report.verdict
    store.record(
        Evidence(
            evidence_id=record_id(model, record.detector, verdict.window_start, verdict.window_end),
            kind=KIND,
            subject=subject_of(model, record.detector),
            at=to_microseconds(verdict.window_end),
            document=msgspec.json.encode(record).decode(),
        )
    )


def read_history(path: Path, model: str) -> History:
    """A memory kept in a file; a new one if there is none.

    Raises:
        BadInputError: The file holds something else.
    """
    try:
        return History.from_json(path.read_bytes())
    except FileNotFoundError:
        return History(model=model)
    except OSError as error:
        raise UnavailableError(f"Cannot read {path}: {error.strerror or error}.") from error


def _decode(document: str) -> DriftRecord:
    try:
        return msgspec.json.decode(document, type=DriftRecord)
    except DECODE_ERRORS as error:
        raise BadInputError(
            f"The detector's last record cannot be read: {error}.",
            hint="Start a new detector (another --detector name); its memory begins anew.",
        ) from error


def newest_record(model: str, detector: str, home: Home, events_url: str | None = None) -> DriftRecord:
    """Return a detector's newest record.

    Raises:
        NotFoundError: There is no such model, or the detector has judged none of its windows.
        UnavailableError: Registry or store cannot be read.
    """
    name, version = find_version(model, home)
    with EventStore(events_url or home.events_url) as store:
        found = latest_record(store, f"{name}/{version}", detector)
    if found is None:
        raise NotFoundError(
            f"Detector {detector!r} has judged no window of {name}/{version}.",
            hint="Run `leadscore drift check` or `leadscore drift watch` first.",
        )
    return found
