"""Connections to a store that others are using already."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leadscore.errors import UnavailableError
from leadscore.events import engine
from leadscore.events.store import EventStore


@pytest.fixture
def busy(tmp_path: Path) -> sqlite3.Connection:
    """A connection in the middle of a write to a new database, before anybody has turned it to WAL."""
    connection = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_who_finds_a_new_file_in_use_waits_for_it(
    busy: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            busy.execute("COMMIT")

    monkeypatch.setattr(engine, "sleep", pause)
    with EventStore(f"sqlite:///{tmp_path}/events.db") as store:
        assert store.counts().predictions == 0
    assert len(waits) == 3
    assert busy.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_waits_in_vain_is_told_so(
    busy: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert busy.in_transaction
    now = iter(range(0, 1_000, 5))
    monkeypatch.setattr(engine, "sleep", lambda _: None)
    monkeypatch.setattr(engine, "monotonic", lambda: next(now))
    with (
        EventStore(f"sqlite:///{tmp_path}/events.db") as store,
        pytest.raises(UnavailableError, match="locked"),
    ):
        store.counts()
