"""Investigations: complaints, what was found, and when to look again."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, action_form, badge, section_block, table_block
from leadscore.console.fields import FormField, attributes
from leadscore.console.numbers import moment_text
from leadscore.console.page import (
    ActionRequest,
    ActionResult,
    ConsoleAction,
    ConsolePage,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
    read_range,
)
from leadscore.console.pages.sales_words import STEP_LEVELS
from leadscore.errors import BadInputError, ConflictError
from leadscore.identity.caller import Caller
from leadscore.investigation.document import CAUSE_NAMES, Cause, InvestigationReport, InvestigationStep
from leadscore.investigation.models import ModelShelf
from leadscore.investigation.request import InvestigationRequest, parse_segment
from leadscore.investigation.run import (
    investigate_model,
    list_investigations,
    read_investigation,
    record_investigation,
)
from leadscore.monitoring.queries.ranges import HourRange
from leadscore.registry.store import ModelRegistry

_LEVELS: Final[dict[Cause, VerdictLevel]] = {"no_fault": "good", "unknown": "unknown"}
_RUNNING: Final = threading.Lock()
_LONGEST: Final = timedelta(days=400)
# Longest texts that the form's fields may hold; whatever is kept is kept for good.
_FIELDS: Final = {"since": 40, "until": 40, "segment": 200, "model": 200}


def build(request: PageRequest) -> PageContent:
    """Read the investigations, or one of them, and make the page."""
    wanted = request.filters.get("id", "")
    if wanted:
        return investigation_content(read_investigation(request.store, request.model, wanted))
    return list_content(request, list_investigations(request.store, request.model))


def list_content(request: PageRequest, found: Sequence[InvestigationReport]) -> PageContent:
    """Build the list, and the form that begins one. Pure."""
    due = [report for report in found if report.follow_up_at <= request.now]
    sentence = "No complaint has been investigated yet."
    if found:
        many = "1 investigation" if len(found) == 1 else f"{len(found)} investigations; the newest"
        sentence = f"{many}: {found[0].headline}"
    if due:
        sentence += f" {len(due)} are to be looked at again."
    table = PageTable(
        header=("asked", "by", "about", "result", "how sure", "look again", "report"),
        rows=[
            (
                report.asked_at,
                report.asked_by or "–",
                f"{report.subject}, {_days(report)}",
                badge(_level(report), CAUSE_NAMES[report.cause]),
                report.certainty,
                f"{report.follow_up_at:%Y-%m-%d}",
                _link(report),
            )
            for report in found
        ],
        units={},
        name="investigations",
        empty="There is none yet. Begin one below.",
    )  # fmt: skip
    return PageContent(
        verdict=PageVerdict(level=_level(found[0]) if found else "info", sentence=sentence),
        body=[
            section_block("All investigations", [table_block(table, caption="Investigations, newest first")]),
            section_block("Investigate a complaint", [_form(request)]),
        ],
    )


def investigation_content(report: InvestigationReport) -> PageContent:
    """Build the page of one investigation. Pure."""
    span = (
        f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC, compared with"
        f" {report.before_since:%Y-%m-%d %H:%M} to {report.before_until:%Y-%m-%d %H:%M}."
    )
    resolution = [
        html.Ul([html.Li(sentence) for sentence in report.resolution]),
        *(html.Pre(html.Code(command)) for command in report.commands),
        html.P([html.Strong(f"Look again on {report.follow_up_at:%Y-%m-%d}. "), report.follow_up]),
    ]
    return PageContent(
        verdict=PageVerdict(
            level=_level(report), sentence=f"{report.headline} How sure: {report.certainty}."
        ),
        body=[
            html.P(f"About {report.subject}: {span} {_asked(report)}"),
            *(_step(place, step) for place, step in enumerate(report.steps[:5], 1)),
            section_block("6. Proposed resolution", resolution),
            html.P(
                [html.A("All investigations", href="/investigations"), f" · {report.id}"], className="hint"
            ),
        ],
    )


def _days(report: InvestigationReport) -> str:
    # The span ends before its last moment: at midnight, the day before is the last one in it.
    return f"{report.since:%Y-%m-%d} to {report.until - timedelta(microseconds=1):%Y-%m-%d}"


def _asked(report: InvestigationReport) -> str:
    by = f" by {report.asked_by}" if report.asked_by else ""
    until = report.known_until
    known = "nothing had been counted then" if until is None else f"counted until {moment_text(until)}"
    return f"Asked{by} on {moment_text(report.asked_at)}; {known}."


def _step(place: int, step: InvestigationStep) -> Component:
    findings = [
        html.Li([html.Strong(f"{f.id} "), f.sentence, f" ({', '.join(f.evidence)})" if f.evidence else ""])
        for f in step.findings
    ]
    tables = [
        table_block(
            PageTable(header=table.header, rows=table.rows, units={}, name=f"step-{place}"),
            caption=f"{step.title}{f' ({number})' if number > 1 else ''}",
        )
        for number, table in enumerate(step.tables, 1)
        if table.rows
    ]
    shown: list[Component] = [html.P([badge(STEP_LEVELS[step.state]), " ", step.sentence])]
    if findings:
        shown.append(html.Ul(findings))
    return section_block(f"{place}. {step.title}", [*shown, *tables])


def _link(report: InvestigationReport) -> Component:
    label = f"Open the investigation of {report.asked_at:%Y-%m-%d %H:%M}"
    href = f"/investigations?{urlencode({'id': report.id})}"
    return html.A("Open", href=href, **attributes({"aria-label": label}))


def _form(request: PageRequest) -> Component:
    first = request.now - timedelta(days=60)
    fields = [
        html.Label(
            ["From", FormField(type="date", name="since", defaultValue=f"{first:%Y-%m-%d}", required=True)]
        ),
        html.Label(["To", FormField(type="date", name="until", defaultValue=f"{request.now:%Y-%m-%d}")]),
        html.Label(
            [
                "Only leads where",
                FormField(type="text", name="segment", placeholder="country=DE", maxLength=200),
            ]
        ),
        FormField(type="hidden", name="model", defaultValue=request.model),
    ]
    return action_form("investigate", fields, submit="Investigate", label="Investigate a complaint")


def start_investigation(request: ActionRequest) -> ActionResult:
    """Run an investigation and keep it under the name of whoever asked; one at a time.

    Raises:
        BadInputError: The time or the segment is none, or a text is too long.
        NotFoundError: No lead was scored by such a model.
        ConflictError: One is running.
    """
    for name, most in _FIELDS.items():
        if len(request.fields.get(name, "")) > most:
            raise BadInputError(f"The field {name} is too long.", hint=f"At most {most} characters.")
    given = {name: request.fields.get(name, "") for name in ("since", "until")}
    if not given["since"]:
        raise BadInputError("Since when?", hint="Give the first day of the complaint.")
    chosen = read_range(given, "", request.now)
    if chosen.until - chosen.since > _LONGEST:
        raise BadInputError("More than 400 days are no complaint.", hint="Choose a later first day.")
    segment = request.fields.get("segment", "")
    asked = InvestigationRequest(
        model=request.fields.get("model", ""),
        time=HourRange.of(chosen.since, min(chosen.until, request.now)),
        asked_at=request.now,
        segment=parse_segment(segment) if segment else None,
    )
    if not _RUNNING.acquire(blocking=False):
        raise ConflictError("An investigation is running.", hint="Wait until it has ended.")
    try:
        registry = ModelRegistry(request.home, with_mlflow=False)
        report = investigate_model(request.store, registry, ModelShelf(registry), asked)
        person = request.person
        record_investigation(request.store, report, Caller(person.kind, person.name, person.address))
    finally:
        _RUNNING.release()
    return ActionResult(sentence=f"{report.headline} The report stands first in the list.")


def _level(report: InvestigationReport) -> VerdictLevel:
    return _LEVELS.get(report.cause, "warning")


PAGE: Final = ConsolePage(
    path="/investigations",
    title="Investigations",
    group="Sales",
    question="Why do leads not convert as promised?",
    build=build,
    span="",
)
START: Final = ConsoleAction(name="investigate", role="viewer", run=start_investigation)
