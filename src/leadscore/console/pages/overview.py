"""Overview: can the score be trusted today, what changed, and who has to do something?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dash import dcc
from dash.development.base_component import Component

from leadscore.alerts.episodes import read_open, read_rule_statuses
from leadscore.alerts.evaluate import Episode
from leadscore.alerts.rules import AlertSeverity
from leadscore.console.blocks import PageTable, badge, section_block, table_block
from leadscore.console.charts import ChartWords, time_chart
from leadscore.console.numbers import count_text, milliseconds_text, share_text
from leadscore.console.page import (
    ConsolePage,
    NumberTile,
    PageContent,
    PageRequest,
    PageVerdict,
    VerdictLevel,
)
from leadscore.console.pages.drift import SEVERITY_LEVELS
from leadscore.console.pages.live import SLOW_SECONDS, in_milliseconds, leads_total, silence
from leadscore.console.pages.model import MISCALIBRATED
from leadscore.console.reading import selection_of, versions_by_traffic
from leadscore.drift.verdict import as_utc
from leadscore.events.records import Evidence
from leadscore.monitoring.measures import Measure, MeasureSeries
from leadscore.monitoring.queries.business import BusinessRow, business_rows, read_business_counts
from leadscore.monitoring.queries.counts import CountsRow, read_counts
from leadscore.monitoring.queries.freshness import STALE, Freshness, read_freshness
from leadscore.monitoring.queries.ranges import HourRange, Selection
from leadscore.monitoring.queries.traffic import LatencySummary, read_latency, read_newest, read_traffic
from leadscore.monitoring.queries.verdicts import DetectorVerdict, read_latest_verdicts
from leadscore.release.approval import open_requests
from leadscore.release.evidence import ended_releases
from leadscore.release.progress import in_a_sentence

# Outcomes take weeks: the overview's business numbers are of a time of their own.
_BUSINESS_SPAN: Final = timedelta(days=90)
_RELEASE_KINDS: Final = ("gate", "replay", "shadow", "approval-request", "approval", "kpi", "release")
_CHANGES: Final = 10
_RECORDS: Final = 200
# Verdicts older than that say nothing of today.
_OLD_VERDICT: Final = timedelta(days=8)
_ALERT_LEVELS: Final[dict[AlertSeverity, VerdictLevel]] = {
    "critical": "critical", "warning": "warning", "info": "info",
}  # fmt: skip
_RANKS: Final[dict[VerdictLevel, int]] = {"good": 0, "info": 1, "unknown": 2, "warning": 3, "critical": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One thing that must hold for the score to be trusted.

    Attributes:
        name: What it is.
        level: How it stands.
        says: In a sentence.
        href: The page that explains it.
        essential: Whether trust is unknown as long as this is.
    """

    name: str
    level: VerdictLevel
    says: str
    href: str
    essential: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        versions: Predictions of the time by version, of answers that reached callers.
        traffic: Over time, by version.
        newest: When the newest lead of it was scored; None if there was none.
        latency: By version.
        business: All leads of the last 90 days, against the 90 before; None if there were none.
        grade_a: Those of grade A.
        verdicts: Newest of each detector of the version that serves.
        changes: Newest records of releases.
        waiting: Questions of releases that nobody has answered.
        alerts: Episodes that are not over.
        evaluated: When the rules of alerts were evaluated last; None: never.
    """

    fresh: Freshness
    versions: tuple[CountsRow, ...]
    traffic: tuple[MeasureSeries, ...]
    newest: datetime | None
    latency: tuple[LatencySummary, ...]
    business: BusinessRow | None
    grade_a: BusinessRow | None
    verdicts: tuple[DetectorVerdict, ...]
    changes: tuple[Evidence, ...]
    waiting: tuple[Evidence, ...]
    alerts: tuple[Episode, ...]
    evaluated: datetime | None

    @property
    def serving(self) -> str:
        """The version that answered most callers; empty if none did."""
        return next(iter(versions_by_traffic(self.versions)), "")


def build(request: PageRequest) -> PageContent:
    """Make the page."""
    return show_overview(_read(request), request)


def _read(request: PageRequest) -> OverviewNumbers:
    selection = selection_of(request)
    business = Selection(model=request.model, time=HourRange.last(_BUSINESS_SPAN, request.now))
    changes, waiting = _release_records(request)
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        versions = read_counts(connection, selection, ("version",))
        serving = next(iter(versions_by_traffic(versions)), "")
        counted = read_business_counts(connection, business, fresh)
        statuses = read_rule_statuses(connection)
        traffic = read_traffic(connection, selection, fresh)
        return OverviewNumbers(
            fresh=fresh,
            versions=versions,
            traffic=traffic,
            newest=read_newest(connection, selection, traffic),
            latency=read_latency(connection, selection, fresh),
            business=next(iter(business_rows(counted)), None),
            grade_a=next((row for row in business_rows(counted, "grade") if row.name == "A"), None),
            verdicts=read_latest_verdicts(connection, request.model, serving) if serving else (),
            changes=changes,
            waiting=waiting,
            alerts=read_open(connection),
            evaluated=as_utc(max(at for at, _ in statuses)) if statuses else None,
        )


def _release_records(request: PageRequest) -> tuple[tuple[Evidence, ...], tuple[Evidence, ...]]:
    """The newest records of releases of the model, and the questions that nobody has answered."""
    prefix = f"{request.model}/"
    found = request.store.evidence(kind=_RELEASE_KINDS, limit=_RECORDS)
    changes = tuple(record for record in found if record.subject.startswith(prefix))[:_CHANGES]
    ended = ended_releases(request.store)
    asked = open_requests(request.store, request.approvers, request.now.timestamp(), ended=ended)
    return changes, tuple(record for record, _ in asked if record.subject.startswith(prefix))


def show_overview(numbers: OverviewNumbers, request: PageRequest) -> PageContent:
    """Lay the numbers out."""
    checks = health_checks(numbers, request)
    return PageContent(
        verdict=trust_verdict(numbers, checks),
        tiles=_tiles(numbers),
        body=[
            section_block("What it rests on", [_checks_table(checks)]),
            section_block("What needs a person", [_waiting_table(numbers)]),
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


def trust_verdict(numbers: OverviewNumbers, checks: Sequence[HealthCheck]) -> PageVerdict:
    """Say in one sentence whether the score can be trusted, from the checks alone."""
    serving = f"version {numbers.serving} answers" if numbers.serving else "no version answers"
    worst = max(checks, key=lambda check: _RANKS[check.level])
    if worst.level in {"critical", "warning"}:
        word = "cannot be trusted as it is" if worst.level == "critical" else "needs a look"
        return PageVerdict(level=worst.level, sentence=f"The score {word}: {worst.says}")
    unknown = [check for check in checks if check.level == "unknown"]
    essential = next((check for check in unknown if check.essential), None)
    if essential is not None:
        return PageVerdict(
            level="unknown", sentence=f"Whether the score can be trusted today is not known: {essential.says}"
        )
    if unknown:
        says = f"Nothing speaks against the score; {serving}. {unknown[0].says}"
        return PageVerdict(level="info", sentence=says)
    return PageVerdict(
        level="good",
        sentence=f"The score can be trusted today: {serving}, callers are answered in time, leads are like "
        "those of training, and they convert as the scores say.",
    )


def health_checks(numbers: OverviewNumbers, request: PageRequest) -> tuple[HealthCheck, ...]:
    """Judge each thing that trust rests on."""
    stale = numbers.fresh.stale(request.now)
    counting = HealthCheck(
        name="Counting",
        level="unknown" if stale else "good",
        says=stale or "Every stored prediction and outcome is counted.",
        href="/live",
    )
    alerts = _alert_check(numbers, request)
    if stale:
        return (counting, alerts, _drift_check(numbers, request))
    return (
        counting,
        alerts,
        _traffic_check(numbers, request),
        _latency_check(numbers),
        _drift_check(numbers, request),
        _conversion_check(numbers),
        _promise_check(numbers),
    )


def _alert_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    name, href = "Alerts", "/alerts"
    firing = [episode for episode in numbers.alerts if episode.state == "firing"]
    if firing:
        worst = min(firing, key=lambda episode: list(_ALERT_LEVELS).index(episode.severity))
        more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
        says = f"{worst.rule} fires{more}: {worst.summary or 'see the page of alerts.'}"
        return HealthCheck(name=name, level=_ALERT_LEVELS[worst.severity], says=says, href=href)
    if numbers.evaluated is None or request.now - numbers.evaluated > STALE:
        says = "Nobody evaluates alerts. Check `leadscore monitor`."
        return HealthCheck(name=name, level="unknown", says=says, href=href)
    unknown = [episode for episode in numbers.alerts if episode.state == "unknown"]
    if unknown:
        says = f"{unknown[0].rule} was firing, and its number is gone: {unknown[0].unknown}"
        return HealthCheck(name=name, level="unknown", says=says, href=href)
    return HealthCheck(name=name, level="good", says="No alert fires.", href=href)


def _traffic_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    total = leads_total(numbers.traffic, numbers.fresh)
    if not total.value:
        says = "No lead was scored in this time. Check that the CRM calls the service."
        return HealthCheck(name="Traffic", level="warning", says=says, href="/live")
    silent = silence(numbers.traffic, numbers.newest, request)
    if silent:
        return HealthCheck(name="Traffic", level="unknown", says=silent, href="/live")
    shares = ", ".join(
        f"version {row.version} {share_text(row.counts.predictions / total.value)}"
        for row in sorted(numbers.versions, key=lambda row: -row.counts.predictions)
    )
    says = f"{count_text(total.value)} leads were scored ({shares})."
    return HealthCheck(name="Traffic", level="good", says=says, href="/live")


def _latency_check(numbers: OverviewNumbers) -> HealthCheck:
    p95 = _slowest(numbers.latency)
    if p95.value is None:
        return HealthCheck(name="Latency", level="unknown", says=p95.unknown, href="/live", essential=False)
    slow = p95.value > SLOW_SECONDS * 1e3
    says = f"The service took less than {milliseconds_text(p95.value)} for 95 of 100 calls."
    if slow:
        says = f"The service took longer than {milliseconds_text(p95.value)} for 5 of 100 calls."
    return HealthCheck(name="Latency", level="critical" if slow else "good", says=says, href="/live")


def _drift_check(numbers: OverviewNumbers, request: PageRequest) -> HealthCheck:
    name, href = "Leads as in training", "/drift"
    judged = [found.verdict for found in numbers.verdicts if found.verdict is not None]
    drifted = [verdict for verdict in judged if verdict.drifted]
    if drifted:
        worst = max(drifted, key=lambda v: list(SEVERITY_LEVELS).index(v.severity))
        reason = worst.reasons[0] if worst.reasons else "a detector says so."
        level: VerdictLevel = "critical" if worst.severity == "critical" else "warning"
        return HealthCheck(name=name, level=level, says=f"Leads have changed: {reason}", href=href)
    recent = [v for v in judged if request.now - v.window_end <= _OLD_VERDICT and not v.unknown]
    if not recent:
        says = "No detector has judged today's leads. Run `leadscore drift check`, or schedule it."
        return HealthCheck(name=name, level="unknown", says=says, href=href)
    until = max(verdict.window_end for verdict in recent)
    says = f"Detectors saw no change that calls for action, until {until:%Y-%m-%d %H:%M} UTC."
    return HealthCheck(name=name, level="good", says=says, href=href)


def _conversion_check(numbers: OverviewNumbers) -> HealthCheck:
    name, href, row = "Conversion", "/business", numbers.business
    if row is None or row.conversion.value is None:
        why = "No lead was scored in 90 days." if row is None else row.conversion.unknown
        says = f"How leads convert is not known yet. {why}"
        return HealthCheck(name=name, level="unknown", says=says, href=href, essential=False)
    now, then = share_text(row.conversion.value), row.before.value
    if then is None:
        says = f"{now} of leads became customers; there is nothing before to compare with."
        return HealthCheck(name=name, level="good", says=says, href=href, essential=False)
    if row.changed == "down":
        says = f"Conversion has fallen from {share_text(then)} to {now}, more than by chance."
        return HealthCheck(name=name, level="warning", says=says, href=href)
    says = f"{now} of leads became customers, {share_text(then)} in the 90 days before."
    return HealthCheck(name=name, level="good", says=says, href=href)


def _promise_check(numbers: OverviewNumbers) -> HealthCheck:
    name, href, row = "Scores hold", "/model", numbers.business
    rate, said = (None, None) if row is None else (row.conversion, row.expected.value)
    if rate is None or said is None or rate.low is None or rate.high is None or rate.value is None:
        says = "Whether probabilities hold is not known before outcomes are."
        return HealthCheck(name=name, level="unknown", says=says, href=href, essential=False)
    came = f"scores promised {share_text(said)}, and {share_text(rate.value)} became customers"
    if rate.low <= said <= rate.high or abs(rate.value / said - 1) < MISCALIBRATED:
        return HealthCheck(name=name, level="good", says=f"The {came}.", href=href)
    return HealthCheck(name=name, level="warning", says=f"Probabilities are off: {came}.", href=href)


def _slowest(latency: Sequence[LatencySummary]) -> Measure:
    known = [s.percentiles[1] for s in latency if s.percentiles[1].value is not None]
    if not known:
        return Measure.missing("No request was answered in this time, so latency is not known.")
    return in_milliseconds(max(known, key=lambda measure: measure.value or 0.0))


def _tiles(numbers: OverviewNumbers) -> list[NumberTile]:
    nothing = Measure.missing("No lead was scored in 90 days.", as_of=numbers.fresh.caught_up)
    row, best = numbers.business, numbers.grade_a
    p95 = _slowest(numbers.latency)
    slow: VerdictLevel | None = None
    if p95.value is not None:
        slow = "critical" if p95.value > SLOW_SECONDS * 1e3 else "good"
    before = None if row is None else row.before.value
    waiting = len(numbers.waiting) + len(_unattended(numbers))
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
            unit="money",
            href="/business",
        ),
        NumberTile(
            label="Waiting for a person",
            measure=Measure(value=waiting, n=waiting),
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


def _waiting_table(numbers: OverviewNumbers) -> Component:
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
        for episode in _unattended(numbers)
    ]
    return table_block(
        PageTable(
            header=("since", "about", "what", "do"),
            rows=[*alerts, *releases],
            units={},
            name="waiting",
            empty="Nobody has to do anything.",
        ),
        caption="What needs a person",
    )


def _unattended(numbers: OverviewNumbers) -> list[Episode]:
    """Alerts that fire and that nobody has said to look after."""
    return [e for e in numbers.alerts if e.state == "firing" and e.acknowledged is None]


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
