"""What is on record about nights: the command and the alert say the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from leadscore.alerts.measures import NightReader
from leadscore.alerts.rules import default_rules
from leadscore.batch.records import BatchClaim, BatchRecord, claim_run, expect_nights, save_record
from leadscore.batch.schedule import NightSchedule
from leadscore.batch.status import read_nights
from leadscore.errors import BadInputError
from leadscore.events.store import EventStore

BERLIN = NightSchedule("Europe/Berlin")
DAY = date(2026, 11, 20)
ENVIRON = {"LEADSCORE_BATCH_ZONE": "Europe/Berlin"}
RULE = default_rules().named("LeadScoringNightMissed")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        yield opened


def moment(day: int, hour: int) -> datetime:
    """That many days after the first night, UTC."""
    return datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC) + timedelta(days=day)


def begin(store: EventStore, day: int, version: str = "7", model: str = "leads") -> BatchClaim:
    return claim_run(
        store,
        BatchClaim(
            date=DAY + timedelta(days=day), model=model, version=version, digest="d", leads="/crm",
            leads_version=day, states_version=None, reasons=(), at=round(moment(day, 1).timestamp() * 1e6),
        ),
    )  # fmt: skip


def end(store: EventStore, day: int, version: str = "7", model: str = "leads") -> None:
    claim = begin(store, day, version, model)
    save_record(store, BatchRecord(claim=claim, leads=9, scored=9, grades={}, scores_version=0, code="c"))


def missed(store: EventStore, now: datetime, models: str = "") -> dict[str, float | None]:
    """By the alert's reader, which has to agree with the command's list."""
    reader = NightReader(store, ENVIRON | {"LEADSCORE_BATCH_MODELS": models})
    assert RULE is not None
    found = reader.read(RULE, round(now.timestamp() * 1e6))
    assert found is not None
    said = {dict(labels).get("model", ""): measure.value for labels, measure in found.items()}
    for each in read_nights(store, BERLIN, now, models.split()):
        nights = each.listed(BERLIN, now, 14)
        assert sum(night.missed for night in nights) == said[each.model] == len(each.missed(BERLIN, now))
    return said


def test_nights_are_ended_begun_or_missing(store: EventStore) -> None:
    end(store, 0)
    begin(store, 2)
    (nights,) = read_nights(store, BERLIN, moment(3, 3))
    assert [((n.date - DAY).days, n.state, n.missed) for n in nights.listed(BERLIN, moment(3, 3), 30)] == [
        (3, "missing", False),
        (2, "begun", True),
        (1, "missing", True),
        (0, "ended", False),
    ]


def test_a_night_is_missed_six_hours_after_it_was_due(store: EventStore) -> None:
    end(store, 0)
    # 02:00 in Berlin is 01:00 UTC.
    assert missed(store, moment(1, 0)) == {"leads": 0}
    assert missed(store, moment(1, 6)) == {"leads": 0}
    assert missed(store, moment(1, 7)) == {"leads": 1}
    begin(store, 1)
    assert missed(store, moment(1, 7)) == {"leads": 1}, "begun is not ended"
    end(store, 1)
    assert missed(store, moment(1, 7)) == {"leads": 0}


def test_a_night_that_any_version_has_ended_is_not_missed(store: EventStore) -> None:
    end(store, 0, "7")
    end(store, 1, "7")
    begin(store, 1, "8")
    assert missed(store, moment(1, 12)) == {"leads": 0}
    (nights,) = read_nights(store, BERLIN, moment(1, 12))
    assert nights.listed(BERLIN, moment(1, 12), 1)[0].version == "7"


def test_a_night_that_never_ran_is_missed_once_it_is_expected(store: EventStore) -> None:
    assert missed(store, moment(0, 12)) == {"": 0}, "nothing is expected"
    assert missed(store, moment(0, 12), "leads other") == {"leads": 0, "other": 0}
    assert missed(store, moment(1, 6), "leads other") == {"leads": 0, "other": 0}
    assert missed(store, moment(1, 7), "leads other") == {"leads": 1, "other": 1}
    end(store, 1)
    assert missed(store, moment(2, 7), "leads other") == {"leads": 1, "other": 2}
    assert missed(store, moment(60, 7), "leads other") == {"leads": 14, "other": 14}
    # Nobody expects them any more, and none was run for long.
    assert missed(store, moment(60, 7)) == {"": 0}


def test_what_is_expected_is_noted_once(store: EventStore) -> None:
    expect_nights(store, "leads", 1_000)
    expect_nights(store, "leads", 2_000)
    assert [each.at for each in store.evidence(kind="batch-expected")] == [1_000]


def test_a_schedule_that_is_none_makes_the_source_fail(store: EventStore) -> None:
    assert RULE is not None
    with pytest.raises(BadInputError, match="no time zone"):
        NightReader(store, {"LEADSCORE_BATCH_ZONE": "Mars"}).read(RULE, 0)
