from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.events import outcome, prediction

from leadscore.errors import UnavailableError
from leadscore.events.errors import ShipperRunningError
from leadscore.events.frames import HEADER, seal
from leadscore.events.health import read_health
from leadscore.events.quarantine import read_quarantine
from leadscore.events.segments import list_segments
from leadscore.events.shipper import Shipper, ShipperOptions
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore
from leadscore.events.tail import POSITIONS_NAME, SpoolTail


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as opened:
        yield opened


def ship_all(root: Path, store: EventStore, batch: int = 2_000) -> int:
    """Ship until idle with a new shipper, as after a restart; returns how many records were new."""
    new = 0
    with Shipper(root, store, ShipperOptions(batch_records=batch)) as shipper:
        while not (shipment := shipper.ship_once()).idle:
            new += shipment.new
    return new


def append_frame(root: Path, payload: bytes, kind: int) -> None:
    frame = bytearray(HEADER.size)
    frame += payload
    seal(frame, kind)
    with list_segments(root)[-1].open("ab") as file:
        file.write(frame)


def test_an_open_segment_is_shipped_and_kept_a_finished_one_deleted(root: Path, store: EventStore) -> None:
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1"))
        assert ship_all(root, store) == 1
        assert len(list_segments(root)) == 1
        writer.append_prediction(prediction("p2"))
        assert ship_all(root, store) == 1
    ship_all(root, store)
    assert list_segments(root) == []
    assert store.counts().predictions == 2


def test_an_empty_segment_of_a_live_worker_is_not_taken_for_finished(root: Path, store: EventStore) -> None:
    with SpoolWriter(root, segment_seconds=0.0) as writer:
        for number in range(5):
            writer.append_prediction(prediction(f"p{number}"))
            ship_all(root, store)
    ship_all(root, store)
    assert store.counts().predictions == 5


def test_batches_are_bounded_and_say_that_there_is_more(root: Path, store: EventStore) -> None:
    with SpoolWriter(root, segment_bytes=500, max_bytes=100_000) as writer:
        for number in range(10):
            writer.append_prediction(prediction(f"p{number}"))
    with Shipper(root, store, ShipperOptions(batch_records=4)) as shipper:
        sizes = [shipper.ship_once() for _ in range(4)]
    assert [s.records for s in sizes] == [4, 4, 2, 0]
    assert [s.more for s in sizes] == [True, True, False, False]


def test_a_crash_between_commit_and_memory_replays_without_doubles(root: Path, store: EventStore) -> None:
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1"))
        ship_all(root, store)
        (root / POSITIONS_NAME).unlink()
        writer.append_prediction(prediction("p2"))
        assert ship_all(root, store) == 1
    assert store.counts().predictions == 2


def test_one_shipper_per_spool(root: Path, store: EventStore) -> None:
    with Shipper(root, store), pytest.raises(ShipperRunningError):
        Shipper(root, store)
    Shipper(root, store).close()


def test_an_undecodable_record_is_set_aside_once_and_the_others_go_on(root: Path, store: EventStore) -> None:
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1"))
        append_frame(root, b"\xc1 not MessagePack", kind=1)
        append_frame(root, msgspec.msgpack.encode(["o1"]), kind=2)
        append_frame(root, msgspec.msgpack.encode(prediction("px")), kind=9)
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p2"))
        with Shipper(root, store) as shipper:
            assert shipper.ship_once().quarantined == 3
        (root / POSITIONS_NAME).unlink()
    ship_all(root, store)
    assert store.counts().predictions == 2
    pieces = read_quarantine(root)
    assert [piece.kind for piece in pieces] == [1, 2, 9]
    assert pieces[0].payload == b"\xc1 not MessagePack"


def test_a_record_the_store_refuses_is_found_among_thousands(root: Path, store: EventStore) -> None:
    with SpoolWriter(root) as writer:
        for number in range(300):
            probability = float("nan") if number in {7, 200} else 0.5  # SQLite stores NaN as NULL
            writer.append_prediction(prediction(f"p{number}", probability=probability))
        writer.append_outcome(outcome("o1"))
    ship_all(root, store)
    assert store.counts().predictions == 298
    assert store.counts().outcomes == 1
    assert len(read_quarantine(root)) == 2


def test_damaged_bytes_are_set_aside_and_complete_records_behind_them_shipped(
    root: Path, store: EventStore
) -> None:
    with SpoolWriter(root) as writer:
        for number in range(3):
            writer.append_prediction(prediction(f"p{number}"))
    path = list_segments(root)[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    ship_all(root, store)
    assert store.counts().predictions == 2
    assert [piece.reason for piece in read_quarantine(root)] == ["damaged bytes"]


def test_a_torn_tail_is_counted_and_forgotten(root: Path, store: EventStore) -> None:
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1"))
    with list_segments(root)[0].open("ab") as file:
        file.write(HEADER.pack(0x4CAB, 1, 1, 100) + b"half")
    stop = threading.Event()
    stop.set()
    with Shipper(root, store) as shipper:
        shipper.run(stop)
    health = read_health(root)
    assert health is not None
    assert (health.torn, health.quarantined, health.shipped) == (1, 0, 1)
    assert list_segments(root) == []


def test_a_store_that_is_down_costs_nothing_and_is_said_in_the_health_file(
    root: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1", scored_at=1))
    stop = threading.Event()
    stop.set()
    with EventStore(f"sqlite:///{blocked / 'events.db'}") as down, Shipper(root, down) as shipper:
        with pytest.raises(UnavailableError):
            shipper.ship_once()
        shipper.run(stop)
    health = read_health(root)
    assert health is not None
    assert (health.failures, health.state) == (1, "stopped")
    assert health.lag_seconds > 0
    assert health.lag_bytes > 0
    assert "blocked" in health.last_error
    blocked.unlink()
    with EventStore(f"sqlite:///{blocked / 'events.db'}") as up:
        assert ship_all(root, up) == 1


def test_a_spool_disk_without_room_for_positions_still_gets_emptied(
    root: Path, store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes, *, sync: bool) -> None:
        raise OSError(28, "No space left on device")

    with SpoolWriter(root) as writer:
        writer.append_prediction(prediction("p1"))
    monkeypatch.setattr("leadscore.events.tail.replace_file", full)
    with Shipper(root, store) as shipper:
        with pytest.raises(UnavailableError):
            shipper.ship_once()
        assert list_segments(root) == []
        assert shipper.ship_once().idle
    assert store.counts().predictions == 1


def test_positions_of_deleted_segments_are_forgotten_at_start(root: Path) -> None:
    root.mkdir()
    (root / POSITIONS_NAME).write_bytes(b'{"worker-000/gone.spool": 7}')
    tail = SpoolTail(root)
    tail.settle(tail.next_batch(10))
    assert tail._positions == {}


def test_no_health_file_is_none(root: Path) -> None:
    assert read_health(root) is None


class CrashError(Exception):
    """A stand-in for kill -9 at a chosen moment."""


steps = st.lists(
    st.sampled_from(
        ["append", "append", "outcome", "restart", "torn", "ship", "crash_before", "crash_after"]
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps, segment_bytes=st.sampled_from([300, 900, 10_000]), batch=st.integers(1, 7))
def test_no_interleaving_loses_or_doubles_a_record(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], segment_bytes: int, batch: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    root = folder / "spool"
    store = EventStore(f"sqlite:///{folder / 'events.db'}")
    store.counts()
    writer = SpoolWriter(root, segment_bytes=segment_bytes, max_bytes=1_000_000)
    predictions: set[str] = set()
    outcomes: set[str] = set()
    for number, step in enumerate(steps):
        if step == "append":
            writer.append_prediction(prediction(f"p{number}"))
            predictions.add(f"p{number}")
        elif step == "outcome":
            writer.append_outcome(outcome(f"o{number}"))
            outcomes.add(f"o{number}")
        elif step in {"restart", "torn"}:
            writer.close()
            segments = list_segments(root)
            if step == "torn" and segments:
                with segments[-1].open("ab") as file:
                    file.write(HEADER.pack(0x4CAB, 1, 1, 100) + b"half a record")
            writer = SpoolWriter(root, segment_bytes=segment_bytes, max_bytes=1_000_000)
        else:
            ship_or_crash(root, store, batch, step)
    writer.close()
    ship_all(root, store, batch)
    with store.reading() as connection:
        stored = connection.exec_driver_sql("SELECT prediction_id FROM predictions").scalars().all()
        told = connection.exec_driver_sql("SELECT outcome_id FROM outcomes").scalars().all()
    assert sorted(stored) == sorted(predictions)
    assert sorted(told) == sorted(outcomes)
    assert list_segments(root) == []
    assert read_quarantine(root) == []
    store.close()


def ship_or_crash(root: Path, store: EventStore, batch: int, step: str) -> None:
    """One round of a new shipper, cut off before the store commits, or after it but before it is noted."""
    with pytest.MonkeyPatch.context() as patch, Shipper(root, store, ShipperOptions(batch)) as shipper:

        def crash(*_: object) -> None:
            raise CrashError

        if step == "crash_before":
            patch.setattr(store, "append", crash)
        elif step == "crash_after":
            patch.setattr(SpoolTail, "settle", crash)
        try:
            shipper.ship_once()
        except CrashError:
            return
