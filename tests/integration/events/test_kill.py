"""Kill -9, outages and full disks: what was acknowledged is stored, and stored once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
import pytest
from tests.support.events import prediction
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

from leadscore.errors import ExitCode
from leadscore.events.health import ShipperHealth, read_health
from leadscore.events.segments import list_segments
from leadscore.events.shipper import Shipper
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore

PROJECT = Path(__file__).parents[3]
WRITER = Path(__file__).with_name("writer_process.py")
DISK = Path(__file__).with_name("full_disk_process.py")


def start_writer(root: Path, limit: int = 10_000_000) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, str(WRITER), str(root), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


@contextmanager
def running_shipper(root: Path, url: str, *extra: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "leadscore.events.shipper",
        "--spool",
        str(root),
        "--events-url",
        url,
        *extra,
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def acknowledged(writer: subprocess.Popen[bytes], at_least: int) -> set[str]:
    """Read so many acknowledgements, kill -9 in mid-stream, and read what else had been acknowledged."""
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(at_least)]
    writer.kill()
    lines += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


def stored(store: EventStore) -> list[str]:
    with store.reading() as connection:
        predictions = connection.exec_driver_sql("SELECT prediction_id FROM predictions").scalars().all()
        outcomes = connection.exec_driver_sql("SELECT outcome_id FROM outcomes").scalars().all()
    return [f"p{i}" for i in predictions] + [f"o{i}" for i in outcomes]


def ship_all(root: Path, store: EventStore) -> None:
    with Shipper(root, store) as shipper:
        while not shipper.ship_once().idle:
            pass


def healthy(root: Path, pid: int) -> ShipperHealth | None:
    health = read_health(root)
    return health if health is not None and health.pid == pid else None


def is_done(root: Path, pid: int) -> bool:
    health = healthy(root, pid)
    return health is not None and health.state == "idle" and health.lag_bytes == 0 and not list_segments(root)


def test_a_writer_killed_in_mid_stream_loses_nothing_acknowledged(tmp_path: Path, store: EventStore) -> None:
    root = tmp_path / "spool"
    said: set[str] = set()
    for _ in range(3):
        said |= acknowledged(start_writer(root), at_least=500)
    ship_all(root, store)
    kept = stored(store)
    assert len(kept) == len(set(kept))
    assert said <= set(kept)
    # At most the one record whose acknowledgement the kill cut off, per writer.
    assert len(set(kept) - said) <= 3
    assert list_segments(root) == []


def test_a_shipper_killed_again_and_again_ships_each_record_once(tmp_path: Path, url: str) -> None:
    root = tmp_path / "spool"
    said = acknowledged(start_writer(root, limit=1_500), at_least=3_000)
    dice = random.Random(3)
    for _ in range(6):
        with running_shipper(root, url, "--batch-records", "25") as process:
            wait_until(
                lambda pid=process.pid: healthy(root, pid) is not None, what="the shipper's first round"
            )
            at = dice.randrange(200, 700)
            before = spool_left(root)
            wait_until(lambda goal=before - at * 150: spool_left(root) <= max(0, goal), what="progress")
            process.send_signal(signal.SIGKILL)
    with running_shipper(root, url) as process:
        wait_until(lambda: is_done(root, process.pid), what="the rest")
    with EventStore(url) as store:
        kept = stored(store)
    assert len(kept) == len(set(kept))
    assert set(kept) == said


def spool_left(root: Path) -> int:
    return sum(path.stat().st_size for path in list_segments(root) if path.exists())


def test_a_shipper_of_a_database_without_unicode_ends_with_a_sentence(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    name = f"ascii_{os.getpid()}"
    postgres.run(
        f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    command = (sys.executable, "-m", "leadscore.events.shipper", "--spool", str(tmp_path / "spool"))
    done = subprocess.run(
        [*command, "--events-url", postgres.url(name)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == ExitCode.BAD_INPUT
    assert "keeps text as SQL_ASCII" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_shipper_gives_a_silent_server_up_and_ships_when_it_speaks_again(
    tmp_path: Path, postgres_url: str
) -> None:
    root = tmp_path / "spool"
    with EventStore(postgres_url) as store:
        store.check()
    with SpoolWriter(root) as writer, psycopg.connect(postgres_url) as other:
        # A server that works, and whose answer does not come: what a proxy does that has lost its way.
        other.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
        writer.append_prediction(prediction("p1"))
        with running_shipper(root, postgres_url, "--answer-seconds", "0.2") as process:
            wait_until(lambda: _unavailable(root, process.pid), what="a shipper that says so")
            other.rollback()
            wait_until(lambda: _caught_up(root, process.pid), what="what was waiting")
    with EventStore(postgres_url) as store:
        assert stored(store) == ["pp1"]


def _caught_up(root: Path, pid: int) -> bool:
    health = healthy(root, pid)
    return health is not None and health.state == "idle" and health.shipped == 1


def _unavailable(root: Path, pid: int) -> bool:
    health = healthy(root, pid)
    return health is not None and health.state == "unavailable" and "said nothing" in health.last_error


def test_sigterm_ships_what_is_there_and_exits_0(tmp_path: Path, url: str) -> None:
    root = tmp_path / "spool"
    with SpoolWriter(root) as writer:
        with running_shipper(root, url, "--batch-records", "50") as process:
            wait_until(lambda: healthy(root, process.pid) is not None, what="start")
            for number in range(1_000):
                writer.append_prediction(prediction(f"p{number}"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        with EventStore(url) as store:
            assert store.counts().predictions == 1_000
        health = read_health(root)
        assert health is not None
        assert health.state == "stopped"


def test_a_second_shipper_is_refused(tmp_path: Path) -> None:
    root, url = tmp_path / "spool", f"sqlite:///{tmp_path / 'events.db'}"
    with running_shipper(root, url) as first:
        wait_until(lambda: healthy(root, first.pid) is not None, what="start")
        with running_shipper(root, url) as second:
            assert second.wait(timeout=30) == 5


def test_the_shipper_goes_when_its_parent_goes(tmp_path: Path) -> None:
    root, url = tmp_path / "spool", f"sqlite:///{tmp_path / 'events.db'}"
    parent = subprocess.Popen(["sleep", "600"])
    try:
        with running_shipper(root, url, "--exit-with-parent", str(parent.pid)) as process:
            wait_until(lambda: healthy(root, process.pid) is not None, what="start")
            parent.kill()
            parent.wait()
            assert process.wait(timeout=30) == 0
    finally:
        parent.kill()
        parent.wait()


def test_an_outage_of_postgresql_loses_nothing_and_the_spool_keeps_its_bound(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    root, url, bound = tmp_path / "spool", postgres.new_database(), 60_000
    accepted: list[str] = []
    with SpoolWriter(root, segment_bytes=10_000, max_bytes=bound, on_full="drop") as writer:

        def append(count: int) -> None:
            for _ in range(count):
                name = f"p{len(accepted)}"
                if writer.append_prediction(prediction(name)):
                    accepted.append(name)

        with running_shipper(root, url) as process:
            append(100)
            wait_until(
                lambda: (h := healthy(root, process.pid)) is not None and h.shipped >= 100, what="shipping"
            )
            postgres.stop()
            try:
                append(1_000)
                wait_until(
                    lambda: (h := read_health(root)) is not None and h.state == "unavailable",
                    what="outage seen",
                )
                assert writer.stats.dropped > 0
                assert writer.stats.bytes <= bound
            finally:
                postgres.start()
            wait_until(lambda: (h := read_health(root)) is not None and h.lag_bytes == 0, what="catching up")
            append(10)
            wait_until(
                lambda: (h := read_health(root)) is not None and h.shipped >= len(accepted), what="going on"
            )
    with EventStore(url) as store:
        kept = stored(store)
    assert len(kept) == len(set(kept))
    assert set(kept) == {f"p{name}" for name in accepted}


@pytest.mark.parametrize("on_full", ["refuse", "drop"])
def test_a_full_disk_is_survived_and_emptied(tmp_path: Path, on_full: str) -> None:
    disk, url = tmp_path / "disk", f"sqlite:///{tmp_path / 'events.db'}"
    disk.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [*private_mounts(), sys.executable, str(DISK), str(disk), url, on_full]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    said = msgspec.json.decode(done.stdout, type=dict[str, int])
    assert said["refused"] + said["dropped"] > 0
    assert said["accepted_after"] == 10
    assert said["left_behind"] == 0
    with EventStore(url) as store:
        assert store.counts().predictions == said["accepted"] + said["accepted_after"]


def private_mounts() -> list[str]:
    """A command prefix that gives a process mounts of its own."""
    choices = (["unshare", "-m"], ["unshare", "-rm"], ["sudo", "-n", "--preserve-env", "unshare", "-m"])
    for prefix in choices:
        try:
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            continue
    pytest.fail("The full-disk test needs a mount namespace: allow `unshare -rm`, or run as root.")
