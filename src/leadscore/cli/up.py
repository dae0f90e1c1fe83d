"""`leadscore up`: everything on one machine, from a table to a running service, skipping what is done."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from leadscore.cli.output import notes
from leadscore.errors import BadInputError, NotFoundError
from leadscore.settings import Home

# Enough leads for the default minimum of 10,000 in the latest six months, few enough to wait for.
_ROWS, _MONTHS, _START = 40_000, 8.0, datetime(2026, 1, 1, tzinfo=UTC)
_KEY_NAME = "local"


def up(
    data: Annotated[
        Path | None, typer.Option("--data", help="Your labelled leads; the synthetic CRM if left out.")
    ] = None,
    contract: Annotated[
        Path | None, typer.Option("--contract", help="Their contract (`leadscore contract infer` makes one).")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Model name in the registry.")] = "leads",
    trials: Annotated[int, typer.Option(min=1, help="Tuning trials of the first training.")] = 20,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
) -> None:
    """Train if there is no champion yet, make an API key if there is none, and serve. Ctrl-C stops it."""
    from leadscore.cli import train
    from leadscore.cli.serve import Service, check_free, run_service
    from leadscore.registry.store import ModelRegistry

    if (data is None) != (contract is None):
        raise BadInputError(
            "--data and --contract belong together.",
            hint="`leadscore contract infer TABLE --target … --id … -o contract.yaml` proposes a contract.",
        )
    check_free(host, port)
    home = Home.from_environment()
    try:
        champion = ModelRegistry(home).resolve(f"{name}@champion")
        notes.print(f"{champion.ref} is champion already: nothing to train.", highlight=False)
    except NotFoundError:
        table, described = (data, contract) if data is not None and contract is not None else _synthetic(home)
        train.train(data=table, contract=described, name=name, trials=trials)
    run_service(Service(f"{name}@champion", host, port, 1, "keys", home.api_keys, _local_key(home)))


def _synthetic(home: Home) -> tuple[Path, Path]:
    """The embedded synthetic CRM as files, so that people can look at what the model was trained on."""
    from leadscore.contract import dump_contract
    from leadscore.data import synthetic
    from leadscore.data.atomic import replacing
    from leadscore.data.tables import write_table

    table, contract = home.root / "synthetic-leads.parquet", home.root / "synthetic-contract.yaml"
    if not (table.exists() and contract.exists()):
        notes.print(f"Writing {_ROWS:,} synthetic leads to {table}", highlight=False)
        home.root.mkdir(parents=True, exist_ok=True)
        write_table(synthetic.generate(rows=_ROWS, seed=1, start=_START, months=_MONTHS), table)
        with replacing(contract) as temporary:
            temporary.write_text(dump_contract(synthetic.synthetic_contract()), encoding="utf-8")
    return table, contract


def _local_key(home: Home) -> str:
    """A key for trying things on this machine, readable for its owner only, and known to a second start."""
    from leadscore.identity.apikeys import create_key, key_digest, read_keys, revoke_key

    kept = home.root / "local.key"
    known = {key.name: key.digest for key in read_keys(home.api_keys)}
    if kept.exists() and known.get(_KEY_NAME) == key_digest(kept.read_bytes()).hex():
        return kept.read_text()
    if _KEY_NAME in known:
        revoke_key(home.api_keys, _KEY_NAME)
    secret, _ = create_key(home.api_keys, _KEY_NAME, ["score", "explain", "outcomes"])
    kept.unlink(missing_ok=True)
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    return secret
