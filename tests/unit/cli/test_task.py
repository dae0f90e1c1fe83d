"""The command line inside somebody else's process: it returns, or raises; it never ends that process."""

from __future__ import annotations

import sys

import pytest

from leadscore.cli.main import run_task


def test_what_ended_well_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["leadscore-task", "--version"])
    run_task()


def test_what_failed_raises_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["batch", "spark", "--model", "leads", "--leads", "/crm", "--date", "yesterday"]
    monkeypatch.setattr(sys, "argv", ["leadscore-task", *arguments])
    with pytest.raises(RuntimeError, match="exit code 3"):
        run_task()
    assert "'yesterday' is no date" in capsys.readouterr().err
