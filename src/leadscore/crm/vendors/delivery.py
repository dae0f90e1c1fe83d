"""Scores from the outbox into a CRM, in batches; one bad record costs no other record its score.

What is claimed is sent, settled record by record, and noted as written in one transaction with that. A write
whose answer was lost is sent again: the same value twice is one value, and the fence of `leadscore.crm.fence`
keeps an older score from following a newer one.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from leadscore.crm.vendors.bulk_job import go_on_with_job, start_job
from leadscore.crm.vendors.claimed import ClaimedScore, result_of, sendable, settle_scores
from leadscore.crm.vendors.link import SECONDS, CrmUnreachableError, VendorLink
from leadscore.crm.vendors.salesforce import SalesforceVendor
from leadscore.errors import LeadScoreError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import SendOutcome, SendResult
from leadscore.outbox.batches import NEAR_SECONDS, count_due, take_turn
from leadscore.outbox.queue import claim_due, hold_channel
from leadscore.outbox.tables import SECOND_US
from leadscore.outbox.worker import DeliveryRound

_log = logging.getLogger(__name__)

# Long enough for a batch and its halves; what is left when it is nearly over waits for the next round, so
# that nothing is sent that somebody else has claimed meanwhile.
_LEASE_SECONDS: Final = 240.0
_AT_ONCE: Final = 100
_HELD_SECONDS: Final = 30.0
# So many records refused one after the other, and none written: it is not the records.
_ALIKE: Final = 8


@dataclass(slots=True)
class _Sending:
    """One batch on its way.

    Attributes:
        store: Where turns are taken.
        channel: Of the batch.
        link: To the CRM.
        now: Microseconds since the epoch.
        wait: Sleeps for some seconds.
        ends: When the lease is nearly over, microseconds since the epoch.
        results: By the numbers of rows.
        stopped: Why the rest is not sent now; None: go on.
        requests: That were sent.
    """

    store: EventStore
    channel: str
    link: VendorLink
    now: Callable[[], int]
    wait: Callable[[float], object]
    ends: int
    results: dict[int, SendResult] = field(default_factory=dict[int, SendResult])
    stopped: SendResult | None = None
    requests: int = 0

    def send(self, batch: Sequence[ClaimedScore], turn: int) -> None:
        """Send a batch, and halves of what is unclear, until every record has a result."""
        groups = [batch] if batch else []
        while groups:
            group = groups.pop()
            if self.requests:
                turn = self._turn()
            if self.stopped is not None or not self._waited(turn):
                self._put(
                    group, self.stopped or SendResult("failed", "the target is to be left alone for now")
                )
                continue
            unclear = self._send(group)
            if len(unclear) < len(group):
                groups += [unclear] if unclear else []
            else:
                middle = (len(unclear) + 1) // 2
                groups += [unclear[middle:], unclear[:middle]]

    def _turn(self) -> int:
        with self.store.writing() as connection:
            return take_turn(connection, self.channel, self.now(), self.link.vendor.pace_seconds)

    def _waited(self, turn: int) -> bool:
        ahead = (turn - self.now()) / SECOND_US
        if ahead > NEAR_SECONDS or self.now() >= self.ends:
            return False
        if ahead > 0:
            self.wait(ahead)
        return True

    def _send(self, group: Sequence[ClaimedScore]) -> list[ClaimedScore]:
        """One request; returns what it leaves unclear."""
        vendor = self.link.vendor
        updates = [item.update for item in group]
        self.requests += 1
        try:
            reply = self.link.send(vendor.encode(updates))
        except CrmUnreachableError as error:
            outcome: SendOutcome = "uncertain" if error.uncertain else "failed"
            self._stop(group, SendResult(outcome, error.message, retry_after=_HELD_SECONDS))
            return []
        except LeadScoreError as error:
            self._stop(group, SendResult("failed", str(error), retry_after=2 * _HELD_SECONDS))
            return []
        unclear: list[ClaimedScore] = []
        for item, verdict in zip(group, vendor.decode(updates, reply), strict=True):
            if verdict.kind == "split" and len(group) > 1:
                unclear.append(item)
            else:
                self._put([item], result_of(verdict, reply.status))
        pause = vendor.pause(reply)
        if pause is not None:
            with self.store.writing() as connection:
                until = self.now() + round(pause.seconds * SECOND_US)
                hold_channel(connection, self.channel, until, pause.why)
            self.stopped = self.stopped or SendResult("failed", pause.why)
        self._look_for_likeness()
        return unclear

    def _put(self, group: Sequence[ClaimedScore], result: SendResult) -> None:
        for item in group:
            self.results[item.claim.number] = result
        if result.retry_after is not None and self.stopped is None:
            self.stopped = result

    def _stop(self, group: Sequence[ClaimedScore], result: SendResult) -> None:
        self._put(group, result)
        # Of the others it is known that they were not sent now.
        self.stopped = SendResult("failed", result.detail, retry_after=result.retry_after)

    def _look_for_likeness(self) -> None:
        """Where each record fails and none is written, none is given up: a person has to look."""
        found = Counter(result.outcome for result in self.results.values())
        if found["refused"] < _ALIKE or found["accepted"]:
            return
        one = next(result for result in self.results.values() if result.outcome == "refused")
        why = f"Every record was refused, so none is given up yet: {one.detail}"
        again = SendResult("failed", why, one.status, 2 * _HELD_SECONDS)
        self.results = {n: again if r.outcome == "refused" else r for n, r in self.results.items()}
        self.stopped = again


def deliver_batches(
    store: EventStore,
    channel: str,
    link: VendorLink,
    *,
    now: Callable[[], int] = now_us,
    chance: Callable[[], float] = random.random,
    wait: Callable[[float], object] = time.sleep,
) -> DeliveryRound:
    """Send what is due for one CRM, batch by batch; of a very large backlog, a job's worth.

    Args:
        store: Whose database holds the outbox.
        channel: `crm:TARGET`.
        link: To the CRM.
        now: Microseconds since the epoch.
        chance: Uniform in 0 … 1.
        wait: Sleeps for some seconds.

    Raises:
        StoreUnavailableError: The outbox cannot be read or written; what was sent meanwhile is sent again
            when its lease has ended.
    """
    counts: Counter[str] = Counter()
    vendor, target = link.vendor, channel.partition(":")[2]
    if isinstance(vendor, SalesforceVendor):
        found = go_on_with_job(store, channel, link, vendor, now=now, chance=chance)
        if found is not None:
            return _round_of(found)
        with store.reading() as connection:
            due = count_due(connection, channel, now(), vendor.bulk_from)
        if due >= vendor.bulk_from:
            return _round_of(start_job(store, channel, link, vendor, now=now, chance=chance))
    for _ in range(_AT_ONCE):
        at = now()
        with store.writing() as connection:
            claims = claim_due(
                connection,
                channel,
                at,
                most=vendor.batch_size,
                lease_seconds=_LEASE_SECONDS,
                near_seconds=NEAR_SECONDS,
            )
            batch, others = sendable(connection, target, claims, vendor)
            turn = take_turn(connection, channel, at, vendor.pace_seconds) if batch else at
        if not claims:
            break
        lease_ends = at + round((_LEASE_SECONDS - SECONDS - NEAR_SECONDS) * SECOND_US)
        sending = _Sending(store, channel, link, now, wait, lease_ends)
        sending.send(batch, turn)
        with store.writing() as connection:
            found = settle_scores(
                connection, target, batch, sending.results, others, now=now(), chance=chance()
            )
        counts += found
        if found.total() > found["delivered"] + found["replaced"]:
            _tell(channel, found, sending)
        if sending.stopped is not None:
            break
    return _round_of(counts)


def _round_of(counts: Counter[str]) -> DeliveryRound:
    return DeliveryRound(counts["delivered"], counts["waiting"], counts["dead"])


def _tell(channel: str, found: Counter[str], sending: _Sending) -> None:
    unlike = next((r.detail for r in sending.results.values() if r.outcome != "accepted"), "")
    fields = {"channel": channel, **found, "requests": sending.requests, "detail": unlike}
    _log.warning("not all of a batch was written", extra={"fields": fields})
