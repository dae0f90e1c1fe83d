from __future__ import annotations

import errno
import os
import resource
import threading
from pathlib import Path

import pytest
from tests.support.events import outcome, prediction

from leadscore.errors import SpoolFullError, UnavailableError
from leadscore.events import spool as spool_module
from leadscore.events.errors import RecordTooLargeError
from leadscore.events.frames import scan
from leadscore.events.records import Outcome, Prediction, decode_record
from leadscore.events.segments import list_segments
from leadscore.events.spool import SpoolWriter


def ids_in(root: Path) -> list[str]:
    found: list[str] = []
    for path in list_segments(root):
        for frame in scan(path.read_bytes(), closed=True, limit=10_000).frames:
            record = decode_record(frame.kind, frame.payload)
            found.append(record.prediction_id if isinstance(record, Prediction) else record.outcome_id)
    return found


def fill(writer: SpoolWriter) -> None:
    """Append outcomes without end: returns only by raising."""
    for number in range(10_000):
        writer.append_outcome(outcome(f"o{number}"))


def test_a_record_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        assert writer.append_prediction(prediction("p1"))
        writer.append_outcome(outcome("o1"))
        assert ids_in(tmp_path) == ["p1", "o1"]
        assert writer.stats.records == 2


def test_each_writer_has_its_own_directory_and_a_dead_ones_is_taken_over(tmp_path: Path) -> None:
    first, second = SpoolWriter(tmp_path), SpoolWriter(tmp_path)
    assert first.directory != second.directory
    first.append_prediction(prediction("p1"))
    first.close()
    with SpoolWriter(tmp_path) as third:
        assert third.directory == first.directory
        assert third.stats.bytes > 0
        third.append_prediction(prediction("p2"))
    second.close()
    assert ids_in(tmp_path) == ["p1", "p2"]


def test_segments_rotate_by_size(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=500, max_bytes=100_000) as writer:
        for number in range(50):
            writer.append_prediction(prediction(f"p{number:02d}"))
        assert writer.stats.segments > 5
    assert all(path.stat().st_size <= 500 for path in list_segments(tmp_path))
    assert ids_in(tmp_path) == [f"p{number:02d}" for number in range(50)]


def test_segments_rotate_by_age(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_seconds=0.0) as writer:
        for number in range(3):
            writer.append_prediction(prediction(f"p{number}"))
        assert writer.stats.segments == 3


def test_at_the_bound_refuse_raises_and_the_bound_holds(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=1_000, max_bytes=2_000) as writer:
        with pytest.raises(SpoolFullError):
            fill(writer)
        accepted = len(ids_in(tmp_path))
        stats = writer.stats
        assert stats.bytes <= 2_000
        assert (stats.records, stats.refused, stats.dropped) == (accepted, 1, 0)
        assert "bound" in stats.last_error


def test_at_the_bound_drop_counts_predictions_but_still_refuses_outcomes(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=1_000, max_bytes=2_000, on_full="drop") as writer:
        kept = sum(writer.append_prediction(prediction(f"p{number:02d}")) for number in range(100))
        assert writer.stats.dropped == 100 - kept
        with pytest.raises(SpoolFullError):
            fill(writer)
    assert sum(name.startswith("p") for name in ids_in(tmp_path)) == kept


def test_writing_resumes_when_the_shipper_has_freed_space(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=1_000, max_bytes=2_000, on_full="drop") as writer:
        while writer.append_prediction(prediction("p")):
            pass
        list_segments(tmp_path)[0].unlink()
        assert writer.append_prediction(prediction("after"))
        assert writer.stats.last_error == ""


def test_what_a_dead_worker_left_counts_towards_the_bound(tmp_path: Path) -> None:
    for _ in range(20):
        with SpoolWriter(tmp_path, segment_bytes=1_000, max_bytes=2_000, on_full="drop") as writer:
            writer.append_prediction(prediction("p"))
    assert sum(path.stat().st_size for path in list_segments(tmp_path)) <= 2_000


def test_a_file_size_limit_tears_no_frame(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SpoolWriter(tmp_path) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
        accepted: list[str] = []
        try:
            for number in range(20):
                writer.append_prediction(prediction(f"p{number}"))
                accepted.append(f"p{number}")
        except SpoolFullError:
            pass
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert 0 < len(accepted) < 20
        writer.append_prediction(prediction("later"))
    data = list_segments(tmp_path)[0].read_bytes()
    assert scan(data, closed=True, limit=100).damage == ()
    assert ids_in(tmp_path) == [*accepted, "later"]


class FailingDisk:
    """write(2) that writes half of the bytes, or fails; everything else is the real thing."""

    def __init__(self, code: int, *, half: bool) -> None:
        self.code, self.half, self.failing = code, half, True

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.failing:
            return os.write(descriptor, data)
        if self.half:
            return os.write(descriptor, bytes(data[: len(data) // 2]))
        raise OSError(self.code, os.strerror(self.code))

    def fdatasync(self, descriptor: int) -> None:
        if self.failing:
            raise OSError(self.code, os.strerror(self.code))
        os.fdatasync(descriptor)


@pytest.mark.parametrize(("code", "half"), [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EIO, False)])
def test_a_failing_disk_refuses_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, half: bool
) -> None:
    disk = FailingDisk(code, half=half)
    with SpoolWriter(tmp_path) as writer:
        writer.append_prediction(prediction("before"))
        monkeypatch.setattr(spool_module, "os", disk)
        with pytest.raises(SpoolFullError if code == errno.ENOSPC else UnavailableError):
            writer.append_prediction(prediction("lost"))
        assert "cannot be written" in writer.stats.last_error
        disk.failing = False
        writer.append_prediction(prediction("after"))
    assert ids_in(tmp_path) == ["before", "after"]
    for path in list_segments(tmp_path):
        assert scan(path.read_bytes(), closed=True, limit=100).damage == ()


def test_after_a_failed_flush_nothing_takes_the_refused_frames_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingFlush(FailingDisk):
        def write(self, descriptor: int, data: bytes) -> int:
            return os.write(descriptor, data)

    disk = FailingFlush(errno.EIO, half=False)
    with SpoolWriter(tmp_path, fsync="always") as writer:
        writer.append_prediction(prediction("before"))
        monkeypatch.setattr(spool_module, "os", disk)
        with pytest.raises(UnavailableError):
            writer.append_prediction(prediction("lost"))
        disk.failing = False
        writer.append_prediction(prediction("after"))
    assert len(list_segments(tmp_path)) == 2


def test_an_oversized_record_is_refused_even_in_large_segments(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        with pytest.raises(RecordTooLargeError):
            writer.append_prediction(prediction("p1", features=bytes(2 << 20)))
        writer.append_prediction(prediction("p2"))
    assert ids_in(tmp_path) == ["p2"]


def test_threads_share_a_writer(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path, segment_bytes=5_000) as writer:

        def append(thread: int) -> None:
            for number in range(200):
                writer.append_prediction(prediction(f"{thread}-{number}"))

        threads = [threading.Thread(target=append, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(ids_in(tmp_path))) == 800


@pytest.mark.parametrize("fsync", ["interval", "always"])
def test_flushing_modes_write_the_same(tmp_path: Path, fsync: spool_module.Fsync) -> None:
    with SpoolWriter(tmp_path, fsync=fsync, fsync_seconds=0.01, segment_bytes=500) as writer:
        for number in range(10):
            writer.append_prediction(prediction(f"p{number}"))
    assert ids_in(tmp_path) == [f"p{number}" for number in range(10)]


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(UnavailableError):
        writer.append_outcome(Outcome("o", "L", None, True, None, 1, 1))


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        SpoolWriter(tmp_path / "file" / "spool")


def test_a_half_made_segment_of_a_dead_worker_is_cleared_away(tmp_path: Path) -> None:
    with SpoolWriter(tmp_path) as writer:
        directory = writer.directory
    (directory / "1-a.spool.new").write_bytes(b"")
    with SpoolWriter(tmp_path):
        assert list(directory.glob("*.new")) == []
