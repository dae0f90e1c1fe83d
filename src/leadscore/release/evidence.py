"""Reading the event store as the release machine's observations, and writing what it decides, once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from leadscore.errors import ConflictError, RefusedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.registry.versions import ModelVersion
from leadscore.release.approval import Approval, Binding, answers_to, open_requests, requests_of
from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import (
    ApprovalObservation,
    EndObservation,
    Finish,
    GateObservation,
    ReleaseSpec,
    ReleaseStatus,
    ReportObservation,
)

if TYPE_CHECKING:  # the operator has no SciPy
    from leadscore.release.experiment import Experiment
    from leadscore.release.report import Comparison
    from leadscore.release.soak import KpiReport

GATE = "gate"
REPLAY = "replay"
SHADOW = "shadow"
KPI = "kpi"
RELEASE = "release"
EXPERIMENT = "experiment"


class ReportHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What every report says about itself (replay, shadow, KPI); the rest of its document is its own.

    Attributes:
        release: Release that asked for it, "" if a person did.
        number: Which of the release's reports it is.
        model: Registered name.
        version: Candidate.
        digest: Its artefact digest.
        passed: Nothing speaks against the candidate.
        summary: In a sentence.
        until: End of the data, ISO 8601.
        too_few: Shadow: there were fewer leads than the release asks for, so it says nothing for or against.
        leads: KPI: mature leads of the candidate. Shadow with `too_few`: leads that both had scored.
        judged: KPI: whether so many could have shown a fall. A record that does not say so supports nothing.
        expected: Replay and shadow: how far the scores lie from the champion's. One that does not say so allows nothing.
    """

    release: str
    number: int = 1
    model: str
    version: int
    digest: str
    passed: bool
    summary: str
    until: datetime
    too_few: bool = False
    leads: int = 0
    judged: bool = False
    expected: ExpectedPsi | None = None


class _Gate(msgspec.Struct, frozen=True):
    """The part of the gate's record that a release needs."""

    passed: bool
    summary: str
    challenger: str
    champion: str | None


class _End(msgspec.Struct, frozen=True, kw_only=True):
    release: str
    model: str
    version: int
    finish: Finish
    status: ReleaseStatus


def record_once(store: EventStore, record: Evidence) -> bool:
    """Record under an id that stands for one event; False if that event is on record, whatever time it gives.

    Raises:
        ConflictError: The id stands for something else.
    """
    try:
        return store.record(record)
    except ConflictError:
        found = store.evidence(kind=record.kind, subject=record.subject)
        if any(known.evidence_id == record.evidence_id for known in found):
            return False
        raise


def report_id(kind: str, release: str, number: int) -> str:
    """Id of a release's report: a Job that runs twice writes it once."""
    return f"{kind}-{release}-{number}"


def record_end(store: EventStore, spec: ReleaseSpec, status: ReleaseStatus, finish: Finish, at: int) -> bool:
    """Record how a release ended; one record per release, so the first one counts."""
    document = _End(
        release=spec.release, model=spec.model, version=spec.version, finish=finish, status=status
    )
    return record_once(
        store,
        Evidence(
            evidence_id=f"{RELEASE}-{spec.release}",
            kind=RELEASE,
            subject=spec.ref,
            at=at,
            document=msgspec.json.encode(document).decode(),
        ),
    )


def record_comparison(store: EventStore, found: Comparison, at: int) -> str:
    """Record a replay's or a shadow's report; returns its evidence id. A release has one of each: the first counts."""
    return _record_report(store, found.kind, found, at)


def record_refusal(store: EventStore, kind: str, said: ReportHeader, at: int) -> str:
    """Record that a release's report found too little to compare; returns its evidence id, whose first record counts."""
    return _record_report(store, kind, said, at)


def record_kpi(store: EventStore, found: KpiReport, at: int) -> str:
    """Record a report of the watch, once per release and number; returns its evidence id."""
    return _record_report(store, KPI, found, at)


def _record_report(store: EventStore, kind: str, said: Comparison | ReportHeader | KpiReport, at: int) -> str:
    """A release's report has an id of its own, and its first record counts; a person's is one more with each evaluation."""
    ref = f"{said.model}/{said.version}"
    evidence_id = report_id(kind, said.release, said.number) if said.release else f"{kind}-{ref}-{at}"
    record_once(store, Evidence(evidence_id, kind, ref, at, msgspec.json.encode(said).decode()))
    return evidence_id


def record_experiment(store: EventStore, found: Experiment, at: int) -> str:
    """Record an evaluation of an A/B test; each is one more record."""
    ref = f"{found.model}/{found.b.version}"
    evidence_id = f"{EXPERIMENT}-{ref}-{at}"
    store.record(Evidence(evidence_id, EXPERIMENT, ref, at, msgspec.json.encode(found).decode()))
    return evidence_id


# --- Observations -----------------------------------------------------------------------------------------


def observe_gate(store: EventStore, ref: str, digest: str) -> GateObservation | None:
    """The newest gate verdict on exactly these bytes."""
    for record in store.evidence(kind=GATE, subject=ref):
        gate = msgspec.json.decode(record.document, type=_Gate)
        if gate.challenger == digest:
            return GateObservation(
                evidence=record.evidence_id,
                passed=gate.passed,
                summary=gate.summary,
                digest=gate.challenger,
                champion=gate.champion,
            )
    return None


def observe_report(store: EventStore, kind: str, ref: str, release: str) -> ReportObservation:
    """A release's newest report of a kind that is on record; `absent` says nothing about a Job that may be running."""
    newest = ReportObservation()
    for record in store.evidence(kind=kind, subject=ref):
        head = msgspec.json.decode(record.document, type=ReportHeader)
        if head.release == release and head.number > newest.number:
            newest = ReportObservation(
                state="done",
                evidence=record.evidence_id,
                digest=head.digest,
                passed=head.passed,
                summary=head.summary,
                at=head.until,
                number=head.number,
                too_few=head.too_few,
                leads=head.leads,
                judged=head.judged,
                expected=head.expected,
            )
    return newest


def observe_approval(
    store: EventStore, spec: ReleaseSpec, approvers: Approvers, now: float
) -> tuple[ApprovalObservation | None, str]:
    """The answer to this release's question that counts, and what is wrong with those on record that do not.

    Args:
        store: Where answers are.
        spec: The release.
        approvers: Who may answer.
        now: Seconds since the epoch.

    Returns:
        None while there is no such answer (or no question); a sentence about the last one that does not count, or "".

    Raises:
        UnavailableError: Who may approve cannot be read: nothing is known.
    """
    asked = next((b for _, b in requests_of(store, spec.ref) if b.release == spec.release), None)
    if asked is None:
        return None, ""
    refused = ""
    for record, said in answers_to(store, asked):
        lacking = said.why_not(approvers, now)
        if not lacking:
            return _approval(record, said), ""
        refused = (
            f"The answer {record.evidence_id} ({said.verdict} by {said.by!r}) does not count: {lacking}."
        )
    return None, refused


def requested(store: EventStore, spec: ReleaseSpec) -> bool:
    """Whether this release's question is on record."""
    return any(asked.release == spec.release for _, asked in requests_of(store, spec.ref))


def observe_end(store: EventStore, spec: ReleaseSpec) -> EndObservation | None:
    """How this release ended, if that is on record."""
    for record in store.evidence(kind=RELEASE, subject=spec.ref):
        end = msgspec.json.decode(record.document, type=_End)
        if end.release == spec.release:
            return EndObservation(phase=end.finish.phase, reason=end.finish.reason)
    return None


def binding_for(store: EventStore, version: ModelVersion, approvers: Approvers, now: float) -> Binding:
    """What a person's answer about a version would be about: its open question, else its newest evidence.

    Raises:
        RefusedError: No gate has passed exactly these bytes.
        UnavailableError: Who may approve cannot be read.
    """
    ended = ended_releases(store, version.ref)
    for _, asked in open_requests(store, approvers, now, version.ref, ended=ended):
        if asked.digest == version.digest:
            return asked
    gate = observe_gate(store, version.ref, version.digest)
    if gate is None or not gate.passed:
        found = "has no gate verdict" if gate is None else f"did not pass the gate: {gate.summary}"
        raise RefusedError(
            f"{version.ref} {found}",
            hint="Approval needs evidence: `leadscore train` runs the gate.",
        )
    evidence = [gate.evidence]
    compared = newest_comparison(store, version)
    if compared is not None:
        evidence.append(compared[0].evidence_id)
    return Binding(
        model=version.name,
        version=version.version,
        digest=version.digest,
        evidence=tuple(sorted(evidence)),
    )


def newest_comparison(store: EventStore, version: ModelVersion) -> tuple[Evidence, ReportHeader] | None:
    """The newest replay's or shadow's report on exactly these bytes."""
    records = [r for kind in (REPLAY, SHADOW) for r in store.evidence(kind=kind, subject=version.ref)]
    for record in sorted(records, key=lambda r: r.at, reverse=True):
        head = msgspec.json.decode(record.document, type=ReportHeader)
        if head.digest == version.digest:
            return record, head
    return None


def ended_releases(store: EventStore, ref: str | None = None) -> frozenset[str]:
    """Releases whose end is on record."""
    found = store.evidence(kind=RELEASE, subject=ref)
    return frozenset(msgspec.json.decode(record.document, type=_End).release for record in found)


def _approval(record: Evidence, said: Approval) -> ApprovalObservation:
    about = said.binding
    return ApprovalObservation(
        evidence=record.evidence_id,
        verdict=said.verdict,
        by=said.by,
        reason=said.reason,
        model=about.model,
        version=about.version,
        digest=about.digest,
        bound_to=about.evidence,
    )
