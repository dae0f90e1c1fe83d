"""Approval: an authenticated person says yes or no, once, to exactly these bytes on exactly this evidence.

This is the one place that records an answer, and the one that says whether an answer on record counts.
Anybody who may write the event store can put any text into it. An answer counts by its proof
(`leadscore.identity.approvers`), which is checked again before it is acted on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from leadscore.drift.verdict import as_utc
from leadscore.errors import ConflictError, RefusedError, UnauthorizedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers, Proof, nonce_of
from leadscore.identity.caller import Caller, checked_reason
from leadscore.identity.process import login_name

APPROVAL = "approval"
REQUEST = "approval-request"
LONGEST_REASON = 2000

ApprovalVerdict = Literal["approved", "denied"]


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
        """Primary key of an answer, by which the database keeps out a second one."""
        about = msgspec.json.encode((self.model, self.version, self.digest, sorted(self.evidence)))
        return f"{APPROVAL}-{self.ref}-{hashlib.sha256(about).hexdigest()[:16]}"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The answer; append-only.

    Attributes:
        verdict: Yes or no.
        by: Name of who says so. Without a proof, as in answers that were given with `--as NAME`, a claim that
            counts nothing.
        login: Login name of the process that wrote it: a claim.
        reason: In their words.
        binding: What it is about.
        caller: Who says so, and how we know.
        at: When, microseconds since the epoch.
        proof: That they do.
    """

    verdict: ApprovalVerdict
    by: str
    login: str = ""
    reason: str
    binding: Binding
    caller: Caller | None = None
    at: int = 0
    proof: Proof | None = None

    def why_not(self, approvers: Approvers, now: float) -> str:
        """Say why this answer does not count, `now` in seconds since the epoch; "" if it does.

        Raises:
            UnavailableError: Who may approve cannot be read: nothing is known.
        """
        if self.caller is not None and self.by != self.caller.name:
            return f"it names {self.by!r}, and {self.caller.name!r} made it"
        said = statement_of(self.binding, self.verdict, self.reason)
        return approvers.why_not(self.proof, self.caller, said, at=self.at, now=now)


def statement_of(binding: Binding, verdict: ApprovalVerdict, reason: str) -> bytes:
    """Return the bytes that a proof signs: everything that an approval means."""
    return msgspec.json.encode((APPROVAL, verdict, reason, _sorted(binding)))


def nonce_for(binding: Binding, verdict: ApprovalVerdict, reason: str) -> str:
    """The nonce that a token for exactly this answer must carry."""
    return nonce_of(statement_of(binding, verdict, checked_reason(reason, LONGEST_REASON)))


def approve_command(ref: str) -> str:
    """Return what a person types to approve a candidate, as far as it can be known; pure."""
    return f"leadscore approve {ref} --key-file KEY --reason …"


def record_approval(
    store: EventStore,
    binding: Binding,
    verdict: ApprovalVerdict,
    *,
    credential: bytes,
    approvers: Approvers,
    reason: str,
    at: int,
) -> tuple[Approval, bool]:
    """Find out who answers, and record the answer with a proof; the same answer again changes nothing.

    Args:
        store: Where evidence is kept.
        binding: What is answered.
        verdict: Yes or no.
        credential: The person's API key or token.
        approvers: Who may answer.
        reason: Why.
        at: Microseconds since the epoch.

    Returns:
        The answer on record, and whether this call made it.

    Raises:
        BadInputError: No reason.
        UnauthorizedError: The credential is nobody's, or the token was given out for something else.
        ForbiddenError: Its holder may not approve.
        UnavailableError: Who may approve cannot be read, or the issuer cannot be reached.
        RefusedError: It was answered before (otherwise, or by somebody else), or the
            version was answered with other bytes.
    """
    now = at / 1e6
    binding, reason = _sorted(binding), checked_reason(reason, LONGEST_REASON)
    person = approvers.authenticate(credential, now)
    said = Approval(
        verdict=verdict,
        by=person.caller.name,
        login=login_name(),
        reason=reason,
        binding=binding,
        caller=person.caller,
        at=at,
        proof=person.prove(statement_of(binding, verdict, reason), at),
    )
    lacking = said.why_not(approvers, now)
    if lacking:
        raise UnauthorizedError(
            f"The answer would not count: {lacking}.",
            hint=f"A token must carry the nonce {nonce_for(binding, verdict, reason)} (docs/release.md).",
        )
    document = msgspec.json.encode(said).decode()
    while True:
        known, number = _known(store, said, approvers, now)
        if known is not None:
            return known, False
        # The primary key keeps out a second answer. One that does not count blocks no other.
        name = binding.evidence_id if number == 1 else f"{binding.evidence_id}-{number}"
        try:
            return said, store.record(Evidence(name, APPROVAL, binding.ref, at, document, person.caller))
        except ConflictError:
            # Another answer was written after our read; reading again finds it and tells whether it agrees.
            again = _known(store, said, approvers, now)
            if again[0] is None and again[1] == number:
                raise


def answers_of(store: EventStore, ref: str | None = None) -> tuple[tuple[Evidence, Approval], ...]:
    """All answers (about one version, or all), newest first, whether they count or not."""
    return answers_in(store.evidence(kind=APPROVAL, subject=ref))


def answers_in(records: Iterable[Evidence]) -> tuple[tuple[Evidence, Approval], ...]:
    """Return the answers among records, in their order."""
    found = (record for record in records if record.kind == APPROVAL)
    return tuple((record, msgspec.json.decode(record.document, type=Approval)) for record in found)


def answers_to(records: Iterable[Evidence], binding: Binding) -> tuple[tuple[Evidence, Approval], ...]:
    """Return the answers to one question in the order of recording, whether they count or not."""
    return _to(binding, answers_in(records))


def _to(
    binding: Binding, answers: tuple[tuple[Evidence, Approval], ...]
) -> tuple[tuple[Evidence, Approval], ...]:
    about = binding.evidence_id
    found = [
        (r, said)
        for r, said in answers
        if said.binding.evidence_id == about and r.evidence_id.startswith(about)
    ]
    # `…`, `…-2`, `…-10`.
    return tuple(sorted(found, key=lambda pair: (len(pair[0].evidence_id), pair[0].evidence_id)))


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
    store: EventStore,
    approvers: Approvers,
    now: float,
    ref: str | None = None,
    *,
    ended: frozenset[str] = frozenset(),
) -> tuple[tuple[Evidence, Binding], ...]:
    """Questions that nobody answered with an answer that counts, of releases that have not ended."""
    answered = {
        said.binding.evidence_id for _, said in answers_of(store, ref) if not said.why_not(approvers, now)
    }
    return tuple(
        (record, asked)
        for record, asked in requests_of(store, ref)
        if asked.evidence_id not in answered and asked.release not in ended
    )


def _known(
    store: EventStore, said: Approval, approvers: Approvers, now: float
) -> tuple[Approval | None, int]:
    """The same answer if it is on record, and the number of the next one.

    RefusedError if one that counts contradicts.
    """
    found = answers_of(store, said.binding.ref)
    for _, earlier in found:
        if earlier.binding.digest != said.binding.digest and not earlier.why_not(approvers, now):
            raise RefusedError(
                f"{said.binding.ref} was {earlier.verdict} by {earlier.by} with digest"
                f" {earlier.binding.digest[:12]}; it is {said.binding.digest[:12]} now.",
                hint="A published version never changes: find out who changed it, and publish a new version.",
            )
    answers = _to(said.binding, found)
    for record, earlier in answers:
        if earlier.why_not(approvers, now):
            continue
        if _words(earlier) == _words(said):
            return earlier, 0
        raise RefusedError(
            f"{said.binding.ref} was {earlier.verdict} by {earlier.by} ({earlier.reason}; evidence"
            f" {record.evidence_id}, {as_utc(record.at):%Y-%m-%d %H:%M} UTC); an answer is given once.",
            hint="To stop a release that was approved, set `abort: true` on it; to ask anew, make new "
            "evidence (`leadscore release replay` or `shadow`).",
        )
    return None, len(answers) + 1


def _words(said: Approval) -> tuple[str, str, str, str]:
    """What makes two answers the same; a key's and a token's holder may have the same name."""
    return said.verdict, "" if said.caller is None else said.caller.kind, said.by, said.reason


def _sorted(binding: Binding) -> Binding:
    return msgspec.structs.replace(binding, evidence=tuple(sorted(binding.evidence)))
