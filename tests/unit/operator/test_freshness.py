"""Conditions about what is on record of a model beside its checks: its nights.

They change what Ready says in nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector

from leadscore.batch.records import BatchClaim, BatchRecord, claim_run, expect_nights, save_record
from leadscore.batch.schedule import NightSchedule
from leadscore.batch.status import ModelNights
from leadscore.crm.status import TargetStatus
from leadscore.events.store import EventStore
from leadscore.outbox.queue import ChannelBacklog
from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.decide.freshness import ASK_AGAIN, JudgedCondition, judge_nights, judge_targets
from leadscore_operator.plan import Plan
from leadscore_operator.reconcile.freshness import FreshnessReader

TODAY = NOW.date()
ENVIRON = {"LEADSCORE_BATCH_MODELS": "leads", "LEADSCORE_BATCH_ZONE": "Europe/Berlin"}


def record(day: date, version: str = "3") -> BatchRecord:
    claim = BatchClaim(
        date=day, model="leads", version=version, digest="d", leads="/lake/leads", leads_version=4,
        states_version=None, reasons=("A",), at=round(NOW.timestamp() * 1e6),
    )  # fmt: skip
    return BatchRecord(claim=claim, leads=20_000, scored=1_234, grades={}, scores_version=9, code="c")


def nights(*ended: date, first: date | None = None) -> ModelNights:
    records = {day: record(day) for day in ended}
    claims = {day: each.claim for day, each in records.items()}
    return ModelNights(model="leads", first=first or min(ended, default=None), claims=claims, records=records)


def judged(found: ModelNights, now: datetime = NOW) -> JudgedCondition:
    said = judge_nights(found, NightSchedule(), now)
    assert said is not None
    return said


def plan(seen: Sequence[JudgedCondition], status: Manifest | None = None, now: datetime = NOW) -> Plan:
    observation = DetectorObservation(detector(status), [], [], {}, freshness=seen)
    return plan_detector(observation, WORKLOAD, now)


def condition(done: Plan, kind: str = "BatchUpToDate") -> Manifest:
    assert done.status is not None
    (found,) = (each for each in done.status["conditions"] if each["type"] == kind)
    return found


def test_a_night_that_has_ended_says_what_it_did() -> None:
    said = judged(nights(TODAY - timedelta(days=1), TODAY))
    assert (said.holds, said.reason, said.about) == (True, "NightEnded", TODAY.isoformat())
    assert "1,234 of 20,000 leads" in said.message
    assert "version 3" in said.message


@pytest.mark.parametrize(("hour", "holds"), [(1, True), (7, True), (9, False)])
def test_a_night_is_missed_once_it_should_have_ended(hour: int, holds: bool) -> None:
    """Due at 02:00, with six hours of grace."""
    now = datetime(TODAY.year, TODAY.month, TODAY.day, hour, tzinfo=UTC)
    assert judged(nights(TODAY - timedelta(days=1)), now).holds is holds


def test_a_missed_night_names_the_date_and_where_to_look() -> None:
    said = judged(nights(TODAY - timedelta(days=3)))
    assert said.reason == "NightMissed"
    assert f"{TODAY} and 2 more" in said.message
    assert "leadscore batch status --model leads" in said.message


def test_no_night_yet_is_unknown_and_without_nights_nothing_is_said() -> None:
    said = judged(nights(first=TODAY + timedelta(days=1)))
    assert (said.holds, said.reason) == (None, "NoNightYet")
    assert "2026-03-11T02:00Z" in said.message
    assert judge_nights(nights(), NightSchedule(), NOW) is None


def test_the_condition_stands_beside_ready_and_its_events_are_told_once() -> None:
    done = plan([judged(nights(TODAY - timedelta(days=2)))])
    assert condition(done, "Ready")["status"] == "True"
    assert condition(done)["status"] == "False"
    assert [(e.type, e.reason, e.about) for e in done.events] == [("Warning", "NightMissed", str(TODAY))]
    later = plan([judged(nights(TODAY))], done.status, NOW + timedelta(hours=1))
    assert condition(later)["status"] == "True"
    assert condition(later)["lastTransitionTime"] == "2026-03-10T13:00:00Z"
    assert [(e.type, e.reason) for e in later.events] == [("Normal", "NightEnded")]
    assert later.again == NOW + timedelta(hours=1) + ASK_AGAIN


def test_without_nights_a_detector_is_as_it_was() -> None:
    done = plan([])
    assert done.status is not None
    assert [each["type"] for each in done.status["conditions"]] == ["Ready"]
    assert done.again == datetime(2026, 3, 11, tzinfo=UTC)


# --- CRM targets --------------------------------------------------------------------------------------------


def target(name: str = "salesforce", **changes: Any) -> TargetStatus:
    backlog = {"waiting": 0, "oldest_at": None, "dead": 0, "last_error": ""}
    backlog |= {key: changes.pop(key) for key in list(changes) if key in backlog}
    channel = ChannelBacklog(f"crm:{name}", delivered=9, uncertain=0, **backlog)
    about = {"kind": "salesforce", "state": "on", "reason": "", "leads": 1_500}
    return TargetStatus(name=name, backlog=channel, **(about | changes))


def minutes_ago(minutes: float) -> int:
    return round((NOW - timedelta(minutes=minutes)).timestamp() * 1e6)


def test_targets_that_have_their_scores_are_healthy_and_without_any_nothing_is_said() -> None:
    said = judge_targets([target(), target("hubspot", waiting=3, oldest_at=minutes_ago(1))], NOW)
    assert said is not None
    assert (said.holds, said.reason, said.about) == (True, "Delivered", "")
    assert "3,000 leads" in said.message
    assert judge_targets([], NOW) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dead": 2, "last_error": "400: no such field."}, "2 scores for salesforce were given up. 400: no"),
        (
            {"waiting": 7, "oldest_at": minutes_ago(20)},
            "7 scores wait for salesforce since 2026-03-10T11:4",
        ),
        ({"state": "disabled", "reason": "It answered 410."}, "salesforce is disabled: It answered 410."),
        ({"state": "unknown", "reason": "It is gone."}, "salesforce is unknown: It is gone."),
    ],
)
def test_a_target_that_lacks_scores_is_named_with_the_reason(changes: dict[str, Any], sentence: str) -> None:
    said = judge_targets([target("a"), target(**changes)], NOW)
    assert said is not None
    assert (said.holds, said.reason, said.about) == (False, "NotDelivered", "salesforce")
    assert sentence in said.message
    done = plan([said])
    assert condition(done, "CrmSyncHealthy")["status"] == "False"
    assert [(e.type, e.reason) for e in done.events] == [("Warning", "NotDelivered")]


def test_a_long_list_of_failing_targets_is_cut() -> None:
    said = judge_targets([target(f"t{i}", dead=1) for i in range(5)], NOW)
    assert said is not None
    assert "2 more." in said.message


# --- what the store says ------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    return EventStore(f"sqlite:///{tmp_path / 'events.db'}")


def test_the_store_s_records_are_read_for_the_model_that_has_nights(store: EventStore) -> None:
    found = record(TODAY)
    claim_run(store, found.claim)
    save_record(store, found)
    reader = FreshnessReader(store, ENVIRON)
    (said,) = reader.read("leads", NOW)
    assert (said.reason, said.about) == ("NightEnded", TODAY.isoformat())
    assert reader.read("other", NOW) == ()


def test_nights_that_were_asked_for_and_never_ran_are_missed(store: EventStore) -> None:
    expect_nights(store, "leads", round((NOW - timedelta(days=2)).timestamp() * 1e6))
    (said,) = FreshnessReader(store, ENVIRON).read("leads", NOW)
    assert (said.holds, said.reason) == (False, "NightMissed")


def test_a_store_that_is_away_makes_it_unknown_and_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"no database, and never one\n" * 99)
    away = EventStore(f"sqlite:///{tmp_path / 'events.db'}")
    seen = FreshnessReader(away, ENVIRON).read("leads", NOW)
    done = plan(seen)
    assert (condition(done)["status"], condition(done)["reason"]) == ("Unknown", "NotRead")
    assert condition(done, "Ready")["status"] == "True"
    assert done.events == ()


def test_a_broken_file_of_targets_is_unknown_until_it_is_mended(store: EventStore, tmp_path: Path) -> None:
    file = tmp_path / "crm.yaml"
    reader = FreshnessReader(store, {"LEADSCORE_CRM": str(file)})
    (said,) = reader.read("leads", NOW)
    assert (said.kind, said.holds) == ("CrmSyncHealthy", None)
    file.write_text("targets: [{name: warehouse, kind: table}, {name: b2b, kind: table, model: other}]")
    (said,) = reader.read("leads", NOW)
    assert (said.holds, said.message[:8]) == (True, "1 target")


def test_without_a_store_or_without_nights_nothing_is_asked(store: EventStore) -> None:
    assert FreshnessReader(None, ENVIRON).read("leads", NOW) == ()
    store.close()
    assert FreshnessReader(store, {}).read("leads", NOW) == ()
