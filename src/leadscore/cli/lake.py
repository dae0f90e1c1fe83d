"""`leadscore lake`: Delta tables of what is stored, for whoever reads tables."""

from __future__ import annotations

from typing import Annotated

import typer

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

app = typer.Typer(no_args_is_help=True, help="Keep the Delta tables of the lake.")


@app.callback()
def lake() -> None:
    """Keep the Delta tables of the lake."""


@app.command("publish")
def publish(
    root: Annotated[
        str | None,
        typer.Option("--lake", envvar="LEADSCORE_LAKE", show_envvar=True, help="Root of the lake."),
    ] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Append what is stored and the lake lacks: outcomes, scored leads, figures of drift and of models."""
    from datetime import UTC, datetime

    from leadscore.events.store import EventStore
    from leadscore.monitoring.model_facts import find_model_facts
    from leadscore.monitoring.publishing import publish_lake
    from leadscore.monitoring.rollups.cells import VersionCells
    from leadscore.registry.store import ModelRegistry

    home = Home.from_environment()
    registry = ModelRegistry(home)
    cells = VersionCells(lambda name, version: find_model_facts(registry, name, version))
    with EventStore(events_url or home.events_url) as store:
        done, failed = publish_lake(store, root or home.lake, cells.facts, datetime.now(UTC))
    rows = [(each.table, f"{each.rows:,}", "–" if each.version is None else each.version) for each in done]
    emit(done, table("Lake", ("table", "rows", "version"), rows, right=("rows", "version")), as_json=as_json)
    for each in done:
        if each.waiting:
            notes.print(f"[yellow]warning[/]: {each.table}: {each.waiting}", highlight=False)
    for error in failed[1:]:
        notes.print(f"[red]error[/]: {error}", highlight=False)
    if failed:
        raise failed[0]
