"""Streams of leads that are followed one after another.

The event store's predictions, or the leads of a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.arrays import Moments
from leadscore.contract import FeatureContract
from leadscore.data.matrix import encode_batch, lead_ids, matrix_times
from leadscore.data.tables import read_table
from leadscore.drift.watch.outcome_plan import is_charted
from leadscore.drift.watch.outcome_track import NEVER, Charted, joined
from leadscore.events.labels import PredictionSelection
from leadscore.events.store import EventStore
from leadscore.events.windows import (
    WINDOW_BATCH_ROWS,
    Extent,
    extent_of,
    feature_matrix,
    iter_labelled,
    iter_predictions,
)
from leadscore.scoring.model import ScoringModel
from leadscore.training.leads import label_state

# What of a prediction and its outcome is charted.
_TOLD: Final = ("lead_id", "scored_at", "probability", "converted", "recorded_at", "superseded")
_DAY_US: Final = 86_400_000_000
# NumPy's "not a time" as a number.
_NO_DATE: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class StreamedLeads:
    """Leads in order of time.

    When they were scored (microseconds, (n,)), encoded (n, inputs), probabilities (n,).
    """

    at: Moments
    matrix: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float64]


class LeadStream(Protocol):
    """A model's leads in order of time; moments are microseconds since the epoch."""

    def extent(self, start: int, end: int) -> Extent:
        """How many were scored in [start, end)."""
        ...

    def read(self, start: int, end: int) -> Iterator[StreamedLeads]:
        """The leads of [start, end)."""
        ...

    def outcomes(self, start: int, end: int, share: float, wait: float) -> Charted:
        """A share of the leads of [start, end) with the outcomes that had become known by `end`.

        Args:
            start: First moment.
            end: First moment after the last.
            share: Of the leads, chosen by their ids.
            wait: Days in which an outcome came if nothing tells when.
        """
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

    def read(self, start: int, end: int) -> Iterator[StreamedLeads]:
        """The leads of [start, end), all from one snapshot."""
        for batch in iter_predictions(self._store, self._selection(start, end), contract=self._contract):
            yield StreamedLeads(
                _microseconds(batch.column("scored_at")),
                feature_matrix(batch, self._contract),
                batch.column("probability").to_numpy(),
            )

    def outcomes(self, start: int, end: int, share: float, wait: float) -> Charted:  # noqa: ARG002 (the store knows when)
        """An outcome became known when it was recorded; of several the newest counts."""
        parts: list[Charted] = []
        before = 0
        for batch in iter_labelled(self._store, self._selection(start, end), known_by=end - 1, columns=_TOLD):
            kept = np.flatnonzero(is_charted(batch.column("lead_id").to_pylist(), share))
            number, before = before + 1 + kept, before + batch.num_rows
            rows = batch.take(pa.array(kept))
            known = rows.column("recorded_at").cast(pa.int64()).fill_null(NEVER).to_numpy()
            converted = rows.column("converted").cast(pa.int8()).fill_null(0).to_numpy() > 0
            parts.append(
                Charted(
                    number=number,
                    at=_microseconds(rows.column("scored_at")),
                    probabilities=rows.column("probability").to_numpy(),
                    known=known,
                    converted=converted,
                    replaced=rows.column("superseded").to_numpy(zero_copy_only=False),
                )
            )
        return joined(parts)

    def _selection(self, start: int, end: int) -> PredictionSelection:
        return PredictionSelection(start, end, model_name=self._model[0], model_version=self._model[1])


class TableStream:
    """The leads of a table by the contract's time column, scored here.

    Raises:
        TableError: The table cannot be read or does not fit the contract.
    """

    def __init__(self, path: Path, model: ScoringModel) -> None:
        self._model = model
        table = read_table(path)
        at = matrix_times(model.contract, table).astype("datetime64[us]").astype(np.int64)
        order = np.argsort(at, kind="stable")
        self._at, self._table = at[order], table.take(pa.array(order))

    @property
    def end(self) -> int:
        """The moment after the last lead."""
        return int(self._at[-1]) + 1 if len(self._at) else 0

    def extent(self, start: int, end: int) -> Extent:
        """How many were created in [start, end)."""
        at = self._at[self._places(start, end)]
        return Extent(len(at), int(at[0]), int(at[-1])) if len(at) else Extent(0, None, None)

    def read(self, start: int, end: int) -> Iterator[StreamedLeads]:
        """The leads created in [start, end)."""
        places = self._places(start, end)
        for begin in range(places.start, places.stop, WINDOW_BATCH_ROWS):
            piece = slice(begin, min(begin + WINDOW_BATCH_ROWS, places.stop))
            matrix = self._encoded(self._table.slice(piece.start, piece.stop - piece.start))
            yield StreamedLeads(self._at[piece], matrix, self._model.score_rows(matrix))

    def outcomes(self, start: int, end: int, share: float, wait: float) -> Charted:
        """The target column's outcome, known since the contract's `known_at`, or else after `wait` days."""
        places, contract = self._places(start, end), self._model.contract
        rows = self._table.slice(places.start, places.stop - places.start)
        kept = np.flatnonzero(is_charted(lead_ids(contract, rows).to_pylist(), share))
        rows, at = rows.take(pa.array(kept)), self._at[places][kept]
        target, known_at = label_state(contract, rows, None)
        moment = at + int(wait * _DAY_US) if known_at is None else known_at.astype(np.int64)
        # A label without a date is treated as if there were no column of dates.
        moment = np.where(moment == _NO_DATE, at + int(wait * _DAY_US), moment)
        known = ~np.isnan(target) & (moment < end)
        return Charted(
            number=kept + 1,
            at=at,
            probabilities=self._model.score_rows(self._encoded(rows)),
            known=np.where(known, moment, NEVER),
            converted=known & (target > 0.5),
            replaced=np.zeros(len(kept), dtype=bool),
        )

    def _places(self, start: int, end: int) -> slice:
        first, last = np.searchsorted(self._at, (start, end)).tolist()
        return slice(first, last)

    def _encoded(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        return encode_batch(self._model.contract, rows, threads=1).matrix


def _microseconds(column: pa.Array | pa.ChunkedArray) -> Moments:
    return pc.cast(column, pa.int64()).to_numpy()
