"""`leadscore keys`: who may call the service."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer

from leadscore.cli.moments import parse_span
from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.settings import Home

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")

KeyFile = Annotated[
    Path | None,
    typer.Option("--api-keys", envvar="LEADSCORE_API_KEYS", show_envvar=True, help="File of keys."),
]

_DEFAULT_SCOPES = ["score", "explain", "outcomes"]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it, such as crm-production.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", help="score, explain, outcomes, metrics, approve, view, admin; repeat for several."
        ),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option("--expires-in", help="Expires after this time (90d); never, if left out.")
    ] = None,
    api_keys: KeyFile = None,
    as_json: JsonOption = False,
) -> None:
    """Create a key and print it once: only its digest (and, to approve, its public key) is kept."""
    from leadscore.identity.apikeys import KeyScope, create_key

    path = _path(api_keys)
    scopes = cast("list[KeyScope]", scope or _DEFAULT_SCOPES)
    now = datetime.now(UTC).replace(microsecond=0)
    expires = None if expires_in is None else now + parse_span(expires_in, "--expires-in")
    secret, entry = create_key(path, name, scopes, expires=expires)
    document = {
        "key": secret,
        "name": entry.name,
        "scopes": entry.scopes,
        "created": entry.created,
        "expires": entry.expires,
    }
    emit(document, secret, as_json=as_json)
    notes.print("Keep it now: it is not shown again. Services that read this file know it within seconds.")


@app.command("list")
def list_keys(api_keys: KeyFile = None, as_json: JsonOption = False) -> None:
    """List the keys, without their secrets."""
    from leadscore.identity.apikeys import read_keys

    keys = read_keys(_path(api_keys))
    rows = [
        (
            key.name,
            ", ".join(key.scopes),
            f"{key.created:%Y-%m-%d}",
            None if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}",
            key.digest[:12],
        )
        for key in keys
    ]
    columns = ("name", "scopes", "created", "expires (UTC)", "digest")
    emit(keys, table("API keys", columns, rows), as_json=as_json)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    api_keys: KeyFile = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a key; running services refuse it within seconds."""
    from leadscore.identity.apikeys import revoke_key

    key = revoke_key(_path(api_keys), name)
    emit({"revoked": key.name}, f"revoked {key.name}", as_json=as_json)


def _path(given: Path | None) -> Path:
    return given if given is not None else Home.from_environment().api_keys
