"""`leadscore crm endpoints`: where changed scores are posted, and by which secret they are signed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.events.store import EventStore

app = typer.Typer(
    no_args_is_help=True, help="Webhook endpoints: any CRM that can take a signed HTTP request."
)

EndpointName = Annotated[str, typer.Argument(help="Name of the endpoint.")]


@app.command("add")
def add(
    name: EndpointName,
    url: Annotated[str, typer.Argument(help="Where to post: https://….")],
    model: Annotated[str, typer.Option(help="Whose scores; of the only model if left out.")] = "",
    targets: Annotated[Path | None, typer.Option("--targets", envvar="LEADSCORE_CRM", hidden=True)] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Add an endpoint, and print its secret: it is told of every lead once, then of changes."""
    from leadscore.crm.endpoints import add_endpoint, read_key
    from leadscore.crm.targets import load_targets
    from leadscore.events.records import now_us
    from leadscore.identity.process import process_caller

    known = load_targets(targets)
    with _store(events_url) as store:
        key = read_key(Home.from_environment(), make=True)
        found, secret = add_endpoint(
            store, key, name, url, process_caller(), now_us(), model=model,
            taken=lambda wanted: known.named(wanted) is not None,
        )  # fmt: skip
    emit(
        {"endpoint": found, "secret": secret},
        f"{name} is told of changed scores; its secret: {secret}",
        as_json=as_json,
    )


@app.command("list")
def list_endpoints(events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """List endpoints and how they do."""
    from leadscore.crm.endpoints import read_endpoints
    from leadscore.crm.tables import CRM_REVISION

    with _store(events_url) as store:
        store.require_revision(CRM_REVISION)
        with store.reading() as connection:
            found = read_endpoints(connection)
    rows = [
        (
            e.name, e.url, e.model or "the only one", e.state, e.generation, _moment(e.created_at),
            e.failing_since and _moment(e.failing_since), e.reason,
        )
        for e in found
    ]  # fmt: skip
    columns = ("name", "address", "model", "state", "secret no.", "since (UTC)", "fails since (UTC)", "why")
    emit(found, table("Webhook endpoints", columns, rows), as_json=as_json)


@app.command("rotate")
def rotate(name: EndpointName, events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """Print a new secret; for a day messages are signed by the one before, too."""
    from leadscore.crm.endpoints import read_key, rotate_secret
    from leadscore.events.records import now_us
    from leadscore.identity.process import process_caller

    with _store(events_url) as store:
        key = read_key(Home.from_environment())
        found, secret = rotate_secret(store, key, name, process_caller(), now_us())
    emit({"endpoint": found, "secret": secret}, f"The new secret of {name}: {secret}", as_json=as_json)


@app.command("enable")
def enable(name: EndpointName, events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """Send to an endpoint again; what waited meanwhile, first."""
    from leadscore.crm.endpoints import set_endpoint_state
    from leadscore.events.records import now_us
    from leadscore.identity.process import process_caller

    with _store(events_url) as store:
        found = set_endpoint_state(store, name, "on", process_caller(), now_us())
    emit(found, f"{name} is on", as_json=as_json)


@app.command("disable")
def disable(
    name: EndpointName,
    reason: Annotated[str, typer.Option("--reason", help="Why; shown beside it.")] = "By hand.",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Send nothing to an endpoint; what changes is kept for later."""
    from leadscore.crm.endpoints import set_endpoint_state
    from leadscore.events.records import now_us
    from leadscore.identity.process import process_caller

    with _store(events_url) as store:
        found = set_endpoint_state(store, name, "disabled", process_caller(), now_us(), reason=reason)
    emit(found, f"{name} is disabled", as_json=as_json)


@app.command("remove")
def remove(name: EndpointName, events_url: EventsUrl = None, as_json: JsonOption = False) -> None:
    """Remove an endpoint with what waits for it."""
    from leadscore.crm.endpoints import remove_endpoint
    from leadscore.events.records import now_us
    from leadscore.identity.process import process_caller

    with _store(events_url) as store:
        remove_endpoint(store, name, process_caller(), now_us())
    emit({"removed": name}, f"{name} is removed", as_json=as_json)


def _store(events_url: str | None) -> EventStore:
    from leadscore.events.store import EventStore

    return EventStore(events_url or Home.from_environment().events_url)


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y-%m-%d %H:%M}"
