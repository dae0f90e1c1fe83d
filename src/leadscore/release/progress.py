"""Show how far a version is on its way to traffic, from the records."""

from __future__ import annotations

from typing import Literal

import msgspec

from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.registry.versions import ModelVersion
from leadscore.release.approval import (
    APPROVAL,
    Approval,
    Binding,
    answers_of,
    approve_command,
    open_requests,
)
from leadscore.release.evidence import GATE, REPLAY, ended_releases, newest_comparison, observe_gate

CheckState = Literal["yes", "no", "open", "absent"]


class ReleaseCheck(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a version needs: whether it has it, what it says, and the record."""

    name: str
    state: CheckState
    says: str
    evidence: str = ""


class ReleaseProgress(msgspec.Struct, frozen=True, kw_only=True):
    """All checks of a version, and what a person can do next."""

    ref: str
    digest: str
    checks: tuple[ReleaseCheck, ...] = msgspec.field(name="stations")
    next: str


class _Sentence(msgspec.Struct, frozen=True):
    summary: str = ""


class _Ended(msgspec.Struct, frozen=True):
    finish: dict[str, str]


def release_progress(
    store: EventStore, version: ModelVersion, approvers: Approvers, now: float
) -> ReleaseProgress:
    """Read what is on record about exactly this version's bytes, `now` in seconds since the epoch."""
    gate = observe_gate(store.evidence(kind=GATE, subject=version.ref), version.digest)
    compared = _compared(store, version)
    ended = ended_releases(store, version.ref)
    asked = [
        (record, binding)
        for record, binding in open_requests(store, approvers, now, version.ref, ended=ended)
        if binding.digest == version.digest
    ]
    answered = [
        (record, said, said.why_not(approvers, now))
        for record, said in answers_of(store, version.ref)
        if said.binding.digest == version.digest
    ]
    checks = (
        ReleaseCheck(name="gate", state="absent", says="no verdict")
        if gate is None
        else ReleaseCheck(
            name="gate", state="yes" if gate.passed else "no", says=gate.summary, evidence=gate.evidence
        ),
        compared,
        _approval(asked, answered),
        ReleaseCheck(
            name="champion", state="yes" if version.stage == "Production" else "no", says=version.stage
        ),
    )
    return ReleaseProgress(
        ref=version.ref, digest=version.digest, checks=checks, next=_next(version.ref, checks)
    )


def in_a_sentence(record: Evidence) -> str:
    """What a record says, for a table."""
    match record.kind:
        case "approval":
            said = msgspec.json.decode(record.document, type=Approval)
            unproven = "" if said.proof is not None else " (unverified)"
            return f"{said.verdict} by {said.by}{unproven}: {said.reason}"
        case "approval-request":
            asked = msgspec.json.decode(record.document, type=Binding)
            return f"release {asked.release} asks about {asked.digest[:12]}"
        case "release":
            end = msgspec.json.decode(record.document, type=_Ended).finish
            return f"{end['phase']}: {end['reason']}"
        case _:
            return msgspec.json.decode(record.document, type=_Sentence).summary


def _compared(store: EventStore, version: ModelVersion) -> ReleaseCheck:
    found = newest_comparison(store, version)
    if found is None:
        return ReleaseCheck(name=REPLAY, state="absent", says="neither replayed nor shadowed")
    record, head = found
    state: CheckState = "yes" if head.passed else "no"
    return ReleaseCheck(name=record.kind, state=state, says=head.summary, evidence=record.evidence_id)


def _approval(
    asked: list[tuple[Evidence, Binding]], answered: list[tuple[Evidence, Approval, str]]
) -> ReleaseCheck:
    """Return the open question, else the newest answer that counts, else the newest that does not."""
    unproven = next(((record, said, why) for record, said, why in answered if why), None)
    says = (
        ""
        if unproven is None
        else f"unverified: {unproven[1].verdict} by {unproven[1].by!r}, but {unproven[2]}"
    )
    if asked:
        record, binding = asked[0]
        words = f"asked by {binding.release}"
        return ReleaseCheck(
            name=APPROVAL,
            state="open",
            says=f"{words}; {says}" if says else words,
            evidence=record.evidence_id,
        )
    for record, said, why in answered:
        if not why:
            return ReleaseCheck(
                name=APPROVAL,
                state="yes" if said.verdict == "approved" else "no",
                says=f"{said.by}: {said.reason}",
                evidence=record.evidence_id,
            )
    return ReleaseCheck(
        name=APPROVAL,
        state="absent",
        says=says or "nobody asked",
        evidence="" if unproven is None else unproven[0].evidence_id,
    )


def _next(ref: str, checks: tuple[ReleaseCheck, ...]) -> str:
    gate, compared, approval, champion = (check.state for check in checks)
    if champion == "yes":
        return "nothing: it is the champion."
    if gate != "yes":
        return "train again: without the gate nothing goes on."
    if compared == "absent":
        return f"leadscore release replay --candidate {ref}"
    if approval in {"open", "absent"}:
        return approve_command(ref)
    return "its release goes on." if approval == "yes" else "it was denied: train again."
