"""What runbooks tell people to type on one machine is typed, on a small home of its own."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from tests.support.console_world import make_world
from tests.support.receiver import Receiver
from tests.support.runbooks import NAMES, commands
from typer.testing import CliRunner

from leadscore.cli.main import app
from leadscore.identity.apikeys import create_key
from leadscore.settings import Home

# What changes more than a copy of a home, and what is a name in a sentence that people look up.
NOT_TYPED = {
    "leadscore train": "minutes, and a table of one's own",
    "leadscore keys create": "a name in a sentence: the guide says how",
    "leadscore release deny": "a name in a sentence; `approve` is typed, and passes the same place",
    "leadscore drift report": "a name in a sentence; it is typed with its options elsewhere",
    "leadscore alerts resend NUMBER": "no dead letter is here; the tests of alerts have one",
    "leadscore alerts dismiss NUMBER --reason TEXT": "no dead letter is here; the tests of alerts have one",
    "leadscore crm check": "a name in a sentence; the tests of vendors type it, with a CRM that answers",
}

# What needs a table of leads or a CRM: typed by the tests of nights and of write-back.
ELSEWHERE = (
    "leadscore batch run",
    "leadscore batch backfill",
    "leadscore crm endpoints",
    "leadscore crm publish",
)


def typed() -> list[str]:
    """Every command that begins with `leadscore`, in a pod or not, without what it is piped into."""
    found = {
        re.split(r"\s(?:[|&<>]|&&)\s", command.rpartition(" -- ")[2])[0].strip()
        for name in NAMES
        for command in commands(name)
    }
    return sorted(
        " ".join(command.split())
        for command in found
        if command.startswith("leadscore ") and not command.startswith(ELSEWHERE)
    )


# Code 8: there were too few leads to judge, which is an answer, too.
ENDS: dict[str, set[int]] = {"leadscore drift check": {0, 8}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose leads a detector has looked at."""
    home = make_world(tmp_path_factory.mktemp("runbooks"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEADSCORE_HOME", str(home.root))
        looked = CliRunner().invoke(app, ["drift", "check", "--detector", "daily", "--window", "5d"])
    assert looked.exit_code in {0, 8}, looked.exception
    return home


@pytest.fixture(scope="module")
def slack() -> object:
    with Receiver() as running:
        yield running.url + "/slack-runbooks"


@pytest.fixture
def home(made: Home, slack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    shutil.copytree(made.root, tmp_path / "home")
    monkeypatch.setenv("LEADSCORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEADSCORE_SLACK_URL", slack)
    monkeypatch.chdir(tmp_path)
    return Home.from_environment({"LEADSCORE_HOME": str(tmp_path / "home")})


def test_every_command_is_typed_or_said_why_not() -> None:
    assert set(NOT_TYPED) <= set(typed())
    assert len(typed()) - len(NOT_TYPED) >= 9


@pytest.mark.parametrize("command", sorted(set(typed()) - set(NOT_TYPED)))
def test_a_command_of_a_runbook_ends_well(command: str, home: Home, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    words = command
    for placeholder, meant in (
        ("MODEL@champion", "leads@champion"), ("MODEL/VERSION", "leads/2"), ("CHANNEL", "slack"),
        ("DETECTOR-SCHEDULE", "daily"), ("/spool/POD", str(spool)), ("/tmp/report.html", "report.html"),
        ("…", "because"),
    ):  # fmt: skip
        words = words.replace(placeholder, meant)
    key, _ = create_key(home.api_keys, "ada", ["approve"])

    done = CliRunner().invoke(app, shlex.split(words)[1:], input=key)

    wanted = next((codes for begin, codes in ENDS.items() if words.startswith(begin)), {0})
    assert done.exit_code in wanted, (words, done.output, done.exception)
    assert done.output.strip()
    if "report.html" in words:
        assert "</html>" in (tmp_path / "report.html").read_text()
