"""One leader: a coordination.k8s.io Lease, held by renewing it, lost by the monotonic clock.

The calendar's clock may be set, so it does not decide.

As client-go's leader election does it: a lease counts as expired when *we* have seen no renewal for its
duration, so that no two machines need agree on the time. The number of transitions is the fencing token: it
only grows, and everything that a leader records carries it.

A namespace has one Lease, and it belongs to one installation: to that of the Deployment which it names.
Operators of the same Deployment follow each other in it. An operator of another one refuses to run beside it,
also while nobody holds the Lease: both would decide about the same objects and record it in two event stores.
Once that Deployment is gone (`helm uninstall`), the Lease may be taken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadscore.errors import LeadScoreError, RefusedError
from leadscore_operator.errors import AlreadyExistsError, KubeConflictError, NotLeaderError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import DEPLOYMENTS, LEASES, Manifest

_log = logging.getLogger(__name__)

DURATION: Final = 15.0
# We stop writing this long before others may take the Lease.
MARGIN: Final = 4.0
RENEW: Final = 3.0
# Annotation: the Deployment of the installation that the Lease belongs to.
DEPLOYMENT: Final = "leadscore.dev/deployment"


@dataclass(slots=True)
class _Seen:
    version: str
    at: float


class Lease:
    """Takes, keeps and gives up the Lease.

    Args:
        kube: Not guarded by this lease.
        name: Of the Lease.
        identity: Ours; unique among processes.
        now: For the times that people read.
        duration: Seconds after which an unrenewed Lease may be taken.
        deployment: Deployment that runs this operator; empty for one that nobody installed, which
            yields to every Lease that names one.
    """

    def __init__(
        self,
        kube: Kube,
        name: str,
        identity: str,
        now: Callable[[], datetime],
        duration: float = DURATION,
        deployment: str = "",
    ) -> None:
        self._kube = kube
        self._name = name
        self._identity = identity
        self._now = now
        self._duration = duration
        self._deployment = deployment
        self._seen: _Seen | None = None
        self._renewed: float | None = None
        self.token = 0
        self.leading = asyncio.Event()

    def check(self) -> None:
        """Raise NotLeaderError unless we hold the Lease and nobody can have taken it yet."""
        margin = min(MARGIN, self._duration / 4)
        if self._renewed is None or time.monotonic() - self._renewed > self._duration - margin:
            self.leading.clear()
            raise NotLeaderError(f"The Lease {self._name} is not ours.", hint="Another operator leads.")

    async def keep(self) -> None:
        """Try for ever to hold the Lease.

        Raises:
            RefusedError: It belongs to another installation in this namespace.
        """
        while True:
            try:
                await self._try()
            except RefusedError:
                self._renewed = None
                self.leading.clear()
                raise
            except (AlreadyExistsError, KubeConflictError):
                _log.info("somebody else wrote the Lease first")
            except LeadScoreError as error:
                _log.warning("the Lease cannot be renewed", extra={"fields": {"error": str(error)}})
            await asyncio.sleep(min(RENEW, self._duration / 5))

    async def give_up(self) -> None:
        """Let a successor start at once instead of after the duration."""
        if self._renewed is None:
            return
        self._renewed = None
        self.leading.clear()
        try:
            lease = await self._kube.get(LEASES, self._name)
            if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                await self._kube.put(LEASES, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except LeadScoreError as error:
            _log.info("the Lease was not given up", extra={"fields": {"error": str(error)}})

    async def _try(self) -> None:
        # The Lease counts from before the request, since the answer may be late.
        asked = time.monotonic()
        lease = await self._kube.get(LEASES, self._name)
        if lease is None:
            body: Manifest = {"metadata": self._owned({"name": self._name}), "spec": self._spec(None)}
            self._won(await self._kube.create(LEASES, body), asked)
            return
        await self._refuse_beside(lease)
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, asked)
        spec: Manifest = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        duration = float(spec.get("leaseDurationSeconds") or self._duration)
        if holder not in {"", self._identity} and asked - self._seen.at < duration:
            return
        body = {**lease, "metadata": self._owned(lease["metadata"]), "spec": self._spec(spec)}
        written = await self._kube.put(LEASES, body)
        self._won(written, asked)

    async def _refuse_beside(self, lease: Manifest) -> None:
        owner = lease["metadata"].get("annotations", {}).get(DEPLOYMENT, "")
        if owner in {"", self._deployment} or await self._kube.get(DEPLOYMENTS, owner) is None:
            return
        raise RefusedError(
            f"The operator of Deployment {owner} serves this namespace, and a namespace has one: two would "
            "decide about the same objects, each with its own event store.",
            hint=(
                "Set operator.enabled=false in one of the two releases, or install one of "
                "them into another namespace."
            ),
        )

    def _owned(self, metadata: Manifest) -> Manifest:
        if not self._deployment:
            return metadata
        return {**metadata, "annotations": {**metadata.get("annotations", {}), DEPLOYMENT: self._deployment}}

    def _won(self, lease: Manifest, asked: float) -> None:
        self._renewed = asked
        self._seen = _Seen(str(lease["metadata"]["resourceVersion"]), asked)
        self.token = int(lease["spec"].get("leaseTransitions") or 0)
        if not self.leading.is_set():
            _log.info("leading", extra={"fields": {"identity": self._identity, "token": self.token}})
            self.leading.set()

    def _spec(self, old: Manifest | None) -> Manifest:
        moment = self._now().strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        known = old or {}
        ours = known.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": known.get("acquireTime", moment) if ours else moment,
            "renewTime": moment,
            "leaseTransitions": int(known.get("leaseTransitions") or 0) + (0 if ours or old is None else 1),
        }
