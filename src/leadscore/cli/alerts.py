"""`leadscore alerts`: what is wrong, who was told, and who looks after it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.credentials import CredentialFile, read_credential
from leadscore.cli.moments import parse_span
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.alerts.episodes import Audience
    from leadscore.alerts.rules import AlertRules
    from leadscore.identity.caller import Caller

app = typer.Typer(no_args_is_help=True, help="See alerts, look after them, and see who was told.")

RulesFile = Annotated[
    Path | None,
    typer.Option(
        "--rules", envvar="LEADSCORE_ALERT_RULES", show_envvar=True, help="Rules over the defaults."
    ),
]
AlertReason = Annotated[str, typer.Option("--reason", help="Why; kept for good.")]


@app.command("list")
def list_alerts(
    since: Annotated[str, typer.Option(help="Also those that were over within this time: 7d.")] = "1d",
    rules: RulesFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """List what fires, what each rule says now, silences, and how channels do."""
    from rich.console import Group

    from leadscore.alerts.episodes import read_rule_statuses, read_shown
    from leadscore.alerts.messages import number_lines
    from leadscore.alerts.silences import read_silences
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.outbox.queue import backlogs, delivered_words

    now, in_force = now_us(), _rules_in_force(rules)
    begin = now - round(parse_span(since, "--since").total_seconds() * 1e6)
    with EventStore(events_url or Home.from_environment().events_url) as store, store.reading() as connection:
        statuses = read_rule_statuses(connection)
        alerts = read_shown(connection, begin)
        silences, channels = read_silences(connection, now), backlogs(connection)

    rows = [
        (
            e.state,
            e.severity,
            e.summary or e.rule,
            _moment(e.started_at),
            e.announced_at and f"{_moment(e.announced_at)} {', '.join(e.told_channels)}".rstrip(),
            e.acknowledged and e.acknowledged.by.name,
            e.episode_id,
        )
        for e in alerts
    ]
    worst = {s.rule: number_lines(s.members[:1], in_force.named(s.rule)) for _, s in statuses}
    by_rule = [(s.rule, s.state, "; ".join(worst[s.rule]) or s.unknown, _moment(at)) for at, s in statuses]
    quiet = [(s.words, s.by.name, s.reason, _moment(s.ends_at), s.silence_id) for s in silences]
    ways = [(c.channel, c.waiting, c.dead, delivered_words(c), c.uncertain, c.last_error) for c in channels]
    told = ("channel", "waiting", "given up", "delivered", "maybe twice", "last error")
    emit(
        {"alerts": alerts, "rules": [s for _, s in statuses], "silences": silences, "channels": channels},
        Group(
            table("Alerts", ("state", "level", "what", "since (UTC)", "told", "looked after by", "id"), rows),
            table(
                "Rules", ("rule", "state", "worst number, or why it is unknown", "looked at (UTC)"), by_rule
            ),
            table("Silences", ("matches", "by", "why", "until (UTC)", "id"), quiet),
            table("Channels", told, ways, right=("waiting", "given up", "delivered", "maybe twice")),
        ),
        as_json=as_json,
    )
    fires = [e for e in alerts if e.state == "firing" and in_force.levels.get(e.severity)]
    untold = sum(e.announced_at is None for e in fires)
    if untold:
        notes.print(
            f"Nobody was told of {untold} that fire: they are silenced, a worse alert speaks for them, or the"
            " monitor has no channel of their level (docs/alerts.md, Levels and channels).",
            highlight=False,
        )
    if not statuses:
        notes.print("No rule was ever evaluated: is `leadscore monitor` running?", highlight=False)


@app.command("test")
def send_test(
    channel: Annotated[
        list[str] | None, typer.Option("--channel", help="Only this one; repeat for several.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send a message that is marked as a test through each channel, and say what came back."""
    from leadscore.alerts.channels import ChannelSecrets, senders
    from leadscore.alerts.trial import try_channels
    from leadscore.errors import NotFoundError, UnavailableError
    from leadscore.events.records import now_us

    known = senders(ChannelSecrets.from_environment())
    missing = set(channel or ()) - known.keys()
    if missing or not known:
        raise NotFoundError(
            f"The channel {min(missing)} is not set up." if missing else "No channel is set up.",
            hint="Set LEADSCORE_SLACK_URL, LEADSCORE_PAGERDUTY_KEY or LEADSCORE_SMTP_URL (docs/alerts.md).",
        )
    results = try_channels({n: s for n, s in known.items() if not channel or n in channel}, now_us())
    rows = [(name, result.outcome, result.detail) for name, result in results.items()]
    emit(results, table("Test messages", ("channel", "outcome", "what came back"), rows), as_json=as_json)
    failed = [name for name, result in results.items() if result.outcome != "accepted"]
    if failed:
        raise UnavailableError(f"Not accepted by {', '.join(failed)}.", hint="See docs/alerts.md, Channels.")


@app.command("ack")
def ack(
    episode: Annotated[str, typer.Argument(help="Id of the alert; see list.")],
    reason: AlertReason,
    key_file: CredentialFile = None,
    rules: RulesFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you look after an alert: by your key or token, on record, and told to the others."""
    from leadscore.alerts.episodes import acknowledge
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    person = _person(key_file)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        found = acknowledge(store, _audience(rules), episode, person, reason, now_us())
    emit(found, f"{person.name} looks after {found.summary or found.rule}", as_json=as_json)


@app.command("silence")
def silence(
    matcher: Annotated[
        list[str] | None,
        typer.Argument(help="alert=NAME, severity!=info; all must match."),
    ] = None,
    length: Annotated[str, typer.Option("--for", help="How long: 2h; at most 30d.")] = "2h",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept for good.")] = "",
    end: Annotated[str, typer.Option("--end", help="Id of a silence to end now.")] = "",
    key_file: CredentialFile = None,
    rules: RulesFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Tell nobody of matching alerts for a time; they are stored and shown all the same."""
    from leadscore.alerts.silences import add_silence, end_silence
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    person = _person(key_file)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        if end:
            found = end_silence(store, end, person, now_us())
        else:
            span = parse_span(length, "--for")
            found = add_silence(
                store, _rules_in_force(rules), matcher or (), span, person, reason, now=now_us()
            )
    emit(found, f"{', '.join(found.matchers)} until {_moment(found.ends_at)} UTC", as_json=as_json)


@app.command("backtest")
def backtest(
    alert: Annotated[
        list[str] | None, typer.Argument(help="Rules; those that can be looked back at.")
    ] = None,
    last: Annotated[str, typer.Option("--last", help="How far back: 90d.")] = "90d",
    rules: RulesFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Say how often a rule, with its thresholds as they are now, would have fired."""
    from leadscore.alerts.backtest import backtest_rule, can_look_back, first_counted
    from leadscore.alerts.measures import RollupReader
    from leadscore.alerts.rules import load_rules
    from leadscore.errors import NotFoundError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.monitoring.model_facts import find_model_facts
    from leadscore.monitoring.rollups.cells import VersionCells
    from leadscore.registry.store import ModelRegistry

    home, known, now = Home.from_environment(), load_rules(rules), now_us()
    chosen = [known.named(name) for name in alert] if alert else [r for r in known.rules if can_look_back(r)]
    wanted = [rule for rule in chosen if rule is not None]
    if len(wanted) < len(chosen):
        raise NotFoundError("There is no such rule.", hint="See: leadscore alerts list.")
    registry = ModelRegistry(home, with_mlflow=False)
    start = now - round(parse_span(last, "--last").total_seconds() * 1e6)
    with EventStore(events_url or home.events_url) as store:
        cells = VersionCells(lambda name, version: find_model_facts(registry, name, version))
        reader = RollupReader(store, cells.facts)
        with store.reading() as connection:
            first = first_counted(connection)
        if first is not None and first > start:
            start = first
            notes.print(f"Counts begin at {_moment(first)} UTC: looked at since then.", highlight=False)
        elif first is None:
            start = now
            notes.print("Nothing has been counted yet: there is nothing to look back at.", highlight=False)
        found = [backtest_rule(rule, reader.at, start, now) for rule in wanted]
    rows = [
        (
            each.rule,
            # Of what was never known nobody can say that it would not have fired.
            len(each.episodes) if each.measured else "unknown",
            each.looks,
            each.measured,
            ", ".join(_moment(e.started_at) for e in each.episodes[:5]),
        )
        for each in found
    ]
    columns = ("rule", "would have fired", "looks", "numbers known", "when (UTC)")
    emit(found, table(f"The last {last}", columns, rows, right=columns[1:4]), as_json=as_json)


@app.command("dead-letters")
def dead_letters(events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """List messages that were given up."""
    from leadscore.events.store import EventStore
    from leadscore.outbox import queue

    with EventStore(events_url or Home.from_environment().events_url) as store, store.reading() as connection:
        found = queue.dead_letters(connection)
    rows = [
        (d.number, d.channel, d.message_id, _moment(d.created_at), d.attempts, d.last_error) for d in found
    ]
    columns = ("number", "channel", "message", "from (UTC)", "attempts", "last error")
    emit(found, table("Dead letters", columns, rows), as_json=as_json)


@app.command("resend")
def resend(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of dead letters.")],
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again."""
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.outbox.queue import send_again

    with EventStore(events_url or Home.from_environment().events_url) as store, store.writing() as connection:
        count = send_again(connection, numbers, now_us())
    emit({"waiting": count}, f"{count} wait to be sent again", as_json=as_json)


@app.command("dismiss")
def dismiss(
    numbers: Annotated[list[int], typer.Argument(help="Numbers of dead letters.")],
    reason: AlertReason,
    key_file: CredentialFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters no more, as of a channel that is no longer used: by your key or token, on record."""
    import msgspec

    from leadscore.alerts.silences import LONGEST_REASON_TEXT
    from leadscore.events.records import Evidence, new_id, now_us
    from leadscore.events.store import EventStore
    from leadscore.identity.caller import checked_reason
    from leadscore.outbox.queue import dismiss_dead_letters

    person, said, now = _person(key_file), checked_reason(reason, LONGEST_REASON_TEXT), now_us()
    document = msgspec.json.encode({"numbers": numbers, "reason": said}).decode()
    with EventStore(events_url or Home.from_environment().events_url) as store:
        with store.writing() as connection:
            count = dismiss_dead_letters(connection, numbers, now)
        kind = "dead-letters-dismissed"
        store.record(Evidence(f"{kind}-{new_id()}", kind, str(numbers[0]), now, document, person))
    emit({"dismissed": count}, f"{count} will not be sent", as_json=as_json)


def _person(key_file: Path | None) -> Caller:
    from leadscore.events.records import now_us
    from leadscore.identity.approvers import Approvers

    return Approvers.from_environment().authenticate(read_credential(key_file), now_us() / 1e6).caller


def _audience(rules: Path | None) -> Audience:
    from leadscore.alerts.channels import ChannelSecrets, senders
    from leadscore.alerts.episodes import Audience
    from leadscore.alerts.messages import AlertLinks

    channels = frozenset(senders(ChannelSecrets.from_environment()))
    return Audience(_rules_in_force(rules), channels, AlertLinks.from_environment())


def _rules_in_force(path: Path | None) -> AlertRules:
    """The rules; beside a broken file the defaults, which is said."""
    from leadscore.alerts.rules import rules_or_defaults

    found, problem = rules_or_defaults(path)
    if problem:
        notes.print(f"{problem} Here the default rules are shown.", highlight=False, markup=False)
    return found


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M}"
