"""An investigation from its request to its record: read, look in six steps, decide, keep."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller
from leadscore.investigation.causes import cause_step, find_cause, follow_up, resolution, resolution_step
from leadscore.investigation.document import InvestigationReport
from leadscore.investigation.models import ModelShelf
from leadscore.investigation.observed import Observed
from leadscore.investigation.reading import observe
from leadscore.investigation.request import InvestigationRequest
from leadscore.investigation.steps import STEPS, Findings
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.registry.store import ModelRegistry

KIND = "investigation"


def investigate_model(
    store: EventStore, registry: ModelRegistry, shelf: ModelShelf, request: InvestigationRequest
) -> InvestigationReport:
    """Run the six steps. Nothing is written.

    Raises:
        BadInputError: The segment is of no feature of the model, or the time is over before the first lead.
        UnavailableError: The store cannot be read.
    """
    seen = observe(store, registry, shelf, request)
    if seen.first_lead is not None and request.time.end <= seen.first_lead:
        raise BadInputError(
            f"The first stored lead of {request.model} is of {seen.first_lead:%Y-%m-%d %H:%M} UTC: there is"
            " nothing to investigate before.",
            hint="Give a time in which leads were scored.",
        )
    return conclude_investigation(seen)


def conclude_investigation(seen: Observed) -> InvestigationReport:
    """From what was observed to the report. Pure."""
    request, found = seen.request, Findings()
    looked = tuple(step(seen, found) for step in STEPS)
    verdict = find_cause(seen, looked)
    sentences, commands = resolution(verdict, seen)
    when, what = follow_up(verdict, seen)
    return InvestigationReport(
        id=investigation_id(request),
        model=request.model,
        subject=_subject(request),
        since=request.time.start,
        until=request.time.end,
        before_since=request.before.start,
        before_until=request.before.end,
        asked_at=request.asked_at,
        known_until=seen.counted_until,
        cause=verdict.cause,
        certainty=verdict.certainty,
        headline=verdict.headline,
        steps=(*looked, cause_step(verdict), resolution_step(verdict)),
        resolution=sentences,
        commands=commands,
        follow_up_at=when,
        follow_up=what,
    )


def investigation_id(request: InvestigationRequest) -> str:
    """The id of one run: of what is asked, and when."""
    said = (
        request.model, request.time.start, request.time.end, request.asked_at, str(request.segment or ""),
        request.lead_id or "",
    )  # fmt: skip
    return f"{KIND}-{hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:24]}"


def record_investigation(
    store: EventStore, report: InvestigationReport, caller: Caller | None = None
) -> None:
    """Keep a report, with its follow-up date, as evidence; the same one twice is one record.

    Raises:
        UnavailableError: The store cannot be written.
    """
    store.record(
        Evidence(
            evidence_id=report.id,
            kind=KIND,
            subject=report.model,
            at=moment_us(report.asked_at),
            document=msgspec.json.encode(report).decode(),
            caller=caller,
        )
    )


def list_investigations(
    store: EventStore, model: str, *, limit: int = 100
) -> tuple[InvestigationReport, ...]:
    """Return the investigations of a model, newest first.

    Raises:
        BadInputError: A record is damaged.
        UnavailableError: The store cannot be read.
    """
    return _decode(store.evidence(kind=KIND, subject=model, limit=limit))


def read_investigation(store: EventStore, model: str, name: str) -> InvestigationReport:
    """Return one investigation.

    Raises:
        NotFoundError: There is none of that id.
        BadInputError: Its record is damaged.
    """
    found = [
        record
        for record in store.evidence(kind=KIND, subject=model, limit=None)
        if record.evidence_id == name
    ]
    if not found:
        raise NotFoundError(
            f"There is no investigation {name[:80]!r} of {model}.", hint="Choose one from the list."
        )
    return _decode(found)[0]


def _decode(records: Sequence[Evidence]) -> tuple[InvestigationReport, ...]:
    try:
        return tuple(_decoded(record) for record in records)
    except DECODE_ERRORS as error:
        raise BadInputError(
            f"A record of an investigation cannot be read: {error}.",
            hint="A newer release may have written it.",
        ) from error


def _decoded(record: Evidence) -> InvestigationReport:
    report = msgspec.json.decode(record.document, type=InvestigationReport)
    return msgspec.structs.replace(report, asked_by="" if record.caller is None else record.caller.name)


def _subject(request: InvestigationRequest) -> str:
    if request.lead_id is not None:
        return f"lead {request.lead_id}"
    return "all leads" if request.segment is None else f"leads with {request.segment}"
