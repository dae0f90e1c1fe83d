"""kopf lists and watches, reconnects, and tells which object has changed. It patches nothing.

Only `on.event` handlers are used: kopf then keeps no annotations, progress or finalizers on objects, so that
they can be deleted when the operator is gone, and its consistency window (kopf #1178) does not matter,
because what is decided is decided from a fresh read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import kopf

from leadscore_operator.engine.health import Health, Key
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.engine.relations import Relations
from leadscore_operator.kube.credentials import log_in_to_watch
from leadscore_operator.kube.resources import (
    DETECTORS,
    JOBS,
    MANAGED_LABEL,
    MANAGER,
    POLICIES,
    RELEASES,
    RUNS,
    Manifest,
    Resource,
)

WATCHED: Final = (DETECTORS, POLICIES, RUNS, RELEASES, JOBS)


def watch_settings() -> kopf.OperatorSettings:
    """Kopf's settings: every wait has an end, nothing is written, no peering (the Lease names the leader)."""
    settings = kopf.OperatorSettings()
    # The server ends a watch after this, the client a little later if the server forgets to;
    # a stream without even a bookmark for the inactivity timeout is taken for dead and
    # opened again, from a new list if need be.
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 270
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 90
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["batch", "v1", "jobs"] = f"{MANAGED_LABEL}={MANAGER}"
    settings.networking.request_timeout = 20
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5)
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = 10
    return settings


def build_registry(queue: WorkQueue[Key], relations: Relations, health: Health) -> kopf.OperatorRegistry:
    """Handlers that turn each event into keys of the queue."""
    registry = kopf.OperatorRegistry()

    def login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
        return log_in_to_watch(settings)

    kopf.on.login(registry=registry)(login)
    for resource in WATCHED:
        group, _, version = resource.api.rpartition("/")
        handler = _handler(resource, queue, relations, health)
        kopf.on.event(group, version, resource.plural, id=resource.plural, registry=registry)(handler)
    return registry


def _handler(
    resource: Resource, queue: WorkQueue[Key], relations: Relations, health: Health
) -> Callable[..., None]:
    def handle(event: dict[str, Any], **_: Any) -> None:
        item = cast("Manifest", event["object"])
        deleted = event["type"] == "DELETED"
        meta = item["metadata"]
        health.event((resource.plural, meta["name"]), str(meta["resourceVersion"]), deleted=deleted)
        for key in relations.concerned(resource.plural, item, deleted=deleted):
            queue.add(key)

    return handle
