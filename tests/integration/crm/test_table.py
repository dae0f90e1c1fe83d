"""The table route: changed scores appended once, whatever is killed between lake and store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm import table
from leadscore.crm.status import read_target_statuses
from leadscore.crm.table import publish_scores, publish_tables
from leadscore.crm.targets import CrmTarget, CrmTargets
from leadscore.errors import NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.lake.table import LakeTable

TARGET = CrmTarget(name="dwh", kind="table")
TARGETS = CrmTargets(targets=(TARGET,))
NOW = 1_900_000_000_000_000


def publish(store: EventStore, lake: Path) -> int:
    return publish_tables(store, TARGETS, no_models, str(lake), lambda: NOW)["dwh"].rows


def rows(lake: Path) -> list[dict[str, Any]]:
    return [row for batch in LakeTable(str(lake / "crm_sync" / "dwh")).read() for row in batch.to_pylist()]


def test_only_what_changed_is_appended_with_its_sequence(store: EventStore, tmp_path: Path) -> None:
    score_leads(store, [("a", 0.1, 10), ("b", 0.2, 10)])
    assert publish(store, tmp_path) == 2
    assert publish(store, tmp_path) == 0
    score_leads(store, [("a", 0.3, 20), ("b", 0.2, 20)])
    assert publish(store, tmp_path) == 1
    found = sorted((row["lead_id"], row["sequence"], row["score"]) for row in rows(tmp_path))
    assert found == [
        ("a", "00000000000000000010/p-a-10", 10.0),
        ("a", "00000000000000000020/p-a-20", 30.0),
        ("b", "00000000000000000010/p-b-10", 20.0),
    ]
    with store.reading() as connection:
        (status,) = read_target_statuses(connection, TARGETS, 0)
    assert (status.kind, status.leads, status.backlog.waiting, status.backlog.delivered) == ("table", 2, 0, 3)


@pytest.mark.parametrize("step", ["before the commit", "after the commit"])
def test_killed_between_lake_and_store_nothing_is_lost_or_doubled(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class KilledError(Exception):
        pass

    score_leads(store, [("a", 0.1, 10), ("b", 0.2, 10)])
    write = LakeTable.write

    def killed(self: LakeTable, *args: Any, **kwargs: Any) -> None:
        if step == "after the commit":
            write(self, *args, **kwargs)
        raise KilledError

    monkeypatch.setattr(table.LakeTable, "write", killed)
    with pytest.raises(KilledError):
        publish(store, tmp_path)
    monkeypatch.undo()
    # Meanwhile one of them is scored anew, which replaces what still seems to wait.
    score_leads(store, [("a", 0.9, 20)])
    publish(store, tmp_path)
    found = sorted((row["lead_id"], row["prediction_id"]) for row in rows(tmp_path))
    first = [("a", "p-a-10")] if step == "after the commit" else []
    assert found == [*first, ("a", "p-a-20"), ("b", "p-b-10")]


def test_more_than_a_commit_takes_is_several(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_ROWS", 3)
    score_leads(store, [(f"L{n}", n / 10, 10) for n in range(8)])
    assert publish(store, tmp_path) == 8
    assert len({row["lead_id"] for row in rows(tmp_path)}) == 8


def test_without_a_table_or_a_monitor_it_says_so(store: EventStore, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="kind table"):
        publish_tables(store, CrmTargets(), no_models, str(tmp_path), lambda: NOW)
    with pytest.raises(UnavailableError, match="counted in time"):
        publish_tables(store, TARGETS, no_models, str(tmp_path), lambda: NOW, wait_seconds=0.01)
    assert publish_scores(store, TARGET, str(tmp_path), lambda: NOW).version is None
    with store.reading() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM outbox")).scalar() == 0
