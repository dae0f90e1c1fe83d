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
    from leadscore.events.status import read_status
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    with EventStore(events_url or home.events_url) as store:
        found = read_status(spool or home.spool, store)
    shipper, share = found.shipper, found.match.share
    lines = [
        ("store", found.store),
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
    emit(found, table("Event log", ("what", "value"), lines, right=("value",)), as_json=as_json)


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
