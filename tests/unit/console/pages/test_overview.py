"""The verdict of the overview follows from its checks, and is never good where something is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.console import PERSON, settings

from leadscore.alerts.evaluate import Episode, EpisodeState, RuleState, RuleStatus
from leadscore.alerts.rules import AlertSeverity, default_rules
from leadscore.console.alert_summary import AlertsNow, alerts_verdict
from leadscore.console.insights import chosen_insights, numbers_in
from leadscore.console.page import PageRequest, VerdictLevel
from leadscore.console.pages.drift import DriftNumbers, drift_verdict
from leadscore.console.pages.overview import first_steps, show_overview
from leadscore.console.pages.overview_checks import HealthCheck, health_checks, trust_verdict
from leadscore.console.pages.overview_insights import overview_findings
from leadscore.console.pages.overview_numbers import OverviewNumbers
from leadscore.drift.verdict import DriftVerdict, Severity
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.monitoring.measures import Measure, MeasurePoint, MeasureSeries
from leadscore.monitoring.queries.business import BusinessRow
from leadscore.monitoring.queries.counts import CountsRow, PredictionCounts
from leadscore.monitoring.queries.freshness import Freshness
from leadscore.monitoring.queries.traffic import LatencySummary
from leadscore.monitoring.queries.verdicts import DetectorVerdict

NOW = datetime(2026, 11, 29, 12, 20, tzinfo=UTC)


def measure(value: float, low: float | None = None, high: float | None = None) -> Measure:
    return Measure(value=value, n=5_000, as_of=NOW, low=low, high=high)


def business(now: Measure, before: Measure, said: float) -> BusinessRow:
    return BusinessRow(
        name="all", leads=measure(5_000), expected=measure(said), conversion=now, revenue=measure(70.0),
        before=before, revenue_before=measure(70.0),
    )  # fmt: skip


def verdict(
    *, drifted: bool = False, severity: Severity = "none", age: timedelta = timedelta(hours=1)
) -> DriftVerdict:
    return DriftVerdict(
        detector="univariate", model_name="leads", model_version="7",
        window_start=NOW - age - timedelta(days=1),
        window_end=NOW - age, rows=5_000, severity=severity, drifted=drifted, reasons=("budget has moved.",),
    )  # fmt: skip


def answered(p95: float) -> tuple[LatencySummary, ...]:
    percentiles = (measure(p95 / 2), measure(p95), measure(2 * p95))
    return (LatencySummary(version="7", percentiles=percentiles, series=()),)


def told(found: DriftVerdict | None) -> tuple[DetectorVerdict, ...]:
    return (DetectorVerdict(evidence_id="e", detector="daily", verdict=found),)


def episode(severity: AlertSeverity, state: EpisodeState = "firing") -> Episode:
    return Episode(
        episode_id="e", fingerprint="f", rule="LeadScoringErrorRate", severity=severity, labels={},
        state=state,
        started_at=0, seen_at=0, summary="2 % of calls fail.", unknown="The service does not answer.",
    )  # fmt: skip


def alerts(
    *episodes: Episode, evaluated: datetime | None = NOW, states: tuple[RuleState, ...] = ("ok", "ok")
) -> AlertsNow:
    """Episodes that are open, and what the rules said when they were evaluated."""
    at = 0 if evaluated is None else int(evaluated.timestamp() * 1e6)
    found = [(at, RuleStatus(rule=f"Rule{place}", state=state)) for place, state in enumerate(states)]
    return AlertsNow(open=episodes, statuses=() if evaluated is None else tuple(found))


def numbers(**changes: object) -> OverviewNumbers:
    """All is well."""
    start = NOW.replace(minute=0)
    point = MeasurePoint(start=start - timedelta(hours=1), end=start, measure=measure(5_000))
    given: dict[str, object] = {
        "fresh": Freshness(caught_up=NOW, seen=NOW),
        "versions": (CountsRow(start=start, version="7", counts=PredictionCounts(predictions=5_000)),),
        "traffic": (MeasureSeries(name="7", points=(point,)),),
        "newest": NOW - timedelta(minutes=1),
        "latency": answered(0.02),
        "business": business(measure(0.11, 0.10, 0.12), measure(0.115, 0.10, 0.13), 0.11),
        "grade_a": None,
        "verdicts": told(verdict()),
        "changes": (),
        "waiting": (),
        "alerts": alerts(),
    }  # fmt: skip
    return OverviewNumbers(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture
def request_(tmp_path: Path) -> PageRequest:
    given = settings(tmp_path)
    return PageRequest(
        path="/", since=NOW - timedelta(days=1), until=NOW, range_name="24h", filters={}, reader=PERSON,
        model="leads", store=EventStore(given.home.events_url), approvers=Approvers(given.api_keys),
        home=given.home, now=NOW,
    )  # fmt: skip


def judged(given: OverviewNumbers, request: PageRequest) -> tuple[VerdictLevel, str]:
    found = trust_verdict(given, health_checks(given, request))
    return found.level, found.sentence


def test_the_score_is_trusted_when_everything_is_known_and_good(request_: PageRequest) -> None:
    level, sentence = judged(numbers(), request_)
    assert level == "good"
    assert "version 7" in sentence


@pytest.mark.parametrize(
    ("changes", "level", "says"),
    [
        ({"fresh": Freshness()}, "unknown", "leadscore monitor"),
        ({"fresh": Freshness(caught_up=NOW, seen=NOW - timedelta(hours=1))}, "unknown", "Nobody has counted"),
        ({"verdicts": ()}, "unknown", "No detector"),
        ({"alerts": alerts(evaluated=None)}, "unknown", "rules were never evaluated"),
        ({"alerts": alerts(evaluated=NOW - timedelta(hours=1))}, "unknown", "evaluated 60 min ago"),
        ({"alerts": alerts(episode("warning"), episode("critical"))}, "critical", "1 more is open"),
        ({"alerts": alerts(episode("warning"))}, "warning", "2 % of calls fail"),
        ({"alerts": alerts(episode("warning", "unknown"))}, "unknown", "its number is gone"),
        ({"alerts": alerts(states=("ok", "unknown"))}, "info", "1 of 2 rules has no number: Rule1."),
        ({"alerts": alerts(states=("unknown", "unknown"))}, "unknown", "2 of 2 rules have no number"),
        ({"business": None}, "info", "not known yet"),
        ({"latency": ()}, "info", "latency is not known"),
        ({"traffic": (), "versions": ()}, "warning", "No lead was scored"),
        ({"newest": NOW - timedelta(minutes=42)}, "unknown", "Nothing was scored for 42 minutes"),
        ({"newest": NOW - timedelta(minutes=4)}, "good", "can be trusted"),
        (
            {"business": business(measure(0.08, 0.07, 0.09), measure(0.115, 0.10, 0.13), 0.08)},
            "warning",
            "fallen from 11.5",
        ),
        (
            {"business": business(measure(0.11, 0.10, 0.12), measure(0.11, 0.10, 0.13), 0.2)},
            "warning",
            "Probabilities are off",
        ),
        (
            {"latency": answered(0.9)},
            "critical",
            "took longer than 900",
        ),
        (
            {"verdicts": told(verdict(drifted=True, severity="critical"))},
            "critical",
            "budget has moved",
        ),
        (
            {"verdicts": told(verdict(age=timedelta(days=9)))},
            "unknown",
            "today's leads",
        ),
        ({"verdicts": told(None)}, "unknown", "No detector"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_or_unknown_is_what_it_says(
    changes: dict[str, object], level: str, says: str, request_: PageRequest
) -> None:
    found = judged(numbers(**changes), request_)
    assert found[0] == level
    assert says in found[1].replace("\u00a0", " ")
    assert ".." not in found[1]


@pytest.mark.parametrize(
    "given",
    [
        alerts(),
        alerts(evaluated=None),
        alerts(evaluated=NOW - timedelta(minutes=6)),
        alerts(states=("ok", "unknown")),
        alerts(states=("unknown", "elsewhere")),
        alerts(episode("info")),
        alerts(episode("warning", "unknown")),
        alerts(episode("critical"), evaluated=NOW - timedelta(hours=1)),
    ],
)
def test_the_overview_is_never_better_than_the_page_of_alerts(
    given: AlertsNow, request_: PageRequest
) -> None:
    page = alerts_verdict(given, NOW)
    level, sentence = judged(numbers(alerts=given), request_)
    assert level == page.level
    assert page.level == "good" or page.sentence in sentence


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, "of the leads of the last 90 days became customers, 11.5"),
        ({"alerts": alerts(episode("critical"))}, "The alert LeadScoringErrorRate fires: 2 % of calls fail."),
        (
            {"business": business(measure(0.08, 0.07, 0.09), measure(0.115, 0.10, 0.13), 0.08)},
            "Conversion has fallen from 11.5",
        ),
        (
            {"business": business(measure(0.11, 0.10, 0.12), measure(0.11, 0.10, 0.13), 0.2)},
            "Scores promised that 20.0",
        ),
        ({"business": None}, "is not known yet"),
        ({"verdicts": told(verdict(drifted=True, severity="critical"))}, "Leads differ from those"),
    ],
)
def test_what_is_wrong_is_said_in_three_to_five_sentences_with_measured_numbers(
    changes: dict[str, object], first: str
) -> None:
    said = chosen_insights(overview_findings(numbers(**changes), default_rules()))
    assert 3 <= len(said) <= 5
    assert first in said[0].text.replace("\u00a0", " ")
    for sentence in said:
        quoted = {number for q in sentence.numbers.values() for number in numbers_in(q.text)}
        named = {number for name in sentence.names.values() for number in numbers_in(name)}
        assert numbers_in(sentence.text) <= quoted | named
        assert ".." not in sentence.text


@pytest.mark.parametrize(
    ("trained", "says"),
    [
        (False, "There is nothing here yet. Next: train a model"),
        (True, "has scored no lead yet. Next: start the service"),
        (None, "the registry of models does not answer"),
    ],
)
def test_an_empty_installation_says_the_next_step(trained: bool | None, says: str) -> None:
    content = first_steps("leads", numbers(begun=False, trained=trained))
    assert says in content.verdict.sentence
    assert content.verdict.level == "info"


@pytest.mark.parametrize(("age", "level"), [(timedelta(days=1), "good"), (timedelta(days=9), "unknown")])
def test_both_pages_say_the_same_of_a_verdict_that_is_old(
    request_: PageRequest, age: timedelta, level: VerdictLevel
) -> None:
    calm = told(verdict(age=age))
    assert judged(numbers(verdicts=calm), request_)[0] == level
    fresh = Freshness(caught_up=NOW, seen=NOW)
    seen = DriftNumbers(fresh=fresh, versions=("7",), version="7", latest=calm)
    said = drift_verdict(seen, request_)
    assert said.level == level
    assert ("leadscore drift check" in said.sentence) == (level == "unknown")


@pytest.mark.parametrize("currency", ["", "EUR"])
def test_revenue_without_a_currency_says_so(request_: PageRequest, currency: str) -> None:
    tiles = show_overview(numbers(currency=currency), request_).tiles
    [revenue] = [tile for tile in tiles if tile.label == "Revenue per lead"]
    assert ("currency not known" in revenue.note) == (not currency)


def test_that_nobody_waits_is_said_only_of_rules_that_are_evaluated(request_: PageRequest) -> None:
    now = show_overview(numbers(), request_)
    assert "No alert and no release waits for anybody." in str(now.body)
    assert now.tiles[-1].measure.value == 0
    old = show_overview(numbers(alerts=alerts(evaluated=NOW - timedelta(hours=1))), request_)
    assert "Whether an alert waits is not known" in str(old.body)
    assert old.tiles[-1].measure.value is None


def test_what_is_wrong_is_said_before_what_is_unknown() -> None:
    checks = (
        HealthCheck(name="a", level="unknown", says="Not known.", href="/"),
        HealthCheck(name="b", level="warning", says="Wrong.", href="/"),
    )
    assert trust_verdict(numbers(), checks).level == "warning"
