"""Scored leads of the event store as the Delta table `leads`: their inputs, decoded, and the answers."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, contract_version
from leadscore.errors import UnavailableError
from leadscore.events.labels import PredictionSelection
from leadscore.events.records import BATCH_SOURCE
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features, iter_predictions
from leadscore.lake.outcomes import DAY_US, EPOCH, day_start
from leadscore.lake.publishing import DayTable, PublishedRows, publish_days
from leadscore.lake.schemas import LEADS
from leadscore.lake.table import LakeTable, table_uri
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.monitoring.rollups.progress import ROLLUPS_REVISION
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_hours
from leadscore.training.logged import decoded_feature

_PLAIN = (
    *("prediction_id", "lead_id", "model_name", "model_version", "contract_version", "role"),
    *("scored_at", "probability", "score", "grade"),
)


def publish_leads(
    store: EventStore, lake: str, facts_of: Callable[[str, str], ModelFacts | None], now: datetime
) -> PublishedRows:
    """Append the scored leads that the table `leads` lacks, however late they came; nights have `scores`.

    Which days have what is told by the roll-ups; what they have not counted yet is found the next time.

    Args:
        store: Whose predictions.
        lake: Root of the lake: folder or URL.
        facts_of: What a version's artefact says; None if it cannot be had: its leads wait.
        now: UTC.

    Raises:
        BadInputError: The table there has other types.
        ConflictError: Somebody else publishes at the same time.
        UnavailableError: Store or lake cannot be used, or nobody counts.
    """
    store.require_revision(ROLLUPS_REVISION)
    table, waiting = LakeTable(table_uri(lake, LEADS.name), LEADS), Counter[str]()

    def read(day: date) -> Generator[pa.RecordBatch]:
        start = day_start(day)
        chosen = PredictionSelection(start, start + DAY_US, without_source=BATCH_SOURCE)
        for batch in iter_predictions(store, chosen):
            yield from _lead_rows(batch, day, facts_of, waiting)

    target = DayTable(table, "leadscore/leads", "prediction_id", "scored_date")
    rows = publish_days(target, _counted(store, now), read)
    why = ", ".join(f"{count:,} of {version}" for version, count in sorted(waiting.items()))
    waits = f"Leads whose version's contract cannot be had wait: {why}." if waiting else ""
    return PublishedRows(LEADS.name, rows, table.version(), waits)


def _counted(store: EventStore, now: datetime) -> Mapping[date, int]:
    c = rollup_hours.c
    day = (c.hour // (24 * HOUR_US)).label("day")
    query = sa.select(day, sa.func.sum(c.predictions)).where(c.source != BATCH_SOURCE).group_by(day)
    with store.reading() as connection:
        why = read_freshness(connection).stale(now)
        if why:
            raise UnavailableError(f"Which leads were scored is not known: {why}")
        return {EPOCH + timedelta(days=number): int(n) for number, n in connection.execute(query)}


def _lead_rows(
    batch: pa.RecordBatch,
    day: date,
    facts_of: Callable[[str, str], ModelFacts | None],
    waiting: Counter[str],
) -> Generator[pa.RecordBatch]:
    """The rows of predictions, some for each version."""
    encodings = pa.Table.from_batches([batch]).group_by(["model_name", "model_version", "contract_version"])
    for found in encodings.aggregate([]).to_pylist():
        same = [pc.equal(batch.column(name), value) for name, value in found.items()]
        piece = batch.filter(pc.and_(pc.and_(same[0], same[1]), same[2]))
        facts = facts_of(found["model_name"], found["model_version"])
        if facts is None or contract_version(facts.contract) != found["contract_version"]:
            waiting[f"{found['model_name']}/{found['model_version']}"] += piece.num_rows
            continue
        yield _decoded_rows(piece, day, facts.contract)


def _decoded_rows(batch: pa.RecordBatch, day: date, contract: FeatureContract) -> pa.RecordBatch:
    matrix = decode_features(cast("Sequence[bytes]", batch.column("features").to_pylist()), contract)
    warned = [msgspec.json.decode(text, type=list[str]) for text in batch.column("warnings").to_pylist()]
    columns: dict[str, pa.Array] = {name: batch.column(name) for name in _PLAIN}
    columns["scored_date"] = pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows)
    columns["source"] = pc.fill_null(batch.column("source"), "")
    columns["warnings"] = pa.array(warned, pa.list_(pa.string()))
    for name, kind in (("numbers", Numeric), ("texts", Categorical), ("flags", Boolean)):
        columns[name] = _as_map(contract, matrix, kind, LEADS.schema.field(name).type)
    return pa.RecordBatch.from_arrays([columns[each] for each in LEADS.schema.names], schema=LEADS.schema)


def _as_map(contract: FeatureContract, matrix: np.ndarray, kind: type, wanted: pa.MapType) -> pa.MapArray:
    """The inputs of a kind by their names."""
    inputs = [(i, feature) for i, feature in enumerate(contract.inputs) if isinstance(feature, kind)]
    rows, width = len(matrix), len(inputs)
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    by_column = [pa.array([], wanted.item_type), *(decoded_feature(f, matrix[:, i]) for i, f in inputs)]
    by_row = (np.arange(width)[None, :] * rows + np.arange(rows)[:, None]).ravel()
    names = pa.array([feature.name for _, feature in inputs], pa.string())
    keys = names.take(pa.array(np.tile(np.arange(width), rows)))
    return pa.MapArray.from_arrays(offsets, keys, pa.concat_arrays(by_column).take(pa.array(by_row)), wanted)
