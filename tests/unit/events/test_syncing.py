"""The thread that flushes the spool: a disk that fails is said and counted, and the thread goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from leadscore.events.syncing import IntervalSync


def test_a_flush_that_fails_is_logged_and_counted_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.spool"
    path.touch()
    done: list[int] = []

    def flush(descriptor: int) -> None:
        done.append(descriptor)
        if len(done) < 3:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", flush)
    sync = IntervalSync(0.001)
    sync.watch(path)
    wait_until(lambda: len(done) > 4, what="flushes after the failed ones")
    sync.stop()
    assert sync.errors == 2
    assert caplog.text.count("spool not flushed") == 2
