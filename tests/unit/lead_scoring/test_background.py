"""Background work: no exception ends it; each is logged once and counted every time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lead_scoring.background import repeat
from lead_scoring.metrics_layout import SINGLE_INDEX
from leadscore.identity.apikeys import create_key


class _Chore:
    """Raises what it is told, round by round, and ends the loop after the last."""

    def __init__(self, *rounds: Exception | None) -> None:
        self.rounds = list(rounds)

    async def __call__(self) -> None:
        if not self.rounds:
            raise asyncio.CancelledError
        outcome = self.rounds.pop(0)
        if outcome is not None:
            raise outcome


def _run(chore: _Chore) -> int:
    errors: list[None] = []
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(repeat("keys", chore, every=0.0, on_error=lambda: errors.append(None)))
    return len(errors)


def test_an_exception_of_any_kind_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    chore = _Chore(ValueError("month"), None, RecursionError(), MemoryError(), KeyError("x"), None)
    assert _run(chore) == 4
    assert caplog.text.count("background chore failed") == 4


def test_the_same_exception_is_logged_once_and_counted_each_time(caplog: pytest.LogCaptureFixture) -> None:
    chore = _Chore(OSError("gone"), OSError("gone"), OSError("gone"), None, OSError("gone"))
    assert _run(chore) == 4
    assert caplog.text.count("background chore failed") == 2
    assert all(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)


def test_a_chore_that_fails_in_the_worker_is_counted_and_stops_no_other(
    make_service: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("lead_scoring.worker._HOUSEKEEPING_S", 0.001)
    key_file = tmp_path / "keys.yaml"
    service = make_service(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(key_file)).start()
    monkeypatch.setattr("lead_scoring.metrics_bins.BinCounts.flush", fails)
    cell = service.engine.layout.singles + SINGLE_INDEX["background_errors"]
    _until(service, lambda: service.engine.counter_file.total()[cell] > 1)
    create_key(key_file, "crm", ["score"])
    _until(service, lambda: len(service.worker.keys) == 1)
    monkeypatch.undo()


def _until(service: Any, happened: Callable[[], bool]) -> None:
    async def wait() -> None:
        async with asyncio.timeout(30):
            while not happened():
                await asyncio.sleep(0.001)

    service.loop.run_until_complete(wait())
