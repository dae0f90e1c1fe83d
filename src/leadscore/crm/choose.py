"""From the newest scores of leads to messages: for each target exactly those leads whose score has changed.

The roll-up worker numbers every change of a lead's newest score; each target has a place in these numbers. A
step reads the next changes, compares what the target would be told with what it was told last, puts what
differs into the outbox and moves the place, all in one transaction: killed anywhere, nothing is lost or
doubled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from leadscore.crm.cursors import read_cursor, set_cursor
from leadscore.crm.tables import crm_states
from leadscore.crm.updates import ScoreUpdate
from leadscore.errors import ArtefactError, ConflictError, NotFoundError
from leadscore.events.records import BACKFILL_SOURCE
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features
from leadscore.monitoring.rollups.leads import has_unnumbered, number_changes
from leadscore.monitoring.rollups.tables import lead_scores
from leadscore.outbox.queue import OutboxMessage, enqueue
from leadscore.outbox.tables import outbox
from leadscore.scoring.model import ScoringModel

# Standard Webhooks asks for days; a CRM that is away over a weekend gets everything on Monday.
CRM_GIVE_UP_SECONDS: Final = 3 * 86_400.0
CHOSEN_UNTIL: Final = "scores"
_MAPPING: Final = "mapping"
_LEADS_AT_ONCE: Final = 500
_STEPS: Final = 40
_REASONS: Final = 3
_FLOAT_BYTES: Final = 4
# In place of reasons that nobody can say: older ones beside a new score would be wrong.
_UNEXPLAINED: Final = "The reasons cannot be said."

ModelSource = Callable[[str, str], ScoringModel]
"""Opens a model by name and version; raises NotFoundError, ArtefactError or UnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """A target as the choice of scores sees it.

    Attributes:
        name: Of the target.
        channel: Of its messages.
        model: Whose scores; empty: of the only model that there is.
        told: Fields that it is told.
        mapping: What it is told into; when that changes, it is told of every lead again.
    """

    name: str
    channel: str
    model: str
    told: tuple[str, ...]
    mapping: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What one call of `choose_scores` did for a target.

    Attributes:
        looked_at: Leads whose newest score had changed.
        chosen: Of these, leads that the target is to be told of.
        complete: Whether no change is left.
    """

    looked_at: int
    chosen: int
    complete: bool


def choose_scores(
    store: EventStore,
    target: Subscriber,
    models: ModelSource,
    now: Callable[[], int],
    *,
    check: Callable[[sa.Connection], object] = lambda _: None,
    steps: int = _STEPS,
) -> Choice:
    """Put what has changed for a target into the outbox, some hundred leads at a time.

    Args:
        store: Scores, outbox and what the target was told.
        target: Whose turn it is.
        models: For the reasons.
        now: Microseconds since the epoch.
        check: Raises within a transaction that writes if this process may not act any more.
        steps: After so many the rest is left to the next call.

    Raises:
        ConflictError: The target names no model, and there are several.
        UnavailableError: The store or a model cannot be read; nothing is lost.
    """
    with store.reading() as connection:
        unnumbered = has_unnumbered(connection)
    if unnumbered:
        with store.writing() as connection:
            check(connection)
            number_changes(connection, _LEADS_AT_ONCE * steps)
    looked = chosen = 0
    for _ in range(steps):
        with store.reading() as connection:
            model = chosen_model(connection, target.name, target.model)
            if model is None:
                return Choice(looked, chosen, complete=True)
            place = _place(connection, target)
            rows = _changes(connection, model, place)
            mapped = read_cursor(connection, target.name, _MAPPING)
        if not rows and place:
            return Choice(looked, chosen, complete=True)
        # Reasons take their time: made before the transaction that writes.
        updates = _updates(rows, target, models)
        with store.writing() as connection:
            check(connection)
            if _place(connection, target, lock=True) != place:
                # Somebody else was faster: by hand, or another table's job.
                continue
            if mapped != _digest(target):
                if mapped:
                    tell_anew(connection, target.name, target.channel, now())
                set_cursor(connection, target.name, _MAPPING, _digest(target), now())
            found = _put_in(connection, target, updates, now())
            position = f"{rows[-1].change}/{rows[-1].lead_id}" if rows else "0/"
            set_cursor(connection, target.name, CHOSEN_UNTIL, position, now())
        looked, chosen = looked + len(rows), chosen + found
        if len(rows) < _LEADS_AT_ONCE:
            return Choice(looked, chosen, complete=True)
    return Choice(looked, chosen, complete=False)


def chosen_model(connection: sa.Connection, name: str, model: str) -> str | None:
    """Whose scores a target is told; None: there are none yet.

    Args:
        connection: Of a transaction.
        name: Of the target.
        model: That it names; empty: the only one that there is.

    Raises:
        ConflictError: It names no model, and there are several.
    """
    column, models = lead_scores.c.model_name, list[str]()
    if model:
        return connection.execute(sa.select(column).where(column == model).limit(1)).scalar()
    # The next greater name each time: models are few, leads are many.
    query = sa.select(sa.func.min(column))
    while len(models) < 2:
        found = connection.execute(query.where(column > models[-1]) if models else query).scalar()
        if found is None:
            break
        models.append(found)
    if len(models) > 1:
        raise ConflictError(
            f"The target {name} does not say whose scores: {models[0]} and {models[1]} both score.",
            hint="Name the model of the target.",
        )
    return models[0] if models else None


def tell_anew(connection: sa.Connection, target: str, channel: str, now: int) -> None:
    """Let a target be told of every lead anew, in the caller's write transaction.

    For a mapping that has changed, and for a CRM that has lost what it was told. What waits stays; the ids of
    messages stay the same.
    """
    connection.execute(sa.delete(outbox).where(outbox.c.channel == channel, outbox.c.state != "waiting"))
    nothing = {"digest": "", "written_at": None, "written_id": None}
    connection.execute(sa.update(crm_states).where(crm_states.c.target == target).values(**nothing))
    set_cursor(connection, target, CHOSEN_UNTIL, "", now)


def _place(connection: sa.Connection, target: Subscriber, *, lock: bool = False) -> str:
    """How far the target has come; empty: it begins, because it is new or its mapping has changed."""
    if lock:
        lock_target(connection, target.name)
    if read_cursor(connection, target.name, _MAPPING) not in {"", _digest(target)}:
        return ""
    return read_cursor(connection, target.name, CHOSEN_UNTIL)


def lock_target(connection: sa.Connection, target: str) -> None:
    """Let nobody else choose for a target until this transaction ends (on SQLite nobody else writes)."""
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256(f"leadscore/crm/{target}".encode()).digest()
        number = int.from_bytes(digest[:8], signed=True)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _digest(target: Subscriber) -> str:
    said = msgspec.json.encode([target.model, sorted(target.told), sorted(target.mapping.items())])
    return hashlib.sha256(said).hexdigest()[:32]


def _changes(connection: sa.Connection, model: str, place: str) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The next leads whose newest score has changed, in the order of the changes."""
    number, _, lead = place.partition("/")
    c, p = lead_scores.c, predictions.c
    same = sa.and_(p.prediction_id == c.prediction_id, p.scored_at == c.scored_at)
    after = sa.tuple_(c.change, c.lead_id) > sa.tuple_(sa.literal(int(number or 0)), sa.literal(lead))
    query = (
        sa.select(
            *(c.model_name, c.lead_id, c.prediction_id, c.model_version, c.scored_at, c.probability),
            *(c.score, c.grade, c.change, p.features, p.source),
        )
        .select_from(lead_scores.outerjoin(predictions, same))
        .where(c.model_name == model, c.change.is_not(None), after)
        .order_by(c.change, c.lead_id)
        .limit(_LEADS_AT_ONCE)
    )
    return connection.execute(query).all()


def _updates(
    rows: Sequence[sa.Row[*tuple[Any, ...]]], target: Subscriber, models: ModelSource
) -> list[ScoreUpdate]:
    """What the target would be told; without leads that were scored afterwards, for history's sake."""
    explain = _Explainer(models) if "reasons" in target.told else None
    return [
        ScoreUpdate(
            lead_id=row.lead_id,
            prediction_id=row.prediction_id,
            model_name=row.model_name,
            model_version=row.model_version,
            probability=row.probability,
            score=row.score,
            grade=row.grade,
            reasons=() if explain is None else explain(row),
            scored_at=row.scored_at,
        )
        for row in rows
        if row.source != BACKFILL_SOURCE
    ]


class _Explainer:
    """Reasons of scores, by the model that gave them: each is opened once."""

    def __init__(self, models: ModelSource) -> None:
        self._models = models
        self._opened: dict[tuple[str, str], ScoringModel | None] = {}

    def __call__(self, row: sa.Row[*tuple[Any, ...]]) -> tuple[str, ...]:
        key = (row.model_name, row.model_version)
        if key not in self._opened:
            try:
                self._opened[key] = self._models(*key)
            except (NotFoundError, ArtefactError):
                # It will not come back; what is away for a moment is waited for.
                self._opened[key] = None
        model = self._opened[key]
        if model is None or row.features is None:
            return (_UNEXPLAINED,)
        if len(row.features) != _FLOAT_BYTES * len(model.contract.inputs):
            return (_UNEXPLAINED,)
        encoded = np.ascontiguousarray(decode_features([row.features], model.contract)[0])
        return tuple(reason.text for reason in model.explain_row(encoded, _REASONS))


def _put_in(connection: sa.Connection, target: Subscriber, updates: Sequence[ScoreUpdate], now: int) -> int:
    """Put what differs from what the target was told last into the outbox; returns how many leads."""
    c = crm_states.c
    query = sa.select(crm_states).where(
        c.target == target.name, c.lead_id.in_([update.lead_id for update in updates])
    )
    known = {row.lead_id: row for row in connection.execute(query)}
    changed: list[tuple[ScoreUpdate, str]] = []
    for update in updates:
        row, digest = known.get(update.lead_id), update.digest(target.told)
        # An older one is the newest when retention or an erasure has removed what came after it.
        if row is None or (digest != row.digest and update.sequence >= (row.chosen_at, row.chosen_id)):
            changed.append((update, digest))
    if not changed:
        return 0
    messages = [
        OutboxMessage(update.message_id(target.name), target.channel, update.lead_id, update.to_json())
        for update, _ in changed
    ]
    enqueue(connection, messages, now, replace_waiting=True, give_up_seconds=CRM_GIVE_UP_SECONDS)
    rows = [
        {
            "target": target.name, "lead_id": update.lead_id, "chosen_at": update.scored_at,
            "chosen_id": update.prediction_id, "digest": digest,
        }
        for update, digest in changed
    ]  # fmt: skip
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(crm_states)
    fresh = {name: statement.excluded[name] for name in ("chosen_at", "chosen_id", "digest")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["target", "lead_id"], set_=fresh), rows
    )
    return len(changed)
