"""What is logged: predictions and the outcomes they are later joined with.

Times are integer microseconds since the epoch (UTC) everywhere: the same value in the spool, in SQLite and in
PostgreSQL, without time zones to misread.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from leadscore.identity.caller import Caller

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
# Beyond the year 5000 it is a mistake in units (nanoseconds, say), not a time.
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=95_617_584_000_000_000)]

# Role of a model that scored a copy of a request; its answer went to no caller.
SHADOW_ROLE: Final = "shadow"

# Where a prediction comes from: a request, a run over a table, past leads scored afterwards.
API_SOURCE: Final = "api"
BATCH_SOURCE: Final = "batch"
BACKFILL_SOURCE: Final = "backfill"


class Prediction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One score that was given to a caller (or computed in the shadow).

    New fields go to the end with a default: an older release's spool stays readable, and an older
    release reads this one's (MessagePack arrays: what is missing gets its default, what comes
    after the last known field is passed over).

    Attributes:
        prediction_id: Primary key; the same id appended twice is stored once.
        lead_id: The caller's id of the lead.
        model_name: Registered name of the model.
        model_version: Its version, as text.
        contract_version: Hash of the feature contract that `features` is encoded by.
        role: Part the model played: `champion` (its answer reached the caller, a canary's too), `shadow`, ….
        scored_at: Microseconds since the epoch.
        probability: Calibrated probability of conversion.
        score: 0 to 100.
        grade: `A` to `D`.
        features: The encoded row: little-endian float32, one per contract input, NaN for missing.
        request_id: Trace or request id; empty if there was none.
        warnings: `field:reason` for each flagged field.
        latency_us: Microseconds from when the request's head was read to just before this record was written;
            None if no request waited for it. Each lead of a bulk request has the request's.
        source: `api`, `batch` or `backfill`; empty in records of a release before.
        caller: Who asked; None if that is not known.
    """

    prediction_id: Identifier
    lead_id: Identifier
    model_name: str
    model_version: str
    contract_version: str
    role: str
    scored_at: Microseconds
    probability: float
    score: float
    grade: str
    features: bytes
    request_id: str = ""
    warnings: tuple[str, ...] = ()
    latency_us: Microseconds | None = None
    source: str = ""
    caller: Caller | None = None


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a lead. Several may exist for one lead: the latest `recorded_at` counts, all are kept.

    Attributes:
        outcome_id: Primary key; the same id appended twice is stored once.
        lead_id: The caller's id of the lead.
        prediction_id: The score it belongs to; None joins it by lead and time (see `windows`).
        converted: Whether the lead became a customer.
        value: Revenue in the contract's currency; None if unknown.
        occurred_at: When it happened, microseconds since the epoch.
        recorded_at: When we were told, microseconds since the epoch.
        source: Who said so (`api`, `import`, a CRM's name).
    """

    outcome_id: Identifier
    lead_id: Identifier
    prediction_id: str | None
    converted: bool
    value: float | None
    occurred_at: Microseconds
    recorded_at: Microseconds
    source: str = ""


Record = Prediction | Outcome

# The record's kind in a spool frame.
PREDICTION: Final = 1
OUTCOME: Final = 2

_DECODERS: Final[dict[int, Callable[[bytes], Record]]] = {
    PREDICTION: msgspec.msgpack.Decoder(Prediction).decode,
    OUTCOME: msgspec.msgpack.Decoder(Outcome).decode,
}


def decode_record(kind: int, payload: bytes) -> Record:
    """The record of a frame.

    Raises:
        msgspec.DecodeError: Unknown kind, not MessagePack, or a field of the wrong type (ValidationError).
    """
    decode = _DECODERS.get(kind)
    if decode is None:
        raise msgspec.ValidationError(f"Unknown record kind {kind}")
    return decode(payload)


def stamp_of(record: Record) -> int:
    """When we got the record, microseconds since the epoch: what a lag is measured from."""
    return record.scored_at if isinstance(record, Prediction) else record.recorded_at


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000


def outcome_id_of(
    lead_id: str,
    prediction_id: str | None,
    converted: bool,
    value: float | None,
    occurred_at: int | None,
    recorded_at: int | None,
) -> str:
    """The id of an outcome as it was told: the same content has the same id, whichever way it came.

    Times are microseconds since the epoch, None where they were not told (what is filled in later does not
    count).
    """
    said = msgspec.json.encode((lead_id, prediction_id, converted, value, occurred_at, recorded_at))
    return hashlib.sha256(said).hexdigest()[:32]


def new_id() -> str:
    """A time-ordered unique id: UUID version 7 as 32 hex digits (RFC 9562 § 5.7).

    Ordered ids keep the primary key's index append-mostly, which random ids would not.
    """
    stamp = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10), "big")
    tail = tail & ~(0xF << 76) | (0x7 << 76)
    tail = tail & ~(0x3 << 62) | (0x2 << 62)
    return f"{stamp << 80 | tail:032x}"


class Evidence(msgspec.Struct, frozen=True):
    """A decision and what it was based on; never changed once written.

    Attributes:
        evidence_id: Primary key.
        kind: What was decided: `gate`, `promotion`, `rollback`, `drift`, ….
        subject: What it was decided about, such as `crm/7`.
        at: Microseconds since the epoch.
        document: The record itself, JSON text.
        caller: Who asked for it; None if that is not known. Not part of what makes two records the same.
    """

    evidence_id: Identifier
    kind: str
    subject: str
    at: Microseconds
    document: str
    caller: Caller | None = None
