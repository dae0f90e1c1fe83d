"""Lead: look one up; its scores, why, why they changed, and what became of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, chart_block, empty_block, section_block, table_block
from leadscore.console.numbers import age_text
from leadscore.console.page import (
    ConsolePage,
    Money,
    NumberTile,
    PageContent,
    PageFilter,
    PageRequest,
    PageVerdict,
)
from leadscore.console.pages.sales_words import shelf_of
from leadscore.console.palette import DASHES, SYMBOLS, chart_text, new_figure, series_colour
from leadscore.console.reading import currency_of
from leadscore.errors import NotFoundError
from leadscore.investigation.lead_history import LeadAnswer, LeadChange, LeadHistory, read_lead
from leadscore.monitoring.measures import Measure

_MOST_CHANGES: Final = 10
_NARROWEST: Final = timedelta(days=1)


def build(request: PageRequest) -> PageContent:
    """Read the lead and make the page."""
    wanted = request.filters.get("id", "")
    if not wanted.strip():
        return _asking()
    try:
        found = _find(request, wanted)
    except NotFoundError as error:
        return _not_found(wanted, error)
    return lead_content(request, found, currency_of(request, found.answers[0].version))


def _find(request: PageRequest, wanted: str) -> LeadHistory:
    """The lead of exactly that id; where there is none, of that id without the spaces around it."""
    shelf, trimmed = shelf_of(request, "change"), wanted.strip()
    try:
        return read_lead(request.store, shelf, wanted)
    except NotFoundError:
        if trimmed == wanted:
            raise
        return read_lead(request.store, shelf, trimmed)


def lead_content(request: PageRequest, found: LeadHistory, currency: str = "") -> PageContent:
    """Build the page of a lead. Pure."""
    given = [answer for answer in found.answers if not answer.shadow]
    newest = given[0] if given else found.answers[0]
    return PageContent(
        verdict=_verdict(request, found, newest),
        tiles=_tiles(request, found, newest),
        body=[
            _why(newest),
            *_changes(found),
            _history(found),
            _outcomes(found, currency),
        ],
        filters=[PageFilter(name="id", label="Lead", value=found.lead_id)],
    )


def _asking() -> PageContent:
    return PageContent(
        verdict=PageVerdict(level="info", sentence="Type the id of a lead, as it is in the CRM."),
        body=[empty_block("No lead is chosen.", hint="The list “Leads” has a link for each lead.")],
        filters=[PageFilter(name="id", label="Lead", value="")],
    )


def _not_found(wanted: str, error: NotFoundError) -> PageContent:
    """With what was typed, so that it can be mended."""
    return PageContent(
        verdict=PageVerdict(level="info", sentence=error.message),
        body=[empty_block("No lead is shown.", hint=error.hint)],
        filters=[PageFilter(name="id", label="Lead", value=wanted)],
    )


def _shown_id(lead_id: str) -> str:
    """An id with spaces around it in quotes: they are part of it, and nobody sees them otherwise."""
    return lead_id if lead_id == lead_id.strip() else f"“{lead_id}” (with the spaces around it)"


def _verdict(request: PageRequest, found: LeadHistory, newest: LeadAnswer) -> PageVerdict:
    said = (
        f"Lead {_shown_id(found.lead_id)} has grade {newest.grade} (score {newest.score:.1f}), scored"
        f" {age_text(newest.scored_at, request.now)}"
    )
    if found.outcomes:
        told = "became a customer" if found.outcomes[0].converted else "was lost"
        return PageVerdict(
            level="info", sentence=f"{said}; it {told} on {found.outcomes[0].occurred_at:%Y-%m-%d}."
        )
    likely = round(newest.probability * 100)
    return PageVerdict(
        level="good" if newest.grade == "A" else "info",
        sentence=f"{said}. Of a hundred leads like this one about {likely} become customers.",
    )


def _tiles(request: PageRequest, found: LeadHistory, newest: LeadAnswer) -> list[NumberTile]:
    times = len([answer for answer in found.answers if not answer.shadow]) + found.more
    days = (request.now - found.answers[-1].scored_at).total_seconds() / 86_400
    return [
        NumberTile(
            label="Chance to become a customer",
            measure=Measure(value=newest.probability, n=1, as_of=newest.scored_at),
            unit="share",
        ),
        NumberTile(label="Times scored", measure=Measure(value=times, n=times)),
        NumberTile(
            label="Days since first seen" if not found.more else "Days since the oldest shown",
            measure=Measure(value=int(days), n=1),
        ),
    ]


def _why(newest: LeadAnswer) -> Component:
    if not newest.reasons:
        why = newest.unexplained or "No field has an effect on this score."
        return section_block("Why this score", [empty_block("The reasons cannot be said.", hint=why)])
    rows = [(reason.text, reason.share) for reason in newest.reasons]
    table = PageTable(
        header=("reason", "part of all reasons"),
        rows=rows,
        units={"part of all reasons": "share"},
        name="reasons",
    )
    flagged = [html.P(_warning(text), className="hint") for text in newest.warnings]
    return section_block("Why this score", [table_block(table, caption="The strongest reasons"), *flagged])


def _warning(text: str) -> str:
    field, _, reason = text.partition(":")
    words = {
        "unseen_category": "has a value that the model has never seen; it was read as if empty",
        "out_of_range": "is far from what is usual: look whether it was mistyped",
        "unknown_field": "is not known to the model and was passed over",
    }
    return f"{field} {words.get(reason, reason.replace('_', ' '))}."


def _changes(found: LeadHistory) -> list[Component]:
    if not found.changes:
        return []
    shown = [item for change in found.changes[:_MOST_CHANGES] for item in _change(found, change)]
    left = len(found.changes) - _MOST_CHANGES
    if left > 0:
        shown.append(html.P(f"{left} older changes are not shown.", className="hint"))
    return [section_block("Why the score changed", shown)]


def _change(found: LeadHistory, change: LeadChange) -> list[Component]:
    answers = {answer.prediction_id: answer for answer in found.answers}
    before, after = answers[change.before], answers[change.after]
    # Of one day, the hour tells them apart.
    when = "%Y-%m-%d %H:%M" if before.scored_at.date() == after.scored_at.date() else "%Y-%m-%d"
    title = (
        f"{before.score:.1f} ({before.grade}) on {before.scored_at:{when}} to {after.score:.1f}"
        f" ({after.grade}) on {after.scored_at:{when}}"
    )
    heading = html.H3(title)
    if change.change is None:
        return [heading, html.P(change.unexplained)]
    sentences = html.Ul([html.Li(sentence) for sentence in change.change.sentences])
    split = change.change.split
    if split is None:
        return [heading, sentences]
    parts = [
        ("the lead itself", split.data),
        ("another model", split.model),
        ("its translation into chances", split.calibration),
    ]
    rows = [(name, f"{part.points:+.1f}") for name, part in parts]
    rows.append(("together", f"{change.change.points:+.1f}"))
    table = PageTable(header=("from", "points"), rows=rows, units={"points": "number"}, name="change")
    return [heading, sentences, table_block(table, caption=f"Points of the score: {title}")]


def _history(found: LeadHistory) -> Component:
    figure = new_figure(y_title="Score")
    versions = list(dict.fromkeys(f"{a.model}/{a.version}" for a in reversed(found.answers)))
    for place, version in enumerate(versions):
        answers = [a for a in reversed(found.answers) if f"{a.model}/{a.version}" == version and not a.shadow]
        figure.add_scatter(
            x=[a.scored_at for a in answers],
            y=[a.score for a in answers],
            name=chart_text(version),
            mode="lines+markers",
            line={"color": series_colour(place), "dash": DASHES[place % len(DASHES)]},
            marker={"symbol": SYMBOLS[place % len(SYMBOLS)], "size": 8},
        )
    figure.update_yaxes(range=[0, 100])
    first, last = found.answers[-1].scored_at, found.answers[0].scored_at
    if last - first < _NARROWEST:  # else the axis would count microseconds
        figure.update_xaxes(range=[first - _NARROWEST / 2, last + _NARROWEST / 2])
    rows = [
        (
            a.scored_at,
            f"{a.score:.1f}",
            a.grade,
            f"{a.model}/{a.version}",
            "comparison only" if a.shadow else "",
            a.prediction_id,
        )
        for a in found.answers
    ]
    table = PageTable(
        header=("scored", "score", "grade", "model", "note", "prediction"),
        rows=rows,
        units={"score": "number"},
        name="history",
    )
    older = f" {found.more} older scores are not shown." if found.more else ""
    many = f"{len(versions)} versions" if len(versions) > 1 else "one version"
    return chart_block("All scores", figure, table, says=f"Scored by {many} of the model.{older}")


def _outcomes(found: LeadHistory, currency: str) -> Component:
    rows = [
        (
            o.occurred_at,
            "became a customer" if o.converted else "was lost",
            "–" if o.value is None else o.value,
            "" if o.counts else "corrected later",
        )
        for o in found.outcomes
    ]
    table = PageTable(
        header=("when", "what", "value", "note"),
        rows=rows,
        units={"value": Money(currency)},
        name="outcomes",
        empty="Nothing has been told yet. Close the lead in the CRM when it is won or lost.",
    )
    return section_block("What became of it", [table_block(table, caption="What became of it")])


PAGE: Final = ConsolePage(
    path="/lead",
    title="Lead",
    group="Sales",
    question="Why does this lead have its score, and why did it change?",
    build=build,
    span="",
)
