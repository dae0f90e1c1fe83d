"""Operators are forked from a process that has imported them.

As separate, and as easily killed, as fresh interpreters.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.harness.processes import Child, forked, started
from tests.support.waiting import wait_until

Start = Callable[[Path], Child]
# A module of the standard library that serves until it is told to stop.
SERVER = ("-m", "http.server", "0", "--bind", "127.0.0.1")


def fork(log: Path) -> Child:
    return forked(("http.server",), SERVER[2:], {**os.environ, "PYTHONUNBUFFERED": "1"}, log)


def fresh(log: Path) -> Child:
    return started([sys.executable, *SERVER], {**os.environ, "PYTHONUNBUFFERED": "1"}, log)


@pytest.mark.parametrize("start", [fork, fresh])
def test_a_process_runs_until_it_is_killed_and_is_gone_then(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start(log)
    wait_until(lambda: "Serving HTTP" in log.read_text(), seconds=30, what="the server")
    assert not child.has_ended()
    child.kill()
    assert child.has_ended()
    child.kill()  # once more does no harm


@pytest.mark.parametrize("start", [fork, fresh])
def test_a_process_can_be_told_to_stop(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = start(log)
    wait_until(lambda: "Serving HTTP" in log.read_text(), seconds=30, what="the server")
    child.terminate()
    wait_until(child.has_ended, seconds=30, what="the end")


def test_two_forks_are_two_processes_with_their_own_output(tmp_path: Path) -> None:
    one, other = fork(tmp_path / "one"), fork(tmp_path / "other")
    for name in ("one", "other"):
        wait_until(lambda name=name: "Serving HTTP" in (tmp_path / name).read_text(), seconds=30, what=name)
    one.kill()
    assert not other.has_ended()
    other.kill()
