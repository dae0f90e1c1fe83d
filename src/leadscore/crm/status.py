"""How each target does: what waits, what was given up, and why nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from leadscore.crm.choose import CRM_GIVE_UP_SECONDS, chosen_model
from leadscore.crm.endpoints import read_endpoints
from leadscore.crm.tables import crm_states
from leadscore.crm.targets import CRM_CHANNEL, TABLE_CHANNEL, CrmTarget, CrmTargets
from leadscore.errors import BadInputError, ConflictError
from leadscore.outbox.queue import (
    ChannelBacklog,
    DeadLetter,
    backlogs,
    dead_letters,
    read_holds,
    send_again,
)
from leadscore.outbox.tables import SECOND_US

TargetState = Literal["on", "disabled", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """How one target does.

    Attributes:
        name: Of the target.
        kind: `webhook`, or as the file says; empty if the target is gone.
        state: `disabled`: nothing is sent; `unknown`: it is no longer configured, and something waits for it.
        reason: Why it is not on, or is told nothing.
        leads: That it has a score of.
        failing_since: Of an endpoint: since when every attempt has failed; None: the last one was accepted.
        held_until: Nothing is sent before, because the target asked for it or failed, microseconds since the
            epoch; None: it is not held.
        held_why: What it answered.
        backlog: What waits for it, what it has and what was given up.
    """

    name: str
    kind: str
    state: TargetState
    reason: str
    leads: int
    failing_since: int | None = None
    held_until: int | None = None
    held_why: str = ""
    backlog: ChannelBacklog


def read_target_statuses(
    connection: sa.Connection, targets: CrmTargets, now: int
) -> tuple[TargetStatus, ...]:
    """How each target does, by name; those that something still waits for, too.

    Args:
        connection: Of a transaction.
        targets: Of the file.
        now: Microseconds since the epoch.
    """
    counted = {each.channel: each for each in backlogs(connection) if is_crm_channel(each.channel)}
    t = crm_states.c
    written = sa.select(t.target, sa.func.count()).where(t.written_at.is_not(None)).group_by(t.target)
    leads = {name: int(count) for name, count in connection.execute(written)}
    endpoints = read_endpoints(connection)
    taken = {each.name for each in endpoints}
    twins = [_named_twice(target) for target in targets.targets if target.name in taken]
    found: dict[str, TargetStatus] = {}
    for target in targets.targets:
        if target.name in taken:
            continue
        found[target.channel] = TargetStatus(
            name=target.name,
            kind=target.kind,
            state="on",
            reason=_why_nothing(connection, target.name, target.model),
            leads=leads.get(target.name, 0),
            backlog=counted.pop(target.channel, _nothing(target.channel)),
        )
    for e in endpoints:
        found[e.channel] = TargetStatus(
            name=e.name,
            kind="webhook",
            state=e.state,
            reason=e.reason or _why_nothing(connection, e.name, e.model),
            leads=leads.get(e.name, 0),
            failing_since=e.failing_since,
            backlog=counted.pop(e.channel, _nothing(e.channel)),
        )
    for channel, backlog in counted.items():
        if backlog.waiting + backlog.dead:
            found[channel] = TargetStatus(
                name=channel.partition(":")[2],
                kind="",
                state="unknown",
                reason="It is not configured any more, and messages are left.",
                leads=0,
                backlog=backlog,
            )
    for channel, (until, why) in read_holds(connection, now).items():
        if channel in found:
            found[channel] = replace(found[channel], held_until=until, held_why=why)
    return tuple(sorted([*found.values(), *twins], key=lambda status: status.name))


def _why_nothing(connection: sa.Connection, name: str, model: str) -> str:
    """Why no score is chosen for a target; empty: some are."""
    try:
        found = chosen_model(connection, name, model)
    except ConflictError as error:
        return error.message
    if found:
        return ""
    return f"No lead has a score of the model {model} yet." if model else "No lead has a score yet."


def _named_twice(target: CrmTarget) -> TargetStatus:
    return TargetStatus(
        name=target.name,
        kind=target.kind,
        state="disabled",
        reason="A webhook endpoint has this name, so it is told nothing: give it another one in the file.",
        leads=0,
        backlog=_nothing(target.channel),
    )


def _nothing(channel: str) -> ChannelBacklog:
    return ChannelBacklog(channel, 0, None, 0, 0, 0, "")


def is_crm_channel(channel: str) -> bool:
    """Whether a channel of the outbox is a CRM target's."""
    return channel.startswith((CRM_CHANNEL, TABLE_CHANNEL))


def crm_dead_letters(connection: sa.Connection) -> Sequence[DeadLetter]:
    """Scores that were given up, newest first."""
    return [letter for letter in dead_letters(connection, limit=10_000) if is_crm_channel(letter.channel)]


def resend_scores(connection: sa.Connection, numbers: Sequence[int], target: str, now: int) -> int:
    """Let dead letters be tried anew for three days; returns how many.

    One that is older than what its target has meanwhile is passed over when its turn comes.

    Args:
        connection: Of a transaction that writes.
        numbers: Of dead letters.
        target: All of this one, too; empty: only those that are named.
        now: Microseconds since the epoch.

    Raises:
        BadInputError: Nothing is named.
        NotFoundError: One of them is no dead letter; nothing was changed.
    """
    if not numbers and not target:
        raise BadInputError("Nothing is named to be sent again.", hint="Give numbers, or --target NAME.")
    channels = {CRM_CHANNEL + target, TABLE_CHANNEL + target}
    theirs = {letter.number for letter in crm_dead_letters(connection) if letter.channel in channels}
    wanted = sorted({*numbers, *theirs})
    return send_again(connection, wanted, now, give_up_seconds=CRM_GIVE_UP_SECONDS)


def longest_wait(channel: str) -> int:
    """How long messages of a channel may wait before somebody should know, in microseconds.

    A table is written once a night.
    """
    return (36 * 3_600 if channel.startswith(TABLE_CHANNEL) else 15 * 60) * SECOND_US
