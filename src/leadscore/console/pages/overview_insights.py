"""What the Overview says in words: findings made from its numbers. Pure."""

from __future__ import annotations

from leadscore.alerts.rules import AlertRules
from leadscore.console.alert_summary import ALERT_LEVELS
from leadscore.console.insights import InsightFinding, InsightSentence, QuotedMeasure
from leadscore.console.numbers import as_sentence
from leadscore.console.page import Money
from leadscore.console.pages.overview_checks import promises_hold, worst_drift
from leadscore.console.pages.overview_numbers import BUSINESS_SPAN, OverviewNumbers
from leadscore.monitoring.measures import Measure
from leadscore.monitoring.queries.business import BusinessRow


def overview_findings(numbers: OverviewNumbers, rules: AlertRules) -> tuple[InsightFinding, ...]:
    """Everything worth saying, in no order."""
    found = [_firing(numbers, rules), _drift(numbers), _waiting(numbers), _conversion(numbers)]
    if numbers.business is not None:
        found += [_promise(numbers.business), _revenue(numbers.business, numbers.currency)]
    return tuple(finding for finding in found if finding is not None)


def _firing(numbers: OverviewNumbers, rules: AlertRules) -> InsightFinding | None:
    firing = numbers.alerts.firing
    if not firing:
        return None
    worst, count = firing[0], Measure(value=len(firing), n=len(firing))
    rule = rules.named(worst.rule)
    several = "{count} alerts fire, the worst is {rule}: {summary}"
    people = "It has no sentence that says so." if rule is None or not rule.people else rule.people
    names = {"rule": worst.rule, "summary": as_sentence(worst.summary or "see the page Alerts")}
    return InsightFinding(
        level=ALERT_LEVELS[worst.severity],
        changed=InsightSentence(
            template=several if len(firing) > 1 else "The alert {rule} fires: {summary}",
            numbers={"count": QuotedMeasure(count)},
            names=names,
        ),
        matters=InsightSentence(
            template="What that does to people: {people}", names={"people": as_sentence(people)}
        ),
        do=InsightSentence(template="Ask who looks after it; the page Alerts names its runbook."),
    )


def _drift(numbers: OverviewNumbers) -> InsightFinding | None:
    worst = worst_drift(numbers)
    if worst is None:
        return None
    since = "" if worst.since is None else f" since {worst.since:%Y-%m-%d}"
    matters, do = {
        "pipeline_bug": (
            "It looks like a fault on the way of the data, so the scores of such leads are wrong.",
            "Ask who brings the data what was changed at the source; train nothing before that.",
        ),
        "market_moved": (
            "The model has seen few leads like these, so their scores may be off.",
            "See on the page Drift which fields changed, then train again on newer leads.",
        ),
    }.get(
        worst.triage,
        (
            "Whether a fault or the market is behind it is not clear, so scores may be off or wrong.",
            "See on the page Drift which fields changed, and ask who brings them before anything is trained.",
        ),
    )
    return InsightFinding(
        level="critical" if worst.severity == "critical" else "warning",
        changed=InsightSentence(
            template="Leads differ from those that the model was trained on{since}.", names={"since": since}
        ),
        matters=InsightSentence(template=matters),
        do=InsightSentence(template=do),
    )


def _waiting(numbers: OverviewNumbers) -> InsightFinding | None:
    count = len(numbers.waiting)
    if not count:
        return None
    return InsightFinding(
        level="info",
        changed=InsightSentence(
            template="{count} releases wait for an answer."
            if count > 1
            else "A release waits for an answer.",
            numbers={"count": QuotedMeasure(Measure(value=count, n=count))},
        ),
        matters=InsightSentence(template="Until somebody answers, the new version scores no lead."),
        do=InsightSentence(template="Read the evidence on the page Releases, and approve or deny it."),
    )


def _conversion(numbers: OverviewNumbers) -> InsightFinding:
    row, span = numbers.business, Measure(value=BUSINESS_SPAN.days, n=0)
    days = {"days": QuotedMeasure(span)}
    if row is None or row.conversion.value is None:
        return InsightFinding(
            level="unknown",
            changed=InsightSentence(
                template="How leads of the last {days} days convert is not known yet.", numbers=days
            ),
            matters=InsightSentence(
                template="Without outcomes nobody can say whether high scores are right."
            ),
            do=InsightSentence(template="Send what became of each lead, won or lost, from the CRM."),
        )
    quoted = days | {
        "now": QuotedMeasure(row.conversion, "share"), "before": QuotedMeasure(row.before, "share"),
    }  # fmt: skip
    if row.before.value is None:
        changed = "{now} of the leads of the last {days} days became customers; nothing before is known."
        return InsightFinding(
            level="good",
            changed=InsightSentence(template=changed, numbers=quoted),
            matters=_best_grade(numbers),
            do=InsightSentence(template="Call leads of grade A first; the page Leads has them."),
        )
    if row.changed in {"up", "down"}:
        return _moved(row, quoted)
    changed = (
        "{now} of the leads of the last {days} days became customers, {before} in the {days} days before: "
        "no change beyond chance."
    )
    return InsightFinding(
        level="good",
        changed=InsightSentence(template=changed, numbers=quoted),
        matters=_best_grade(numbers),
        do=InsightSentence(template="Call leads of grade A first; the page Leads has them."),
    )


def _best_grade(numbers: OverviewNumbers) -> InsightSentence:
    best = None if numbers.grade_a is None else numbers.grade_a.conversion
    if best is None or best.value is None:
        return InsightSentence(template="How many of grade A did is not known yet.")
    return InsightSentence(
        template="Of grade A it was {best} of {n} leads whose outcome is known.",
        numbers={
            "best": QuotedMeasure(best, "share"), "n": QuotedMeasure(Measure(value=best.n, n=best.n)),
        },
    )  # fmt: skip


def _moved(row: BusinessRow, quoted: dict[str, QuotedMeasure]) -> InsightFinding:
    now, before = row.conversion, row.before
    fallen = row.changed == "down"
    word = "fallen" if fallen else "risen"
    rate = abs((now.value or 0.0) - (before.value or 0.0))
    customers = QuotedMeasure(Measure(value=round(rate * now.n), n=now.n, as_of=now.as_of))
    leads = QuotedMeasure(Measure(value=now.n, n=now.n, as_of=now.as_of))
    return InsightFinding(
        level="warning" if fallen else "info",
        changed=InsightSentence(
            template=f"Conversion has {word} from {{before}} to {{now}} in {{days}} days, beyond chance.",
            numbers=quoted,
        ),
        matters=InsightSentence(
            template=f"On {{leads}} leads with an outcome that is about {{customers}} customers "
            f"{'fewer' if fallen else 'more'}.",
            numbers={"leads": leads, "customers": customers},
        ),
        do=InsightSentence(
            template="See on the page Business which grades and sources have fallen, and begin an "
            "investigation of the cause."
            if fallen
            else "See on the page Business which sources bring them."
        ),
    )


def _promise(row: BusinessRow) -> InsightFinding | None:
    if promises_hold(row) is not False:
        return None
    numbers = {
        "said": QuotedMeasure(row.expected, "share"), "came": QuotedMeasure(row.conversion, "share"),
    }  # fmt: skip
    few = (row.conversion.value or 0.0) < (row.expected.value or 0.0)
    return InsightFinding(
        level="warning",
        changed=InsightSentence(
            template="Scores promised that {said} of leads become customers, and {came} did.", numbers=numbers
        ),
        matters=InsightSentence(
            template="Plans made from the scores come out too high."
            if few
            else "Plans made from the scores come out too low."
        ),
        do=InsightSentence(
            template="See the page Model; a version trained on newer outcomes would promise better."
        ),
    )


def _revenue(row: BusinessRow, currency: str) -> InsightFinding | None:
    now, before = row.revenue, row.revenue_before
    if now.low is None or now.high is None or before.low is None or before.high is None:
        return None
    fallen, risen = now.high < before.low, now.low > before.high
    if not (fallen or risen):
        return None
    unit = Money(currency)
    return InsightFinding(
        level="warning" if fallen else "info",
        changed=InsightSentence(
            template=f"Revenue per lead has {'fallen' if fallen else 'risen'} from {{before}} to {{now}}.",
            numbers={"now": QuotedMeasure(now, unit), "before": QuotedMeasure(before, unit)},
        ),
        matters=InsightSentence(
            template="A lead is worth less than before, whatever its score."
            if fallen
            else "A lead is worth more than before."
        ),
        do=InsightSentence(template="See on the page Business which grades and sources it comes from."),
    )
