"""Carries out a plan, in an order that a crash at any point leaves harmless."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from leadscore.durations import format_time
from leadscore.errors import ConflictError
from leadscore.events.records import Evidence
from leadscore_operator.engine.clock import Clock
from leadscore_operator.errors import AlreadyExistsError, KubeError, KubeRefusedError, NameTakenError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import EVENTS, MANAGER, OWNER_LABEL, Manifest, Resource
from leadscore_operator.plan import Apply, Change, Create, DecisionRecord, Event, Patch, Plan
from leadscore_operator.specs.names import digest

_log = logging.getLogger(__name__)


class EvidenceStore(Protocol):
    """Where decisions are recorded (`EventStore`)."""

    def record(self, item: Evidence) -> bool:
        """Store a record; ConflictError if its id is known with other content."""
        ...


class Applier:
    """Does what plans ask.

    Records come first, because nothing may be done that is not on record; then children, then events, and the
    status last: while it has not changed, the next reconcile repeats the same steps.

    Args:
        kube: Guarded by the Lease.
        store: For records; None records none.
        clock: For times that people read.
        token: The present fencing token.
        identity: Of this process.
    """

    def __init__(
        self,
        kube: Kube,
        store: EvidenceStore | None,
        clock: Clock,
        token: Callable[[], int],
        identity: str,
    ) -> None:
        self._kube = kube
        self._store = store
        self._clock = clock
        self._token = token
        self._identity = identity

    async def apply(self, resource: Resource, item: Manifest, plan: Plan) -> None:
        """Carry out a plan for an object.

        Raises:
            LeadScoreError: Some step failed; what came after it was not done.
        """
        news = plan.status is not None and plan.status != item.get("status", {})
        if news:
            for record in plan.records:
                await self._record(record)
        for change in plan.changes:
            await self.change(change)
        if news:
            for event in plan.events:
                await self._tell(resource, item, event)
            await self._kube.put_status(resource, {**item, "status": plan.status})

    async def _record(self, record: DecisionRecord) -> None:
        if self._store is None:
            return
        self._kube.may_write()
        document = {**record.document, "by": self._identity, "fencingToken": self._token()}
        evidence = Evidence(
            evidence_id=record.id,
            kind=record.kind,
            subject=record.subject,
            at=time.time_ns() // 1000,
            document=msgspec.json.encode(document).decode(),
        )
        try:
            await asyncio.to_thread(self._store.record, evidence)
        except ConflictError:
            # Recorded before, by us or by a process that ended after it: that record stands.
            _log.debug("recorded before", extra={"fields": {"evidence": record.id}})

    async def change(self, change: Change) -> None:
        """Carry out one change; LeadScoreError if it failed."""
        if isinstance(change, Create):
            await self._create(change)
        elif isinstance(change, Apply):
            await self._kube.apply(change.resource, change.body)
        elif isinstance(change, Patch):
            await self._kube.patch(change.resource, change.name, change.patch)
        else:
            await self._kube.delete(change.resource, change.name, change.uid)

    async def _create(self, change: Create) -> None:
        name = change.body["metadata"]["name"]
        try:
            await self._kube.create(change.resource, change.body)
        except AlreadyExistsError:
            found = await self._kube.get(change.resource, name)
            if found is None:
                raise KubeError(f"{change.resource.kind} {name} is being deleted.") from None
            owner = found["metadata"].get("labels", {}).get(OWNER_LABEL)
            if change.owner and owner != change.owner:
                raise NameTakenError(
                    f"{change.resource.kind} {name} exists and is not ours.", hint="Rename or delete it."
                ) from None

    async def _tell(self, resource: Resource, item: Manifest, event: Event) -> None:
        """Write an event once. An event that cannot be written is logged: it explains, it decides nothing."""
        meta = item["metadata"]
        name = f"{meta['name']}.{digest(meta['uid'], event.reason, event.about, length=16)}"
        moment = format_time(self._clock.now())
        body: Manifest = {
            "metadata": {"name": name},
            "involvedObject": {
                "apiVersion": resource.api,
                "kind": resource.kind,
                "name": meta["name"],
                "namespace": self._kube.namespace,
                "uid": meta["uid"],
                "resourceVersion": meta["resourceVersion"],
            },
            "reason": event.reason,
            "message": event.message[:1000],
            "type": event.type,
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": MANAGER},
            "reportingComponent": "leadscore.dev/operator",
            "reportingInstance": self._identity[:128],
        }
        fields = {"kind": resource.kind, "name": meta["name"], "reason": event.reason}
        _log.info(event.message, extra={"fields": fields})
        try:
            await self._kube.create(EVENTS, body)
        except AlreadyExistsError:
            return
        except (KubeError, KubeRefusedError) as error:
            _log.warning("an event was not written", extra={"fields": {**fields, "error": str(error)}})
