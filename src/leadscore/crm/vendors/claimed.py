"""Claimed scores of one CRM: what of them can be sent, and how their attempts are written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from leadscore.crm.fence import note_written, stale_updates
from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.crm.vendors.protocol import CrmVendor, Verdict
from leadscore.errors import BadInputError
from leadscore.outbox.attempts import NextAttempt, SendOutcome, SendResult, next_attempt
from leadscore.outbox.queue import MessageClaim, SettledAttempt, settle_claims


@dataclass(frozen=True, slots=True)
class ClaimedScore:
    """A score that this process alone may send.

    Attributes:
        claim: Of its message.
        update: The score.
        key: Of its record, as the vendor's answers are matched by.
    """

    claim: MessageClaim
    update: ScoreUpdate
    key: str


def sendable(
    connection: sa.Connection, target: str, claims: Sequence[MessageClaim], vendor: CrmVendor
) -> tuple[list[ClaimedScore], list[SettledAttempt]]:
    """What of a claim is to be sent, each record once and newest; the rest with what becomes of it."""
    newest: dict[str, ClaimedScore] = {}
    ends: list[SettledAttempt] = []
    for claim in claims:
        try:
            update = parse_update(claim.message.payload)
            key = vendor.record_key(update.lead_id)
            # What cannot be written as a request is wrong with this record only.
            vendor.encode([update])
        except BadInputError as error:
            ends.append((claim, SendResult("refused", str(error)), NextAttempt("dead")))
            continue
        other = newest.get(key)
        # Two spellings of one record's id: a CRM refuses a batch that has a record twice.
        if other is not None and other.update.sequence >= update.sequence:
            ends.append(_replaced(claim))
            continue
        if other is not None:
            ends.append(_replaced(other.claim))
        newest[key] = ClaimedScore(claim, update, key)
    stale = stale_updates(connection, target, [score.update for score in newest.values()])
    ends += [_replaced(s.claim) for s in newest.values() if s.claim.message.message_id in stale]
    return [s for s in newest.values() if s.claim.message.message_id not in stale], ends


def settle_scores(
    connection: sa.Connection,
    target: str,
    scores: Sequence[ClaimedScore],
    results: Mapping[int, SendResult],
    others: Sequence[SettledAttempt],
    *,
    now: int,
    chance: float,
) -> Counter[str]:
    """Write down how a claim ended, and what the CRM holds now; returns how many are in which state.

    Args:
        connection: Of a transaction that writes.
        target: Name of the target.
        scores: That were sent.
        results: By the numbers of their rows.
        others: Of the claim, which were not sent.
        now: Microseconds since the epoch.
        chance: Uniform in 0 … 1; one for all, so that what failed together is written together.
    """
    ends = list(others)
    for score in scores:
        result, claim = results[score.claim.number], score.claim
        then = next_attempt(result, claim.attempt, now, give_up_at=claim.give_up_at, chance=chance)
        ends.append((claim, result, then))
    settle_claims(connection, ends, now)
    written = [s.update for s in scores if results[s.claim.number].outcome == "accepted"]
    note_written(connection, target, written)
    return Counter(then.state for _, _, then in ends)


_OUTCOMES: Mapping[str, SendOutcome] = {"written": "accepted", "refused": "refused", "again": "failed"}


def result_of(verdict: Verdict, status: int) -> SendResult:
    """A verdict as the outbox keeps it; a record that is unclear though it was sent alone is the bad one."""
    outcome = _OUTCOMES.get(verdict.kind, "refused")
    return SendResult(outcome, verdict.why, status, verdict.retry_after)


def _replaced(claim: MessageClaim) -> SettledAttempt:
    return claim, SendResult("accepted", ""), NextAttempt("replaced")
