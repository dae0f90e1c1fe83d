"""Leads: what a sales person opens in the morning; best first, with reasons, and what is new."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import urlencode

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, badge, section_block, table_block
from leadscore.console.fields import attributes
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageExport,
    PageFilter,
    PageRequest,
    PageVerdict,
)
from leadscore.console.pages.sales_words import lead_link, shelf_of
from leadscore.console.reading import SHELF
from leadscore.contract import Boolean, Categorical
from leadscore.errors import BadInputError
from leadscore.investigation.lead_list import (
    PAGE_LEADS,
    LeadCounts,
    LeadFilter,
    LeadNews,
    LeadState,
    ListedLead,
    count_leads,
    iter_leads,
    newest_version,
    read_leads,
    with_segment,
)
from leadscore.investigation.reading import segment_cell
from leadscore.investigation.request import parse_segment
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.scoring.grades import GRADES
from leadscore.scoring.sentences import label_of

_NEWS: Final = (
    ("", "All leads"),
    ("new", "New since yesterday"),
    ("up", "Better grade this week"),
    ("down", "Worse grade this week"),
)
_NEWS_FILTERS: Final = {
    "new": "are new since yesterday",
    "up": "rose to a better grade this week",
    "down": "fell to a worse grade this week",
}
_STATES: Final = (("open", "Open"), ("all", "All"), ("won", "Won"), ("lost", "Lost"))
_NEWS_WORDS: Final[dict[LeadNews, str]] = {"": "", "new": "new", "up": "better", "down": "worse"}
_MOST_PAGES: Final = 1_000


def build(request: PageRequest) -> PageContent:
    """Read the leads and make the page."""
    facts = _facts(request)
    wanted = _wanted(request, facts)
    page = _page(request)
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        counts = count_leads(connection, wanted)
    leads = read_leads(request.store, shelf_of(request, "list"), wanted, page=page, size=PAGE_LEADS + 1)
    if page > 1 and not leads:
        raise BadInputError(f"The list ends before page {page}.", hint="It begins at page 1.")
    return leads_content(request, counts, leads, fresh, facts)


def leads_content(
    request: PageRequest,
    counts: LeadCounts,
    leads: tuple[ListedLead, ...],
    fresh: Freshness,
    facts: ModelFacts | None,
) -> PageContent:
    """Build the page. Pure.

    Args:
        request: What is asked.
        counts: Of the filter.
        leads: Of this page, and one of the next if there is one.
        fresh: How far counting is.
        facts: Of the newest model, for the choice of a segment; None if it cannot be read.
    """
    stale = fresh.stale(request.now)
    table = PageTable(
        header=("lead", "grade", "score", "news", "why", "scored"),
        rows=[_row(lead) for lead in leads[:PAGE_LEADS]],
        units={"score": "number"},
        name="leads",
        empty="No lead fits these choices. Choose a longer time, or fewer conditions.",
    )
    return PageContent(
        verdict=_verdict(counts, stale, _narrowed(request)),
        tiles=_tiles(counts, fresh, stale),
        body=[
            section_block("Best first", [table_block(table, caption="Leads, best first")]),
            *_pager(request, len(leads) > PAGE_LEADS),
        ],
        filters=_filters(request, facts),
        as_of=fresh.caught_up,
    )


def export(request: PageRequest) -> PageExport:
    """All leads of the filter as CSV, in short reads."""
    wanted = _wanted(request, _facts(request))
    header = (
        "lead",
        "grade",
        "score",
        "probability",
        "grade before",
        "news",
        "first scored",
        "scored",
        "why",
    )
    return PageExport(name="leads", header=header, rows=_exported(request, wanted))


def _exported(request: PageRequest, wanted: LeadFilter) -> Iterator[tuple[object, ...]]:
    for lead in iter_leads(request.store, shelf_of(request, "list"), wanted):
        yield (
            lead.lead_id, lead.grade, lead.score, lead.probability, lead.previous_grade or "", lead.news,
            lead.first_scored_at.isoformat(), lead.scored_at.isoformat(), " ".join(lead.reasons),
        )  # fmt: skip


def _facts(request: PageRequest) -> ModelFacts | None:
    """Fields of the version that scored last, for the choice of a segment; None while they cannot be read."""
    with request.store.reading() as connection:
        version = newest_version(connection, request.model)
    return None if version is None else SHELF.find(request.home, request.model, version)[0]


def _wanted(request: PageRequest, facts: ModelFacts | None) -> LeadFilter:
    given = request.filters
    grade, news, state = given.get("grade", ""), given.get("news", ""), given.get("state", "open")
    if grade not in {"", *GRADES} or news not in dict(_NEWS) or state not in dict(_STATES):
        raise BadInputError(
            "One of the choices is not known.",
            hint="The lists on the page have all there are.",
        )
    wanted = LeadFilter(
        model=request.model, since=request.since, until=request.until, now=request.now, grade=grade,
        news=cast("LeadNews", news), state=cast("LeadState", state),
    )  # fmt: skip
    text = given.get("segment", "")
    if not text:
        return wanted
    if facts is None:
        raise BadInputError(
            "The model's list of fields cannot be read just now.",
            hint="Leave “Only where” empty, or try again.",
        )
    segment = parse_segment(text)
    return with_segment(wanted, facts, segment.feature, segment_cell(facts, segment))


def _page(request: PageRequest) -> int:
    text = request.filters.get("page", "1")
    if not text.isdecimal() or not 1 <= int(text[:6]) <= _MOST_PAGES:
        raise BadInputError(f"{text[:20]!r} is no page of the list.", hint="It begins at page 1.")
    return int(text)


def _verdict(counts: LeadCounts, stale: str, narrowed: str) -> PageVerdict:
    if stale:
        return PageVerdict(level="unknown", sentence=f"The list may not be up to date. {stale}")
    best = counts.grades.get("A", 0)
    total = sum(counts.grades.values())
    if not total:
        return PageVerdict(level="info", sentence="No lead fits these choices.")
    news = [
        f"{number} {words}"
        for number, words in (
            (counts.new, "new since yesterday"),
            (counts.up, "with a better grade than last week"),
            (counts.down, "with a worse one"),
        )
        if number
    ]
    told = f": {', '.join(news)}" if news else "; nothing is new"
    many = "1 lead has" if best == 1 else f"{best:,} leads have"
    return PageVerdict(
        level="good" if best else "info", sentence=f"{many} grade A, of {total:,}{told}.{narrowed}"
    )


def _narrowed(request: PageRequest) -> str:
    """Which of the counted leads the list shows, where it does not show all."""
    grade, news = request.filters.get("grade", ""), _NEWS_FILTERS.get(request.filters.get("news", ""), "")
    chosen = " and ".join(filter(None, (f"have grade {grade}" if grade else "", news)))
    return f" The list shows those that {chosen}." if chosen else ""


def _tiles(counts: LeadCounts, fresh: Freshness, stale: str) -> list[NumberTile]:
    def measure(number: int) -> Measure:
        if stale and fresh.caught_up is None:
            return Measure.missing(stale)
        return Measure(value=number, n=number, as_of=fresh.caught_up)

    grades = [
        NumberTile(label=f"Grade {grade}", measure=measure(counts.grades.get(grade, 0))) for grade in GRADES
    ]
    news = (("New since yesterday", counts.new), ("Better grade", counts.up), ("Worse grade", counts.down))
    return [*grades, *(NumberTile(label=label, measure=measure(number)) for label, number in news)]


def _row(lead: ListedLead) -> tuple[object, ...]:
    change = _NEWS_WORDS[lead.news]
    if lead.news in {"up", "down"}:
        change += f": {lead.previous_grade} to {lead.grade}"
    told: object = change
    if lead.news:
        told = badge({"new": "info", "up": "good", "down": "warning"}[lead.news], change)  # pyright: ignore[reportArgumentType]
    why: object = "The reasons cannot be said just now."
    if lead.reasons:
        why = html.Ul([html.Li(reason) for reason in lead.reasons], className="reasons")
    return (lead_link(lead.lead_id), lead.grade, f"{lead.score:.1f}", told, why, lead.scored_at)


def _filters(request: PageRequest, facts: ModelFacts | None) -> list[PageFilter]:
    given = request.filters
    grades = [("", "All grades"), *((grade, f"Grade {grade}") for grade in GRADES)]
    found = [
        PageFilter(name="grade", label="Grade", value=given.get("grade", ""), choices=grades),
        PageFilter(name="news", label="News", value=given.get("news", ""), choices=_NEWS),
        PageFilter(name="state", label="State", value=given.get("state", "open"), choices=_STATES),
    ]
    segments = [] if facts is None else _segments(facts)
    if segments:
        choices = [("", "Any"), *segments]
        found.append(
            PageFilter(name="segment", label="Only where", value=given.get("segment", ""), choices=choices)
        )
    return found


def _segments(facts: ModelFacts) -> list[tuple[str, str]]:
    """Values of fields to choose from; of long lists nobody chooses."""
    found: list[tuple[str, str]] = []
    for feature in facts.contract.inputs:
        label = label_of(feature)
        if isinstance(feature, Categorical) and len(feature.categories) <= 30 and not feature.sensitive:
            found += [(f"{feature.name}={value}", f"{label}: {value}") for value in feature.categories]
        elif isinstance(feature, Boolean) and not feature.sensitive:
            found += [(f"{feature.name}={value}", f"{label}: {value}") for value in ("yes", "no")]
    return found


def _pager(request: PageRequest, more: bool) -> list[Component]:
    page = _page(request)
    given = {**request.filters}
    if request.range_name == "custom":
        given |= {"since": request.since.isoformat(), "until": request.until.isoformat()}
    else:
        given["range"] = request.range_name
    links = [
        html.A(
            words,
            href=f"{request.path}?{urlencode({**given, 'page': str(number)})}",
            className="button quiet",
        )
        for words, number, there in (("Better leads", page - 1, page > 1), ("Next leads", page + 1, more))
        if there
    ]
    return (
        [html.Nav(links, className="pager", **attributes({"aria-label": "Pages of the list"}))]
        if links
        else []
    )


PAGE: Final = ConsolePage(
    path="/leads",
    title="Leads",
    group="Sales",
    question="Whom should I call first, why, and what is new?",
    build=build,
    export=export,
    span="30d",
)
