"""Report in an object's status that it cannot be reconciled for a reason of ours.

The event store or the registry is away; or the operator itself fails on the object, and Ready must not go on
saying True.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadscore.durations import format_time
from leadscore.errors import LeadScoreError
from leadscore.events.errors import StoreUnavailableError
from leadscore.identity.approvers import ApproversUnavailableError
from leadscore_operator.engine.health import Key
from leadscore_operator.errors import RegistryUnavailableError
from leadscore_operator.kube.resources import Manifest, Resource
from leadscore_operator.reconcile.base import ReconcileContext, get_live, not_ready

STORE_AWAY: Final = "EventStoreUnavailable"
REGISTRY_AWAY: Final = "RegistryUnavailable"
APPROVERS_AWAY: Final = "ApproversUnavailable"
DEFECT: Final = "OperatorFailed"
# The exception's text may contain the object's content.
_BROKEN: Final = (
    "The operator failed on this object ({error}); its log has the exception. It tries again by itself: "
    "nothing is decided here until it can."
)
_WAITS: Final = "Nothing is decided here until it answers; the operator tries again by itself."
# Shorter outages are only logged.
_HICCUP_SECONDS: Final = 3.0
# Another sentence about the same outage: a status that is written is looked at again at once, so not with
# each try.
_ANEW_SECONDS: Final = 30.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outage:
    began: float
    told: float = float("-inf")


def _reason_of(
    error: StoreUnavailableError | RegistryUnavailableError | ApproversUnavailableError,
) -> str:
    if isinstance(error, ApproversUnavailableError):
        return APPROVERS_AWAY
    return STORE_AWAY if isinstance(error, StoreUnavailableError) else REGISTRY_AWAY


class Outages:
    """Since when which object could not be worked on.

    Args:
        context: What statuses are written with.
        now: Monotonic seconds.
    """

    def __init__(self, context: ReconcileContext, now: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._now = now
        self._open: dict[Key, _Outage] = {}

    async def told(
        self, resource: Resource, reconcile: Callable[[str], Awaitable[datetime | None]], name: str
    ) -> datetime | None:
        """Reconcile; if that fails for what is away, or by a defect, say so in the object.

        What comes after takes it back.

        Raises:
            LeadScoreError: As `reconcile`.
            Exception: A defect of ours, as it came.
        """
        key = (resource.plural, name)
        began = self._now()
        try:
            again = await reconcile(name)
        except (StoreUnavailableError, RegistryUnavailableError, ApproversUnavailableError) as error:
            outage = self._open.setdefault(key, _Outage(began))
            now = self._now()
            if now - outage.began >= _HICCUP_SECONDS and now - outage.told >= _ANEW_SECONDS:
                outage.told = now
                await self._tell(resource, name, _reason_of(error), f"{error.message} {_WAITS}")
            raise
        except LeadScoreError:
            raise
        except Exception as error:
            await self._tell(resource, name, DEFECT, _BROKEN.format(error=type(error).__name__))
            raise
        self._open.pop(key, None)
        return again

    async def _tell(self, resource: Resource, name: str, reason: str, message: str) -> None:
        try:
            item = await get_live(self._context, resource, name)
            if item is not None:
                since = _since(item, reason) or format_time(self._context.clock.now())
                await not_ready(self._context, resource, item, reason, message, about=since)
        except LeadScoreError as second:
            # A failure to write it is logged; the next try writes it.
            if (resource.plural, name) in self._open:
                self._open[resource.plural, name].told = float("-inf")
            fields = {"key": f"{resource.plural}/{name}", "error": str(second)}
            _log.info("a failure was not told", extra={"fields": fields})


def _since(item: Manifest, reason: str) -> str:
    """Since when an object says this; "" if it does not."""
    known = item.get("status", {}).get("conditions", [])
    return next(
        (c["lastTransitionTime"] for c in known if c["type"] == "Ready" and c.get("reason") == reason), ""
    )
