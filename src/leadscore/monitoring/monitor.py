"""The monitor: one process that keeps roll-ups, and whatever else is given to it, up to date."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.chores import Chore, ChoreKeeper
from leadscore.monitoring.endpoint import (
    EndpointServer,
    MetricsSource,
    MonitorEndpoint,
    MonitorHealth,
    Receiver,
)
from leadscore.monitoring.lease import StoreLease
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.progress import RollupProgress, read_rollup_progress
from leadscore.monitoring.rollups.worker import RollupWorker

_log = logging.getLogger(__name__)

# Of the lease: who holds it does what only one may do.
MONITOR_LEASE: Final = "monitor"
_ROLLUP_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 60.0
_PARENT_SECONDS: Final = 1.0


class RollupChores:
    """The roll-ups' part of the monitor.

    Args:
        store: Where everything is.
        cells: What is known of versions.
        lease: Who holds it writes.
        stopping: Whether the process is to end.
    """

    def __init__(
        self, store: EventStore, cells: VersionCells, lease: StoreLease, stopping: Callable[[], bool]
    ) -> None:
        self._store = store
        self._cells = cells
        self._worker = RollupWorker(store, cells, fence=lease.check, stopping=stopping)
        self._progress: RollupProgress | None = None
        self._counted = 0

    @property
    def chores(self) -> tuple[Chore, ...]:
        """What is to be done."""
        return (
            Chore("rollups", self._roll_up, _ROLLUP_SECONDS),
            Chore("profiles", self._worker.retry_unprofiled, _RETRY_SECONDS),
        )

    def _roll_up(self) -> None:
        done = self._worker.run()
        self._counted += done.predictions
        with self._store.reading() as connection:
            self._progress = read_rollup_progress(connection)

    def metrics(self) -> Iterable[Metric]:
        """How far the roll-ups are, as of the last round; nothing before the first."""
        counted = CounterMetricFamily(
            "leadscore_rollup_predictions", "Predictions that were counted, again and again included."
        )
        counted.add_metric((), self._counted)
        yield counted
        progress = self._progress
        if progress is None:
            return
        yield GaugeMetricFamily(
            "leadscore_rollup_dirty_hours", "Hours that are to be counted again.", value=progress.dirty
        )
        unknown = GaugeMetricFamily(
            "leadscore_rollup_profile_unknown",
            "1 for a version whose features are not counted because its profile cannot be had.",
            labels=("model_name", "model_version"),
        )
        for version in self._cells.unknown:
            unknown.add_metric(version, 1)
        yield unknown
        if progress.caught_up:
            yield GaugeMetricFamily(
                "leadscore_rollup_lag_seconds",
                "Age of the moment until which everything that is stored is counted.",
                value=max(0.0, (now_us() - progress.caught_up) / 1e6),
            )


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """How the process runs.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0: any.
        lease_seconds: After which a silent monitor is replaced.
        identity: Name in the lease; unique.
        parent: Process that started this one, and without which it ends; None: it stays.
    """

    host: str
    port: int
    lease_seconds: float
    identity: str = ""
    parent: int | None = None


def run_monitor(
    options: MonitorOptions,
    keeper: ChoreKeeper,
    *,
    sources: Sequence[MetricsSource],
    posts: Mapping[str, Receiver],
) -> None:
    """Do the chores until SIGTERM, SIGINT or the parent's end; then finish, and give the lease up.

    Args:
        options: How.
        keeper: Its chores and lease.
        sources: Metrics of the chores; shown by the process that leads only.
        posts: Who takes what is sent.

    Raises:
        UnavailableError: The address is taken.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        keeper.stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)

    def end_with(parent: int) -> None:
        while os.getppid() == parent and not keeper.stopping.wait(_PARENT_SECONDS):
            pass
        keeper.stopping.set()

    if options.parent is not None:
        threading.Thread(target=end_with, args=(options.parent,), daemon=True).start()

    def leading_only() -> Iterator[Metric]:
        yield from keeper_metrics(keeper)
        if keeper.lease.leading:
            for source in sources:
                yield from source()

    endpoint = MonitorEndpoint(lambda: health_of(keeper), (leading_only,), posts)
    server = EndpointServer(options.host, options.port, endpoint)
    _log.info("monitor started", extra={"fields": {"host": options.host, "port": server.port}})
    try:
        keeper.start()
        keeper.keep_lease()
    finally:
        server.close()
    _log.info("monitor stopped")


def monitor_identity() -> str:
    """A name that no other process has."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"


def health_of(keeper: ChoreKeeper) -> MonitorHealth:
    """What a probe is told. Does not ask the store: it says what the last renewal of the lease saw."""
    leading = keeper.lease.leading
    if not keeper.alive:
        return MonitorHealth(status="stopped", reason="A thread has ended.", leading=leading)
    if keeper.silence:
        return MonitorHealth(status="unknown", reason=keeper.silence, leading=leading)
    if not leading:
        return MonitorHealth(status="standby", reason="Another monitor is at work.")
    failing = [f"{state.name}: {state.error}" for state in keeper.states if state.failing]
    if failing:
        return MonitorHealth(status="behind", reason="; ".join(failing), leading=True)
    return MonitorHealth(status="ok", leading=True)


def keeper_metrics(keeper: ChoreKeeper) -> Iterator[Metric]:
    """Who leads, and how each chore does."""
    leading = keeper.lease.leading
    yield GaugeMetricFamily(
        "leadscore_monitor_leading", "1 for the monitor that holds the lease.", value=float(leading)
    )
    rounds = CounterMetricFamily(
        "leadscore_monitor_chore_rounds", "Rounds of the monitor's chores.", labels=("chore", "result")
    )
    ages = GaugeMetricFamily(
        "leadscore_monitor_chore_age_seconds",
        "Since the chore's last good round; absent before the first, and where another monitor leads.",
        labels=("chore",),
    )
    now = time.time()
    for state in keeper.states:
        rounds.add_metric((state.name, "good"), state.rounds)
        rounds.add_metric((state.name, "failed"), state.failures)
        if state.good_at is not None and leading:
            ages.add_metric((state.name,), max(0.0, now - state.good_at))
    yield rounds
    yield ages
