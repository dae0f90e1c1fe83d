"""`leadscore crm`: which systems are told of scores, what waits for them, and whether they have it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli import crm_endpoints, crm_vendors
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.crm.choose import ModelSource

app = typer.Typer(no_args_is_help=True, help="Write scores back into the CRM, and see what it has.")
app.add_typer(crm_endpoints.app, name="endpoints")
app.add_typer(crm_vendors.app)

TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", envvar="LEADSCORE_CRM", show_envvar=True, help="File of targets."),
]
TargetOption = Annotated[str, typer.Option("--target", help="Only this one.")]


@app.command("status")
def status(targets: TargetsFile = None, events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """Say for each target what waits, what it has, what was given up, and why nothing is sent."""
    from leadscore.crm.status import read_target_statuses
    from leadscore.crm.tables import CRM_REVISION
    from leadscore.crm.targets import load_targets
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    known = load_targets(targets)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        store.require_revision(CRM_REVISION)
        with store.reading() as connection:
            found = read_target_statuses(connection, known, now_us())
    rows = [
        (
            s.name, s.kind or "–", s.state, s.leads, s.backlog.waiting,
            s.backlog.oldest_at and _moment(s.backlog.oldest_at), s.backlog.dead, s.backlog.uncertain,
            s.held_until and _moment(s.held_until), s.reason or s.held_why or s.backlog.last_error,
        )
        for s in found
    ]  # fmt: skip
    columns = (
        "target", "kind", "state", "leads", "waiting", "oldest (UTC)", "given up", "maybe twice",
        "held until (UTC)", "says",
    )  # fmt: skip
    emit(
        found,
        table("CRM targets", columns, rows, right=("leads", "waiting", "given up", "maybe twice")),
        as_json=as_json,
    )
    if not found:
        notes.print(
            "There is no target: name a file in LEADSCORE_CRM, or: leadscore crm endpoints add NAME URL.",
            highlight=False,
            markup=False,
        )


@app.command("sync")
def sync(
    target: TargetOption = "",
    again: Annotated[bool, typer.Option("--again", help="Tell it of every lead anew.")] = False,
    targets: TargetsFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Put what has changed into the outbox now; the monitor does it every few seconds, and delivers."""
    from leadscore.crm.sync import sync_targets
    from leadscore.crm.targets import load_targets
    from leadscore.errors import BadInputError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    if again and not target:
        raise BadInputError("--again needs --target.", hint="Every lead uses quota: say whose.")
    home = Home.from_environment()
    with EventStore(events_url or home.events_url) as store:
        found = sync_targets(store, load_targets(targets), _models(home), now_us, only=target, again=again)
    rows = [(name, choice.looked_at, choice.chosen) for name, choice in found.items()]
    columns = ("target", "leads looked at", "changed")
    emit(found, table("Chosen", columns, rows, right=columns[1:]), as_json=as_json)


@app.command("publish")
def publish(
    wait: Annotated[
        str,
        typer.Option(help="Wait so long for the monitor to have counted what was scored: 10m; 0s: do not."),
    ] = "0s",
    target: TargetOption = "",
    targets: TargetsFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Append changed scores to the tables of the lake that a CRM's own job reads (targets of kind table)."""
    from leadscore.crm.table import publish_tables
    from leadscore.crm.targets import load_targets
    from leadscore.durations import parse_duration
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    seconds = parse_duration(wait, zero=True).total_seconds()
    with EventStore(events_url or home.events_url) as store:
        found = publish_tables(
            store, load_targets(targets), _models(home), home.lake, now_us, only=target, wait_seconds=seconds
        )
    rows = [(name, each.rows, each.version, each.uri) for name, each in found.items()]
    emit(
        found,
        table("Published", ("target", "rows", "version", "table"), rows, right=("rows", "version")),
        as_json=as_json,
    )


@app.command("dead-letters")
def dead_letters(events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """List scores that were given up."""
    from leadscore.crm.status import crm_dead_letters
    from leadscore.events.store import EventStore

    with EventStore(events_url or Home.from_environment().events_url) as store, store.reading() as connection:
        found = crm_dead_letters(connection)
    rows = [(d.number, d.channel, d.stream, _moment(d.created_at), d.attempts, d.last_error) for d in found]
    columns = ("number", "target", "lead", "from (UTC)", "attempts", "last error")
    emit(found, table("Dead letters", columns, rows), as_json=as_json)


@app.command("resend")
def resend(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters.")] = None,
    target: Annotated[str, typer.Option("--target", help="All dead letters of this target.")] = "",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Send dead letters again; one that is older than what the target has is passed over in its turn."""
    from leadscore.crm.status import resend_scores
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    with EventStore(events_url or Home.from_environment().events_url) as store, store.writing() as connection:
        count = resend_scores(connection, numbers or (), target, now_us())
    said = f"{count} wait to be sent again" if count else f"There is no dead letter of a target {target}"
    emit({"waiting": count}, said, as_json=as_json)


@app.command("receiver")
def receiver(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port.")] = 8060,
    secret: Annotated[
        str,
        typer.Option(envvar="LEADSCORE_WEBHOOK_SECRET", show_envvar=True, help="Of the endpoint: whsec_…."),
    ] = "",
    parent: Annotated[int | None, typer.Option("--exit-with-parent", hidden=True)] = None,
) -> None:
    """Take webhooks, check their signatures and show what arrived, until Ctrl-C: to see that it works."""
    import signal
    import threading

    from leadscore.crm.receiver import ReceivedScores, ReceiverServer
    from leadscore.crm.signing import read_secret

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    server = ReceiverServer(host, port, ReceivedScores(read_secret(secret)))
    notes.print(f"http://{host}:{server.port} shows what arrives", highlight=False)
    while not stopping.wait(0.5) and not _orphaned(parent):
        pass
    server.close()


def _models(home: Home) -> ModelSource:
    from leadscore.investigation.models import ModelShelf
    from leadscore.registry.store import ModelRegistry

    return ModelShelf(ModelRegistry(home, with_mlflow=False), backend="auto").open


def _orphaned(parent: int | None) -> bool:
    import os

    return parent is not None and os.getppid() != parent


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M}"
