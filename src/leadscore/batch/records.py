"""What a nightly run pins before it begins, and what came of it: records in the event store.

A run is of a business date and a model version. Its claim pins what it reads, so that whoever goes on after
a kill, and whoever asks a year later, makes the same scores.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Final, TypeVar

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, ConflictError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore

_Record = TypeVar("_Record")

CLAIM_KIND: Final = "batch-claim"
BATCH_KIND: Final = "batch"
EXPECTED_KIND: Final = "batch-expected"


class BatchClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is about.

    Attributes:
        date: Business date.
        model: Registered name.
        version: Model version.
        digest: Of its artefact.
        leads: Table of leads.
        leads_version: Version of that table.
        states_version: Version of the table of lead states that says what has changed; None: all leads are
            scored.
        reasons: Grades whose leads get reasons.
        at: When it was claimed, microseconds since the epoch; all its scores bear this time.
        unchanged_since: The first night that read the very same version of the table of leads: nobody has
            written to it since; None: it has changed since the night before, or there was none.
    """

    date: date
    model: str
    version: str
    digest: str
    leads: str
    leads_version: int
    states_version: int | None
    reasons: tuple[str, ...]
    at: int
    unchanged_since: date | None = None

    @property
    def subject(self) -> str:
        """Under which subject its records are kept."""
        return batch_subject(self.model, self.version, self.date)

    @property
    def application(self) -> str:
        """Its name in Delta's log."""
        return f"leadscore/batch/{self.subject}"


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    Attributes:
        claim: What it was about.
        leads: Rows of the table.
        scored: Of these, new or changed since the run before, and scored.
        grades: How many of the scored leads got each grade.
        scores_version: Version of the table of scores after it.
        code: Revision of the code that ran.
        unseen: Per column, in how many rows stands a category that the model has not seen: they are scored
            as missing. Columns without any, and runs on Spark, say nothing.
    """

    claim: BatchClaim
    leads: int
    scored: int
    grades: dict[str, int]
    scores_version: int
    code: str
    unseen: dict[str, int] = {}


def batch_subject(model: str, version: str, day: date) -> str:
    """Under which subject the records of a run are kept."""
    return f"{model}/{version}:{day.isoformat()}"


def claim_run(store: EventStore, wanted: BatchClaim) -> BatchClaim:
    """Claim a run, or return the claim that there is: what it pinned holds for whoever goes on.

    Raises:
        UnavailableError: The store cannot be used.
    """
    known = _keep_first(store, CLAIM_KIND, wanted.subject, wanted.at, wanted)
    # Somebody else was first.
    return wanted if known is None else _decode(known, BatchClaim)


def find_claim(store: EventStore, subject: str) -> BatchClaim | None:
    """The claim of a run; None if nobody has claimed it."""
    found = store.evidence(kind=CLAIM_KIND, subject=subject, limit=1)
    return _decode(found[0].document, BatchClaim) if found else None


def find_record(store: EventStore, subject: str) -> BatchRecord | None:
    """What came of a run; None if it has not ended."""
    found = store.evidence(kind=BATCH_KIND, subject=subject, limit=1)
    return _decode(found[0].document, BatchRecord) if found else None


def save_record(store: EventStore, record: BatchRecord) -> BatchRecord:
    """Keep what came of a run; returns what is on record, which is another's if it has ended the run before.

    Raises:
        UnavailableError: The store cannot be used.
    """
    known = _keep_first(store, BATCH_KIND, record.claim.subject, record.claim.at, record)
    return record if known is None else _decode(known, BatchRecord)


def _keep_first(store: EventStore, kind: str, subject: str, at: int, found: msgspec.Struct) -> str | None:
    """Keep a document that a subject has once; returns the one that is on record if it is another."""
    document = msgspec.json.encode(found).decode()
    try:
        store.record(
            Evidence(evidence_id=f"{kind}-{subject}", kind=kind, subject=subject, at=at, document=document)
        )
    except ConflictError:
        known = store.evidence(kind=kind, subject=subject, limit=1)
        if not known:
            raise
        return known[0].document
    return None


def list_claims(store: EventStore, *, since: int) -> tuple[BatchClaim, ...]:
    """Claims that were made since a moment (microseconds since the epoch), newest first."""
    found = store.evidence(kind=CLAIM_KIND, since=since, limit=None)
    return tuple(_decode(each.document, BatchClaim) for each in found)


def list_records(store: EventStore, *, since: int) -> tuple[BatchRecord, ...]:
    """What came of the runs that were claimed since a moment, newest first."""
    found = store.evidence(kind=BATCH_KIND, since=since, limit=None)
    return tuple(_decode(each.document, BatchRecord) for each in found)


def expect_nights(store: EventStore, model: str, at: int) -> None:
    """Note that a model is to have nights from a moment on, unless that was noted before.

    Raises:
        UnavailableError: The store cannot be used.
    """
    if expected_since(store, model) is not None:
        return
    document = msgspec.json.encode({"model": model, "at": at}).decode()
    item = Evidence(
        evidence_id=f"{EXPECTED_KIND}-{model}", kind=EXPECTED_KIND, subject=model, at=at, document=document
    )
    # Somebody else may have been first.
    with suppress(ConflictError):
        store.record(item)


def expected_since(store: EventStore, model: str) -> int | None:
    """Since when a model is expected to have nights (microseconds since the epoch); None: nobody said so."""
    found = store.evidence(kind=EXPECTED_KIND, subject=model, limit=1)
    return found[0].at if found else None


def _decode(document: str, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(document, type=kind)
    except DECODE_ERRORS as error:
        raise BadInputError(f"A record of a batch run cannot be read: {error}.") from error
