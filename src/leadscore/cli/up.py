"""`leadscore up`: everything on one machine, from a table to a running service, skipping what is done.

Beside the service run the monitor (roll-ups, alerts, write-back), the console, a simulated CRM that sends
leads, and a receiver of webhooks that shows which scores it is told.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from leadscore.cli.companions import Companion, Companions
from leadscore.cli.output import notes
from leadscore.errors import BadInputError, LeadScoreError, NotFoundError
from leadscore.identity.apikeys import KeyScope
from leadscore.settings import Home

# Enough leads for the default minimum of 10,000 in the latest six months, few enough to wait for.
_ROWS, _MONTHS, _START = 40_000, 8.0, datetime(2026, 1, 1, tzinfo=UTC)
_KEY_NAME = "local"
_SCOPES: tuple[KeyScope, ...] = ("score", "explain", "outcomes", "view", "metrics")
_TABLE = "synthetic-leads.parquet"
_NOTICE = (
    "A simulated CRM sends these leads, and its days take 10 seconds. What is older than the first start was "
    "backfilled: scored afterwards, as if the model had been there."
)
# What the console shows on its first day: leads of two months that the model has not been trained on.
_HISTORY_ROWS, _HISTORY_DAYS = 10_000, 60
# What the nightly run scores: leads that are open in the synthetic CRM, few enough to watch them arrive.
_NIGHT_ROWS, _NIGHT_DAYS = 500, 14
_ENDPOINT = "local-receiver"


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
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the service.")] = 3000,
    console: Annotated[bool, typer.Option(help="Whether to open the console beside the service.")] = True,
    console_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the console.")] = 8050,
    monitor_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the monitor.")] = 9464,
    traffic: Annotated[
        bool, typer.Option(help="Whether a simulated CRM sends leads (only with the synthetic one's model).")
    ] = True,
    rate: Annotated[float, typer.Option(help="Leads a second that it sends.")] = 2.0,
    receiver_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the receiver that is told of its scores.")
    ] = 8060,
) -> None:
    """Train if there is no champion yet, make an API key if there is none, serve, and open the console.

    Ctrl-C stops all of it.
    """
    from leadscore.cli import train
    from leadscore.cli.serve import Service, check_free, run_service
    from leadscore.registry.store import ModelRegistry

    if (data is None) != (contract is None):
        raise BadInputError(
            "--data and --contract belong together.",
            hint="`leadscore contract infer TABLE --target … --id … -o contract.yaml` proposes a contract.",
        )
    beside_it = (console_port, monitor_port, *((receiver_port,) if data is None else ()))
    for wanted in (port, *(beside_it if console else ())):
        check_free(host, wanted)
    home = Home.from_environment()
    try:
        champion = ModelRegistry(home).resolve(f"{name}@champion")
        notes.print(f"{champion.ref} is champion already: nothing to train.", highlight=False)
    except NotFoundError:
        table, described = (data, contract) if data is not None and contract is not None else _synthetic(home)
        train.train(data=str(table), contract=described, name=name, trials=trials)
    key = _local_key(home)
    made_up = data is None and (home.root / _TABLE).exists()
    if console and made_up:
        _history(home, name)
        _night(home, name)
        _check(home, name)
    told = _receiver(home, host, receiver_port) if console and made_up else None

    def beside(url: str) -> Companions:
        started = Companions(home.root / "logs")
        parent = ("--exit-with-parent", str(os.getpid()))
        if console:
            watches = ("monitor", "--host", host, "--port", str(monitor_port), *parent)
            networks = {} if told is None else {"LEADSCORE_WEBHOOK_NETWORKS": _networks(host)}
            started.start(Companion("monitor", watches, _watched(url, key) | networks))
            listen = ("--host", host, "--port", str(console_port), "--name", name)
            demo = ("--demo",) if made_up else ()
            notice = {"LEADSCORE_CONSOLE_NOTICE": _NOTICE} if made_up else {}
            started.start(Companion("console", ("console", *listen, *demo, *parent), notice))
            notes.print(
                f"Console: http://{host}:{console_port} – sign in with the API key {key}\n"
                "(to approve a release, with a key in your own name: "
                "leadscore keys create FIRST.LAST --scope view --scope approve)",
                highlight=False,
                markup=False,
            )
        if told is not None:
            _start_receiver(started, host, receiver_port, told, parent)
        if traffic and made_up:
            sends = ("simulate", "--url", url, "--rate", str(rate), *parent)
            started.start(Companion("simulated CRM", sends, {"LEADSCORE_API_KEY": key}))
            notes.print(
                f"A simulated CRM sends {rate:g} leads a second; outcomes that take a day come within 10 s.",
                highlight=False,
            )
        return started

    run_service(Service(f"{name}@champion", host, port, 1, "keys", home.api_keys, key), beside=beside)


def _watched(url: str, key: str) -> dict[str, str]:
    """Where the monitor sees how this service does, unless somebody has said so already."""
    if "LEADSCORE_METRICS_URLS" in os.environ:
        return {}
    return {"LEADSCORE_METRICS_URLS": f"{url}/metrics", "LEADSCORE_METRICS_KEY": key}


def _history(home: Home, name: str) -> None:
    """Leads of the last two months, logged once as if the champion had scored them when they came."""
    from leadscore.data import synthetic
    from leadscore.data.tables import write_table
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.scoring.model import ScoringModel
    from leadscore.training.backfill import backfill

    kept = home.root / "synthetic-history.parquet"
    if kept.exists():
        return
    notes.print(
        f"Backfilling {_HISTORY_ROWS:,} past leads, so that the console has a history", highlight=False
    )
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(
        days=_HISTORY_DAYS
    )
    table = synthetic.generate(rows=_HISTORY_ROWS, seed=2, start=begin, months=_HISTORY_DAYS / 30)
    registry = ModelRegistry(home)
    version = registry.resolve(f"{name}@champion")
    scorer = ScoringModel.load(registry.fetch(version.ref))
    with EventStore(home.events_url) as store:
        backfill(store, scorer, version.name, version.version, table)
    write_table(table, kept)


def _night(home: Home, name: str) -> None:
    """Today's run over the synthetic CRM's open leads, a Delta table; nothing if it has been."""
    from leadscore.batch.run import BatchRequest, run_batch
    from leadscore.data import synthetic
    from leadscore.events.store import EventStore
    from leadscore.lake.schemas import TableSchema
    from leadscore.lake.table import LakeTable, table_uri

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    leads = synthetic.generate(
        rows=_NIGHT_ROWS, seed=4, start=today - timedelta(days=_NIGHT_DAYS), months=_NIGHT_DAYS / 30
    )
    table = LakeTable(table_uri(home.lake, "crm_leads"), TableSchema("crm_leads", leads.schema))
    table.write(leads.to_batches(), application="leadscore/up", number=1)
    with EventStore(home.events_url) as store:
        request = BatchRequest(date=today.date(), model=f"{name}@champion", leads=table.uri)
        record = run_batch(request, home, store).record
    notes.print(
        f"Nightly run of {record.claim.date}: {record.scored:,} of {record.leads:,} leads are new or changed",
        highlight=False,
    )


def _check(home: Home, name: str) -> None:
    """Judge the leads of the last whole week, so that the console can say whether they have changed."""
    from leadscore.drift.options import DriftOptions
    from leadscore.drift.report.words import headline
    from leadscore.monitoring.checks import CheckRequest, run_check

    request = CheckRequest(
        model=f"{name}@champion", options=DriftOptions(), span=timedelta(weeks=1), detector="window-1w"
    )
    try:
        said = headline(run_check(request, home)[-1].report)
    except LeadScoreError as error:
        # What can be scored is served all the same.
        said = error.message
    notes.print(f"Drift check of the last week: {said}", highlight=False, markup=False)


def _receiver(home: Home, host: str, port: int) -> str:
    """The secret of the endpoint that leads to the receiver beside us; made if there is none."""
    from leadscore.crm.endpoints import add_endpoint, read_endpoints, read_key, remove_endpoint
    from leadscore.crm.signing import write_secret
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.identity.process import process_caller

    key, url, who = read_key(home, make=True), f"http://{host}:{port}/", process_caller()
    with EventStore(home.events_url) as store:
        with store.reading() as connection:
            found = next((e for e in read_endpoints(connection) if e.name == _ENDPOINT), None)
        if found is not None and (found.url, found.key_mark) == (url, key.mark):
            return write_secret(key.secret(_ENDPOINT, found.generation))
        if found is not None:
            remove_endpoint(store, _ENDPOINT, who, now_us())
        return add_endpoint(store, key, _ENDPOINT, url, who, now_us())[1]


def _start_receiver(started: Companions, host: str, port: int, secret: str, parent: tuple[str, ...]) -> None:
    listens = ("crm", "receiver", "--host", host, "--port", str(port), *parent)
    started.start(Companion("CRM receiver", listens, {"LEADSCORE_WEBHOOK_SECRET": secret}))
    notes.print(
        f"Receiver of webhooks: http://{host}:{port} – changed scores arrive there, signed", highlight=False
    )


def _networks(host: str) -> str:
    """What is listed already, this machine, and the address that we listen on."""
    listed = os.environ.get("LEADSCORE_WEBHOOK_NETWORKS", "")
    return " ".join((listed, "127.0.0.0/8", host if host[:1].isdigit() else ""))


def _synthetic(home: Home) -> tuple[Path, Path]:
    """The embedded synthetic CRM as files, so that people can look at what the model was trained on."""
    from leadscore.contract import dump_contract
    from leadscore.data import synthetic
    from leadscore.data.atomic import replacing
    from leadscore.data.tables import write_table

    table, contract = home.root / _TABLE, home.root / "synthetic-contract.yaml"
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
    known = {key.name: (key.digest, key.scopes) for key in read_keys(home.api_keys)}
    # One of an older release does not open the console.
    if kept.exists() and known.get(_KEY_NAME) == (key_digest(kept.read_bytes()).hex(), _SCOPES):
        return kept.read_text()
    if _KEY_NAME in known:
        revoke_key(home.api_keys, _KEY_NAME)
    secret, _ = create_key(home.api_keys, _KEY_NAME, _SCOPES)
    kept.unlink(missing_ok=True)
    with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    return secret
