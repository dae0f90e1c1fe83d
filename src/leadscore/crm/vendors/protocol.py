"""What a CRM's module has to say: pure requests and answers, and what became of each record.

A vendor's module knows shapes, limits and words of its CRM. It opens no connection, holds no secret and
reads no clock: `delivery`, `reading` and `outcomes` do that, the same way for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

import msgspec

from leadscore.crm.updates import ScoreUpdate
from leadscore.documents import DECODE_ERRORS

VerdictKind = Literal["written", "refused", "again", "split"]
JSON_HEADERS: Final[Mapping[str, str]] = {"Accept": "application/json", "Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the answer to a batch says about one record.

    Attributes:
        kind: `written`: the record holds the score. `refused`: this record will never take it. `again`: not
            now. `split`: the answer does not say, so the batch is to be sent in halves.
        why: A sentence for a person; empty where nothing is wrong.
        retry_after: Seconds that the whole CRM is to be left alone; None: nothing was asked.
    """

    kind: VerdictKind
    why: str = ""
    retry_after: float | None = None


WRITTEN: Final = Verdict("written")


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """One HTTP request, without credentials.

    Attributes:
        method: Of HTTP.
        path: Below the address of the CRM, with its query; a whole URL for a token's endpoint.
        body: To send; empty: none.
        headers: All but the authorization.
    """

    method: Literal["GET", "POST", "PATCH", "PUT"]
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)


@dataclass(frozen=True, slots=True)
class VendorReply:
    """What came back.

    Attributes:
        status: Of HTTP.
        headers: By their names in lower case.
        body: As it came.
        at: When, seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0

    @property
    def document(self) -> object:
        """The body's JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except DECODE_ERRORS:
            return None


@dataclass(frozen=True, slots=True)
class VendorPause:
    """For how long to leave a CRM alone, because its limits are nearly used."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class RecordState:
    """What a record of the CRM holds in the mapped fields; None: nothing, or the field is not mapped.

    Attributes:
        prediction_id: Of the score that was written.
        score: 0 to 100.
        grade: `A` to `D`.
        scored_at: Microseconds since the epoch, as exactly as the CRM keeps times (Salesforce and Dataverse:
            whole seconds; HubSpot: milliseconds).
    """

    prediction_id: str | None = None
    score: float | None = None
    grade: str | None = None
    scored_at: int | None = None


@dataclass(frozen=True, slots=True)
class OutcomeFields:
    """Where a CRM keeps what became of a lead.

    Attributes:
        object: The CRM's object, such as `Opportunity`.
        lead: Its field that holds the lead's record id.
        stage: Its field that says how it stands.
        won: Values of `stage` that mean converted.
        lost: Values that mean not converted; any other value is still open.
        amount: Its field of revenue; empty: none is read.
        date: Its field of the closing date; empty: the time of the last change counts.
        modified: Its field of the time of the last change.
        key: Its field of the record's id.
    """

    object: str
    lead: str
    stage: str
    won: frozenset[str]
    lost: frozenset[str]
    amount: str
    date: str
    modified: str
    key: str


@dataclass(frozen=True, slots=True)
class DealState:
    """How one deal stands, as the CRM says.

    Attributes:
        record_id: Of the deal.
        lead_id: Whose it is; empty: the deal names no lead.
        stage: The value.
        amount: Revenue; None: the deal has none.
        closed_at: Microseconds since the epoch; None: not known.
        modified_at: When it was changed last, microseconds since the epoch.
    """

    record_id: str
    lead_id: str
    stage: str
    amount: float | None
    closed_at: int | None
    modified_at: int


class CrmVendor(Protocol):
    """One CRM and what is written to it."""

    @property
    def batch_size(self) -> int:
        """Records of one write at most."""
        ...

    @property
    def read_size(self) -> int:
        """Records of one read at most."""
        ...

    @property
    def pace_seconds(self) -> float:
        """Shortest time between two requests."""
        ...

    def record_key(self, lead_id: str) -> str:
        """The record's id in the one spelling that answers are matched by.

        Raises:
            BadInputError: It is no id of this CRM.
        """
        ...

    def token_request(self, credentials: Mapping[str, str]) -> VendorRequest | str:
        """How to get a token; or the token itself, where an administrator made one.

        Args:
            credentials: Values by the names of their files.

        Raises:
            BadInputError: One is missing; the message names it.
        """
        ...

    def encode(self, updates: Sequence[ScoreUpdate]) -> VendorRequest:
        """A write of at most `batch_size` records, each once."""
        ...

    def decode(self, updates: Sequence[ScoreUpdate], reply: VendorReply) -> tuple[Verdict, ...]:
        """A verdict for each of the records that were sent, in their order."""
        ...

    def pause(self, reply: VendorReply) -> VendorPause | None:
        """What the reply's headers ask for; None: go on."""
        ...

    def encode_read(self, lead_ids: Sequence[str]) -> VendorRequest:
        """A read of at most `read_size` records."""
        ...

    def decode_read(self, reply: VendorReply) -> dict[str, RecordState]:
        """What records hold, by `record_key`; those that are missing do not exist.

        Raises:
            VendorRefusedError: The answer is none.
        """
        ...

    def encode_describe(self) -> VendorRequest:
        """Ask which fields the object has."""
        ...

    def decode_describe(self, reply: VendorReply) -> tuple[str, ...]:
        """What is wrong with the mapping, in sentences; none: nothing.

        Raises:
            VendorRefusedError: The answer is none.
        """
        ...

    def encode_deals(self, source: OutcomeFields, since: int, after: str) -> VendorRequest:
        """Ask for deals that changed at a time or later, the oldest change first.

        Args:
            source: Where they are.
            since: Microseconds since the epoch.
            after: What the page before said; empty: the first page.
        """
        ...

    def decode_deals(self, source: OutcomeFields, reply: VendorReply) -> tuple[tuple[DealState, ...], str]:
        """A page of deals, and what the next one is asked for by; empty: there is none.

        Raises:
            VendorRefusedError: The answer is none.
        """
        ...
