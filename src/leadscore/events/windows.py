"""Arrow windows of the event store: what was scored in a span of time, and what became of it.

Rows are ordered by `scored_at`, then `prediction_id`. With a contract, the encoded features come
as one float32 column each, named `features.NAME` (they cannot collide with our own columns);
categories stay indices into the contract's lists and missing stays NaN, as in every feature
matrix. Without one, `features` is the raw bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import sqlalchemy as sa

from leadscore.contract import FeatureContract, contract_version
from leadscore.errors import BadInputError, ConflictError
from leadscore.events.errors import DamagedRowError
from leadscore.events.labels import PredictionSelection, select_labelled, select_predictions
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_BATCH_ROWS: Final = 50_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX: Final = "features."


def labelled_window(
    store: EventStore,
    start: datetime,
    end: datetime,
    *,
    contract: FeatureContract | None = None,
    model_name: str | None = None,
    model_version: str | None = None,
    known_by: datetime | None = None,
) -> pa.Table:
    """Return the predictions scored in [start, end) joined with their outcomes (rule: see `labels`).

    Adds `outcome_id`, `converted`, `value`, `occurred_at`, `recorded_at` (null while unknown) and
    `superseded`.

    Args:
        store: Where to read.
        start: First moment of the window.
        end: First moment after it.
        contract: Decodes the features.
        model_name: Only this model.
        model_version: Only this version.
        known_by: Read as of this moment: outcomes recorded later are ignored. None means now.

    Raises:
        BadInputError: A time has no zone.
        ConflictError: With `contract`: the window has predictions under another version of it, whose columns
            mean something else. Choose a window, a model version or the other contract.
        DamagedRowError: A feature row has not the contract's length.
        UnavailableError: The store cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415

    selection = PredictionSelection(to_microseconds(start), to_microseconds(end), model_name, model_version)
    as_of = None if known_by is None else to_microseconds(known_by)
    return pa.Table.from_batches(iter_labelled(store, selection, contract=contract, known_by=as_of))


@dataclass(frozen=True, slots=True)
class Extent:
    """How many predictions a selection has, and when first and last were scored (microseconds or None)."""

    rows: int
    first: int | None
    last: int | None


def extent_of(store: EventStore, selection: PredictionSelection) -> Extent:
    """Count a selection without reading it.

    Raises:
        UnavailableError: The store cannot be read.
    """
    moment = predictions.c.scored_at
    query = sa.select(sa.func.count(), sa.func.min(moment), sa.func.max(moment))
    with store.reading() as connection:
        rows, first, last = connection.execute(query.where(selection.where())).one()
    return Extent(rows, first, last)


def iter_predictions(
    store: EventStore,
    selection: PredictionSelection,
    *,
    contract: FeatureContract | None = None,
    batch_rows: int = WINDOW_BATCH_ROWS,
) -> Generator[pa.RecordBatch]:
    """The same in batches of at most `batch_rows`, all from one snapshot.

    An empty window is one empty batch.
    """
    return _stream(store, select_predictions(selection), selection, contract, batch_rows)


def iter_labelled(
    store: EventStore,
    selection: PredictionSelection,
    *,
    contract: FeatureContract | None = None,
    known_by: int | None = None,
    columns: Sequence[str] | None = None,
    batch_rows: int = WINDOW_BATCH_ROWS,
) -> Generator[pa.RecordBatch]:
    """`labelled_window` in batches, all from one snapshot.

    `known_by` in microseconds, `columns` if not all are wanted.
    """
    query = select_labelled(selection, known_by)
    if columns is not None:
        query = query.with_only_columns(*(query.selected_columns[name] for name in columns))
    return _stream(store, query, selection, contract, batch_rows)


def feature_matrix(table: pa.Table | pa.RecordBatch, contract: FeatureContract) -> np.ndarray:
    """The `features.*` columns of a window as the float32 matrix that models and drift checks take.

    (n, k).
    """
    matrix = np.empty((table.num_rows, len(contract.inputs)), dtype=np.float32)
    for index, feature in enumerate(contract.inputs):
        matrix[:, index] = table.column(_PREFIX + feature.name).to_numpy(zero_copy_only=False)
    return matrix


def decode_features(rows: Sequence[bytes], contract: FeatureContract) -> np.ndarray:
    """Stored feature rows as float32 (n, k).

    Raises:
        DamagedRowError: One has not the contract's length.
    """
    width = len(contract.inputs)
    wrong = next((row for row in rows if len(row) != 4 * width), None)
    if wrong is not None:
        raise DamagedRowError(
            f"A stored feature row has {len(wrong)} bytes; the contract's {width} inputs need {4 * width}.",
            hint=(
                "Whoever wrote it used another encoding: find it by its contract_version "
                "in the predictions table."
            ),
        )
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), width).T.copy().T


def to_microseconds(moment: datetime) -> int:
    """Microseconds since the epoch (BadInputError for a time without zone: we do not guess)."""
    if moment.tzinfo is None:
        raise BadInputError(
            f"The time {moment.isoformat()} has no time zone.", hint="Add one, such as +00:00."
        )
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _stream(
    store: EventStore,
    query: sa.Select[tuple[object, ...]],
    selection: PredictionSelection,
    contract: FeatureContract | None,
    batch_rows: int,
) -> Generator[pa.RecordBatch]:
    with store.reading() as connection:
        if contract is not None:
            _refuse_other_contracts(connection, selection, contract)
        # Closed also where whoever reads stops in the middle: the connection's end leaves it open.
        with connection.execution_options(yield_per=batch_rows).execute(query) as result:
            names = tuple(result.keys())
            empty = True
            for rows in result.partitions():
                empty = False
                yield _record_batch(names, cast("Sequence[tuple[object, ...]]", rows), contract)
        if empty:
            yield _record_batch(names, (), contract)


def _refuse_other_contracts(
    connection: sa.Connection, selection: PredictionSelection, contract: FeatureContract
) -> None:
    column = predictions.c.contract_version
    found = connection.execute(
        sa.select(column, sa.func.count()).where(selection.where()).group_by(column).order_by(column)
    )
    others = {version: count for version, count in found if version != contract_version(contract)}
    if others:
        listed = ", ".join(f"{count} under {version}" for version, count in others.items())
        raise ConflictError(
            f"The window has predictions under another contract than {contract_version(contract)}: {listed}.",
            hint=(
                "Read one contract version at a time (Selection.contract_version), or choose another window."
            ),
        )


def _record_batch(
    names: Sequence[str], rows: Sequence[tuple[object, ...]], contract: FeatureContract | None
) -> pa.RecordBatch:
    import pyarrow as pa  # noqa: PLC0415

    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
    types = _arrow_types()
    if contract is None:
        return pa.RecordBatch.from_pydict({name: pa.array(columns[name], types[name]) for name in names})
    arrays = {name: pa.array(columns[name], types[name]) for name in names if name != "features"}
    decoded = decode_features(cast("Sequence[bytes]", columns["features"]), contract)
    features = {
        _PREFIX + feature.name: pa.array(decoded[:, index]) for index, feature in enumerate(contract.inputs)
    }
    return pa.RecordBatch.from_pydict(arrays | features)


def _arrow_types() -> dict[str, pa.DataType]:
    import pyarrow as pa  # noqa: PLC0415

    moment = pa.timestamp("us", tz="UTC")
    ids = ("prediction_id", "lead_id", "request_id", "outcome_id")
    labels = ("model_name", "model_version", "contract_version", "role", "grade", "warnings", "source")
    callers = ("caller_kind", "caller_name", "caller_address")
    return {
        **dict.fromkeys(ids + labels + callers, pa.string()),
        "latency_us": pa.int64(),
        **dict.fromkeys(("probability", "score", "value"), pa.float64()),
        **dict.fromkeys(("scored_at", "occurred_at", "recorded_at"), moment),
        **dict.fromkeys(("converted", "superseded"), pa.bool_()),
        "features": pa.binary(),
    }
