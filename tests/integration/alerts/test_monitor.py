"""From a number to a person: rules, episodes, outbox and real receivers, on both databases."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from tests.support.mailbox import Mailbox
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

from leadscore.alerts.channels import ChannelSecrets, MailSender, senders
from leadscore.alerts.chores import AlertMonitor
from leadscore.alerts.episodes import (
    acknowledge,
    read_open,
    read_recent,
    read_rule_statuses,
    read_shown,
    write_episodes,
)
from leadscore.alerts.evaluate import SeriesLabels
from leadscore.alerts.messages import AlertLinks, alert_message
from leadscore.alerts.rules import AlertRule, default_rules, parse_rules
from leadscore.alerts.silences import Silence, add_silence, end_silence, read_silences
from leadscore.alerts.tables import alert_silences
from leadscore.alerts.trial import try_channels
from leadscore.errors import BadInputError, ConflictError, NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.identity.caller import Caller
from leadscore.monitoring.measures import Measure
from leadscore.outbox.queue import backlogs

US = 1_000_000
MINUTE = 60 * US
START = 1_800_000_000 * US
ADA = Caller("key", "ada")
RULES = """
rules:
  - {alert: Slow, severity: critical, summary: "Scoring is slow.", people: "Forms wait.", measure: test.slow,
     above: 0.5, unit: seconds, page: live}
  - {alert: Moved, severity: warning, summary: "{{ $labels.feature }} has moved.", people: "Maybe wrong.",
     measure: test.moved, above: 0.25, group_by: [model_version], unless: MovedFar}
  - {alert: MovedFar, severity: critical, summary: "{{ $labels.feature }} has moved far.", people: "Wrong.",
     measure: test.moved, above: 0.5, group_by: [model_version]}
"""


class Numbers:
    """A source of numbers that the test writes."""

    name = "test"

    def __init__(self) -> None:
        self.values: dict[str, dict[SeriesLabels, Measure]] = {}
        self.broken = False

    def set(self, measure: str, value: float | None, n: int = 250, **labels: str) -> None:
        each = Measure.missing("nothing came") if value is None else Measure(value=value, n=n)
        self.values.setdefault(measure, {})[tuple(sorted(labels.items()))] = each

    def read(self, rule: AlertRule, now: int) -> dict[SeriesLabels, Measure] | None:
        del now
        if not rule.measure.startswith("test."):
            return None
        if self.broken:
            raise UnavailableError("the source is away")
        return self.values.get(rule.measure, {})


class World:
    """A monitor with a clock and channels of its own."""

    def __init__(
        self, store: EventStore, receiver: Receiver, mailbox: Mailbox, folder: Path, name: str
    ) -> None:
        self.store, self.receiver, self.mailbox = store, receiver, mailbox
        self.slack, self.pagerduty = f"/slack-{name}", f"/pagerduty-{name}"
        self.rules = folder / "rules.yaml"
        self.rules.write_text(RULES)
        self.now = START
        self.numbers = Numbers()
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.environ = {
            "LEADSCORE_ALERT_RULES": str(self.rules),
            "LEADSCORE_ALERT_SECRETS": str(self.secrets),
            "LEADSCORE_PAGERDUTY_URL": receiver.url + self.pagerduty,
            "LEADSCORE_PAGERDUTY_KEY": "k" * 32,
            "LEADSCORE_SMTP_URL": mailbox.url,
            "LEADSCORE_MAIL_TO": "ada@example.com, bob@example.com",
            "LEADSCORE_CONSOLE_URL": "https://console.example",
            "LEADSCORE_ALERTMANAGER_TOKEN": "token",
        }
        (self.secrets / "LEADSCORE_SLACK_URL").write_text(receiver.url + self.slack + "\n")
        self.monitor = self.begin()

    def begin(self) -> AlertMonitor:
        """A new process."""
        monitor = AlertMonitor(self.store, lambda *_: None, self.environ, now=lambda: self.now)
        monitor._readers = (self.numbers, *monitor._readers)
        self.monitor = monitor
        return monitor

    def round(self, *, after: int = MINUTE) -> None:
        """Look, and deliver everything."""
        self.monitor.evaluate()
        self.deliver()
        self.now += after

    def deliver(self) -> None:
        def done() -> bool:
            self.monitor.deliver()
            # The pace of a channel is of the clock that the test holds.
            self.now += 2 * US
            with self.store.reading() as connection:
                return all(each.waiting == 0 for each in backlogs(connection))

        wait_until(done, what="everything delivered")

    def slack_texts(self) -> list[str]:
        return [body["text"].splitlines()[0].strip("*") for body in self.receiver.accepted(self.slack)]

    def incidents(self) -> list[tuple[str, str]]:
        return [(b["event_action"], b["dedup_key"]) for b in self.receiver.accepted(self.pagerduty)]

    def alertmanager(self, status: str, *, start: int | None = None, **labels: str) -> tuple[int, str]:
        """What Alertmanager posts for one alert."""
        began = datetime.fromtimestamp((start or self.now) / 1e6, UTC).isoformat()
        alert = {
            "status": status, "labels": labels, "annotations": {"summary": "Said by Prometheus."},
            "startsAt": began, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://p/", "fingerprint":
            f"{hash(tuple(sorted(labels.items()))) & 0xFFFF:x}",
        }  # fmt: skip
        body = {
            "version": "4",
            "groupKey": "{}",
            "status": status,
            "receiver": "leadscore",
            "alerts": [alert],
        }
        return self.monitor.receiver(json.dumps(body).encode(), {"authorization": "Bearer token"})


@pytest.fixture
def world(
    store: EventStore, receiver: Receiver, mailbox: Mailbox, tmp_path: Path, request: pytest.FixtureRequest
) -> World:
    return World(store, receiver, mailbox, tmp_path, request.node.name.replace("[", "-").rstrip("]"))


def test_a_critical_alert_reaches_three_receivers_once_and_is_over_afterwards(world: World) -> None:
    world.numbers.set("test.slow", 0.2)
    world.round()
    world.numbers.set("test.slow", 0.9)
    for _ in range(3):
        world.round()
    world.numbers.set("test.slow", 0.2)
    for _ in range(3):
        world.round()
    texts = world.slack_texts()
    assert texts == ["[critical] Scoring is slow.", "[critical] Over: Scoring is slow."]
    (trigger, key), (resolve, same) = world.incidents()
    assert (trigger, resolve, key) == ("trigger", "resolve", same)
    with world.store.reading() as connection:
        (episode,) = read_recent(connection, 0)
    assert (episode.episode_id, episode.state) == (key, "resolved")
    first, second = world.mailbox.mails
    assert (first["Subject"], second["Subject"]) == tuple(texts)
    assert world.mailbox.recipients[0] == ["ada@example.com", "bob@example.com"]
    text = first.get_content()  # type: ignore[attr-defined]
    for words in (
        "Since 2027-01-15 08:0", "900 ms; should be at most 500 ms; n = 250", "For people: Forms wait.",
        "Runbook: docs/runbooks/Slow.md", "Page: https://console.example/live",
    ):  # fmt: skip
        assert words in text, text
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]


def test_a_warning_reaches_slack_alone_and_twenty_features_are_one_message(world: World) -> None:
    for number in range(20):
        world.numbers.set("test.moved", 0.3 + number / 1000, feature=f"f{number}", model_version="7")
    world.round()
    world.round()
    assert world.slack_texts() == ["[warning] f19 has moved. (20 in all)"]
    (body,) = world.receiver.accepted(world.slack)
    assert "and 10 more" in body["text"]
    assert world.incidents() == []
    assert world.mailbox.mails == []


def test_a_worse_alert_says_it_for_both(world: World) -> None:
    world.numbers.set("test.moved", 0.8, feature="budget", model_version="7")
    world.round()
    assert world.slack_texts() == ["[critical] budget has moved far."]
    world.numbers.set("test.moved", 0.3, feature="budget", model_version="7")
    world.round()
    assert sorted(world.slack_texts()[1:]) == [
        "[critical] Over: budget has moved far.",
        "[warning] budget has moved.",
    ]


def test_no_data_is_told_as_unknown_after_ten_minutes_and_never_as_over(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    world.numbers.broken = True
    for _ in range(15):
        world.round()
    assert [text for text in world.slack_texts() if "slow" in text] == [
        "[critical] Scoring is slow.",
        "[critical] Not known any more: Scoring is slow.",
    ]
    with world.store.reading() as connection:
        states = {e.rule: e.state for e in read_open(connection)}
        status = {s.rule: (s.state, s.unknown) for _, s in read_rule_statuses(connection)}
    assert states["Slow"] == "unknown"
    assert status["Moved"] == ("unknown", "the source is away")
    # That a source is away is an alert of its own.
    assert "[warning] The source test cannot be read: alerts that need it are unknown." in world.slack_texts()
    assert all(action == "trigger" for action, _ in world.incidents())


def test_a_silence_hides_and_is_over_by_itself(world: World) -> None:
    rules = parse_rules(RULES.encode(), "own.yaml", over=default_rules())
    silence = add_silence(
        world.store, rules, ["alert=Slow"], timedelta(minutes=5), ADA, "deploying", now=world.now
    )
    world.numbers.set("test.slow", 0.9)
    for _ in range(3):
        world.round()
    assert world.slack_texts() == []
    with world.store.reading() as connection:
        assert [e.rule for e in read_open(connection)] == ["Slow"]
        assert [s.by.name for s in read_silences(connection, world.now)] == ["ada"]
    for _ in range(4):
        world.round()
    assert world.slack_texts() == ["[critical] Scoring is slow."]
    with pytest.raises(NotFoundError):
        end_silence(world.store, silence.silence_id, ADA, world.now)
    kinds = [(e.kind, e.caller) for e in world.store.evidence(kind="alert-silence")]
    assert kinds == [("alert-silence", ADA)]


@pytest.mark.parametrize(
    ("matchers", "minutes"),
    [
        ([], 5),
        (["Down"], 5),
        (["alert=LeadScoringDown"], 0),
        (["alert=~(a+)+"], 5),
        (["a=~["], 5),
        (["l0=~.*.*.*.*x"], 5),
        (["model=" + "m" * 5_000], 5),
        ([f"l{number}=x" for number in range(50)], 5),
        (["severity=fatal"], 5),
        (["alert!=LeadScoringDwon"], 5),
        (["alret=LeadScoringDown"], 5),
        (["modle!=leads"], 5),
        # One alert of a version speaks for all its features.
        (["feature=budget"], 5),
    ],
)
def test_what_is_no_silence_is_refused(store: EventStore, matchers: list[str], minutes: int) -> None:
    with pytest.raises(BadInputError):
        add_silence(store, default_rules(), matchers, timedelta(minutes=minutes), ADA, "why", now=START)


def test_a_silence_of_a_rule_that_there_is_not_names_near_ones(world: World) -> None:
    rules = parse_rules(RULES.encode(), "own.yaml", over=default_rules())

    def silence(matcher: str) -> None:
        add_silence(world.store, rules, [matcher], timedelta(minutes=5), ADA, "why", now=world.now)

    with pytest.raises(BadInputError, match="No alert is called 'Sloww'") as refused:
        silence("alert=Sloww")
    assert "Slow" in refused.value.hint
    # What only Alertmanager knows can be silenced once it was reported.
    with pytest.raises(BadInputError):
        silence("alert=DiskFull")
    world.alertmanager("firing", alertname="DiskFull", severity="critical", node="n1")
    silence("alert=DiskFull")
    silence("alert=~Disk.*|Slow")


def test_a_stored_silence_that_is_not_read_any_more_matches_nothing_and_stops_nobody(world: World) -> None:
    silence = Silence(
        silence_id="old", matchers=("l0=~.*.*.*.*.*.*.*.*x",), starts_at=0, ends_at=world.now + 600 * MINUTE,
        by=ADA, reason="of an older release",
    )  # fmt: skip
    with world.store.writing() as connection:
        connection.execute(
            sa.insert(alert_silences).values(
                silence_id="old", starts_at=0, ends_at=silence.ends_at,
                document=msgspec.json.encode(silence).decode(),
            )
        )  # fmt: skip
    # Takes hours with a regular expression.
    world.alertmanager("firing", alertname="DiskFull", severity="critical", l0="a" * 1_000)
    world.round()
    assert world.slack_texts() == ["[critical] Said by Prometheus."]
    assert "matches nothing" in silence.words


def test_an_acknowledgement_names_a_person_once(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    with world.store.reading() as connection:
        (episode,) = read_open(connection)
    audience = world.monitor.audience()
    acknowledge(world.store, audience, episode.episode_id, ADA, "rolling back", world.now)
    with pytest.raises(ConflictError, match="ada looks after it"):
        acknowledge(world.store, audience, episode.episode_id, Caller("key", "bob"), "me too", world.now)
    with pytest.raises(NotFoundError):
        acknowledge(world.store, audience, "none", ADA, "x", world.now)
    world.round()
    assert [action for action, _ in world.incidents()] == ["trigger", "acknowledge"]
    assert world.slack_texts()[1] == "[critical] Looked after: Scoring is slow."
    world.numbers.set("test.slow", 0.1)
    world.round()
    with pytest.raises(ConflictError, match="is over"):
        acknowledge(world.store, audience, episode.episode_id, ADA, "late", world.now)


def test_alertmanager_and_the_monitor_write_one_episode(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    for _ in range(3):
        assert world.alertmanager("firing", alertname="Slow", severity="critical", pod="a") == (200, "ok")
    world.round()
    world.numbers.set("test.slow", 0.1)
    world.round()
    with world.store.reading() as connection:
        (episode,) = read_open(connection)
    assert (episode.state, episode.own, len(episode.external)) == ("firing", False, 1)
    for _ in range(2):
        assert world.alertmanager("resolved", alertname="Slow", severity="critical", pod="a") == (200, "ok")
    world.round()
    assert world.slack_texts() == ["[critical] Scoring is slow.", "[critical] Over: Scoring is slow."]


def test_an_alert_that_only_alertmanager_knows_is_told_at_its_level(world: World) -> None:
    world.alertmanager("firing", alertname="DiskFull", severity="critical", node="n1")
    world.alertmanager("resolved", alertname="NeverSeen", severity="critical")
    world.deliver()
    world.alertmanager("resolved", alertname="DiskFull", severity="critical", node="n1")
    world.deliver()
    assert [action for action, _ in world.incidents()] == ["trigger", "resolve"]
    assert world.slack_texts()[0] == "[critical] Said by Prometheus."


@pytest.mark.parametrize(
    "start",
    ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00", "1969-12-31T23:59:59Z",
     "9999-12-31T23:59:59-14:00"],
)  # fmt: skip
def test_a_start_that_is_no_time_is_now(world: World, start: str) -> None:
    alert = {
        "status": "firing", "labels": {"alertname": "DiskFull", "severity": "critical"}, "annotations": {},
        "startsAt": start, "endsAt": start, "generatorURL": "", "fingerprint": "ab",
    }  # fmt: skip
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    assert world.monitor.receiver(body, {"authorization": "Bearer token"}) == (200, "ok")
    with world.store.reading() as connection:
        (episode,) = read_open(connection)
    assert episode.started_at == world.now
    world.deliver()
    assert world.slack_texts() == ["[critical] DiskFull"]


def test_an_alert_that_alertmanager_reports_again_with_its_old_start_is_told_again(world: World) -> None:
    """As after Prometheus was cut off from Alertmanager: it fires on, and its start is the old one."""
    began = world.now
    for status in ("firing", "resolved", "firing", "firing"):
        assert world.alertmanager(status, start=began, alertname="Odd") == (200, "ok")
        world.deliver()
    said = "Said by Prometheus."
    assert world.slack_texts() == [f"[warning] {said}", f"[warning] Over: {said}", f"[warning] {said}"]
    with world.store.reading() as connection:
        first, second = read_shown(connection, 0)
    assert {first.state, second.state} == {"firing", "resolved"}


def test_what_alertmanager_has_not_repeated_for_a_day_is_unknown_then_closed_and_never_over(
    world: World,
) -> None:
    """It repeats what fires; one that was set up anew has forgotten, and says nothing of the end."""
    world.alertmanager("firing", alertname="Odd")
    world.round(after=23 * 60 * MINUTE)
    world.alertmanager("firing", alertname="Odd")
    world.round(after=23 * 60 * MINUTE)
    assert len(world.slack_texts()) == 1
    for _ in range(4):
        world.round(after=13 * 60 * MINUTE)
    said = [text.split(":")[0] for text in world.slack_texts()[1:]]
    assert said == ["[warning] Not known any more", "[warning] Closed without knowing"]
    texts = [body["text"] for body in world.receiver.accepted(world.slack)]
    assert "Alertmanager has not repeated it for a day" in texts[1]
    with world.store.reading() as connection:
        assert read_open(connection) == ()


def test_a_thousand_long_alerts_of_one_group_are_a_message_that_channels_take(world: World) -> None:
    for number in range(50):
        labels = {f"label{n}": "x" * 900 for n in range(40)} | {"pod": f"p{number}"}
        world.alertmanager("firing", alertname="Slow", **labels)
    world.deliver()
    world.round()
    (body,) = world.receiver.accepted(world.pagerduty)
    assert len(json.dumps(body)) < 64_000
    with world.store.reading() as connection:
        (episode,) = read_open(connection)
    text = alert_message("firing", episode, default_rules().rules[0], AlertLinks(), world.now).text
    assert len(text) < 64_000
    assert "and 40 more." in text


def test_a_name_from_elsewhere_cannot_write_links_into_slack(world: World) -> None:
    hostile = "<http://evil.example|click> & <!channel>|x"
    world.alertmanager("firing", alertname=hostile, severity="critical")
    world.deliver()
    (body,) = world.receiver.accepted(world.slack)
    for line in body["text"].splitlines():
        # What Slack reads as a link, a mention or a command stands between angle brackets.
        assert "<http://evil" not in line
        assert "<!" not in line
        for link in re.findall(r"<([^>]*)>", line):
            assert link.count("|") == 1
            assert link.startswith("https://")


def test_who_is_not_alertmanager_is_refused(world: World) -> None:
    take = world.monitor.receiver
    assert take(b"{}", {})[0] == take(b"{}", {"authorization": "Bearer other"})[0] == 401
    for body in (b"", b"{}", b"[]", b'{"version":"4","alerts":[{"status":"odd"}]}', b"[" * 10_000, b"\xff"):
        assert take(body, {"authorization": "Bearer token"})[0] == 400
    (world.secrets / "LEADSCORE_ALERTMANAGER_TOKEN").write_text("rotated")
    assert world.alertmanager("firing", alertname="A")[0] == 401


def test_a_broken_rules_file_keeps_the_old_rules_and_is_an_alert(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    world.rules.write_text("rules: [")
    world.round()
    world.round()
    assert world.slack_texts() == [
        "[critical] Scoring is slow.",
        "[warning] The file of alert rules cannot be read; the old rules stay in force.",
    ]
    world.rules.write_text(RULES.replace("above: 0.5, unit", "above: 2, unit"))
    world.round()
    assert sorted(world.slack_texts()[2:]) == [
        "[critical] Over: Scoring is slow.",
        "[warning] Over: The file of alert rules cannot be read; the old rules stay in force.",
    ]


def test_a_rule_that_was_taken_away_closes_its_alert_as_unknown(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    world.rules.write_text("rules: []")
    world.round()
    assert world.slack_texts()[1] == "[critical] Closed without knowing: Scoring is slow."


def test_a_rule_that_was_taken_away_is_not_said_to_have_been_unknown_for_a_day(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    world.rules.write_text("rules: []")
    world.round()
    closed = world.receiver.accepted(world.slack)[-1]["text"]
    assert "its rule was taken away. That is not the same as being over" in closed
    assert "day" not in closed


def test_who_could_not_be_told_at_first_is_told_once_its_secret_is_there(world: World) -> None:
    secret, address = world.secrets / "LEADSCORE_SLACK_URL", world.receiver.url + world.slack
    secret.write_text("")
    world.numbers.set("test.moved", 0.4, feature="budget", model_version="7")
    for _ in range(2):
        world.round()
    with world.store.reading() as connection:
        (episode,) = read_open(connection)
    assert (episode.state, episode.announced_at) == ("firing", None)
    secret.write_text(address)
    for _ in range(2):
        world.round()
    assert world.slack_texts() == ["[warning] budget has moved."]


def test_a_level_that_is_raised_while_it_fires_tells_the_others_and_one_that_is_lowered_ends_with_them(
    world: World,
) -> None:
    """An incident that was opened is closed, whatever the rules have become meanwhile."""
    world.rules.write_text(RULES.replace("Slow, severity: critical", "Slow, severity: warning"))
    world.numbers.set("test.slow", 0.9)
    world.round()
    assert (world.incidents(), len(world.slack_texts())) == ([], 1)
    world.rules.write_text(RULES)
    for _ in range(2):
        world.round()
    assert [action for action, _ in world.incidents()] == ["trigger"]
    assert (len(world.slack_texts()), len(world.mailbox.mails)) == (1, 1)
    world.rules.write_text(RULES.replace("Slow, severity: critical", "Slow, severity: info"))
    world.numbers.set("test.slow", 0.1)
    for _ in range(2):
        world.round()
    assert [action for action, _ in world.incidents()] == ["trigger", "resolve"]
    assert (len(world.slack_texts()), len(world.mailbox.mails)) == (2, 2)


def test_the_end_waits_for_a_channel_whose_secret_is_gone(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    del world.environ["LEADSCORE_PAGERDUTY_KEY"]
    world.numbers.set("test.slow", 0.1)
    world.monitor.evaluate()
    world.environ["LEADSCORE_PAGERDUTY_KEY"] = "k" * 32
    world.round()
    assert [action for action, _ in world.incidents()] == ["trigger", "resolve"]


def test_an_old_alert_that_fires_is_shown_beside_thousands_that_are_over(world: World) -> None:
    world.numbers.set("test.slow", 0.9)
    world.round()
    with world.store.reading() as connection:
        (slow,) = read_open(connection)
    over = {
        f"{number}": msgspec.structs.replace(
            slow, episode_id=f"{number}", fingerprint=f"{number}", state="resolved",
            started_at=world.now + number, ended_at=world.now + number,
        )
        for number in range(1_500)
    }  # fmt: skip
    with world.store.writing() as connection:
        write_episodes(connection, {}, over)
    with world.store.reading() as connection:
        found = read_shown(connection, 0)
    assert slow.episode_id in {episode.episode_id for episode in found if episode.ended_at is None}


def test_secrets_are_read_anew_for_each_message(world: World) -> None:
    (world.secrets / "LEADSCORE_SLACK_URL").write_text(world.receiver.url + world.slack + "-new")
    world.numbers.set("test.slow", 0.9)
    world.round()
    assert world.slack_texts() == []
    assert len(world.receiver.accepted(world.slack + "-new")) == 1
    (world.secrets / "LEADSCORE_SLACK_URL").unlink()
    assert "slack" not in world.monitor.audience().channels


def test_a_message_that_cannot_be_delivered_is_an_alert_through_the_others(world: World) -> None:
    world.receiver.plan(world.pagerduty, *["500"] * 1000)
    world.numbers.set("test.slow", 0.9)
    world.monitor.evaluate()
    world.now += 20 * MINUTE

    def waiting() -> bool:
        world.monitor.deliver()
        world.now += 2 * US
        with world.store.reading() as connection:
            return [each.channel for each in backlogs(connection) if each.waiting] == ["pagerduty"]

    wait_until(waiting, what="the others delivered")
    world.monitor.evaluate()
    wait_until(waiting, what="the others delivered")
    assert (
        "[warning] Messages to pagerduty were given up, or wait for more than 15 minutes."
        in world.slack_texts()
    )


class Killed(BaseException):
    pass


@contextmanager
def killed_before(store: EventStore, number: int) -> Iterator[None]:
    engine, count = store._engines.write, itertools.count()

    def look(*_: object) -> None:
        if next(count) == number:
            raise Killed

    for name in ("before_cursor_execute", "commit"):
        sa.event.listen(engine, name, look)
    try:
        yield
    except Killed:
        pass
    finally:
        for name in ("before_cursor_execute", "commit"):
            sa.event.remove(engine, name, look)


def test_a_kill_between_any_two_statements_of_a_round_tells_everybody_once(
    world: World, backend: str
) -> None:
    """Each time a new alert (another group), with the round killed before one more statement."""
    kills = range(0, 40, 1 if backend == "sqlite" else 3)
    for kill in kills:
        world.numbers.set("test.moved", 0.9, feature="budget", model_version=f"v{kill}")
        with killed_before(world.store, kill):
            world.monitor.evaluate()
        world.begin()
        world.round()
        world.numbers.set("test.moved", 0.1, feature="budget", model_version=f"v{kill}")
        world.round()
    events = world.incidents()
    assert len(events) == len(set(events)) == 2 * len(kills)
    assert [action for action, _ in events] == ["trigger", "resolve"] * len(kills)
    assert len(world.slack_texts()) == 2 * len(kills)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [("250 OK", "accepted"), ("451 later", "failed"), ("554 not that", "refused")],
)
def test_what_a_mail_server_says_decides(mailbox: Mailbox, reply: str, outcome: str) -> None:
    mailbox.replies.append(reply)
    sender = MailSender(lambda: (mailbox.url, "", "ada@example.com"))
    assert try_channels({"email": sender}, START)["email"].outcome == outcome


@pytest.mark.parametrize(
    "to", ["ada@example.com,bob@example.com", "Ada Lovelace <ada@example.com>, Bob <bob@example.com>"]
)
def test_recipients_may_have_names(mailbox: Mailbox, to: str) -> None:
    sender = MailSender(lambda: (mailbox.url, "LeadScore <l@example.com>", to))
    assert try_channels({"email": sender}, 1)["email"].outcome == "accepted"
    assert mailbox.recipients == [["ada@example.com", "bob@example.com"]]


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:1", "http://x", "smtp://", "nonsense"])
def test_a_mail_server_that_is_not_there_is_a_failure(url: str) -> None:
    sender = MailSender(lambda: (url, "", "ada@example.com"))
    assert try_channels({"email": sender}, START)["email"].outcome == "failed"


def test_a_test_message_says_what_came_back(receiver: Receiver) -> None:
    environ = {
        "LEADSCORE_SLACK_URL": receiver.url + "/slack-test",
        "LEADSCORE_PAGERDUTY_URL": receiver.url + "/pagerduty-test",
        "LEADSCORE_PAGERDUTY_KEY": "too short",
        "LEADSCORE_CHANNEL_URLS": f"json://{receiver.url.removeprefix('http://')}/apprise nonsense://x",
    }
    results = try_channels(senders(ChannelSecrets(None, environ)), START)
    assert {name: result.outcome for name, result in results.items()} == {
        "slack": "accepted", "pagerduty": "failed", "other-1": "accepted", "other-2": "failed",
    }  # fmt: skip
    assert receiver.accepted("/slack-test")[0]["text"].startswith("*[test]")
    assert receiver.accepted("/apprise")[0]["title"].startswith("[test]")


def test_html_and_markup_in_labels_are_shown_as_text(world: World) -> None:
    world.numbers.set("test.moved", 0.3, feature="<!channel> & <b>", model_version="7")
    world.round()
    (body,) = world.receiver.accepted(world.slack)
    assert "<!channel>" not in body["text"]
    assert "&lt;!channel&gt; &amp; &lt;b&gt;" in body["text"]


def test_an_alert_is_with_its_receiver_within_a_round_and_five_seconds(world: World) -> None:
    """Condition to receipt by the monitor's own clockwork: one look every 30 s, one delivery each second."""
    names = {chore.name: chore.every for chore in world.monitor.chores}
    assert names["alerts"] <= 30
    assert names["deliver"] <= 1
