"""Overview: can the score be trusted today, what changed, and who has to do something?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from dash import dcc, html
from dash.development.base_component import Component

from leadscore.alerts.rules import rules_or_defaults, rules_path
from leadscore.console.blocks import (
    PageTable,
    badge,
    code_marked,
    empty_block,
    section_block,
    table_block,
)
from leadscore.console.charts import ChartWords, time_chart
from leadscore.console.insights import InsightSentence, chosen_insights
from leadscore.console.numbers import share_text
from leadscore.console.page import (
    ConsolePage,
    Money,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.pages.live import SLOW_SECONDS, leads_total
from leadscore.console.pages.overview_checks import HealthCheck, health_checks, slowest_p95, trust_verdict
from leadscore.console.pages.overview_insights import overview_findings
from leadscore.console.pages.overview_numbers import OverviewNumbers, read_overview
from leadscore.console.reading import currency_note
from leadscore.console.rephrasing import RephrasingSettings, rephraser_for
from leadscore.drift.verdict import as_utc
from leadscore.events.records import Evidence
from leadscore.monitoring.measures import Measure
from leadscore.release.progress import in_a_sentence

_NOT_EVALUATED: Final = "Whether an alert waits is not known: the rules were not evaluated lately."


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    numbers = read_overview(request)
    if not numbers.begun:
        return first_steps(request.model, numbers)
    rules, _ = rules_or_defaults(rules_path())
    sentences = chosen_insights(overview_findings(numbers, rules))
    settings = RephrasingSettings.from_environment(os.environ)
    if settings is None:
        return show_overview(numbers, request, sentences)
    rephraser = rephraser_for(settings)
    said = rephraser.said(sentences)
    return show_overview(numbers, request, sentences, anew=said, by=settings.model)


def first_steps(model: str, numbers: OverviewNumbers) -> PageContent:
    """Say what to do first on an installation that has scored nothing yet."""
    train = (
        "Train a model on leads whose outcome you know: "
        f"`leadscore train --data TABLE --contract contract.yaml --name {model}`. "
        "`leadscore contract infer TABLE --target COLUMN --id COLUMN -o contract.yaml` proposes the contract."
    )
    serve = f"leadscore serve --model {model}@champion"
    steps = [
        *([] if numbers.trained else [train]),
        f"Start the service: `{serve}`.",
        "Send it a lead: POST /score-lead, as your CRM will (the guide for CRM integrators has a sample).",
        "Start `leadscore monitor`: it counts what this console shows.",
    ]
    if numbers.trained:
        sentence = (
            f"A model is trained and has scored no lead yet. Next: start the service with it, `{serve}`."
        )
    elif numbers.trained is None:
        sentence = (
            "No lead has been scored yet, and the registry of models does not answer. Next: see that it runs."
        )
    else:
        sentence = f"There is nothing here yet. Next: train a model, `leadscore train --name {model} …`."
    return PageContent(
        verdict=PageVerdict(level="info", sentence=sentence),
        body=[
            section_block("First steps", [html.Ol([html.Li(code_marked(step)) for step in steps])]),
            empty_block(
                "This page then says each day whether the scores can be trusted.",
                hint="`leadscore up` shows all of it with made-up leads, on this machine, in some minutes.",
            ),
        ],
    )


def show_overview(
    numbers: OverviewNumbers,
    request: PageRequest,
    sentences: Sequence[InsightSentence] = (),
    *,
    anew: str = "",
    by: str = "",
) -> PageContent:
    """Lay the numbers out.

    Args:
        numbers: To be shown.
        request: Of the page.
        sentences: What is said of them in words.
        anew: The same said by a language model; empty: it is not.
        by: Which model.
    """
    checks = health_checks(numbers, request)
    return PageContent(
        verdict=trust_verdict(numbers, checks),
        tiles=_tiles(numbers, request.now),
        body=[
            _in_words(sentences, anew, by),
            section_block("What it rests on", [_checks_table(checks)]),
            section_block("What needs a person", [_waiting_table(numbers, request.now)]),
            time_chart(
                ChartWords(
                    title="Leads scored",
                    says="Leads that callers were answered, for each version of the model.",
                    y_title="leads",
                    unit="count",
                    name="traffic",
                    empty="No lead was scored in this time. Check that the CRM calls the service.",
                ),
                numbers.traffic,
            ),
            section_block("What changed", [_changes_table(numbers.changes)]),
        ],
        as_of=numbers.fresh.caught_up,
    )


def _in_words(sentences: Sequence[InsightSentence], anew: str, by: str) -> Component:
    findings = html.Ul([html.Li(code_marked(sentence.text)) for sentence in sentences])
    if not anew:
        return section_block("In plain words", [findings])
    hint = f"Said by {by}; each number was compared with the findings below, which decide."
    return section_block(
        "In plain words",
        [
            html.P(anew),
            html.P(hint, className="hint"),
            html.Details([html.Summary("The findings"), findings]),
        ],
    )


def _tiles(numbers: OverviewNumbers, now: datetime) -> list[NumberTile]:
    nothing = Measure.missing("No lead was scored in 90 days.", as_of=numbers.fresh.caught_up)
    row, best = numbers.business, numbers.grade_a
    p95 = slowest_p95(numbers.latency)
    slow: VerdictLevel | None = None
    if p95.value is not None:
        slow = "critical" if p95.value > SLOW_SECONDS * 1e3 else "good"
    before = None if row is None else row.before.value
    waiting = len(numbers.waiting) + len(numbers.alerts.unattended)
    return [
        NumberTile(
            label="Leads scored",
            measure=leads_total(numbers.traffic, numbers.fresh),
            unit="count",
            note=f"mostly by version {numbers.serving}" if numbers.serving else "",
            href="/live",
        ),
        NumberTile(label="P95 latency", measure=p95, unit="milliseconds", level=slow, href="/live"),
        NumberTile(
            label="Became customers",
            measure=nothing if row is None else row.conversion,
            unit="share",
            level="warning" if row is not None and row.changed == "down" else None,
            note="of the last 90 days" + ("" if before is None else f"; before: {share_text(before)}"),
            href="/business",
        ),
        NumberTile(
            label="Grade A became customers",
            measure=nothing if best is None else best.conversion,
            unit="share",
            href="/business",
        ),
        NumberTile(
            label="Revenue per lead",
            measure=nothing if row is None else row.revenue,
            unit=Money(numbers.currency),
            note=currency_note(numbers.currency),
            href="/business",
        ),
        NumberTile(
            label="Waiting for a person",
            measure=Measure.missing(_NOT_EVALUATED, n=waiting, as_of=numbers.alerts.evaluated_at)
            if numbers.alerts.is_stale(now)
            else Measure(value=waiting, n=waiting, as_of=numbers.alerts.evaluated_at),
            unit="count",
            level="info" if waiting else None,
            note="alerts and approvals",
        ),
    ]


def _checks_table(checks: Sequence[HealthCheck]) -> Component:
    return table_block(
        PageTable(
            header=("check", "state", "says", "more"),
            rows=[
                (
                    check.name,
                    badge(check.level),
                    check.says,
                    dcc.Link(f"See {check.href[1:]}", href=check.href),
                )
                for check in checks
            ],
            units={},
            name="checks",
        ),
        caption="What the verdict rests on",
    )


def _waiting_table(numbers: OverviewNumbers, now: datetime) -> Component:
    releases = [
        (
            as_utc(record.at),
            record.subject,
            "A release asks for an approval.",
            dcc.Link("Answer", "/releases"),
        )
        for record in numbers.waiting
    ]
    alerts = [
        (as_utc(episode.started_at), episode.rule, episode.summary, dcc.Link("Look after it", "/alerts"))
        for episode in numbers.alerts.unattended
    ]
    return table_block(
        PageTable(
            header=("since", "about", "what", "do"),
            rows=[*alerts, *releases],
            units={},
            name="waiting",
            empty=f"{_NOT_EVALUATED} No release waits for an answer."
            if numbers.alerts.is_stale(now)
            else "No alert and no release waits for anybody.",
        ),
        caption="What needs a person",
    )


def _changes_table(changes: Sequence[Evidence]) -> Component:
    return table_block(
        PageTable(
            header=("at", "version", "what", "says"),
            rows=[
                (as_utc(record.at), record.subject, record.kind, in_a_sentence(record)) for record in changes
            ],
            units={},
            name="changes",
            empty="No release has changed anything yet.",
        ),
        caption="Newest records of releases",
    )


PAGE: Final = ConsolePage(
    path="/",
    title="Overview",
    group="Sales",
    question="Can the score be trusted today, what changed, and who has to do something?",
    build=build,
    span="24h",
)
