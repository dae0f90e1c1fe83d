"""Moments that people type mean the same to every command, and an error names the option that was typed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from leadscore.cli import main
from leadscore.cli.moments import parse_moment
from leadscore.errors import BadInputError, ExitCode


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2008-10", datetime(2008, 10, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2008-02-29", datetime(2008, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2008-10-31T12:00:00", datetime(2008, 10, 31, 12, tzinfo=UTC)),
        ("2008-10-31T12:00:00+02:00", datetime(2008, 10, 31, 10, tzinfo=UTC)),
    ],
)
def test_as_of_means_the_end_of_the_day_or_month(text: str, moment: datetime) -> None:
    assert parse_moment(text, "--as-of", last=True) == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2008-10", datetime(2008, 10, 1, tzinfo=UTC)),
        ("2008-02-29", datetime(2008, 2, 29, tzinfo=UTC)),
        ("2008-10-31T12:00:00", datetime(2008, 10, 31, 12, tzinfo=UTC)),
        ("2008-10-31T12:00:00+02:00", datetime(2008, 10, 31, 10, tzinfo=UTC)),
    ],
)
def test_since_means_the_begin_of_the_day_or_month(text: str, moment: datetime) -> None:
    assert parse_moment(text, "--since") == moment


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2008-13",
        "2008-10-32",
        "",
        "2008",
        "2008W10",
        "0001-01-01T00:00+14:00",
        "9999-12-31T23:00-14:00",
    ],
)
def test_what_is_no_moment_is_refused(text: str, last: bool) -> None:
    with pytest.raises(BadInputError, match=r"^--as-of .* is not a day, month or time"):
        parse_moment(text, "--as-of", last=last)


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12"])
def test_the_last_moment_of_the_calendar_is_a_moment(text: str) -> None:
    assert parse_moment(text, "--as-of", last=True) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-3-1", "2026-02-30T12:00:00Z"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("train --data leads.csv --contract contract.yaml --name leads", "--as-of"),
        ("retrain --model leads", "--since"),
        ("retrain --model leads", "--until"),
        ("drift check --model leads", "--until"),
        ("release ab --a leads/1 --b leads/2", "--since"),
        ("release kpi --candidate leads/2 --against leads/1", "--since"),
    ],
)
def test_a_command_refuses_what_is_no_moment_and_names_the_option(
    command: str,
    option: str,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["leadscore", *command.split(), option, text])
    with pytest.raises(SystemExit) as stopped:
        main.run()
    assert stopped.value.code == ExitCode.BAD_INPUT
    assert f"{option} {text!r} is not a day, month or time." in capsys.readouterr().err
