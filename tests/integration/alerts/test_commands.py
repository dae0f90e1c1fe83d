"""`leadscore alerts …`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.receiver import Receiver
from typer.testing import CliRunner

from leadscore.alerts.backtest import backtest_rule
from leadscore.alerts.chores import AlertMonitor
from leadscore.alerts.episodes import read_open
from leadscore.alerts.rules import default_rules
from leadscore.cli.main import app
from leadscore.errors import BadInputError, ForbiddenError, NotFoundError, UnauthorizedError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.identity.apikeys import create_key
from leadscore.outbox.tables import outbox

RULES = """
rules:
  - {alert: Stuck, severity: critical, summary: "Counting has stopped.", people: "Old numbers.",
     measure: monitor.rules_broken, below: 1}
"""


class Shell:
    def __init__(self, folder: Path) -> None:
        self.store = EventStore(f"sqlite:///{folder / 'events.db'}")
        self.ada, _ = create_key(folder / "api-keys.yaml", "ada", ["approve"])
        self.crm, _ = create_key(folder / "api-keys.yaml", "crm", ["score"])

    def __call__(self, *arguments: str) -> Any:
        result = CliRunner().invoke(app, ["alerts", *arguments, "--json"])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def shell(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Shell:
    (tmp_path / "rules.yaml").write_text(RULES)
    for name, value in {
        "LEADSCORE_HOME": str(tmp_path),
        "LEADSCORE_ALERT_RULES": str(tmp_path / "rules.yaml"),
        "LEADSCORE_SLACK_URL": receiver.url + "/slack-commands",
        "LEADSCORE_PAGERDUTY_URL": receiver.url + f"/pagerduty-commands-{tmp_path.name}",
        "LEADSCORE_PAGERDUTY_KEY": "short",
    }.items():
        monkeypatch.setenv(name, value)
    made = Shell(tmp_path)
    monkeypatch.setenv("LEADSCORE_API_KEY", made.ada)
    return made


def fire(shell: Shell) -> None:
    monitor = AlertMonitor(shell.store, lambda *_: None)
    monitor.evaluate()
    monitor.deliver()
    monitor.finish()


def test_an_alert_is_listed_looked_after_and_its_dead_letter_sent_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell("list") == {"alerts": [], "rules": [], "silences": [], "channels": []}
    fire(shell)
    listed = shell("list")
    (alert,) = listed["alerts"]
    assert (alert["rule"], alert["state"]) == ("Stuck", "firing")
    states = {rule["rule"]: rule["state"] for rule in listed["rules"]}
    assert states["LeadScoringConversionDrop"] == "unknown"
    assert states["LeadScoringLatency"] == "elsewhere"
    # PagerDuty's key is too short: it refuses, the message waits for another key, and at last for a person.
    assert {c["channel"]: c["last_error"] for c in listed["channels"]}["pagerduty"] == "HTTP 400"
    assert shell("dead-letters") == []
    with shell.store.writing() as connection:
        old = sa.update(outbox).where(outbox.c.channel == "pagerduty").values(next_at=0, give_up_at=0)
        connection.execute(old)
    fire(shell)
    (dead,) = shell("dead-letters")
    assert (dead["channel"], dead["last_error"]) == ("pagerduty", "HTTP 400")
    monkeypatch.setenv("LEADSCORE_PAGERDUTY_KEY", "k" * 32)
    assert shell("resend", str(dead["number"])) == {"waiting": 1}
    fire(shell)
    assert shell("dead-letters") == []
    said = shell("ack", alert["episode_id"], "--reason", "on it")
    assert said["acknowledged"]["by"][:2] == ["key", "ada"]
    with shell.store.reading() as connection:
        assert all(episode.acknowledged for episode in read_open(connection))


def test_a_dead_letter_of_a_channel_that_is_no_longer_used_is_dismissed_by_a_person(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its alert would fire for ever."""
    fire(shell)
    with shell.store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="dead", settled_at=1))
    numbers = [str(letter["number"]) for letter in shell("dead-letters")]
    with pytest.raises(BadInputError, match="No reason"):
        shell("dismiss", *numbers, "--reason", " ")
    with pytest.raises(NotFoundError):
        shell("dismiss", *numbers, "999", "--reason", "no more")
    assert len(shell("dead-letters")) == len(numbers)
    monkeypatch.setenv("LEADSCORE_API_KEY", shell.crm)
    with pytest.raises(ForbiddenError):
        shell("dismiss", *numbers, "--reason", "no more")
    monkeypatch.setenv("LEADSCORE_API_KEY", shell.ada)
    assert shell("dismiss", *numbers, "--reason", "The channel is no more.") == {"dismissed": len(numbers)}
    assert shell("dead-letters") == []
    assert {channel["dead"] for channel in shell("list")["channels"]} == {0}
    (record,) = shell.store.evidence(kind="dead-letters-dismissed")
    assert record.caller is not None
    assert record.caller.name == "ada"


def test_only_who_may_approve_acknowledges_and_silences(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    fire(shell)
    (alert,) = shell("list")["alerts"]
    for command in (
        ["ack", alert["episode_id"], "--reason", "x"],
        ["silence", "alert=Stuck", "--reason", "x"],
    ):
        monkeypatch.setenv("LEADSCORE_API_KEY", shell.crm)
        with pytest.raises(ForbiddenError):
            shell(*command)
        monkeypatch.setenv("LEADSCORE_API_KEY", "made-up")
        with pytest.raises(UnauthorizedError):
            shell(*command)


def test_a_broken_rules_file_keeps_nobody_from_seeing_and_looking_after_alerts(
    shell: Shell, tmp_path: Path
) -> None:
    fire(shell)
    (tmp_path / "rules.yaml").write_text("rules: [")
    (alert,) = shell("list")["alerts"]
    # The name is known from the store: the file cannot say it now.
    shell("silence", "alert=Stuck", "--reason", "moving house")
    assert shell("ack", alert["episode_id"], "--reason", "on it")["acknowledged"]


def test_a_silence_is_made_shown_and_ended(shell: Shell) -> None:
    made = shell("silence", "alert=Stuck", "--for", "1h", "--reason", "moving house")
    assert [s["silence_id"] for s in shell("list")["silences"]] == [made["silence_id"]]
    shell("silence", "--end", made["silence_id"])
    assert shell("list")["silences"] == []
    with pytest.raises(BadInputError):
        shell("silence", "alert=Stuck", "--for", "60d", "--reason", "for ever")


def test_a_test_message_says_what_came_back(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell("test", "--channel", "slack")["slack"]["outcome"] == "accepted"
    with pytest.raises(UnavailableError, match="pagerduty"):
        shell("test")
    with pytest.raises(NotFoundError, match="not set up"):
        shell("test", "--channel", "email")


def test_a_rule_is_looked_back_at_or_says_why_it_cannot_be(shell: Shell) -> None:
    found = shell("backtest", "--last", "3d")
    assert {each["rule"] for each in found} == {
        "LeadScoringLatency", "LeadScoringFeatureDrift", "LeadScoringFeatureDriftCritical",
        "LeadScoringConversionDrop",
    }  # fmt: skip
    assert all(each["episodes"] == [] for each in found)
    # Nothing was counted: there is nothing to look back at, however long ago.
    assert {each["looks"] for each in shell("backtest", "--last", "999w")} == {1}
    with pytest.raises(BadInputError, match="no roll-up keeps"):
        shell("backtest", "LeadScoringShipperLag")
    with pytest.raises(NotFoundError):
        shell("backtest", "NoSuchRule")


def test_people_get_tables(shell: Shell) -> None:
    fire(shell)
    shown = CliRunner().invoke(app, ["alerts", "list"])
    assert "Counting" in shown.stdout
    assert "Channels" in shown.stdout


def test_a_time_that_would_take_hours_to_look_at_is_refused_in_a_sentence() -> None:
    rule = default_rules().named("LeadScoringLatency")
    assert rule is not None
    with pytest.raises(BadInputError, match="167,833 times"):
        backtest_rule(rule, lambda *_: {}, 0, 999 * 7 * 24 * 3_600_000_000)
