"""What runs beside the service: a process that ends is said and started again, and all end with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from leadscore.cli import companions
from leadscore.cli.companions import Companion, Companions
from leadscore.errors import UnavailableError


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Companions:
    """Runs `python -c` instead of a command of ours."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "$3"\n')
    program.chmod(0o755)
    monkeypatch.setattr(companions.sys, "executable", str(program))
    return Companions(tmp_path / "logs")


def processes(kept: Companions) -> list[int]:
    return [one.process.pid for one in kept._running]


def test_one_that_ends_is_said_and_started_again(
    kept: Companions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    script = (
        f"import os, time; p = {str(mark)!r}; new = not os.path.exists(p); open(p, 'w'); "
        "time.sleep(0 if new else 60)"
    )
    kept.start(Companion("console", [script]))
    (before,) = processes(kept)
    kept._running[0].process.wait(30)
    kept.check()
    assert processes(kept) != [before]
    assert "The console ended (code 0;" in " ".join(capsys.readouterr().err.split())
    kept.stop()


def test_one_that_ends_again_and_again_ends_everything_with_a_sentence(kept: Companions) -> None:
    kept.start(Companion("monitor", ["print('why'); raise SystemExit(3)"]))

    def given_up() -> bool:
        kept._running[0].process.wait(30)
        kept.check()
        return False

    with pytest.raises(UnavailableError, match=r"The monitor ended 3 times within a minute \(code 3\)"):
        wait_until(given_up, what="the third end")
    assert (kept._logs / "monitor.log").read_text().count("why") == 3
    kept.stop()


def test_all_are_stopped_by_their_ids(kept: Companions) -> None:
    for name in ("a", "b"):
        kept.start(Companion(name, ["import time; time.sleep(600)"]))
    started = [one.process for one in kept._running]
    kept.stop()
    assert all(process.poll() is not None for process in started)
    assert kept._running == []


def test_the_service_goes_first_on_a_busy_core(kept: Companions) -> None:
    kept.start(Companion("console", ["import time; time.sleep(60)"]))
    (process,) = processes(kept)
    assert os.getpriority(os.PRIO_PROCESS, process) > os.getpriority(os.PRIO_PROCESS, 0)
    kept.stop()
