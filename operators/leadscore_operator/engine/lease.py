"""One leader: a coordination.k8s.io Lease, held by renewing it, lost by the monotonic clock and not by the calendar.

As client-go's leader election does it: a lease counts as expired when *we* have seen no renewal for its duration, so
that no two machines need agree on the time. The number of transitions is the fencing token: it only grows, and
everything that a leader records carries it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadscore.errors import LeadScoreError
from leadscore_operator.errors import AlreadyExistsError, KubeConflictError, NotLeaderError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import LEASES, Manifest

_log = logging.getLogger(__name__)

DURATION: Final = 15.0
# We stop writing this much before others may think that we are gone.
MARGIN: Final = 4.0
RENEW: Final = 3.0


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
    """

    def __init__(
        self, kube: Kube, name: str, identity: str, now: Callable[[], datetime], duration: float = DURATION
    ) -> None:
        self._kube = kube
        self._name = name
        self._identity = identity
        self._now = now
        self._duration = duration
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
        """Try for ever to hold the Lease."""
        while True:
            try:
                await self._try()
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
        # The claim dates from before the request: the answer may be late, our right must not be long.
        asked = time.monotonic()
        lease = await self._kube.get(LEASES, self._name)
        if lease is None:
            created = await self._kube.create(
                LEASES, {"metadata": {"name": self._name}, "spec": self._spec(None)}
            )
            self._won(created, asked)
            return
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, asked)
        spec: Manifest = lease.get("spec", {})
        holder = spec.get("holderIdentity") or ""
        duration = float(spec.get("leaseDurationSeconds") or self._duration)
        if holder not in {"", self._identity} and asked - self._seen.at < duration:
            return
        written = await self._kube.put(LEASES, {**lease, "spec": self._spec(spec)})
        self._won(written, asked)

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
