"""Approval: a named person says yes or no to exactly these bytes on exactly this evidence, once."""

from __future__ import annotations

import getpass
import hashlib
import os
from collections.abc import Iterable
from typing import Literal

import msgspec

from leadscore.errors import BadInputError, ConflictError, RefusedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore

APPROVAL = "approval"
REQUEST = "approval-request"
LONGEST_NAME = 200
LONGEST_REASON = 2000

Verdict = Literal["approved", "denied"]
# Accounts, not people: a decision needs somebody who can be asked about it.
_NOBODY = frozenset(
    ("admin", "administrator", "anonymous", "bot", "ci", "nobody", "none", "root", "system", "user")
)


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is about.

    Attributes:
        model: Registered name.
        version: Candidate.
        digest: Artefact digest, SHA-256 hex.
        evidence: Ids of the gate's verdict and of the replay or shadow report; sorted.
        release: The release that asks; "" if a person answers unasked.
    """

    model: str
    version: int
    digest: str
    evidence: tuple[str, ...]
    release: str = ""

    @property
    def ref(self) -> str:
        """The candidate, `leads/7`."""
        return f"{self.model}/{self.version}"

    @property
    def evidence_id(self) -> str:
        """Primary key of the one answer that there can be: the database, not a look before, keeps out a second."""
        about = msgspec.json.encode((self.model, self.version, self.digest, sorted(self.evidence)))
        return f"{APPROVAL}-{self.ref}-{hashlib.sha256(about).hexdigest()[:16]}"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; append-only.

    Attributes:
        verdict: Yes or no.
        by: Who says so. A claim: whoever may write the event store may make it, so guard that.
        login: Login name of the process that wrote it.
        reason: In their words.
        binding: What it is about.
    """

    verdict: Verdict
    by: str
    login: str
    reason: str
    binding: Binding


def answer(
    store: EventStore, binding: Binding, verdict: Verdict, *, by: str, reason: str, at: int
) -> tuple[Approval, bool]:
    """Record an answer; the same answer again changes nothing.

    Args:
        store: Where evidence is kept.
        binding: What is answered.
        verdict: Yes or no.
        by: A person's name.
        reason: Why.
        at: Microseconds since the epoch.

    Returns:
        The answer on record, and whether this call made it.

    Raises:
        BadInputError: No name of a person, or no reason.
        RefusedError: It was answered before (otherwise, or by somebody else), or the version was answered with other
            bytes.
    """
    said = Approval(
        verdict=verdict, by=_person(by), login=_login(), reason=_reason(reason), binding=_sorted(binding)
    )
    known = _known(store, said)
    if known is not None:
        return known, False
    record = Evidence(
        evidence_id=binding.evidence_id,
        kind=APPROVAL,
        subject=binding.ref,
        at=at,
        document=msgspec.json.encode(said).decode(),
    )
    try:
        return said, store.record(record)
    except ConflictError:
        # Somebody answered between our look and our write; the look now finds it, and says whether it agrees.
        known = _known(store, said)
        if known is None:
            raise
        return known, False


def answers_of(store: EventStore, ref: str | None = None) -> tuple[tuple[Evidence, Approval], ...]:
    """All answers (about one version, or all), newest first."""
    return answers_in(store.evidence(kind=APPROVAL, subject=ref))


def answers_in(records: Iterable[Evidence]) -> tuple[tuple[Evidence, Approval], ...]:
    """Return the answers among records, in their order."""
    found = (record for record in records if record.kind == APPROVAL)
    return tuple((record, msgspec.json.decode(record.document, type=Approval)) for record in found)


def request(store: EventStore, binding: Binding, *, at: int) -> bool:
    """Put a release's question on record, once; False if it is there already.

    Raises:
        ConflictError: The release asked about something else before.
    """
    record = Evidence(
        evidence_id=f"{REQUEST}-{binding.release}",
        kind=REQUEST,
        subject=binding.ref,
        at=at,
        document=msgspec.json.encode(_sorted(binding)).decode(),
    )
    try:
        return store.record(record)
    except ConflictError:
        if any(asked == _sorted(binding) for _, asked in requests_of(store, binding.ref)):
            return False
        raise


def requests_of(store: EventStore, ref: str | None = None) -> tuple[tuple[Evidence, Binding], ...]:
    """All questions (about one version, or all), newest first."""
    return requests_in(store.evidence(kind=REQUEST, subject=ref))


def requests_in(records: Iterable[Evidence]) -> tuple[tuple[Evidence, Binding], ...]:
    """Return the questions among records, in their order."""
    found = (record for record in records if record.kind == REQUEST)
    return tuple((record, msgspec.json.decode(record.document, type=Binding)) for record in found)


def open_requests(
    store: EventStore, ref: str | None = None, *, ended: frozenset[str] = frozenset()
) -> tuple[tuple[Evidence, Binding], ...]:
    """Questions that nobody answered, of releases that have not ended."""
    answered = {record.evidence_id for record, _ in answers_of(store, ref)}
    return tuple(
        (record, asked)
        for record, asked in requests_of(store, ref)
        if asked.evidence_id not in answered and asked.release not in ended
    )


def _known(store: EventStore, said: Approval) -> Approval | None:
    """The same answer if it is on record; RefusedError if what is there contradicts it."""
    for record, earlier in answers_of(store, said.binding.ref):
        when = f"{record.at // 1_000_000}"
        if earlier.binding.digest != said.binding.digest:
            raise RefusedError(
                f"{said.binding.ref} was {earlier.verdict} by {earlier.by} with digest"
                f" {earlier.binding.digest[:12]}; it is {said.binding.digest[:12]} now.",
                hint="A published version never changes: find out who changed it, and publish a new version.",
            )
        if record.evidence_id != said.binding.evidence_id:
            continue
        if (earlier.verdict, earlier.by, earlier.reason) == (said.verdict, said.by, said.reason):
            return earlier
        raise RefusedError(
            f"{said.binding.ref} was {earlier.verdict} by {earlier.by} ({earlier.reason}; evidence"
            f" {record.evidence_id}, {when} s since the epoch); an answer is given once.",
            hint="To stop a release that was approved, set `abort: true` on it; to ask anew, make new evidence"
            " (`leadscore release replay` or `shadow`).",
        )
    return None


def _sorted(binding: Binding) -> Binding:
    return msgspec.structs.replace(binding, evidence=tuple(sorted(binding.evidence)))


def _person(name: str) -> str:
    name = " ".join(name.split())
    if not any(c.isalpha() for c in name) or name.casefold() in _NOBODY or len(name) > LONGEST_NAME:
        raise BadInputError(
            f"{name[:40]!r} is not a person's name.", hint="Say who decides: --as 'Ada Lovelace'."
        )
    return name


def _reason(reason: str) -> str:
    reason = reason.strip()
    if not any(c.isalnum() for c in reason) or len(reason) > LONGEST_REASON:
        raise BadInputError(
            f"The reason has {len(reason)} characters.",
            hint=f"Say why in 1 to {LONGEST_REASON} characters: --reason 'replay shows …'.",
        )
    return reason


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"
