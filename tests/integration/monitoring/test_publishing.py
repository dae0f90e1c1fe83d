"""What is stored comes into the lake once, however late it is and whoever is killed: on both databases."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.integration.monitoring.test_exporter import FACTS
from tests.support.events import outcome, prediction
from tests.support.recount import CELLS

from leadscore.contract import contract_version
from leadscore.errors import ConflictError, UnavailableError
from leadscore.events.records import Outcome, Prediction, now_us
from leadscore.events.retention import retain
from leadscore.events.store import EventStore
from leadscore.lake import publishing
from leadscore.lake.outcomes import publish_outcomes
from leadscore.lake.table import LakeTable, table_uri
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.published_leads import publish_leads
from leadscore.monitoring.publishing import publish_lake
from leadscore.monitoring.rollups.worker import RollupWorker

DAY = 86_400_000_000
VERSION = contract_version(FACTS.contract)


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def facts_of(name: str, version: str) -> ModelFacts | None:
    return FACTS if (name, version) == ("crm", "7") else None


def rows(lake: str, name: str) -> list[dict[str, object]]:
    return pa.Table.from_batches(LakeTable(table_uri(lake, name)).read()).to_pylist()


def told(lake: str) -> list[str]:
    return sorted(str(row["outcome_id"]) for row in rows(lake, "outcomes"))


def scored(identity: str, at: int, row: tuple[float, ...], **more: str) -> Prediction:
    features = np.array(row, "<f4").tobytes()
    return prediction(
        identity, f"L-{identity}", scored_at=at, features=features, contract_version=VERSION, **more
    )


def count(store: EventStore) -> None:
    assert RollupWorker(store, lambda _name, _version: CELLS).run(seconds=60).caught_up


def test_outcomes_come_once_however_late_and_corrections_beside_them(store: EventStore, lake: str) -> None:
    now = now_us()
    assert publish_outcomes(store, lake).version is None, "no outcome, no table"
    store.append([], [outcome(f"o{i}", recorded_at=now - i * DAY // 4) for i in range(12)])
    assert publish_outcomes(store, lake).rows == 12
    assert publish_outcomes(store, lake).rows == 0
    # Told a year ago, told just now, and a correction on a day that is published.
    late = [
        outcome("late", recorded_at=now - 365 * DAY),
        outcome("new", recorded_at=now, value=12.5, converted=False),
        outcome("corrected", recorded_at=now - DAY, prediction_id="p1"),
    ]
    store.append([], late)
    assert publish_outcomes(store, lake).rows == 3
    found = {row["outcome_id"]: row for row in rows(lake, "outcomes")}
    assert len(found) == 15
    stored = {o.outcome_id: o for o in store.outcomes_of("L-1")}
    for identity, row in found.items():
        known: Outcome = stored[str(identity)]
        at = datetime.fromtimestamp(known.recorded_at / 1e6, UTC)
        assert row["recorded_at"] == at
        assert row["recorded_date"] == at.date()
        assert (row["lead_id"], row["prediction_id"], row["converted"], row["value"], row["source"]) == (
            known.lead_id, known.prediction_id, known.converted, known.value, known.source
        )  # fmt: skip


@pytest.mark.parametrize("step", ["_keys", "write", "after"])
def test_whoever_is_killed_loses_and_doubles_nothing(
    store: EventStore, lake: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = now_us()
    store.append([], [outcome(f"o{i}", recorded_at=now - i * DAY) for i in range(90)])
    written = LakeTable.write

    def dies(*arguments: object, **options: object) -> object:
        if step == "after":
            written(*arguments, **options)  # pyright: ignore[reportArgumentType]
        raise UnavailableError("The power went off.")

    # Ninety days are three commits: two happen, and the third is not heard of.
    commits = iter(range(2))

    def twice(*arguments: object, **options: object) -> object:
        if next(commits, None) is None:
            return dies(*arguments, **options)
        return written(*arguments, **options)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        if step == "_keys":
            patch.setattr(publishing, "_keys", dies)
        else:
            patch.setattr(LakeTable, "write", twice)
        with pytest.raises(UnavailableError, match="power"):
            publish_outcomes(store, lake)
    publish_outcomes(store, lake)
    assert told(lake) == sorted(f"o{i}" for i in range(90))


def test_of_two_publishers_one_writes(store: EventStore, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append([], [outcome("o1", recorded_at=now_us())])
    publish_outcomes(store, lake)
    store.append([], [outcome("o2", recorded_at=now_us())])
    keys = publishing._keys

    def meanwhile(*arguments: object) -> pa.Array:
        found = keys(*arguments)  # pyright: ignore[reportArgumentType]
        monkeypatch.undo()
        publish_outcomes(store, lake)
        return found

    monkeypatch.setattr(publishing, "_keys", meanwhile)
    # Whether the other one's commit is seen before or after the rows are made: once.
    with suppress(ConflictError):
        assert publish_outcomes(store, lake).rows == 0
    assert told(lake) == ["o1", "o2"]


def test_leads_come_with_their_inputs_by_name(store: EventStore, lake: str) -> None:
    now = now_us()
    store.append(
        [
            scored("p1", now, (12.5, 1, 1), source="api"),
            scored("p2", now - 40 * DAY, (np.nan, np.nan, 0)),
            scored("night", now, (1, 1, 1), source="batch"),
        ],
        [],
    )
    count(store)
    assert publish_leads(store, lake, facts_of, datetime.now(UTC)).rows == 2
    found = {row["prediction_id"]: row for row in rows(lake, "leads")}
    assert found.keys() == {"p1", "p2"}
    assert found["p1"]["numbers"] == [("budget", 12.5)]
    assert found["p1"]["texts"] == [("source", "fair")]
    assert found["p1"]["flags"] == [("vip", True)]
    assert (found["p2"]["numbers"], found["p2"]["texts"]) == ([("budget", None)], [("source", None)])
    assert (found["p1"]["grade"], found["p1"]["source"], found["p2"]["source"]) == ("B", "api", "")
    assert isinstance(found["p1"]["scored_date"], date)


def test_leads_that_come_late_or_whose_contract_cannot_be_had_are_not_lost(
    store: EventStore, lake: str
) -> None:
    now = datetime.now(UTC)
    store.append(
        [scored("p1", now_us(), (1, 0, 1)), scored("p2", now_us(), (2, 0, 1), model_version="8")], []
    )
    count(store)
    done = publish_leads(store, lake, facts_of, now)
    assert (done.rows, done.waiting) == (1, "Leads whose version's contract cannot be had wait: 1 of crm/8.")
    store.append([scored("late", now_us() - 3 * DAY, (3, 0, 1))], [])
    count(store)
    assert publish_leads(store, lake, lambda *_: FACTS, now).rows == 2
    assert publish_leads(store, lake, lambda *_: FACTS, now).rows == 0
    assert sorted(str(row["prediction_id"]) for row in rows(lake, "leads")) == ["late", "p1", "p2"]


def test_a_table_that_cannot_be_written_holds_up_no_other(store: EventStore, lake: str) -> None:
    store.append([scored("p1", now_us(), (1, 0, 1))], [outcome("o1", recorded_at=now_us())])
    now = datetime.now(UTC)
    done, failed = publish_lake(store, lake, facts_of, now)
    assert {each.table: each.rows for each in done} == {"outcomes": 1, "drift_metrics": 0}
    assert [str(error) for error in failed] == [
        "Which leads were scored is not known: Nothing has been counted yet. Start `leadscore monitor`.",
        (
            f"The figures of {now:%Y-%m-%d} are not known: Nothing has been counted yet."
            " Start `leadscore monitor`."
        ),
    ]
    count(store)
    done, failed = publish_lake(store, lake, facts_of, datetime.now(UTC))
    assert failed == ()
    assert {each.table: each.rows > 0 for each in done} == {
        "outcomes": False, "leads": True, "drift_metrics": False, "model_metrics": True,
    }  # fmt: skip


def test_what_retention_removed_stays_in_the_lake(store: EventStore, lake: str) -> None:
    now = now_us()
    old = now - 90 * DAY
    store.append([], [outcome("old", occurred_at=old, recorded_at=old), outcome("o1", recorded_at=now)])
    publish_outcomes(store, lake)
    assert retain(store, now).outcomes == 1
    store.append([], [outcome("o2", recorded_at=now)])
    assert publish_outcomes(store, lake).rows == 1
    assert told(lake) == ["o1", "o2", "old"]
