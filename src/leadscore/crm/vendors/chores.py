"""What the monitor keeps of CRMs with an API of their own: links, and when to look for outcomes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from leadscore.crm.targets import CrmTarget, CrmTargets
from leadscore.crm.vendors.connect import connect
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.mapping import VENDOR_KINDS, outcome_pull
from leadscore.crm.vendors.outcomes import pull_outcomes
from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore.outbox.tables import SECOND_US

_log = logging.getLogger(__name__)
PULL_SECONDS: Final = 10.0


class VendorChores:
    """Links to CRMs, as the targets are now, and what is read from them.

    Args:
        store: Where outcomes and cursors are.
        targets: As they are now.
        now: Microseconds since the epoch.
    """

    def __init__(self, store: EventStore, targets: Callable[[], CrmTargets], now: Callable[[], int]) -> None:
        self._store = store
        self._targets = targets
        self._now = now
        self._links: dict[str, tuple[CrmTarget, VendorLink]] = {}
        self._next: dict[str, int] = {}
        self.failing: dict[str, str] = {}

    def link(self, name: str) -> VendorLink | None:
        """The link of a target; None where it has no API, is gone, or cannot be used (see `failing`)."""
        target = self._targets().named(name)
        if target is None or target.kind not in VENDOR_KINDS:
            return None
        known = self._links.get(name)
        # A link holds a token: it stays for as long as the target is the same.
        if known is None or known[0] != target:
            try:
                known = (target, connect(target))
            except LeadScoreError as error:
                self._fails(name, error)
                return None
            self._links[name] = known
            self.failing.pop(name, None)
        return known[1]

    def pull(self) -> None:
        """Read outcomes of each target whose time has come; one that fails holds up no other.

        Raises:
            LeadScoreError: Of the first target that failed.
        """
        failed: LeadScoreError | None = None
        for target in self._targets().targets:
            if target.kind not in VENDOR_KINDS or self._next.get(target.name, 0) > self._now():
                continue
            try:
                self._pull(target)
            except LeadScoreError as error:
                self._fails(target.name, error)
                failed = failed or error
            else:
                self.failing.pop(target.name, None)
        if failed is not None:
            raise failed

    def _fails(self, name: str, error: LeadScoreError) -> None:
        if self.failing.get(name) != error.message:
            _log.error("a CRM target fails", extra={"fields": {"target": name, "error": str(error)}})
        self.failing[name] = error.message

    def _pull(self, target: CrmTarget) -> None:
        source, link = outcome_pull(target), self.link(target.name)
        if source is None or link is None:
            self._next[target.name] = self._now() + round(60 * SECOND_US)
            return
        self._next[target.name] = self._now() + round(source.every_seconds * SECOND_US)
        found = pull_outcomes(self._store, target.name, link, source.fields, now=self._now)
        if found.new:
            fields = {"target": target.name, "new": found.new, "read": found.read}
            _log.info("outcomes read", extra={"fields": fields})
