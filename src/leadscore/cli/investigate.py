"""`leadscore investigate`: from a complaint to its cause."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from leadscore.cli.moments import parse_moment, parse_span
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.errors import BadInputError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.investigation.document import InvestigationReport
    from leadscore.investigation.lead_history import LeadHistory


def investigate(
    since: Annotated[
        str | None, typer.Option("--since", help="First moment of the complaint: a day, month or time (UTC).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Its last day, month or time; now.")] = None,
    model: Annotated[str, typer.Option("--model", help="Registered name of the model.")] = "leads",
    lead: Annotated[
        str | None, typer.Option("--lead", help="One lead: its scores, why, and why they changed.")
    ] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Only leads with this value of a field: country=DE.")
    ] = None,
    maturity: Annotated[
        str, typer.Option("--maturity", help="Age at which a lead's outcome should be known.")
    ] = "30d",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the report as HTML and Markdown.")
    ] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Find out why leads do not convert as promised, in six steps; or why one lead has its score.

    The report, with the day to look again, is kept in the event store.
    """
    from leadscore.events.store import EventStore
    from leadscore.investigation.lead_history import read_lead
    from leadscore.investigation.models import ModelShelf
    from leadscore.investigation.request import InvestigationRequest, parse_segment
    from leadscore.investigation.run import investigate_model, record_investigation
    from leadscore.monitoring.queries.ranges import HourRange
    from leadscore.registry.store import ModelRegistry

    if since is None and lead is None:
        raise BadInputError(
            "Say what is complained about.", hint="--since 2026-03-01, or --lead ID, or both."
        )
    if out is not None and since is not None:
        _prepare(out)
    home, now = Home.from_environment(), datetime.now(UTC)
    registry = ModelRegistry(home)
    shelf = ModelShelf(registry)
    with EventStore(events_url or home.events_url) as store:
        history = None if lead is None else read_lead(store, shelf, lead)
        if since is None:
            emit(history, Group() if history is None else _lead_view(history), as_json=as_json)
            return
        end = now if until is None else min(parse_moment(until, "--until", last=True), now)
        request = InvestigationRequest(
            model=model,
            time=HourRange.of(parse_moment(since, "--since"), end),
            asked_at=now,
            maturity=parse_span(maturity, "--maturity"),
            segment=None if segment is None else parse_segment(segment),
            lead_id=lead,
        )
        report = investigate_model(store, registry, shelf, request)
        record_investigation(store, report)
    if out is not None:
        _write(report, out)
    shown = [_report_view(report), *([] if history is None else [_lead_view(history)])]
    emit({"investigation": report, "lead": history}, Group(*shown), as_json=as_json)


def _prepare(folder: Path) -> None:
    """Make the folder before anything is read or kept: a report is kept once and for all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"Cannot make the folder {folder}: {error.strerror or error}.", hint="Choose another with --out."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInputError(f"Nothing can be written to {folder}.", hint="Choose another with --out.")


def _write(report: InvestigationReport, folder: Path) -> None:
    from leadscore.investigation.report import report_html, report_markdown
    from leadscore.monitoring.files import write_file

    for ending, text in (("html", report_html(report)), ("md", report_markdown(report))):
        path = folder / f"{report.id}.{ending}"
        write_file(path, text.encode())
        notes.print(f"written: {path}", markup=False)


def _report_view(report: InvestigationReport) -> RenderableType:
    shown: list[RenderableType] = [
        Text(report.headline, style="bold"),
        Text(
            f"How sure: {report.certainty}. {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M}"
            f" UTC, compared with {report.before_since:%Y-%m-%d %H:%M} to"
            f" {report.before_until:%Y-%m-%d %H:%M}."
        ),
    ]
    rows = [(str(place), step.title, step.state, step.sentence) for place, step in enumerate(report.steps, 1)]
    shown.append(table("Six steps", ("", "step", "state", "what it says"), rows))
    findings = [(f.id, f.points_to or "", f.sentence, ", ".join(f.evidence)) for f in report.findings]
    if findings:
        shown.append(table("Findings", ("id", "speaks for", "what", "evidence"), findings))
    shown.extend(Text(f"  {command}") for command in report.commands)
    shown.append(Text(f"Look again on {report.follow_up_at:%Y-%m-%d}. {report.follow_up} ({report.id})"))
    return Group(*shown)


def _lead_view(found: LeadHistory) -> RenderableType:
    answers = [
        (f"{a.scored_at:%Y-%m-%d %H:%M}", f"{a.score:.1f}", a.grade, f"{a.model}/{a.version}",
         "comparison only" if a.shadow else "", a.prediction_id)
        for a in found.answers
    ]  # fmt: skip
    columns = ("when (UTC)", "score", "grade", "model", "note", "prediction")
    shown: list[RenderableType] = [table(f"Lead {found.lead_id}", columns, answers, right=("score",))]
    newest = found.answers[0]
    reasons = [(r.text, f"{r.share:.0%}") for r in newest.reasons] or [(newest.unexplained, None)]
    shown.append(table("Why the newest score", ("reason", "share"), reasons, right=("share",)))
    for change in found.changes:
        said = (change.unexplained,) if change.change is None else change.change.sentences
        shown.append(Text(f"From {change.before} to {change.after}:", style="bold"))
        shown.extend(Text(f"  {line}") for line in said)
    outcomes = [
        (f"{o.occurred_at:%Y-%m-%d}", "customer" if o.converted else "lost", o.value,
         "counts" if o.counts else "corrected")
        for o in found.outcomes
    ]  # fmt: skip
    if outcomes:
        shown.append(table("What became of it", ("when", "what", "value", ""), outcomes, right=("value",)))
    return Group(*shown)
