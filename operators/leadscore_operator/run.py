"""One operator process: watches, workers, resync, lease and probes side by side, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Final

import kopf
from aiohttp import web

from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.engine.health import Health, Key
from leadscore_operator.engine.lease import Lease
from leadscore_operator.engine.metrics import METRICS_CONTENT_TYPE, OperatorCollector, exposition
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.engine.relations import Relations
from leadscore_operator.engine.resync import Resync
from leadscore_operator.errors import KubeConflictError, KubeError, NotLeaderError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.credentials import load_configuration
from leadscore_operator.kube.resources import DETECTORS, POLICIES, RELEASES, RUNS, Resource
from leadscore_operator.reconcile.base import ReconcileContext
from leadscore_operator.reconcile.detector import reconcile_detector
from leadscore_operator.reconcile.freshness import FreshnessReader
from leadscore_operator.reconcile.outages import Outages
from leadscore_operator.reconcile.policy import reconcile_policy
from leadscore_operator.reconcile.release import reconcile_release
from leadscore_operator.reconcile.run import reconcile_run
from leadscore_operator.registry_view import RegistryView
from leadscore_operator.settings import OperatorOptions
from leadscore_operator.specs.workload import Workload
from leadscore_operator.watch_handlers import build_registry, watch_settings

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 10.0

Reconcile = Callable[[str], Awaitable[datetime | None]]


async def run_operator(options: OperatorOptions) -> None:
    """Run until SIGTERM or SIGINT; then finish what is being written and give the Lease up.

    Raises:
        BadInputError: The workload file, the kubeconfig, the event store's URL or an OIDC setting cannot be
            used.
        RefusedError: Another installation's operator serves this namespace.
    """
    workload = Workload.read(options.workload)
    settings = watch_settings()
    clock, health = Clock(options.clock_offset_file), Health()
    queue: WorkQueue[Key] = WorkQueue()
    store, approvers = _store(options), Approvers.from_environment()
    stop = asyncio.Event()
    _listen(stop)
    async with Kube(await load_configuration(), options.namespace) as kube:
        lease = Lease(
            kube, options.lease, options.identity, clock.now, options.lease_seconds, options.deployment
        )
        guarded = kube.guarded(lease.check)
        applier = Applier(guarded, store, clock, lambda: lease.token, options.identity)
        context = ReconcileContext(guarded, applier, clock, workload)
        parts: dict[Resource, Reconcile] = {
            DETECTORS: partial(reconcile_detector, context, FreshnessReader(store)),
            POLICIES: partial(reconcile_policy, context),
            RUNS: partial(reconcile_run, context),
            RELEASES: partial(reconcile_release, context, store, _registry(options), approvers),
        }
        outages = Outages(context)
        reconciles: dict[str, Reconcile] = {
            resource.plural: partial(outages.told, resource, reconcile)
            for resource, reconcile in parts.items()
        }
        registry = build_registry(queue, Relations(), health)
        endless: list[Coroutine[object, object, None]] = [
            lease.keep(),
            _resync(Resync(kube, queue, health), options.resync_seconds),
            *(_work(queue, reconciles, lease, clock, health) for _ in range(options.workers)),
        ]
        if options.port:
            collector = OperatorCollector(
                health, context.metric_samples, lease.check, lambda: len(queue), options.resync_seconds
            )
            endless.append(_serve(options, health, collector))
        await _until_stopped(stop, _watch(registry, settings, options.namespace, stop), endless, lease)
    if store is not None:
        store.close()


def _store(options: OperatorOptions) -> EventStore | None:
    # A reconcile must not wait for ever.
    url = options.events_url
    return None if url is None else EventStore(url, answer_seconds=_ANSWER_SECONDS)


def _registry(options: OperatorOptions) -> RegistryView | None:
    uri = options.tracking_uri or ""
    return RegistryView(uri) if uri.startswith(("http://", "https://")) else None


async def _watch(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, namespace: str, stop: asyncio.Event
) -> None:
    """Kopf's part, until `stop`; what `kopf.operator` does, with our signal handlers in the end.

    kopf takes SIGTERM for itself and then gives every task in the loop five seconds: ours would go on leading
    meanwhile.
    """
    others = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry, settings=settings, namespaces=[namespace], standalone=True, stop_flag=stop
    )
    _listen(stop)
    await kopf.run_tasks(tasks, ignored=others)


def _listen(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


async def _until_stopped(
    stop: asyncio.Event,
    watching: Coroutine[object, object, None],
    endless: list[Coroutine[object, object, None]],
    lease: Lease,
) -> None:
    """Run everything; the end of any part ends the process, so that nothing is missing in silence."""
    tasks = [asyncio.create_task(part) for part in endless]
    stopper = asyncio.create_task(_wait(stop))
    watcher = asyncio.create_task(watching)
    done, _ = await asyncio.wait([watcher, stopper, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for task in (*tasks, stopper):
        task.cancel()
    await asyncio.gather(*tasks, stopper, return_exceptions=True)
    # Nothing of ours writes any more: a successor need not wait for kopf to close its watches.
    await lease.give_up()
    await asyncio.gather(watcher, return_exceptions=True)
    for task in done - {stopper}:
        task.result()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _work(
    queue: WorkQueue[Key], reconciles: dict[str, Reconcile], lease: Lease, clock: Clock, health: Health
) -> None:
    while True:
        await lease.leading.wait()
        key = await queue.take()
        reconcile = reconciles.get(key[0])
        if reconcile is None:
            queue.done(key)
            continue
        health.started(key)
        outcome = "ok"
        try:
            again = await reconcile(key[1])
            queue.done(key)
            if again is not None:
                # Rounded up: API times have no fractions.
                queue.add_after(key, (again - clock.now()).total_seconds() + 1.0)
        except (KubeConflictError, NotLeaderError) as error:
            outcome = "conflict"
            queue.failed(key)
            _log.info("looked again", extra={"fields": {"key": "/".join(key), "why": str(error)}})
        except LeadScoreError as error:
            outcome = "error"
            wait = error.retry_after_seconds if isinstance(error, KubeError) else None
            delay = queue.failed(key, wait or 0.0)
            fields = {"key": "/".join(key), "error": str(error), "retry_seconds": round(delay, 1)}
            _log.warning("a step failed", extra={"fields": fields})
        except Exception:  # noqa: BLE001
            # A defect in the handling of one object must not end the service of the others.
            outcome = "defect"
            queue.failed(key, 30.0)
            _log.exception("a step failed unexpectedly", extra={"fields": {"key": "/".join(key)}})
        finally:
            health.ended(key, outcome)


async def _resync(resync: Resync, seconds: float) -> None:
    wait = 0.0
    while True:
        await asyncio.sleep(wait)
        try:
            await resync.once()
            wait = seconds
        except LeadScoreError as error:
            wait = min(max(wait, 1.0) * 2, seconds)
            _log.warning("the resync failed", extra={"fields": {"error": str(error)}})


async def _serve(options: OperatorOptions, health: Health, collector: OperatorCollector) -> None:
    async def livez(_: web.Request) -> web.Response:
        liveness_error = health.liveness_error()
        return web.Response(text=liveness_error or "ok", status=500 if liveness_error else 200)

    async def readyz(_: web.Request) -> web.Response:
        ready = health.ready(3 * options.resync_seconds)
        return web.Response(text="ok" if ready else "not read yet", status=200 if ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=exposition(collector), headers={"Content-Type": METRICS_CONTENT_TYPE})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", options.port).start()  # noqa: S104 (the kubelet asks from outside)
    await asyncio.Event().wait()
