"""Choosing changed scores for all targets at once: what the monitor does every few seconds, by hand."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from leadscore.crm.choose import Choice, ModelSource, Subscriber, choose_scores, tell_anew
from leadscore.crm.endpoints import read_endpoints
from leadscore.crm.tables import CRM_REVISION
from leadscore.crm.targets import CrmTarget, CrmTargets
from leadscore.errors import NotFoundError
from leadscore.events.store import EventStore


def subscriber_of(target: CrmTarget) -> Subscriber:
    """A target of the file, as the choice of scores sees it."""
    return Subscriber(
        name=target.name,
        channel=target.channel,
        model=target.model,
        told=target.told,
        mapping={"object": target.object, **target.fields},
    )


def read_subscribers(connection: sa.Connection, targets: CrmTargets) -> tuple[Subscriber, ...]:
    """Every target that is to be told of changes now: those of the file, and endpoints that are on.

    What a target has is kept by its name, so one of the file that is named like an endpoint is told nothing.
    """
    endpoints = read_endpoints(connection)
    taken = {each.name for each in endpoints}
    ours = (subscriber_of(target) for target in targets.targets if target.name not in taken)
    return (*ours, *(each.subscriber for each in endpoints if each.state == "on"))


def sync_targets(
    store: EventStore,
    targets: CrmTargets,
    models: ModelSource,
    now: Callable[[], int],
    *,
    only: str = "",
    again: bool = False,
) -> dict[str, Choice]:
    """Put what has changed into the outbox, for every target or one.

    Args:
        store: The event store.
        targets: Of the file.
        models: Opens a model, for the reasons.
        now: Microseconds since the epoch.
        only: Name of a target; empty: all.
        again: Whether they are told of every lead anew.

    Raises:
        NotFoundError: There is no such target, or it is disabled.
        LeadScoreError: As `choose_scores`.
    """
    store.require_revision(CRM_REVISION)
    with store.reading() as connection:
        known = read_subscribers(connection, targets)
    chosen = [each for each in known if only in {"", each.name}]
    if only and not chosen:
        raise NotFoundError(
            f"There is no target {only[:60]!r} that is on.", hint="See: leadscore crm status."
        )
    found: dict[str, Choice] = {}
    for each in chosen:
        if again:
            with store.writing() as connection:
                tell_anew(connection, each.name, each.channel, now())
        looked = put = 0
        while True:
            choice = choose_scores(store, each, models, now)
            looked, put = looked + choice.looked_at, put + choice.chosen
            if choice.complete:
                break
        found[each.name] = Choice(looked, put, complete=True)
    return found
