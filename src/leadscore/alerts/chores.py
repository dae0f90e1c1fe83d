"""Alerts as chores of the monitor: look at the numbers, deliver what waits, forget what is old."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from leadscore.alerts.channels import ALERTMANAGER_TOKEN, ChannelSecrets, senders
from leadscore.alerts.episodes import Audience, evaluate_round, read_open
from leadscore.alerts.evaluate import RuleStatus
from leadscore.alerts.measures import (
    MeasureReader,
    MonitorReader,
    NightReader,
    PrometheusReader,
    RollupReader,
    read_all,
)
from leadscore.alerts.messages import AlertLinks
from leadscore.alerts.rules import AlertRules, default_rules, load_rules, rules_path
from leadscore.alerts.scrape import ScrapeReader
from leadscore.alerts.webhook import AlertmanagerReceiver
from leadscore.crm.status import is_crm_channel, longest_wait
from leadscore.crm.targets import targets_fault, targets_path
from leadscore.errors import LeadScoreError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.chores import Chore
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.queue import OutboxMessage, backlogs, due_channels, prune
from leadscore.outbox.worker import ChannelPool, deliver_due

_log = logging.getLogger(__name__)
EVALUATE_SECONDS: Final = 30.0
DELIVER_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 3_600.0
_CHANNELS_AT_ONCE: Final = 8


class _NotSetUp:
    """Stands for a channel whose secret is gone: its messages wait, and then become dead letters."""

    pace_seconds = 0.0

    def send(self, message: OutboxMessage) -> SendResult:
        """Say so."""
        del message
        return SendResult("failed", "the channel is not set up")


class AlertMonitor:
    """Evaluates rules, delivers messages, takes what Alertmanager says.

    Args:
        store: Where alerts and the outbox are.
        facts: What a version's artefact says; None if it cannot be had.
        environ: Where rules, channels and sources are named.
        check: Raises within a transaction that writes if this process may not act any more.
        now: Microseconds since the epoch.
    """

    def __init__(
        self,
        store: EventStore,
        facts: Callable[[str, str], ModelFacts | None],
        environ: Mapping[str, str] = os.environ,
        *,
        check: Callable[[sa.Connection], object] = lambda _: None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._store = store
        self._check = check
        self._now = now
        self._environ = environ
        self._secrets = ChannelSecrets.from_environment(environ)
        self._links = AlertLinks.from_environment(environ)
        self._rules = default_rules()
        self._broken = ""
        self._failing: Mapping[str, str] = {}
        self._statuses: tuple[RuleStatus, ...] = ()
        self._readers = self._all_readers(facts)
        self._pool = ChannelPool(_CHANNELS_AT_ONCE)
        self.receiver = AlertmanagerReceiver(
            store, self._audience_now, lambda: self._secrets.get(ALERTMANAGER_TOKEN), now
        )

    @property
    def chores(self) -> tuple[Chore, ...]:
        """What the monitor does for alerts."""
        return (
            Chore("alerts", self.evaluate, EVALUATE_SECONDS),
            Chore("deliver", self.deliver, DELIVER_SECONDS),
            Chore("outbox-pruning", self.prune, PRUNE_SECONDS),
        )

    def audience(self) -> Audience:
        """Whom to tell, with the rules and channels as they are now."""
        return Audience(self._rules, frozenset(senders(self._secrets)), self._links)

    def _audience_now(self) -> Audience:
        """The same of one that does not evaluate, because another monitor leads: it reads the rules here."""
        self._rules = self._reloaded()
        return self.audience()

    def evaluate(self) -> None:
        """One round: rules as they are now, every source, one transaction.

        Raises:
            StoreUnavailableError: Nothing was decided.
        """
        self._rules = self._reloaded()
        now = self._now()
        measured, elsewhere, failing = read_all(self._readers, self._rules.rules, now)
        self._failing = failing
        with self._store.writing() as connection:
            self._check(connection)
            self._statuses = evaluate_round(connection, self.audience(), measured, elsewhere, now)

    def deliver(self) -> None:
        """Begin to send what is due, each channel by itself: a slow one holds up no other.

        Raises:
            LeadScoreError: The outbox cannot be used.
        """
        with self._store.reading() as connection:
            due = [c for c in due_channels(connection, self._now()) if not is_crm_channel(c)]
        known = senders(self._secrets) if due else {}
        for channel in due:
            sender = known.get(channel) or _NotSetUp()
            self._pool.run(channel, partial(deliver_due, self._store, channel, sender, now=self._now))
        self._pool.collect()

    def finish(self) -> None:
        """Wait for what is being sent just now."""
        self._pool.close()

    def prune(self) -> None:
        """Forget what was delivered a month ago."""
        with self._store.writing() as connection:
            prune(connection, self._now())

    def metrics(self) -> Iterable[Metric]:
        """What Prometheus is told; without the store only what this process knows by itself."""
        yield _gauge(
            "leadscore_alert_rules_broken", "The rules file cannot be read.", float(bool(self._broken))
        )
        failing = GaugeMetricFamily(
            "leadscore_alert_source_failing", "A source cannot be read.", labels=["source"]
        )
        for source, why in sorted(self._failing.items()):
            failing.add_metric([source], float(bool(why)))
        yield failing
        firing = GaugeMetricFamily(
            "leadscore_alert_firing", "Whether the monitor finds a rule firing.", labels=["rule"]
        )
        for status in self._statuses:
            if status.state in {"firing", "ok", "pending"}:
                firing.add_metric([status.rule], float(status.state == "firing"))
        yield firing
        try:
            yield from self._stored()
        except LeadScoreError as error:
            _log.info("no metrics of the outbox", extra={"fields": {"error": error.message}})

    def _stored(self) -> Iterable[Metric]:
        now = self._now()
        with self._store.reading() as connection:
            channels, episodes = backlogs(connection), read_open(connection)
        names = {
            "waiting": "Messages that wait.",
            "oldest_seconds": "Age of the oldest message that waits.",
            "undelivered": "Messages that were given up, or wait too long (a table's 36 h, others 15 min).",
            "uncertain": "Attempts whose end nobody knows, and that were repeated.",
        }
        made = {
            n: GaugeMetricFamily(f"leadscore_outbox_{n}", text, labels=["channel"])
            for n, text in names.items()
        }
        for each in channels:
            age = 0.0 if each.oldest_at is None else (now - each.oldest_at) / 1e6
            stuck = each.waiting if age * 1e6 > longest_wait(each.channel) else 0
            values = (each.waiting, age, each.dead + stuck, each.uncertain)
            for family, value in zip(made.values(), values, strict=True):
                family.add_metric([each.channel], value)
        yield from made.values()
        labels = ["severity", "state"]
        family = GaugeMetricFamily("leadscore_alert_episodes", "Alerts that are not over.", labels=labels)
        for severity in ("info", "warning", "critical"):
            for state in ("pending", "firing", "unknown"):
                count = sum(e.severity == severity and e.state == state for e in episodes)
                family.add_metric([severity, state], count)
        yield family

    def _reloaded(self) -> AlertRules:
        try:
            rules = load_rules(rules_path(self._environ))
        except LeadScoreError as error:
            if error.message != self._broken:
                _log.error("alert rules not reloaded", extra={"fields": {"error": error.message}})
            self._broken = error.message
            return self._rules
        self._broken = ""
        return rules

    def _all_readers(self, facts: Callable[[str, str], ModelFacts | None]) -> tuple[MeasureReader, ...]:
        environ = self._environ
        readers: list[MeasureReader] = [
            RollupReader(self._store, facts),
            MonitorReader(
                self._store,
                lambda: self._broken,
                lambda: self._failing,
                lambda: targets_fault(targets_path(self._environ)),
            ),
            NightReader(self._store, environ),
        ]
        prometheus = environ.get("LEADSCORE_PROMETHEUS_URL")
        if prometheus:
            names = {
                "MATCHER": environ.get("LEADSCORE_PROMETHEUS_MATCHER", ""),
                "NAMESPACE": environ.get("LEADSCORE_NAMESPACE", ""),
                "NAME": environ.get("LEADSCORE_NAME", ""),
            }
            readers.append(PrometheusReader(prometheus, names))
        urls = environ.get("LEADSCORE_METRICS_URLS", "").replace(",", " ").split()
        if urls:
            readers.append(ScrapeReader(urls, environ.get("LEADSCORE_METRICS_KEY", "")))
        return tuple(readers)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
