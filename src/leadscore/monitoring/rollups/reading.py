"""Predictions of some hours with what became of them, as arrays: what is counted.

PostgreSQL packs the rows of a group into one value (features, probability, value, latency, one after the
other), because a value per cell would cost more than all the counting. SQLite hands over rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from leadscore.arrays import Floats
from leadscore.events.labels import PredictionSelection, select_labelled
from leadscore.events.schema import predictions
from leadscore.monitoring.rollups.tables import HOUR_US

# Of one value on the server and here: bounds the memory of an hour of any size.
_ROWS_AT_ONCE: Final = 200_000
_NO_LATENCY: Final = -1
_TAIL: Final = np.dtype([("probability", ">f8"), ("value", ">f8"), ("latency", ">i8")])


@dataclass(frozen=True, slots=True)
class PredictionGroup:
    """What predictions that are counted together have in common.

    Attributes:
        hour: First moment of the hour.
        converted: What became of them; None: nothing is known.
        superseded: Their leads were scored again later.
        width: Bytes of a feature row.
    """

    hour: int
    model_name: str
    model_version: str
    role: str
    source: str
    grade: str
    contract_version: str
    converted: bool | None
    superseded: bool
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class GroupedPredictions:
    """The predictions of a group.

    Attributes:
        group: What they have in common.
        features: Encoded rows, bytes (n, width).
        probabilities: (n,).
        values: Revenue (n,), NaN where it is not known.
        latencies: Microseconds (n,), negative where no request waited.
    """

    group: PredictionGroup
    features: npt.NDArray[np.uint8]
    probabilities: Floats
    values: Floats
    latencies: npt.NDArray[np.int64]


def read_hours(connection: sa.Connection, start: int, end: int) -> Iterator[GroupedPredictions]:
    """Read the predictions of some hours in bounded parts, all of what the transaction sees.

    A group may come in several parts.
    """
    moment = predictions.c.scored_at
    count = sa.select(sa.func.count()).select_from(predictions).where(moment >= start, moment < end)
    parts = -(-connection.execute(count).scalar_one() // _ROWS_AT_ONCE)
    bounds = [start + (end - start) * part // max(parts, 1) for part in range(parts + 1)]
    read = _read_packed if connection.dialect.name == "postgresql" else _read_rows
    for first, last in pairwise(bounds):
        yield from read(connection, PredictionSelection(first, last))


def _labelled(selection: PredictionSelection) -> tuple[list[sa.ColumnElement[Any]], sa.Subquery]:
    found = select_labelled(selection).order_by(None).subquery("labelled")
    c = found.c
    return [
        *((c.scored_at // HOUR_US).label("hour"), c.model_name, c.model_version, c.role),
        *(sa.func.coalesce(c.source, "").label("origin"), c.grade, c.contract_version),
        *(c.converted, c.superseded),
    ], found


def _read_packed(connection: sa.Connection, selection: PredictionSelection) -> Iterator[GroupedPredictions]:
    keys, found = _labelled(selection)
    c = found.c
    width = sa.func.octet_length(c.features)
    packed = (
        c.features.op("||")(sa.func.float8send(c.probability))
        .op("||")(sa.func.float8send(sa.func.coalesce(c.value, sa.literal_column("'NaN'::float8"))))
        .op("||")(sa.func.int8send(sa.func.coalesce(c.latency_us, sa.literal_column(str(_NO_LATENCY)))))
    )
    rows = sa.func.string_agg(packed, sa.literal_column("''::bytea"))
    for row in connection.execute(sa.select(*keys, width, rows).group_by(*keys, width)):
        *key, size, data = cast("tuple[Any, ...]", row)
        dtype = np.dtype([("features", np.uint8, (size,)), *((n, _TAIL[n]) for n in _TAIL.names or ())])
        table = np.frombuffer(data, dtype=dtype)
        yield GroupedPredictions(
            _group(key, size),
            table["features"],
            table["probability"].astype(np.float64),
            table["value"].astype(np.float64),
            table["latency"].astype(np.int64),
        )


def _read_rows(connection: sa.Connection, selection: PredictionSelection) -> Iterator[GroupedPredictions]:
    keys, found = _labelled(selection)
    c = found.c
    query = sa.select(*keys, c.features, c.probability, c.value, c.latency_us)
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in connection.execute(query):
        *key, features, probability, value, latency = cast("tuple[Any, ...]", row)
        groups.setdefault((*key, len(features)), []).append((features, probability, value, latency))
    for (*key, size), rows in groups.items():
        features, probabilities, values, latencies = zip(*rows, strict=True)
        yield GroupedPredictions(
            _group(key, size),
            np.frombuffer(b"".join(features), dtype=np.uint8).reshape(len(rows), size),
            np.array(probabilities, dtype=np.float64),
            np.array(values, dtype=np.float64),
            np.array([_NO_LATENCY if each is None else each for each in latencies], dtype=np.int64),
        )


def _group(key: list[Any], width: int) -> PredictionGroup:
    hour, name, version, role, source, grade, contract, converted, superseded = key
    known = None if converted is None else bool(converted)
    return PredictionGroup(
        hour * HOUR_US, name, version, role, source, grade, contract, known, bool(superseded), width
    )
