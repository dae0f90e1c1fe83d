"""Reading the event store as the release machine's observations, and writing what it decides, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from leadscore.errors import ConflictError, RefusedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.registry.versions import ModelVersion
from leadscore.release.approval import (
    APPROVAL,
    REQUEST,
    Approval,
    Binding,
    answers_to,
    open_requests,
    request,
    requests_in,
)
from leadscore.release.expected import ExpectedPsi
from leadscore.release.states import (
    ApprovalObservation,
    EndObservation,
    Finish,
    GateObservation,
    ReleaseReport,
    ReleaseSpec,
    ReleaseStatus,
    ReportObservation,
    RequestApproval,
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


class ReportHeader(ReleaseReport, frozen=True, kw_only=True):
    """What the release machine reads of a report; the rest of its document is its own.

    Attributes:
        too_few: Shadow: there were fewer leads than the release asks for, so it says nothing for or against.
        leads: KPI: mature leads of the candidate. Shadow with `too_few`: leads that both had scored.
        judged: KPI: whether so many could have shown a fall. A record that does not say so supports nothing.
        expected: Replay and shadow: how far the scores lie from the champion's. One
            that does not say so allows nothing.
    """

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
    status: dict[str, object]


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


def record_request(
    store: EventStore, spec: ReleaseSpec, _status: ReleaseStatus, asked: RequestApproval, at: int
) -> bool:
    """Put a release's question to a person on record, once.

    Raises:
        ConflictError: The release asked about something else before.
    """
    binding = Binding(
        model=spec.model,
        version=spec.version,
        digest=asked.digest,
        evidence=asked.evidence,
        release=spec.release,
    )
    return request(store, binding, at=at)


def record_end(store: EventStore, spec: ReleaseSpec, status: ReleaseStatus, finish: Finish, at: int) -> bool:
    """Record how a release ended; one record per release, so the first one counts."""
    document = _End(
        release=spec.release,
        model=spec.model,
        version=spec.version,
        finish=finish,
        # As it has always been recorded: by the fields' own names.
        status=msgspec.structs.asdict(status),
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


def record_report(store: EventStore, kind: str, said: Comparison | ReportHeader | KpiReport, at: int) -> str:
    """Record a replay's, a shadow's or a soak's report; returns its evidence id.

    A release's report has an id of its own, and its first record counts. A person's is one more with each
    evaluation.
    """
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


class ReleaseEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the event store says about a release.

    Attributes:
        gate: Newest verdict on the candidate's bytes.
        evaluation: Newest report of its replay or shadow.
        requested: Whether its question to a person is on record.
        approval: Answer to it that counts; None while there is none, or no question.
        unproven: What is wrong with the last answer that does not count; "" if there is none such.
        kpi: Newest report of its soak.
        ended: How it ended.
    """

    gate: GateObservation | None
    evaluation: ReportObservation
    requested: bool
    approval: ApprovalObservation | None
    unproven: str
    kpi: ReportObservation
    ended: EndObservation | None


def read_evidence(
    store: EventStore, spec: ReleaseSpec, digest: str | None, approvers: Approvers, now: float
) -> ReleaseEvidence:
    """Read everything about a release at once, so that its parts are of the same moment.

    Args:
        store: Event store.
        spec: The release.
        digest: Artefact digest of the candidate as it is now; None: there is no candidate.
        approvers: Who may answer.
        now: Seconds since the epoch.

    Raises:
        UnavailableError: The store cannot be read, or who may approve cannot: nothing is known.
    """
    evaluation = SHADOW if spec.evaluation == "shadow" else REPLAY
    kinds = (GATE, evaluation, REQUEST, APPROVAL, KPI, RELEASE)
    records = store.evidence(kind=kinds, subject=spec.ref, limit=None)
    approval, unproven = observe_approval(records, spec, approvers, now)
    return ReleaseEvidence(
        gate=None if digest is None else observe_gate(records, digest),
        evaluation=observe_report(records, evaluation, spec.release),
        requested=_question(records, spec) is not None,
        approval=approval,
        unproven=unproven,
        kpi=observe_report(records, KPI, spec.release),
        ended=_ended(records, spec),
    )


def observe_approval(
    records: Sequence[Evidence], spec: ReleaseSpec, approvers: Approvers, now: float
) -> tuple[ApprovalObservation | None, str]:
    """Return the answer to a release's question that counts, and what is wrong with those that do not.

    Args:
        records: Of the candidate, newest first.
        spec: The release.
        approvers: Who may answer.
        now: Seconds since the epoch.

    Returns:
        None while there is no such answer (or no question); a sentence about the last one that does not
        count, or "".

    Raises:
        UnavailableError: Who may approve cannot be read: nothing is known.
    """
    asked = _question(records, spec)
    if asked is None:
        return None, ""
    refused = ""
    for record, said in answers_to(records, asked):
        lacking = said.why_not(approvers, now)
        if not lacking:
            return _approval(record, said), ""
        refused = (
            f"The answer {record.evidence_id} ({said.verdict} by {said.by!r}) does not count: {lacking}."
        )
    return None, refused


def _question(records: Iterable[Evidence], spec: ReleaseSpec) -> Binding | None:
    return next((asked for _, asked in requests_in(records) if asked.release == spec.release), None)


def _ended(records: Iterable[Evidence], spec: ReleaseSpec) -> EndObservation | None:
    ends = (msgspec.json.decode(record.document, type=_End) for record in records if record.kind == RELEASE)
    found = (
        EndObservation(phase=e.finish.phase, reason=e.finish.reason)
        for e in ends
        if e.release == spec.release
    )
    return next(found, None)


def observe_gate(records: Iterable[Evidence], digest: str) -> GateObservation | None:
    """Return the newest gate verdict on exactly these bytes; `records` are a version's, newest first."""
    for record in records:
        if record.kind != GATE:
            continue
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


def observe_report(records: Iterable[Evidence], kind: str, release: str) -> ReportObservation:
    """Return a release's newest report of a kind; `absent` says nothing about a Job that may be running."""
    newest = ReportObservation()
    for record in records:
        if record.kind != kind:
            continue
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
    gate = observe_gate(store.evidence(kind=GATE, subject=version.ref), version.digest)
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
