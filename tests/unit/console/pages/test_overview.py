"""The verdict of the overview follows from its checks, and is never good where something is unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.console import PERSON, settings

from leadscore.alerts.evaluate import Episode, EpisodeState
from leadscore.alerts.rules import AlertSeverity
from leadscore.console.page import PageRequest, VerdictLevel
from leadscore.console.pages.overview import (
    HealthCheck,
    OverviewNumbers,
    health_checks,
    trust_verdict,
)
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
        "alerts": (),
        "evaluated": NOW,
    }  # fmt: skip
    return OverviewNumbers(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture
def request_(tmp_path: Path) -> PageRequest:
    given = settings(tmp_path)
    return PageRequest(
        path="/", since=NOW - timedelta(days=1), until=NOW, range_name="24h", filters={}, person=PERSON,
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
        ({"evaluated": None}, "unknown", "Nobody evaluates alerts"),
        ({"evaluated": NOW - timedelta(hours=1)}, "unknown", "Nobody evaluates alerts"),
        ({"alerts": (episode("warning"), episode("critical"))}, "critical", "fires (and 1 more)"),
        ({"alerts": (episode("warning"),)}, "warning", "2 % of calls fail"),
        ({"alerts": (episode("warning", "unknown"),)}, "unknown", "its number is gone"),
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


def test_what_is_wrong_is_said_before_what_is_unknown() -> None:
    checks = (
        HealthCheck(name="a", level="unknown", says="Not known.", href="/"),
        HealthCheck(name="b", level="warning", says="Wrong.", href="/"),
    )
    assert trust_verdict(numbers(), checks).level == "warning"
