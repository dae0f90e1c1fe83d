"""This release and the one before work on one store, while it is migrated, whatever is killed meanwhile."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.integration.events.test_kill import acknowledged, stored
from tests.support.events import outcome, prediction
from tests.support.previous_release import PreviousRelease
from tests.support.waiting import wait_until

from leadscore.events import migrations, schema
from leadscore.events.errors import SchemaTooOldError
from leadscore.events.health import read_health
from leadscore.events.records import Evidence, now_us
from leadscore.events.segments import list_segments
from leadscore.events.shipping import Shipper
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller

PROCESS = str(Path(__file__).with_name("store_process.py"))
NOW = now_us()
LATER = NOW + 400 * 86_400_000_000
CRM = Caller("key", "crm", "10.0.0.7")


class Old:
    """The release before, at work on a store."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, **fields: object) -> Any:
        """What it answers to a command; it must not fail."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        assert "error" not in said, said
        return said["answer"]

    def append(self, *names: str, at: int = NOW) -> list[int]:
        """New predictions and outcomes among those that it stored."""
        pairs = [(name, at) for name in names]
        return self.do("append", predictions=pairs, outcomes=[(name, at + 1) for name in names])


@contextmanager
def at_work(release: PreviousRelease, url: str) -> Iterator[Old]:
    process = release.start(PROCESS, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            yield Old(process)
        finally:
            process.kill()


def start_writer(release: PreviousRelease, root: Path, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, PROCESS, str(root), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=release.environment)


@pytest.fixture
def old(previous: PreviousRelease, url: str) -> Iterator[Old]:
    with at_work(previous, url) as found:
        yield found


def migrate(url: str) -> None:
    with EventStore(url, answer_seconds=None) as store:
        store.migrate()


def test_both_write_and_read_a_store_of_the_release_before(old: Old, url: str) -> None:
    assert old.append("a", "b") == [2, 2]
    assert old.do("record", id="e1")
    migrate(url)
    with EventStore(url) as store:
        store.append(
            [prediction("c", "L-c", scored_at=NOW, latency_us=84, source="api", caller=CRM)],
            [outcome("o-c", "L-c", prediction_id="c", occurred_at=NOW + 1)],
        )
        assert store.append([prediction("a", "L-a", scored_at=NOW)], []).predictions == 0
        assert old.append("d", "c") == [1, 1], "the outcome of c is another, and its prediction is known"
        assert not old.do("record", id="e1")
        assert store.record(Evidence("e2", "gate", "crm/7", 1, "{}", CRM))
        assert not store.record(Evidence("e1", "gate", "crm/7", 1, "{}", CRM))
        read = old.do("read")
        assert read == {"labels": dict.fromkeys("abcd", True), "evidence": ["e1", "e2"]}
        assert store.prediction("c").caller == CRM
        assert store.prediction("c").latency_us == 84
        assert store.prediction("d").caller is None
        assert [e.caller for e in store.evidence()] == [CRM, None]


def test_the_release_before_opens_a_store_that_this_one_made(url: str, previous: PreviousRelease) -> None:
    with EventStore(url) as store:
        store.append([prediction("n", "L-n", scored_at=NOW)], [])
        with at_work(previous, url) as old:
            assert old.append("n", "o") == [1, 2]
            assert set(old.do("read")["labels"]) == {"n", "o"}
        assert store.counts().predictions == 2


def test_rows_of_any_time_find_a_place_before_while_and_after(old: Old, url: str) -> None:
    old.append("past", at=0)
    old.append("ahead", at=LATER)
    engine = sa.create_engine(sa.make_url(url).set(drivername=_driver(url)))
    numbers = [number for number, _ in migrations.revisions()]
    for number in numbers[1:]:
        _migrate_to(engine, number)
        old.append(f"past-{number}", at=number)
        old.append(f"now-{number}", at=NOW + number)
        old.append(f"ahead-{number}", at=LATER + number)
    engine.dispose()
    migrate(url)
    names = {"past", "ahead"} | {f"{w}-{n}" for w in ("past", "now", "ahead") for n in numbers[1:]}
    assert set(old.do("read")["labels"]) == names
    with EventStore(url) as store:
        assert store.counts().predictions == len(names)


def _driver(url: str) -> str:
    return "postgresql+psycopg" if url.startswith("postgresql") else "sqlite"


def _migrate_to(engine: sa.Engine, number: int) -> None:
    from alembic import command

    config = migrations._config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, f"{number:04d}")
        connection.commit()


def test_this_release_waits_for_a_server_to_be_migrated_and_loses_nothing(
    previous: PreviousRelease, postgres_url: str, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    with at_work(previous, postgres_url) as old:
        old.append("a")
        with SpoolWriter(root) as writer:
            writer.append_prediction(prediction("n", scored_at=NOW, caller=CRM))
        command = [sys.executable, "-m", "leadscore.events.shipper", "--spool", root, "--events-url"]
        shipper = subprocess.Popen([*command, postgres_url], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: "events migrate" in _last_error(root), what="a shipper that says what to do")
            with EventStore(postgres_url) as store:
                assert store.counts().predictions == 1, "what there is can be counted"
                assert store.schema_status().pending
                with pytest.raises(SchemaTooOldError, match="leadscore events migrate"):
                    store.prediction("a")
                old.append("b")
                migrate(postgres_url)
                wait_until(lambda: store.counts().predictions == 3, what="what was waiting")
                assert store.prediction("n").caller == CRM
        finally:
            shipper.kill()
            shipper.wait()


def _last_error(root: Path) -> str:
    health = read_health(root)
    return "" if health is None else health.last_error


def test_a_migration_killed_at_any_statement_is_finished_by_the_next(old: Old, url: str) -> None:
    old.append("a")
    killed = 0
    while _killed_at(url, statement=killed + 1):
        killed += 1
        assert old.append(f"n{killed}") == [1, 1]
        with EventStore(url) as store:
            if store.schema_status().revision < migrations.revisions()[-1][0]:
                continue
        break
    migrate(url)
    assert killed >= 2
    names = {"a"} | {f"n{n}" for n in range(1, killed + 1)}
    assert set(old.do("read")["labels"]) == names
    _assert_schema_is_whole(url)


def _killed_at(url: str, statement: int) -> bool:
    """Migrate in a process that is killed before its n-th statement; whether it came to that."""
    process = multiprocessing.get_context("fork").Process(target=_migrate_until, args=(url, statement))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _migrate_until(url: str, statement: int) -> None:
    left = iter(range(statement - 1, -1, -1))

    def count(*_: object) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    migrate(url)
    os._exit(0)


def _assert_schema_is_whole(url: str) -> None:
    """What migrations have made is what the release's own tables say."""
    engine = sa.create_engine(sa.make_url(url).set(drivername=_driver(url)))
    inspector = sa.inspect(engine)
    for table in schema.metadata.sorted_tables:
        found = [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table.name)]
        dialect = engine.dialect
        wanted = [(c.name, c.type.compile(dialect), c.nullable) for c in table.columns]
        assert [(n, t.split(" COLLATE")[0], v) for n, t, v in found] == [
            (n, t.split(" COLLATE")[0], v) for n, t, v in wanted
        ], table.name
        assert {i["name"] for i in inspector.get_indexes(table.name)} == {i.name for i in table.indexes}
    engine.dispose()


@pytest.mark.parametrize("write", ["old", "new"])
def test_either_ships_what_the_other_has_spooled(
    previous: PreviousRelease, url: str, tmp_path: Path, write: str
) -> None:
    root = tmp_path / "spool"
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("x", scored_at=NOW, latency_us=7, source="api", caller=CRM))
    if write == "new":
        process = previous.start("-m", "leadscore.events.shipper", "--spool", str(root), "--events-url", url)
        try:
            wait_until(lambda: (h := read_health(root)) is not None and h.shipped == 1, what="shipping")
        finally:
            process.kill()
            process.wait()
        said = {"px"}
    else:
        said = acknowledged(start_writer(previous, root, 100), at_least=200) | {"px"}
        migrate(url)
    with EventStore(url) as store:
        migrate(url)
        with Shipper(root, store) as shipper:
            while not shipper.ship_once().idle:
                pass
        assert said <= set(stored(store))


def test_an_old_shipper_ships_through_a_migration_of_a_full_store(
    previous: PreviousRelease, url: str, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    with at_work(previous, url) as old:
        for start in range(0, 20_000, 5_000):
            old.do(
                "append", predictions=[(f"f{n}", NOW - n) for n in range(start, start + 5_000)], outcomes=[]
            )
    command = (
        "-m",
        "leadscore.events.shipper",
        "--spool",
        str(root),
        "--events-url",
        url,
        "--batch-records",
        "50",
    )
    writer = start_writer(previous, root, 3_000)
    shipper = previous.start(*command, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _shipped(root) >= 200, what="a shipper at work")
        migrate(url)
        said = acknowledged(writer, at_least=6_000)
        wait_until(lambda: not list_segments(root), what="the rest")
        health = read_health(root)
        assert health is not None
        assert health.quarantined == 0
    finally:
        shipper.kill()
        shipper.wait()
        writer.kill()
        writer.wait()
    with EventStore(url) as store:
        kept = stored(store)
        assert len(kept) == len(set(kept))
        assert said <= set(kept)
        assert store.counts().predictions == 20_000 + sum(s.startswith("p") for s in said)


def _shipped(root: Path) -> int:
    health = read_health(root)
    return 0 if health is None else health.shipped
