"""A/B and watch over a real log, as typed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.support.events import outcome, prediction
from typer.testing import CliRunner

from leadscore.cli import main
from leadscore.errors import NotFoundError, RefusedError
from leadscore.events.store import EventStore
from leadscore.monitoring import model_facts
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.registry.store import ModelRegistry
from leadscore.release.cohorts import read_cohort
from leadscore.release.evidence import KPI, observe_report, record_report
from leadscore.release.post_release_monitor import report_soak
from leadscore.release.soak import SoakPlan, SoakRequest
from leadscore.release.states import ReportObservation

HOUR_US = 3_600_000_000
NOW = datetime.now(UTC)
BEGIN = NOW - timedelta(days=10)


@pytest.fixture
def busy(environment: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    """Ten days: versions 1 (nine in ten) and 2, which converts a third as often.

    Each outcome an hour later.
    """
    monkeypatch.setenv("LEADSCORE_EVENTS_URL", url)
    rng = np.random.default_rng(0)
    begin = int(BEGIN.timestamp() * 1e6)
    scored, known = [], []
    for n in range(6000):
        second = rng.random() < 0.1
        at = begin + n * 10 * 24 * HOUR_US // 6000
        scored.append(
            prediction(
                f"p{n}", f"L-{n}", scored_at=at, model_name="leads", model_version="2" if second else "1",
                role="canary" if second else "champion",
            )
        )  # fmt: skip
        if rng.random() < (0.1 if second else 0.3):
            known.append(
                outcome(
                    f"o{n}", f"L-{n}", value=float(np.exp(7 + rng.normal())), occurred_at=at + HOUR_US,
                    recorded_at=at + HOUR_US,
                )
            )  # fmt: skip
    with EventStore(url) as store:
        store.append(scored, known)
        yield store


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)  # drawing takes seconds, on either
def test_an_ab_test_rolls_a_worse_version_back_and_draws_why(busy: EventStore, tmp_path: Path) -> None:
    for ending in ("png", "svg"):
        picture = tmp_path / f"ab.{ending}"
        command = ["release", "ab", "--a", "leads/1", "--b", "leads/2", "--since", BEGIN.isoformat()]
        done = CliRunner().invoke(main.app, [*command, "--exposure", "1d", "--plot", str(picture), "--json"])
        assert done.exit_code == 0, done.output
        assert picture.stat().st_size > 5000
    found = json.loads(done.stdout)
    assert found["verdict"] == "roll_back"
    assert found["immature"] == pytest.approx(600, abs=60)
    assert len(busy.evidence(kind="experiment", subject="leads/2")) == 2
    shown = CliRunner().invoke(main.app, [*command, "--exposure", "1d"])
    assert "roll back: B is worse" in " ".join(shown.output.split())


def test_an_exposure_that_nobody_has_had_yet_is_no_verdict(busy: EventStore) -> None:
    command = ["release", "ab", "--a", "leads/1", "--b", "leads/2", "--since", BEGIN.isoformat(), "--json"]
    found = json.loads(CliRunner().invoke(main.app, [*command, "--exposure", "30d"]).stdout)
    assert (found["verdict"], found["a"]["leads"], found["immature"]) == ("continue", 0, 6000)


def test_a_fall_is_an_exit_code_to_a_person_and_one_record_per_number_to_a_release(busy: EventStore) -> None:
    command = [
        "release", "kpi", "--candidate", "leads/2", "--against", "leads/1", "--since",
        (NOW - timedelta(days=9)).isoformat(), "--exposure", "2h",
    ]  # fmt: skip
    done = CliRunner().invoke(main.app, command)
    assert isinstance(done.exception, RefusedError)
    assert "conversion fell" in done.exception.message
    as_a_job = [*command, "--release", "uid-3", "--number", "4"]
    assert [CliRunner().invoke(main.app, as_a_job).exit_code for _ in range(2)] == [0, 0]
    assert len(busy.evidence(kind=KPI)) == 2
    seen = observe_report(busy.evidence(kind=KPI, subject="leads/2"), KPI, "uid-3")
    assert (seen.state, seen.number, seen.passed) == ("done", 4, False)
    assert (seen.leads, seen.judged) == (json.loads(busy.evidence(kind=KPI)[0].document)["leads"], True)
    assert seen.leads > 300


def test_a_watch_of_leads_that_are_all_too_young_judges_nothing(busy: EventStore) -> None:
    command = [
        "release", "kpi", "--candidate", "leads/2", "--against", "leads/1", "--since",
        (NOW - timedelta(days=2)).isoformat(), "--exposure", "72h", "--release", "uid-4",
    ]  # fmt: skip
    done = CliRunner().invoke(main.app, command)
    assert done.exit_code == 0
    assert "Too little seen to find any fall: 0 leads" in " ".join(done.output.split())
    seen = observe_report(busy.evidence(kind=KPI, subject="leads/2"), KPI, "uid-4")
    assert (seen.state, seen.passed, seen.judged, seen.leads) == ("done", True, False, 0)


def test_the_newest_report_of_a_watch_is_the_one_with_the_highest_number(busy: EventStore) -> None:
    """Jobs may end in another order than they began."""
    about = SoakRequest(
        release="uid-5", model="leads", version=2, digest="d" * 64, previous=1, since=NOW - timedelta(days=2),
        until=NOW, exposure_hours=24.0,
    )  # fmt: skip
    found = report_soak(busy, about, SoakPlan())
    for at, number in enumerate((2, 10, 9)):
        record_report(busy, KPI, msgspec.structs.replace(found, number=number), at)
    assert observe_report(busy.evidence(kind=KPI, subject="leads/2"), KPI, "uid-5").number == 10
    assert observe_report(busy.evidence(kind=KPI, subject="leads/2"), KPI, "uid-6") == ReportObservation()


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)  # what is shown does not depend on the store
def test_revenue_says_its_currency_where_the_contract_does(
    busy: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = model_facts.find_model_facts

    def in_francs(registry: ModelRegistry, name: str, version: str) -> ModelFacts:
        facts = find(registry, name, version)
        contract = msgspec.structs.replace(facts.contract, value="paid", currency="CHF")
        return replace(facts, contract=contract)

    def gone(registry: ModelRegistry, name: str, version: str) -> ModelFacts:
        raise NotFoundError("There is no such version.")

    ab = [
        "release",
        "ab",
        "--a",
        "leads/1",
        "--b",
        "leads/2",
        "--since",
        BEGIN.isoformat(),
        "--exposure",
        "1d",
    ]
    kpi = [
        "release", "kpi", "--candidate", "leads/2", "--against", "leads/1", "--since",
        (NOW - timedelta(days=9)).isoformat(), "--exposure", "2h", "--release", "uid-7",
    ]  # fmt: skip
    for source, currency in ((in_francs, "CHF"), (gone, "")):
        monkeypatch.setattr(model_facts, "find_model_facts", source)
        for command in (ab, kpi):
            shown = " ".join(CliRunner().invoke(main.app, command).stdout.split())
            assert "revenue per lead" in shown
            assert ("(CHF)" in shown) == bool(currency)
            found = json.loads(CliRunner().invoke(main.app, [*command, "--json"]).stdout)
            assert found.get("report", found)["currency"] == currency


def test_a_lead_that_both_scored_counts_for_the_first_and_once(url: str) -> None:
    with EventStore(url) as store:
        store.append(
            [
                prediction("p1", "L-1", scored_at=10, model_version="1"),
                prediction("p2", "L-1", scored_at=20, model_version="2", role="canary"),
                prediction("p3", "L-1", scored_at=5, model_version="2", role="shadow"),
            ],
            [outcome("o1", "L-1", value=9.0, occurred_at=30, recorded_at=40)],
        )
        start = datetime(1970, 1, 1, tzinfo=UTC)
        found = read_cohort(
            store,
            "crm",
            (1, 2),
            since=start,
            now=start + timedelta(seconds=1),
            exposure=timedelta(microseconds=50),
        )
    assert (found.second.tolist(), found.converted.tolist(), found.value.tolist()) == ([False], [1.0], [9.0])
    assert found.crossed == 1
