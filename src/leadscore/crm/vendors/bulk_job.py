"""A job of Salesforce's Bulk API that takes a large backlog, over as many rounds of delivery as it needs.

Which job is at work, and under which lease its scores were claimed, is kept in the store: whoever looks
next, also after a kill, goes on with it. While it is there nothing else is sent to the target, so that no
newer score is overtaken by the job.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from leadscore.crm.cursors import read_cursor, set_cursor
from leadscore.crm.vendors.claimed import ClaimedScore, result_of, sendable, settle_scores
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.protocol import Verdict
from leadscore.crm.vendors.salesforce import SalesforceVendor
from leadscore.crm.vendors.salesforce_bulk import (
    JOB_ENDED,
    JOB_RESULTS,
    ask_job,
    ask_results,
    change_job,
    job_of,
    make_job,
    upload_rows,
    verdicts_of,
)
from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.batches import NEAR_SECONDS, claims_of, extend_lease
from leadscore.outbox.queue import claim_due, hold_channel
from leadscore.outbox.tables import SECOND_US

_log = logging.getLogger(__name__)

_WHAT: Final = "bulk-job"
_MOST: Final = 50_000
_LEASE_SECONDS: Final = 3_600.0
_LOOK_SECONDS: Final = 10.0
_HELD_SECONDS: Final = 60.0


def start_job(
    store: EventStore,
    channel: str,
    link: VendorLink,
    vendor: SalesforceVendor,
    *,
    now: Callable[[], int],
    chance: Callable[[], float],
) -> Counter[str]:
    """Give the oldest scores that are due to a new job; returns how many are in which state.

    Raises:
        StoreUnavailableError: The outbox cannot be used; what was claimed is free when its lease has ended.
    """
    target = channel.partition(":")[2]
    with store.writing() as connection:
        claims = claim_due(
            connection, channel, now(), most=_MOST, lease_seconds=_LEASE_SECONDS, near_seconds=NEAR_SECONDS
        )
        scores, others = sendable(connection, target, claims, vendor)

    def settled(sent: Sequence[ClaimedScore], results: dict[int, SendResult]) -> Counter[str]:
        with store.writing() as connection:
            return settle_scores(connection, target, sent, results, others, now=now(), chance=chance())

    if not scores:
        return settled((), {})
    job = ""
    try:
        job, _ = job_of(link.send(make_job(vendor)))
        with store.writing() as connection:
            set_cursor(connection, target, _WHAT, f"{job} {claims[0].lease}", now())
        uploaded = link.send(upload_rows(vendor, job, [score.update for score in scores]))
        if uploaded.status >= 300:
            job_of(uploaded)
        job_of(link.send(change_job(job, "UploadComplete")))
    except LeadScoreError as error:
        _log.warning("a job was not begun", extra={"fields": {"channel": channel, "error": str(error)}})
        if job:
            # Whether it has its rows is not known: the next look ends it, and lets the scores go.
            with store.writing() as connection:
                hold_channel(connection, channel, now() + round(_LOOK_SECONDS * SECOND_US), str(error)[:500])
            return settled((), {})
        failed = SendResult("failed", str(error), retry_after=_HELD_SECONDS)
        return settled(scores, {s.claim.number: failed for s in scores})
    with store.writing() as connection:
        hold_channel(connection, channel, now() + round(_LOOK_SECONDS * SECOND_US), f"job {job} is at work")
    return settled((), {})


def go_on_with_job(
    store: EventStore,
    channel: str,
    link: VendorLink,
    vendor: SalesforceVendor,
    *,
    now: Callable[[], int],
    chance: Callable[[], float],
) -> Counter[str] | None:
    """Look at the job that is at work, and settle its scores once it has ended; None: there is no job.

    Raises:
        StoreUnavailableError: The outbox cannot be used; the next look tells the same.
    """
    target = channel.partition(":")[2]
    with store.reading() as connection:
        position = read_cursor(connection, target, _WHAT)
    if not position:
        return None
    job, _, lease = position.partition(" ")
    try:
        verdicts = _ended(link, vendor, job)
    except LeadScoreError as error:
        with store.writing() as connection:
            extend_lease(connection, channel, lease, now() + round(_LEASE_SECONDS * SECOND_US))
            hold_channel(connection, channel, now() + round(_HELD_SECONDS * SECOND_US), str(error)[:500])
        return Counter()
    if verdicts is None:
        with store.writing() as connection:
            extend_lease(connection, channel, lease, now() + round(_LEASE_SECONDS * SECOND_US))
            hold_channel(
                connection, channel, now() + round(_LOOK_SECONDS * SECOND_US), f"job {job} is at work"
            )
        return Counter()
    with store.writing() as connection:
        claims = claims_of(connection, channel, lease)
        scores, others = sendable(connection, target, claims, vendor)
        unclear = Verdict("again", f"The job {job} does not say what became of the record.")
        results = {s.claim.number: result_of(verdicts.get(s.key, unclear), 200) for s in scores}
        counts = settle_scores(connection, target, scores, results, others, now=now(), chance=chance())
        set_cursor(connection, target, _WHAT, "", now())
    return counts


def _ended(link: VendorLink, vendor: SalesforceVendor, job: str) -> dict[str, Verdict] | None:
    """What became of a job's records; None: it is at work."""
    reply = link.send(ask_job(job))
    if reply.status == 404:
        return {}
    _, state = job_of(reply)
    if state == "Open":
        # Whoever made it was killed before it was closed: it never began.
        job_of(link.send(change_job(job, "Aborted")))
        return {}
    if state not in JOB_ENDED:
        return None
    return verdicts_of(vendor, [link.send(ask_results(job, which)) for which in JOB_RESULTS])
