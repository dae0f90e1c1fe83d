"""The table route: changed scores in a Delta table, from which the CRM's own job takes what is newer.

Messages of the outbox are appended in the order of their numbers, and a commit is named by the greatest of
them: Delta's log itself says which messages the table has, also to whoever was killed before they heard of
it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from leadscore.crm.choose import ModelSource, lock_target
from leadscore.crm.fence import note_written, stale_updates
from leadscore.crm.sync import sync_targets
from leadscore.crm.targets import CrmTarget, CrmTargets
from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.errors import NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.lake.schemas import TableSchema
from leadscore.lake.table import LakeTable, table_uri
from leadscore.monitoring.rollups.progress import read_rollup_progress
from leadscore.outbox.tables import outbox

_ROWS: Final = 50_000
_POLL_SECONDS: Final = 1.0
_MOMENT: Final = pa.timestamp("us", tz="UTC")

# `sequence`: of two rows of a lead, the one with the greater text is the newer.
CRM_SYNC: Final = TableSchema(
    "crm_sync",
    pa.schema(
        [
            pa.field("lead_id", pa.string(), nullable=False),
            pa.field("sequence", pa.string(), nullable=False),
            pa.field("prediction_id", pa.string(), nullable=False),
            pa.field("model_name", pa.string(), nullable=False),
            pa.field("model_version", pa.string(), nullable=False),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("grade", pa.string(), nullable=False),
            pa.field("reasons", pa.list_(pa.string()), nullable=False),
            pa.field("scored_at", _MOMENT, nullable=False),
            pa.field("published_at", _MOMENT, nullable=False),
        ]
    ),
)


@dataclass(frozen=True, slots=True)
class PublishedScores:
    """What a call of `publish_scores` did.

    Attributes:
        uri: Of the table.
        rows: That were appended.
        version: Of the table; None: it does not exist yet.
    """

    uri: str
    rows: int
    version: int | None


def publish_tables(
    store: EventStore,
    targets: CrmTargets,
    models: ModelSource,
    lake: str,
    now: Callable[[], int],
    *,
    only: str = "",
    wait_seconds: float = 0.0,
) -> dict[str, PublishedScores]:
    """Choose what has changed for each table and append it.

    Args:
        store: The event store.
        targets: Of the file; those of the kind `table`.
        models: Opens a model, for the reasons.
        lake: Folder or URL of the lake.
        now: Microseconds since the epoch.
        only: Name of a target; empty: all tables.
        wait_seconds: How long to wait for the monitor to have counted what is stored now.

    Raises:
        NotFoundError: There is no such table.
        UnavailableError: The monitor has not counted in time; nothing was appended.
        LeadScoreError: As `publish_scores` and `choose_scores`.
    """
    tables = [t for t in targets.targets if t.kind == "table" and only in {"", t.name}]
    if not tables:
        raise NotFoundError(
            "There is no such target of the kind table.", hint="The file in LEADSCORE_CRM lists targets."
        )
    if wait_seconds:
        _wait_counted(store, now(), wait_seconds)
    found: dict[str, PublishedScores] = {}
    for target in tables:
        sync_targets(store, targets, models, now, only=target.name)
        found[target.name] = publish_scores(store, target, lake, now)
    return found


def _wait_counted(store: EventStore, since: int, seconds: float) -> None:
    give_up = monotonic() + seconds
    while True:
        with store.reading() as connection:
            reached = read_rollup_progress(connection).caught_up
        if reached is not None and reached >= since:
            return
        if monotonic() > give_up:
            raise UnavailableError(
                "What was scored has not been counted in time.",
                hint="Is `leadscore monitor` running? Run it again.",
            )
        sleep(_POLL_SECONDS)


def publish_scores(
    store: EventStore, target: CrmTarget, lake: str, now: Callable[[], int]
) -> PublishedScores:
    """Append what waits for a table.

    Args:
        store: Of the outbox.
        target: Of the kind `table`.
        lake: Folder or URL of the lake.
        now: Microseconds since the epoch.

    Raises:
        BadInputError: The table there has other columns.
        ConflictError: Somebody else wrote meanwhile; run it again.
        UnavailableError: Store or lake cannot be used; what was committed is not committed again.
    """
    table = LakeTable(table_uri(lake, f"{CRM_SYNC.name}/{target.name}"), CRM_SYNC)
    application, rows = f"leadscore/crm/{target.name}", 0
    while True:
        reached = table.last_number(application)
        if reached is not None:
            _settle(store, target, reached, now())
        waiting = _waiting(store, target)
        if not waiting:
            return PublishedScores(table.uri, rows, table.version())
        top = max(number for number, _ in waiting)
        updates = [update for _, update in waiting]
        with store.reading() as connection:
            stale = stale_updates(connection, target.name, updates)
        fresh = [update for update in updates if update.message_id(target.name) not in stale]
        table.write([_batch(fresh, now())], application=application, number=top)
        rows += len(fresh)


def _waiting(store: EventStore, target: CrmTarget) -> list[tuple[int, ScoreUpdate]]:
    query = (
        sa.select(outbox.c.number, outbox.c.payload)
        .where(outbox.c.channel == target.channel, outbox.c.state == "waiting")
        .order_by(outbox.c.number)
        .limit(_ROWS)
    )
    with store.writing() as connection:
        # Nobody may be about to put in a smaller number than those that are read here.
        lock_target(connection, target.name)
        return [(row.number, parse_update(row.payload)) for row in connection.execute(query)]


def _settle(store: EventStore, target: CrmTarget, reached: int, now: int) -> None:
    """Note what the table has: every message up to a number."""
    theirs = sa.and_(
        outbox.c.channel == target.channel, outbox.c.state == "waiting", outbox.c.number <= reached
    )
    while True:
        with store.writing() as connection:
            query = sa.select(outbox.c.number, outbox.c.payload).where(theirs).order_by(outbox.c.number)
            found = connection.execute(query.limit(_ROWS)).all()
            if not found:
                return
            note_written(connection, target.name, [parse_update(row.payload) for row in found])
            settled = sa.and_(theirs, outbox.c.number <= found[-1].number)
            values = {"state": "delivered", "settled_at": now, "attempts": outbox.c.attempts + 1}
            connection.execute(sa.update(outbox).where(settled).values(**values))


def _batch(updates: Sequence[ScoreUpdate], now: int) -> pa.RecordBatch:
    columns: dict[str, list[object]] = {
        "lead_id": [u.lead_id for u in updates],
        "sequence": [u.sequence_text for u in updates],
        "prediction_id": [u.prediction_id for u in updates],
        "model_name": [u.model_name for u in updates],
        "model_version": [u.model_version for u in updates],
        "probability": [u.probability for u in updates],
        "score": [u.score for u in updates],
        "grade": [u.grade for u in updates],
        "reasons": [list(u.reasons) for u in updates],
        "scored_at": [u.scored_at for u in updates],
        "published_at": [now for _ in updates],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in CRM_SYNC.schema]
    return pa.RecordBatch.from_arrays(arrays, schema=CRM_SYNC.schema)
