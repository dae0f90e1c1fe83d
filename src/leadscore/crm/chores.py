"""Write-back as chores of the monitor: choose what has changed, deliver what waits."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from leadscore.crm.choose import ModelSource, choose_scores
from leadscore.crm.endpoints import WebhookEndpoint, read_endpoints, read_key
from leadscore.crm.outcome_webhook import OutcomeReceiver
from leadscore.crm.sync import read_subscribers
from leadscore.crm.tables import CRM_REVISION
from leadscore.crm.targets import CRM_CHANNEL, CrmTargets, load_targets, targets_path
from leadscore.crm.vendors.chores import PULL_SECONDS, VendorChores
from leadscore.crm.vendors.delivery import deliver_batches
from leadscore.crm.webhook import WEBHOOK_PAGE, WEBHOOKS_AT_ONCE, EndpointGuard, WebhookSender
from leadscore.crm.webhook_http import allowed_networks, webhook_connections
from leadscore.errors import LeadScoreError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.chores import Chore
from leadscore.outbox.queue import due_channels
from leadscore.outbox.worker import ChannelPool, DeliveryRound, deliver_due
from leadscore.settings import Home

_log = logging.getLogger(__name__)
CHOOSE_SECONDS: Final = 5.0
CRM_DELIVER_SECONDS: Final = 1.0
_CHANNELS_AT_ONCE: Final = 8
_MESSAGES: Final = 1_000


class CrmMonitor:
    """Tells targets of changed scores.

    Args:
        store: Where scores, outbox and endpoints are.
        home: Where the embedded key of webhook secrets is.
        models: Opens a model by name and version, for the reasons.
        environ: Where targets, key and networks are named.
        check: Raises within a transaction that writes if this process may not act any more.
        now: Microseconds since the epoch.

    Raises:
        BadInputError: `LEADSCORE_WEBHOOK_NETWORKS` lists what is no network.
    """

    def __init__(
        self,
        store: EventStore,
        home: Home,
        models: ModelSource,
        environ: Mapping[str, str] = os.environ,
        *,
        check: Callable[[sa.Connection], object] = lambda _: None,
        now: Callable[[], int] = now_us,
    ) -> None:
        # Or nothing would be sent, and only the log would say why.
        self._allowed = allowed_networks(environ)
        self._store = store
        self._home = home
        self._models = models
        self._environ = environ
        self._check = check
        self._now = now
        self._targets = CrmTargets()
        self._broken = ""
        self._failing: dict[str, str] = {}
        self._stopped: dict[str, bool] = {}
        self._pool = ChannelPool(_CHANNELS_AT_ONCE)
        self._vendors = VendorChores(store, lambda: self._targets, now)
        self.receiver = OutcomeReceiver(store, environ, now)

    @property
    def chores(self) -> tuple[Chore, ...]:
        """What the monitor does for CRMs."""
        return (
            Chore("crm-choose", self.choose, CHOOSE_SECONDS),
            Chore("crm-deliver", self.deliver, CRM_DELIVER_SECONDS),
            Chore("crm-outcomes", self._vendors.pull, PULL_SECONDS),
        )

    def choose(self) -> None:
        """Put what has changed into the outbox, for each target by itself: one that fails holds up no other.

        Raises:
            LeadScoreError: Of the first target that failed.
        """
        self._store.require_revision(CRM_REVISION)
        self._targets = self._reloaded()
        with self._store.reading() as connection:
            endpoints = read_endpoints(connection)
            subscribers = read_subscribers(connection, self._targets)
        self._stopped = {e.name: e.state != "on" for e in endpoints} | {
            target.name: False for target in self._targets.targets
        }
        failed: dict[str, LeadScoreError] = {}
        for subscriber in subscribers:
            try:
                choose_scores(self._store, subscriber, self._models, self._now, check=self._check)
            except LeadScoreError as error:
                failed[subscriber.name] = error
        self._failing = {name: error.message for name, error in failed.items()}
        for error in failed.values():
            raise error

    def deliver(self) -> None:
        """Begin to send what is due, each target by itself.

        Raises:
            LeadScoreError: The outbox cannot be used.
        """
        with self._store.reading() as connection:
            due = [c for c in due_channels(connection, self._now()) if c.startswith(CRM_CHANNEL)]
            endpoints = {e.channel: e for e in read_endpoints(connection)} if due else {}
        for channel in due:
            endpoint = endpoints.get(channel)
            # What waits for a target that is switched off, or not in the file any more, goes on waiting.
            if endpoint is not None and endpoint.state == "on":
                self._pool.run(channel, partial(self._post, endpoint))
            link = None if endpoint is not None else self._vendors.link(channel.removeprefix(CRM_CHANNEL))
            if link is not None:
                self._pool.run(channel, partial(deliver_batches, self._store, channel, link, now=self._now))
        self._pool.collect()

    def finish(self) -> None:
        """Wait for what is being sent just now."""
        self._pool.close()

    def metrics(self) -> Iterable[Metric]:
        """What Prometheus is told; backlogs are among the outbox's metrics."""
        yield GaugeMetricFamily(
            "leadscore_crm_targets_broken",
            "The file of CRM targets cannot be read.",
            float(bool(self._broken)),
        )
        stopped = GaugeMetricFamily(
            "leadscore_crm_target_stopped", "A target is disabled.", labels=["target"]
        )
        failing = GaugeMetricFamily(
            "leadscore_crm_target_failing",
            "Changed scores of a target cannot be chosen, or its outcomes cannot be read.",
            labels=["target"],
        )
        for name, off in sorted(self._stopped.items()):
            stopped.add_metric([name], float(off))
            failing.add_metric([name], float(name in self._failing or name in self._vendors.failing))
        yield stopped
        yield failing

    def _post(self, endpoint: WebhookEndpoint) -> DeliveryRound:
        key = read_key(self._home, self._environ)
        with webhook_connections(self._allowed, kept=WEBHOOKS_AT_ONCE) as connections:
            return deliver_due(
                self._store,
                endpoint.channel,
                WebhookSender(endpoint, key, connections, self._now),
                now=self._now,
                guard=EndpointGuard(endpoint),
                most=_MESSAGES,
                page=WEBHOOK_PAGE,
                at_once=WEBHOOKS_AT_ONCE,
            )

    def _reloaded(self) -> CrmTargets:
        """The file as it is now; while it is broken, as it was."""
        try:
            found = load_targets(targets_path(self._environ))
        except LeadScoreError as error:
            if error.message != self._broken:
                _log.error("CRM targets not reloaded", extra={"fields": {"error": error.message}})
            self._broken = error.message
            return self._targets
        self._broken = ""
        return found
