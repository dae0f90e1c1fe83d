"""What `leadscore drift watch` reads lead by lead: the event store's predictions, or a table's leads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_batch, labels, times
from leadscore.data.tables import read_table
from leadscore.events.labels import Selection
from leadscore.events.store import EventStore
from leadscore.events.windows import (
    BATCH_ROWS,
    Extent,
    extent_of,
    feature_matrix,
    iter_labelled,
    iter_predictions,
)
from leadscore.scoring.model import ScoringModel

Moments = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Leads:
    """Leads in order of time: when they were scored (microseconds, (n,)), encoded (n, inputs), probabilities (n,)."""

    at: Moments
    matrix: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """Leads in order of time whose outcome came in time, and how many have none.

    Attributes:
        at: When they were scored, microseconds (n,).
        converted: Their outcomes (n,).
        probabilities: What had been predicted (n,).
        unknown: Leads that are as old and have no outcome.
    """

    at: Moments
    converted: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float64]
    unknown: int


class Stream(Protocol):
    """A model's leads in order of time; moments are microseconds since the epoch."""

    def extent(self, start: int, end: int) -> Extent:
        """How many were scored in [start, end)."""
        ...

    def read(self, start: int, end: int) -> Iterator[Leads]:
        """The leads of [start, end)."""
        ...

    def settled(self, start: int, end: int, maturity: int) -> Settled:
        """The leads of [start, end) with the outcomes that came within `maturity` microseconds."""
        ...


class StoredStream:
    """What a model version scored, from the event store."""

    def __init__(self, store: EventStore, contract: FeatureContract, model: tuple[str, str]) -> None:
        self._store = store
        self._contract = contract
        self._model = model

    def extent(self, start: int, end: int) -> Extent:
        """How many were scored in [start, end)."""
        return extent_of(self._store, self._selection(start, end))

    def read(self, start: int, end: int) -> Iterator[Leads]:
        """The leads of [start, end), all from one snapshot."""
        for batch in iter_predictions(self._store, self._selection(start, end), contract=self._contract):
            yield Leads(
                _microseconds(batch.column("scored_at")),
                feature_matrix(batch, self._contract),
                batch.column("probability").to_numpy(),
            )

    def settled(self, start: int, end: int, maturity: int) -> Settled:
        """Outcomes that were recorded later than `maturity` after the score are left out, whoever asks when."""
        found: list[pa.RecordBatch] = []
        rows = 0
        for batch in iter_labelled(self._store, self._selection(start, end)):
            rows += batch.num_rows
            known = batch.filter(batch.column("converted").is_valid())
            took = _microseconds(known.column("recorded_at")) - _microseconds(known.column("scored_at"))
            found.append(known.filter(pa.array(took <= maturity)))
        known = pa.Table.from_batches(found)
        return Settled(
            _microseconds(known.column("scored_at")),
            known.column("converted").to_numpy().astype(np.bool_),
            known.column("probability").to_numpy(),
            rows - known.num_rows,
        )

    def _selection(self, start: int, end: int) -> Selection:
        return Selection(start, end, model_name=self._model[0], model_version=self._model[1])


class TableStream:
    """The leads of a table by the contract's time column, scored here.

    Raises:
        TableError: The table cannot be read or does not fit the contract.
    """

    def __init__(self, path: Path, model: ScoringModel) -> None:
        self._model = model
        table = read_table(path)
        at = times(model.contract, table).astype("datetime64[us]").astype(np.int64)
        order = np.argsort(at, kind="stable")
        self._at, self._table = at[order], table.take(pa.array(order))

    def extent(self, start: int, end: int) -> Extent:
        """How many were created in [start, end)."""
        at = self._at[self._places(start, end)]
        return Extent(len(at), int(at[0]), int(at[-1])) if len(at) else Extent(0, None, None)

    def read(self, start: int, end: int) -> Iterator[Leads]:
        """The leads created in [start, end)."""
        places = self._places(start, end)
        for begin in range(places.start, places.stop, BATCH_ROWS):
            piece = slice(begin, min(begin + BATCH_ROWS, places.stop))
            matrix = self._encoded(self._table.slice(piece.start, piece.stop - piece.start))
            yield Leads(self._at[piece], matrix, self._model.score_rows(matrix))

    def settled(self, start: int, end: int, maturity: int) -> Settled:  # noqa: ARG002 (a table has no such times)
        """The leads created in [start, end) with the target column's outcome; null is unknown."""
        places = self._places(start, end)
        rows = self._table.slice(places.start, places.stop - places.start)
        target = labels(self._model.contract, rows)
        known = ~np.isnan(target)
        matrix = self._encoded(rows.filter(pa.array(known)))
        probabilities = self._model.score_rows(matrix)
        return Settled(self._at[places][known], target[known] > 0.5, probabilities, int((~known).sum()))

    def _places(self, start: int, end: int) -> slice:
        first, last = np.searchsorted(self._at, (start, end)).tolist()
        return slice(first, last)

    def _encoded(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        return encode_batch(self._model.contract, rows, threads=1).matrix


def _microseconds(column: pa.Array | pa.ChunkedArray) -> Moments:
    return pc.cast(column, pa.int64()).to_numpy()
