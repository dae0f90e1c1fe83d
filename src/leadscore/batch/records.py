"""What a nightly run pins before it begins, and what came of it: records in the event store.

A run is of a business date and a model version. Its claim pins what it reads, so that whoever goes on after
a kill, and whoever asks a year later, makes the same scores.
"""

from __future__ import annotations

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
    """

    claim: BatchClaim
    leads: int
    scored: int
    grades: dict[str, int]
    scores_version: int
    code: str


def batch_subject(model: str, version: str, day: date) -> str:
    """Under which subject the records of a run are kept."""
    return f"{model}/{version}:{day.isoformat()}"


def claim_run(store: EventStore, wanted: BatchClaim) -> BatchClaim:
    """Claim a run, or return the claim that there is: what it pinned holds for whoever goes on.

    Raises:
        UnavailableError: The store cannot be used.
    """
    item = Evidence(
        evidence_id=f"{CLAIM_KIND}-{wanted.subject}",
        kind=CLAIM_KIND,
        subject=wanted.subject,
        at=wanted.at,
        document=msgspec.json.encode(wanted).decode(),
    )
    try:
        store.record(item)
    except ConflictError:
        # Somebody else was first.
        known = find_claim(store, wanted.subject)
        if known is None:
            raise
        return known
    return wanted


def find_claim(store: EventStore, subject: str) -> BatchClaim | None:
    """The claim of a run; None if nobody has claimed it."""
    found = store.evidence(kind=CLAIM_KIND, subject=subject, limit=1)
    return _decode(found[0].document, BatchClaim) if found else None


def find_record(store: EventStore, subject: str) -> BatchRecord | None:
    """What came of a run; None if it has not ended."""
    found = store.evidence(kind=BATCH_KIND, subject=subject, limit=1)
    return _decode(found[0].document, BatchRecord) if found else None


def save_record(store: EventStore, record: BatchRecord) -> None:
    """Keep what came of a run."""
    store.record(
        Evidence(
            evidence_id=f"{BATCH_KIND}-{record.claim.subject}",
            kind=BATCH_KIND,
            subject=record.claim.subject,
            at=record.claim.at,
            document=msgspec.json.encode(record).decode(),
        )
    )


def list_claims(store: EventStore, limit: int) -> tuple[BatchClaim, ...]:
    """The newest claims."""
    return tuple(_decode(e.document, BatchClaim) for e in store.evidence(kind=CLAIM_KIND, limit=limit))


def _decode(document: str, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(document, type=kind)
    except DECODE_ERRORS as error:
        raise BadInputError(f"A record of a batch run cannot be read: {error}.") from error
