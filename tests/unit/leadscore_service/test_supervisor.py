"""The supervisor: a worker that cannot be started for a moment costs the others nothing."""

from __future__ import annotations

import errno
import subprocess

import pytest

from leadscore_service.settings import Settings
from leadscore_service.supervisor import Supervisor, listen


def test_a_worker_that_cannot_be_started_is_said_and_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, environ: dict[str, str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    listener = listen("127.0.0.1", 0)
    supervisor = Supervisor(listener, 1, Settings.from_environment(environ))
    (slot,) = supervisor._slots
    supervisor._keep(slot)
    supervisor._keep(slot)
    assert slot.process is None
    assert slot.not_before > 0
    assert caplog.text.count("worker not started") == 1
    listener.close()
