"""`leadscore events`: is everything that was acknowledged on its way to the store?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from leadscore.cli.moments import parse_moment
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

app = typer.Typer(no_args_is_help=True, help="Look after the event log.")


@app.callback()
def events() -> None:
    """Look after the event log."""


@app.command("status")
def status(
    spool: Annotated[Path | None, typer.Option(help="Spool of this machine.")] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """What is stored, what waits on the spool, what was set aside."""
    from rich.console import Group

    from leadscore.events.status import read_status
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    with EventStore(events_url or home.events_url) as store:
        found = read_status(spool or home.spool, store)
    shipper, share, schema = found.shipper, found.match.share, found.schema
    lines = [
        ("store", found.store),
        ("schema revision", schema.revision),
        ("pending migrations", ", ".join(schema.pending) or "none"),
        ("partitions of predictions", len(schema.partitions)),
        ("predictions stored", found.counts.predictions),
        ("outcomes stored", found.counts.outcomes),
        ("outcomes that belong to a prediction", found.match.matched),
        ("outcomes that belong to none", found.match.unmatched),
        ("outcomes that lie in the future", found.match.future),
        ("predictions with an outcome", found.match.labelled),
        ("share of predictions with an outcome", None if share is None else f"{share:.1%}"),
        ("evidence stored", found.counts.evidence),
        ("bytes waiting on the spool", found.waiting_bytes),
        ("records set aside", found.quarantined),
        ("shipper", "never ran" if shipper is None else shipper.state),
        ("shipper last seen, seconds ago", found.shipper_seen_seconds),
        ("shipper's last error", None if shipper is None else shipper.last_error or None),
    ]
    shown = [table("Event log", ("what", "value"), lines, right=("value",))]
    if schema.partitions:
        parts = [(p.name, p.rows, f"{p.bytes / 1e6:,.1f}") for p in schema.partitions]
        shown.append(
            table("Partitions", ("partition", "rows, about", "MB"), parts, right=("rows, about", "MB"))
        )
    emit(found, Group(*shown), as_json=as_json)


@app.command("migrate")
def migrate(
    events_url: EventsUrl = None,
    wait: Annotated[
        str, typer.Option(help="How long to go on trying for locks that others hold: 90s, 5m.")
    ] = "5m",
    as_json: JsonOption = False,
) -> None:
    """Bring the event store's schema to this release; done already: nothing happens.

    The release before goes on working.
    """
    from leadscore.durations import parse_duration
    from leadscore.events.store import EventStore

    seconds = parse_duration(wait).total_seconds()
    # A check of every row takes as long as it takes.
    with EventStore(events_url or Home.from_environment().events_url, answer_seconds=None) as store:
        before = store.migrate(wait_seconds=seconds)
        found = store.schema_status()
    rows = [("revision before", before.revision), ("revision now", found.revision)]
    emit(
        {"before": before.revision, "now": found.revision, "partitions": len(found.partitions)},
        table("Event store", ("what", "value"), rows, right=("value",)),
        as_json=as_json,
    )


@app.command("retain")
def retain(
    keep: Annotated[str, typer.Option("--keep", help="How long: 730d. Whole months older than this go.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Remove old predictions, by whole months, and the outcomes of that time. Decision records stay."""
    from datetime import UTC, datetime

    from leadscore.durations import parse_duration
    from leadscore.events.retention import retain as remove
    from leadscore.events.store import EventStore
    from leadscore.events.windows import to_microseconds

    before = to_microseconds(datetime.now(UTC) - parse_duration(keep))
    with EventStore(events_url or Home.from_environment().events_url) as store:
        found = remove(store, before, dry_run=dry_run)
    first = datetime.fromtimestamp(found.before / 1e6, UTC)
    lines = [
        ("before", f"{first:%Y-%m-%d}"),
        ("partitions dropped", ", ".join(found.partitions) or "none"),
        ("their size, MB", f"{found.bytes / 1e6:,.1f}"),
        ("predictions deleted one by one", found.predictions),
        ("outcomes deleted", found.outcomes),
    ]
    title = "Would be removed" if dry_run else "Removed"
    emit(found, table(title, ("what", "value"), lines, right=("value",)), as_json=as_json)


@app.command("recount")
def recount(events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """Have the monitor count everything that is stored again: hours of today first.

    Numbers of hours that it has not come to yet stay as they are.
    """
    from leadscore.events.store import EventStore
    from leadscore.monitoring.rollups.dirty import start_again
    from leadscore.monitoring.rollups.progress import ROLLUPS_REVISION

    with EventStore(events_url or Home.from_environment().events_url) as store:
        store.require_revision(ROLLUPS_REVISION)
        with store.writing() as connection:
            start_again(connection)
    said = "The monitor counts everything again; its metric leadscore_rollup_dirty_hours says how far it is."
    emit({"asked": True}, said, as_json=as_json)


@app.command("backfill")
def backfill(
    data: Annotated[
        Path, typer.Option("--data", help="Past leads with outcomes: CSV, Parquet, Arrow or a Delta folder.")
    ],
    model: Annotated[str, typer.Option("--model", help="NAME/VERSION or NAME@champion.")] = "leads@champion",
    since: Annotated[
        str | None, typer.Option("--since", help="Leave older leads out: a day or an ISO 8601 time.")
    ] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Log past leads as if this model had scored them when they came; the same leads again change nothing."""
    from leadscore.data.tables import read_table
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.scoring.model import ScoringModel
    from leadscore.training import backfill as filling

    begin = None if since is None else parse_moment(since, "--since")
    home = Home.from_environment()
    registry = ModelRegistry(home)
    version = registry.resolve(model)
    scorer = ScoringModel.load(registry.fetch(version.ref))
    leads = read_table(data)
    with EventStore(events_url or home.events_url) as store:
        new = filling.backfill(store, scorer, version.name, version.version, leads, since=begin)
    rows = [("predictions", new.predictions), ("outcomes", new.outcomes)]
    emit(
        new,
        table(f"New in the log, by {version.ref}", ("what", "rows"), rows, right=("rows",)),
        as_json=as_json,
    )
