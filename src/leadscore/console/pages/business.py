"""Business: do leads with better scores become customers, and is that as it was?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, section_block, table_block
from leadscore.console.charts import ChartWords, MeasuredGroup, group_chart, time_chart
from leadscore.console.numbers import money_text, share_text
from leadscore.console.page import (
    ConsolePage,
    Money,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.reading import currency_note, currency_of, maturity_filter, selection_of
from leadscore.monitoring.measures import Measure, MeasureSeries
from leadscore.monitoring.queries.business import (
    BusinessRow,
    business_rows,
    read_business_counts,
    read_conversion_series,
)
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.ranges import Selection

_NO_OUTCOMES: Final = (
    "No outcome is known of leads that are old enough. Choose a longer time, or send outcomes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        total: All leads together; None if there were none.
        slices: By slice of the score.
        grades: By grade.
        versions: By version.
        sources: By where they came from.
        series: Conversion over time, by version.
        currency: Of revenue, as ISO 4217 has it; empty if the contract does not say.
    """

    fresh: Freshness
    total: BusinessRow | None
    slices: tuple[BusinessRow, ...]
    grades: tuple[BusinessRow, ...]
    versions: tuple[BusinessRow, ...]
    sources: tuple[BusinessRow, ...]
    series: tuple[MeasureSeries, ...]
    currency: str = ""


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    selection = selection_of(request)
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        counted = read_business_counts(connection, selection, fresh)
        series = read_conversion_series(connection, selection, fresh)
    versions = business_rows(counted, "version")
    numbers = BusinessNumbers(
        fresh=fresh,
        total=next(iter(business_rows(counted)), None),
        slices=business_rows(counted, "slice"),
        grades=business_rows(counted, "grade"),
        versions=versions,
        sources=business_rows(counted, "source"),
        series=series,
        currency=currency_of(request, _most_traffic(versions)),
    )
    return show_business(numbers, request, selection)


def _most_traffic(versions: tuple[BusinessRow, ...]) -> str:
    return max(versions, key=lambda row: row.leads.n).name if versions else ""


def show_business(numbers: BusinessNumbers, request: PageRequest, selection: Selection) -> PageContent:
    """Lay the numbers out."""
    days = selection.maturity / timedelta(days=1)
    before = f"{_span(selection)} before"
    return PageContent(
        verdict=business_verdict(numbers, request),
        tiles=_tiles(numbers) if numbers.total is not None else (),
        body=[
            group_chart(
                ChartWords(
                    title="Conversion by score",
                    says="Share of leads that became customers, by score. Higher scores should have higher "
                    f"bars; grey is the {before}. The whiskers are where the true share lies.",
                    y_title="conversion rate",
                    unit="share",
                    name="conversion-by-score",
                    empty=_NO_OUTCOMES,
                ),
                [_now_and_before(row) for row in numbers.slices],
                ("now", "before"),
                of="score",
                reference="before",
            ),
            group_chart(
                ChartWords(
                    title="Conversion by grade",
                    says="Share of leads that became customers, by the grade that sales saw.",
                    y_title="conversion rate",
                    unit="share",
                    name="conversion-by-grade",
                    empty=_NO_OUTCOMES,
                ),
                [_now_and_before(row) for row in numbers.grades],
                ("now", "before"),
                of="grade",
                reference="before",
            ),
            time_chart(
                ChartWords(
                    title="Conversion over time",
                    says="By the day or week in which leads were scored, for each version of the model. "
                    f"Leads of the last {days:g} days are not in it: their outcomes are still coming.",
                    y_title="conversion rate",
                    unit="share",
                    name="conversion-over-time",
                    empty=_NO_OUTCOMES,
                ),
                numbers.series,
            ),
            section_block("By grade, version and source", [_groups_table(numbers)]),
            _reading_help(days),
        ],
        filters=[maturity_filter(request)],
        as_of=numbers.fresh.caught_up,
    )


def business_verdict(numbers: BusinessNumbers, request: PageRequest) -> PageVerdict:
    """Say whether better scores convert better, and whether conversion has changed."""
    stale = numbers.fresh.stale(request.now)
    total = numbers.total
    why = ""
    if stale:
        why = f"How leads convert is not known for now. {stale}"
    elif total is None:
        why = "No lead was scored in this time, so nothing can be said."
    elif total.conversion.value is None:
        why = f"Whether scores hold what they promise is not known yet. {total.conversion.unknown}"
    if why or total is None:
        return PageVerdict(level="unknown", sentence=why)
    changed = _change(total)
    ordered, order = _order(numbers.grades)
    if total.changed == "down":
        return PageVerdict(level="warning", sentence=f"{changed} {order}")
    levels: dict[bool | None, VerdictLevel] = {True: "good", False: "warning", None: "info"}
    return PageVerdict(level=levels[ordered], sentence=f"{order} {changed}")


def _change(total: BusinessRow) -> str:
    now, then = share_text(total.conversion.value or 0.0), total.before.value
    if then is None:
        return f"Overall {now} did; there is nothing before to compare with."
    moved = f"from {share_text(then)} to {now}, more than by chance"
    return {
        "down": f"Overall, conversion has fallen {moved}.",
        "up": f"Overall, conversion has risen {moved}.",
    }.get(total.changed, f"Overall {now} did and {share_text(then)} before: no change beyond chance.")


def _order(grades: tuple[BusinessRow, ...]) -> tuple[bool | None, str]:
    """Whether the best grade converts better than the worst one; None: it cannot be told."""
    known = [row for row in grades if row.conversion.value is not None]
    if len(known) < 2:
        return None, "There are too few outcomes to compare grades."
    best, worst = known[0], known[-1]
    high, low = best.conversion, worst.conversion
    text = (
        f"{_of_hundred(high)} leads of grade {best.name} became customers, and {_of_hundred(low)} of grade "
        f"{worst.name}"
    )
    if high.low is not None and low.high is not None and high.low > low.high:
        return True, f"Better scores convert better: {text}."
    if high.high is not None and low.low is not None and high.high < low.low:
        return False, f"Better scores do not convert better: {text}."
    return None, f"{text}; that may be chance, there are too few outcomes."


def _of_hundred(rate: Measure) -> str:
    return f"{100 * (rate.value or 0.0):.0f} of 100"


def _tiles(numbers: BusinessNumbers) -> list[NumberTile]:
    total = numbers.total
    if total is None:
        return []
    best = next((row for row in numbers.grades if row.name == "A"), None)
    level: VerdictLevel | None = {"down": "warning", "up": "good"}.get(total.changed)  # pyright: ignore[reportAssignmentType]
    return [
        NumberTile(label="Leads scored", measure=total.leads, unit="count"),
        NumberTile(
            label="Became customers",
            measure=total.conversion,
            unit="share",
            level=level,
            note="" if total.before.value is None else f"before: {share_text(total.before.value)}",
        ),
        NumberTile(label="Promised by the scores", measure=total.expected, unit="share"),
        NumberTile(
            label="Grade A became customers",
            measure=Measure.missing("No lead had grade A.") if best is None else best.conversion,
            unit="share",
        ),
        NumberTile(
            label="Grade A against all leads",
            measure=_times(best, total),
            unit="times",
            note="as likely to become customers",
        ),
        NumberTile(
            label="Revenue per lead",
            measure=total.revenue,
            unit=Money(numbers.currency),
            note=currency_note(numbers.currency)
            if total.revenue_before.value is None
            else f"before: {money_text(total.revenue_before.value, numbers.currency)}",
        ),
    ]


def _times(best: BusinessRow | None, total: BusinessRow) -> Measure:
    rate, base = None if best is None else best.conversion, total.conversion
    if rate is None or rate.value is None or not base.value:
        return Measure.missing("No conversion to compare with.", as_of=base.as_of)
    low = rate.low / base.high if rate.low is not None and base.high else None
    high = rate.high / base.low if rate.high is not None and base.low else None
    return Measure(value=rate.value / base.value, n=rate.n, as_of=rate.as_of, low=low, high=high)


def _now_and_before(row: BusinessRow) -> MeasuredGroup:
    return MeasuredGroup(name=row.name, measures=(row.conversion, row.before))


def _groups_table(numbers: BusinessNumbers) -> Component:
    header = (
        *("group", "name", "leads", "became customers", "low", "high", "promised", "before"),
        *("revenue per lead", "outcomes", "changed"),
    )
    words = {"up": "risen", "down": "fallen", "same": "as before", "unknown": "not known"}
    rows = [
        (
            *(
                group,
                row.name,
                row.leads.value,
                row.conversion.value,
                row.conversion.low,
                row.conversion.high,
            ),
            *(row.expected.value, row.before.value, row.revenue.value, row.conversion.n, words[row.changed]),
        )
        for group, found in (
            ("grade", numbers.grades),
            ("version", numbers.versions),
            ("source", numbers.sources),
        )
        for row in found
    ]
    shares = ("became customers", "low", "high", "promised", "before")
    return table_block(
        PageTable(
            header=header,
            rows=rows,
            units={
                **dict.fromkeys(shares, "share"),
                "revenue per lead": Money(numbers.currency),
                "leads": "count",
                "outcomes": "count",
            },
            name="business",
        ),
        caption="Conversion and revenue by grade, version and source",
    )


def _reading_help(days: float) -> Component:
    return section_block(
        "How to read this",
        [
            html.P(
                f"A lead counts once its outcome should be known: {days:g} days after it was scored. Leads "
                "that were scored again before an outcome came are left out."
            ),
            html.P(
                "The low and high ends hold however often you look, for a range whose first day stays: in at "
                "least 95 of 100 cases the true share stays between them all the time. A change counts only "
                "where the two ranges do not touch."
            ),
        ],
    )


def _span(selection: Selection) -> str:
    days = selection.time.length / timedelta(days=1)
    return f"{days:.0f} days" if days >= 2 else f"{selection.time.length / timedelta(hours=1):.0f} hours"


PAGE: Final = ConsolePage(
    path="/business",
    title="Business",
    group="Sales",
    question="Do leads with better scores become customers, and what are they worth?",
    build=build,
    span="90d",
)
