"""Windows of leads that are judged: from the event store, or from a table that is scored here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import Categorical, FeatureContract
from leadscore.contract.categories import categories_of
from leadscore.data.matrix import encode_batch, labels, matrix_times
from leadscore.data.tables import read_table
from leadscore.drift.performance.measure import LabelCounts
from leadscore.drift.performance.outcomes import MatureOutcomes
from leadscore.drift.verdict import as_utc
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.errors import BadInputError
from leadscore.events.labels import PredictionSelection
from leadscore.events.store import EventStore
from leadscore.events.windows import (
    feature_matrix,
    iter_labelled,
    iter_predictions,
    to_microseconds,
)
from leadscore.scoring.model import ScoringModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_TEXTS: Final = 20


class Windows(Protocol):
    """A source of windows."""

    def read(self, start: datetime, end: datetime) -> LeadWindow:
        """The leads of [start, end)."""
        ...

    def outcomes(self, start: datetime, end: datetime) -> MatureOutcomes:
        """Return outcomes of the leads of [start, end), all old enough for theirs to be known."""
        ...

    def latest(self) -> datetime:
        """The moment up to which leads are complete."""
        ...


def aligned(moment: datetime, span: timedelta) -> datetime:
    """Return the latest end of a window at or before a moment.

    Whole hours, days (midnight UTC), weeks (Monday).
    """
    origin = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
    return origin + (moment - origin) // span * span


class StoredWindows:
    """Windows of what a model version scored, from the event store."""

    def __init__(self, store: EventStore, reference: Reference) -> None:
        self._store = store
        self._reference = reference

    def latest(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    def read(self, start: datetime, end: datetime) -> LeadWindow:
        """The predictions scored in [start, end) by this version."""
        reference = self._reference
        matrices: list[NDArray[np.float32]] = []
        probabilities: list[NDArray[np.float64]] = []
        unseen: dict[str, int] = {}
        for batch in iter_predictions(self._store, self._selection(start, end), contract=reference.contract):
            matrices.append(feature_matrix(batch, reference.contract))
            probabilities.append(batch.column("probability").to_numpy())
            _count_unseen(batch.column("warnings"), unseen)
        return LeadWindow.of(
            reference,
            start,
            end,
            np.concatenate(matrices),
            np.concatenate(probabilities),
            unseen={feature: count for feature, count in unseen.items() if count},
        )

    def outcomes(self, start: datetime, end: datetime) -> MatureOutcomes:
        """The predictions of [start, end) with every outcome that is known by now."""
        total = mature = 0
        converted: list[NDArray[np.bool_]] = []
        probabilities: list[NDArray[np.float64]] = []
        for batch in iter_labelled(self._store, self._selection(start, end)):
            labelled = batch.column("converted").is_valid()
            # Superseded ones without a label can never get one: they count neither for nor against.
            can_have = labelled.to_numpy(zero_copy_only=False) | ~batch.column("superseded").to_numpy(
                zero_copy_only=False
            )
            total, mature = total + batch.num_rows, mature + int(can_have.sum())
            known = batch.filter(labelled)
            converted.append(known.column("converted").to_numpy(zero_copy_only=False).astype(np.bool_))
            probabilities.append(known.column("probability").to_numpy())
        won = np.concatenate(converted)
        labels = LabelCounts(total, len(won), mature, len(won))
        return MatureOutcomes(start, end, labels, won, np.concatenate(probabilities))

    def _selection(self, start: datetime, end: datetime) -> PredictionSelection:
        """What this version scored in [start, end)."""
        return PredictionSelection(
            to_microseconds(start),
            to_microseconds(end),
            model_name=self._reference.model_name,
            model_version=self._reference.model_version,
        )


class TableWindows:
    """Windows of a table of leads, by the contract's time column; scored here.

    Raises:
        TableError: The table cannot be read or does not fit the contract.
        BadInputError: It has no rows.
    """

    def __init__(self, path: Path, reference: Reference, model: ScoringModel) -> None:
        self._reference = reference
        self._model = model
        self._table = read_table(path)
        if self._table.num_rows == 0:
            raise BadInputError(f"{path} has no rows.")
        self._times = matrix_times(reference.contract, self._table)

    def latest(self) -> datetime:
        """Just after the last lead."""
        return as_utc(int(self._times.max().astype(np.int64)) + 1)

    def outcomes(self, start: datetime, end: datetime) -> MatureOutcomes:
        """The leads created in [start, end), with the target column's outcome where it is known."""
        rows = self._rows(start, end)
        target = labels(self._reference.contract, rows)
        known = ~np.isnan(target)
        matrix = encode_batch(self._reference.contract, rows.filter(pa.array(known)), threads=1).matrix
        counts = LabelCounts(rows.num_rows, int(known.sum()), rows.num_rows, int(known.sum()))
        return MatureOutcomes(start, end, counts, target[known] > 0.5, self._model.score_rows(matrix))

    def _rows(self, start: datetime, end: datetime) -> pa.Table:
        inside = (self._times >= _moment(start)) & (self._times < _moment(end))
        return self._table.filter(pa.array(inside))

    def read(self, start: datetime, end: datetime) -> LeadWindow:
        """The leads created in [start, end)."""
        rows = self._rows(start, end)
        encoded = encode_batch(self._reference.contract, rows, threads=1)
        inputs = self._reference.contract.inputs
        unseen = {f.name: int(n) for f, n in zip(inputs, encoded.unseen, strict=True) if n}
        return LeadWindow.of(
            self._reference,
            start,
            end,
            encoded.matrix,
            self._model.score_rows(encoded.matrix),
            unseen=unseen,
            unseen_values={name: _texts(rows, self._reference.contract, name) for name in unseen},
        )


def _count_unseen(warnings: pa.Array, unseen: dict[str, int]) -> None:
    """Add the `field:unseen_category` warnings, JSON lists of texts, to the counts."""
    flagged = warnings.filter(pc.match_substring(warnings, ":unseen_category"))  # pyright: ignore[reportAttributeAccessIssue]
    for text in flagged.to_pylist():
        for warning in msgspec.json.decode(text, type=tuple[str, ...]):
            field, _, reason = warning.rpartition(":")
            if reason == "unseen_category":
                unseen[field] = unseen.get(field, 0) + 1


def _texts(rows: pa.Table, contract: FeatureContract, name: str) -> Mapping[str, int]:
    """The most frequent texts of a column that the contract does not list, with their numbers."""
    feature = next(f for f in contract.inputs if f.name == name)
    if not isinstance(feature, Categorical):
        return {}
    known = categories_of(feature, contract.format_of(name))
    column = pc.drop_null(rows.column(name).cast(pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
    seen = {str(pair["values"]): int(pair["counts"]) for pair in column.value_counts().to_pylist()}
    counts = {
        text: count for text, count in seen.items() if known.find(text) is None and not known.is_missing(text)
    }
    return dict(sorted(counts.items(), key=lambda pair: -pair[1])[:_MOST_TEXTS])


def _moment(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
