"""Everything that a monitor exports, as a real one does after a round of each chore."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from leadscore.alerts.chores import AlertMonitor
from leadscore.crm.chores import CrmMonitor
from leadscore.errors import NotFoundError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.chores import ChoreKeeper
from leadscore.monitoring.lease import StoreLease
from leadscore.monitoring.monitor import RollupChores, keeper_metrics
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.outbox.queue import OutboxMessage, enqueue
from leadscore.settings import Home


def monitor_page(folder: Path) -> bytes:
    """The monitor's page, of a store in a folder."""
    with EventStore(f"sqlite:///{folder / 'events.db'}") as store:
        held, stop = StoreLease(store, "monitor", "test"), threading.Event()
        held.renew()
        rollups = RollupChores(store, VersionCells(_no_facts), held, stop.is_set)
        alerts = AlertMonitor(store, lambda *_: None, {}, check=held.check)
        crm = CrmMonitor(store, Home.from_environment({"LEADSCORE_HOME": str(folder)}), _no_facts, {})
        keeper = ChoreKeeper(held, (*rollups.chores, *alerts.chores, *crm.chores), stop)
        with store.writing() as connection:
            enqueue(connection, [OutboxMessage("m", "slack", "s", "{}")], now_us())
        for chore in keeper.chores:
            chore.run()
        alerts.finish()
        crm.finish()
        keeper._lease_state.good_at = time.time()

        class Page(Collector):
            def collect(self) -> Any:
                yield from keeper_metrics(keeper)
                yield from rollups.metrics()
                yield from alerts.metrics()
                yield from crm.metrics()

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Page())
        return generate_latest(registry)


def _no_facts(name: str, version: str) -> Any:
    raise NotFoundError(f"There is no {name}/{version} here.")
