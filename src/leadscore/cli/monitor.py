"""`leadscore monitor`: what watches the log of predictions and outcomes, as one process."""

from __future__ import annotations

from typing import Annotated

import typer

from leadscore.cli.options import EventsUrl
from leadscore.settings import Home

_MEASURES_SECONDS = 15.0


def monitor(
    events_url: EventsUrl = None,
    host: Annotated[str, typer.Option(help="Address for metrics, probes and webhooks.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port.")] = 9464,
    lease: Annotated[
        str, typer.Option(help="After how long a silent monitor is replaced by another: 15s.")
    ] = "15s",
    parent: Annotated[int | None, typer.Option("--exit-with-parent", hidden=True)] = None,
) -> None:
    """Keep roll-ups up to date, evaluate alerts and deliver messages until Ctrl-C; of several one works."""
    import logging
    import sys
    import threading

    from leadscore.alerts.chores import AlertMonitor
    from leadscore.crm.chores import CrmMonitor
    from leadscore.durations import parse_duration
    from leadscore.events.store import EventStore
    from leadscore.investigation.models import ModelShelf
    from leadscore.logs import JsonLines
    from leadscore.monitoring import monitor as process
    from leadscore.monitoring.chores import Chore, ChoreKeeper
    from leadscore.monitoring.exporter import ModelMetricsExporter
    from leadscore.monitoring.lease import StoreLease
    from leadscore.monitoring.model_facts import find_model_facts
    from leadscore.monitoring.rollups.cells import VersionCells
    from leadscore.registry.store import ModelRegistry

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It writes whole URLs, and channels have their secrets in them.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    home = Home.from_environment()
    registry, stopping = ModelRegistry(home, with_mlflow=False), threading.Event()
    options = process.MonitorOptions(host, port, parse_duration(lease).total_seconds(), parent=parent)
    with EventStore(events_url or home.events_url, answer_seconds=60.0) as store:
        held = StoreLease(
            store, process.MONITOR_LEASE, process.monitor_identity(), seconds=options.lease_seconds
        )
        cells = VersionCells(lambda name, version: find_model_facts(registry, name, version))
        rollups = process.RollupChores(store, cells, held, stopping.is_set)
        # What else is done by one process only: add its chores, metrics and receivers here.
        alerts = AlertMonitor(store, cells.facts, check=held.check)
        # What alerts do not compare, metrics do not either.
        exporter = ModelMetricsExporter(
            store, cells.facts, without=lambda: alerts.audience().rules.clock_parts
        )
        measures = Chore("measures", exporter.refresh, _MEASURES_SECONDS)
        crm = CrmMonitor(store, home, ModelShelf(registry, backend="auto").open, check=held.check)
        keeper = ChoreKeeper(held, (*rollups.chores, measures, *alerts.chores, *crm.chores), stopping)
        sources = (rollups.metrics, exporter.metrics, alerts.metrics, crm.metrics)
        try:
            posts = {"/alertmanager": alerts.receiver, "/crm/outcomes": crm.receiver}
            process.run_monitor(options, keeper, sources=sources, posts=posts)
        finally:
            alerts.finish()
            crm.finish()
