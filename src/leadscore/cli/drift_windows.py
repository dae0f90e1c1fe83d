"""Where `leadscore drift` gets its reference and its windows: registry and artefact, event store or table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from leadscore.cli.model_reference import model_version
from leadscore.contract import Categorical, FeatureContract
from leadscore.contract.categories import categories_of
from leadscore.data.matrix import encode_batch, labels, times
from leadscore.data.tables import read_table
from leadscore.drift.check.impact import Grading
from leadscore.drift.performance.measure import LabelCounts
from leadscore.drift.performance.outcomes import Baseline, Outcomes
from leadscore.drift.verdict import as_utc
from leadscore.drift.watch.outcome_plan import OutcomeSample
from leadscore.drift.windows.inputs import Reference, Window
from leadscore.errors import ArtefactError, BadInputError
from leadscore.events.labels import Selection
from leadscore.events.store import EventStore
from leadscore.events.windows import (
    completeness_of,
    feature_matrix,
    iter_labelled,
    iter_predictions,
    to_microseconds,
)
from leadscore.registry.store import ModelRegistry
from leadscore.scoring import artefact
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows of the reference sample that Shapley values are computed for; more would not change a mean noticeably.
_EXPLAINED: Final = 2_000
_MOST_TEXTS: Final = 20


class Windows(Protocol):
    """A source of windows."""

    def read(self, start: datetime, end: datetime) -> Window:
        """The leads of [start, end)."""
        ...

    def outcomes(self, start: datetime, end: datetime) -> Outcomes:
        """What became of the leads of [start, end), all of which are old enough to be asked."""
        ...

    def latest(self) -> datetime:
        """The moment up to which leads are complete."""
        ...


def aligned(moment: datetime, span: timedelta) -> datetime:
    """The latest end of a window at or before a moment: whole hours, days (midnight UTC), weeks (Monday)."""
    origin = datetime(2024, 1, 1, tzinfo=UTC)  # a Monday
    return origin + (moment - origin) // span * span


def load_model(ref: str, home: Home) -> tuple[str, str, Path]:
    """Name, version and verified folder of `NAME`, `NAME@champion`, `NAME/7` or an artefact folder."""
    name, version = model_version(ref, home)
    if (Path(ref) / artefact.MANIFEST).is_file():
        return name, version, Path(ref)
    return name, version, ModelRegistry(home).fetch(f"{name}/{version}")


def load_reference(name: str, version: str, folder: Path, model: ScoringModel) -> Reference:
    """The model's reference profile and sample, with scores and Shapley values of the sampled rows.

    Raises:
        ArtefactError: The sample is not one of this contract.
    """
    sample = load_sample(folder, model.contract)
    if sample is None or len(sample) == 0:
        return Reference.of(name, version, model.contract, model.profile)
    explained = np.ascontiguousarray(sample[:: max(1, len(sample) // _EXPLAINED)])
    shapley = model.kernel.shapley_many(explained)[:, : len(model.contract.inputs)]
    return Reference.of(
        name,
        version,
        model.contract,
        model.profile,
        sample=sample,
        sample_probabilities=model.score_rows(sample),
        explained=(explained, shapley),
    )


def load_sample(folder: Path, contract: FeatureContract) -> NDArray[np.float32] | None:
    """The artefact's sample of reference rows, encoded (rows, inputs); None if it has none.

    Raises:
        ArtefactError: The sample is not one of this contract.
    """
    found = _columns(folder, artefact.REFERENCE_SAMPLE, [feature.name for feature in contract.inputs])
    return np.stack(found, axis=1).astype(np.float32) if found else None


def load_outcomes(folder: Path, contract: FeatureContract) -> OutcomeSample | None:
    """What became of the rows of the sample; None if the artefact does not say.

    Artefacts that were trained before it was kept, or without times, do not tell when.

    Raises:
        ArtefactError: The outcomes are not those of this contract, or not of this sample.
    """
    labelled = _columns(folder, artefact.REFERENCE_SAMPLE, [contract.target.column])
    if labelled is None:
        return None
    converted = labelled[0] > 0
    timed = _columns(folder, artefact.REFERENCE_OUTCOMES, ["days", "age"])
    if timed is None:
        return OutcomeSample(converted)
    days, age = (column.astype(np.float64) for column in timed)
    if len(days) != len(converted):
        raise ArtefactError(
            f"{artefact.REFERENCE_OUTCOMES} has {len(days)} rows, {artefact.REFERENCE_SAMPLE} {len(converted)}."
        )
    return OutcomeSample(converted, days, age)


def _columns(folder: Path, name: str, columns: Sequence[str]) -> list[NDArray[Any]] | None:
    """Columns of one of the artefact's tables; None if it has no such table."""
    path = folder / name
    if not path.is_file():
        return None
    try:
        with pa.OSFile(str(path), "rb") as source:
            table = pyarrow.ipc.open_file(source).read_all()
        # Nothing else looks whether a buffer is as long as its column says.
        table.validate(full=True)
        found = [table.column(column) for column in columns]
    # Names of columns are decoded when they are asked for.
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise ArtefactError(
            f"{name} is no sample of this contract: {type(error).__name__}.", hint="Fetch the model again."
        ) from error
    if not all(pa.types.is_floating(c.type) or pa.types.is_integer(c.type) for c in found):
        raise ArtefactError(f"{name} is no sample of this contract: a column holds no numbers.")
    return [column.to_numpy() for column in found]


def load_baseline(folder: Path) -> Baseline:
    """The model's figures on its hold-out, from the artefact's `metrics.json`.

    Raises:
        ArtefactError: The artefact has none, or what it has is damaged.
    """
    from leadscore.training.evidence import Evidence  # seconds: it brings what trains

    manifest = artefact.verify_artefact(folder)
    if artefact.METRICS not in manifest.files:
        raise ArtefactError(
            f"The artefact {folder} holds no {artefact.METRICS}: there is nothing to compare its AUC with.",
            hint="Train it with `leadscore train`, or leave out the methods performance and cbpe.",
        )
    evidence = Evidence.from_json(artefact.read_verified(folder, manifest, artefact.METRICS))
    holdout = evidence.holdout
    return Baseline(evidence.metrics.auc, holdout.confidence, holdout.calibration)


def grading(model: ScoringModel) -> Grading:
    """Encoded leads to grade codes."""

    def grade(matrix: NDArray[np.float32]) -> NDArray[np.intp]:
        return model.grades.codes(model.score_rows(np.ascontiguousarray(matrix)))

    return grade


class StoredWindows:
    """Windows of what a model version scored, from the event store."""

    def __init__(self, store: EventStore, reference: Reference) -> None:
        self._store = store
        self._reference = reference

    def latest(self) -> datetime:
        """Now."""
        return datetime.now(UTC)

    def read(self, start: datetime, end: datetime) -> Window:
        """The predictions scored in [start, end) by this version."""
        reference = self._reference
        matrices: list[NDArray[np.float32]] = []
        probabilities: list[NDArray[np.float64]] = []
        unseen: dict[str, int] = {}
        for batch in iter_predictions(self._store, self._selection(start, end), contract=reference.contract):
            matrices.append(feature_matrix(batch, reference.contract))
            probabilities.append(batch.column("probability").to_numpy())
            _count_unseen(batch.column("warnings"), unseen)
        return Window.of(
            reference,
            start,
            end,
            np.concatenate(matrices),
            np.concatenate(probabilities),
            unseen={feature: count for feature, count in unseen.items() if count},
        )

    def outcomes(self, start: datetime, end: datetime) -> Outcomes:
        """The predictions of [start, end) with every outcome that is known by now."""
        total = mature = 0
        converted: list[NDArray[np.bool_]] = []
        probabilities: list[NDArray[np.float64]] = []
        for batch in iter_labelled(self._store, self._selection(start, end)):
            found = completeness_of(pa.Table.from_batches([batch]), to_microseconds(end))
            total, mature = total + found.predictions, mature + found.mature
            known = batch.filter(batch.column("converted").is_valid())
            converted.append(known.column("converted").to_numpy(zero_copy_only=False).astype(np.bool_))
            probabilities.append(known.column("probability").to_numpy())
        won = np.concatenate(converted)
        labels = LabelCounts(total, len(won), mature, len(won))
        return Outcomes(start, end, labels, won, np.concatenate(probabilities))

    def _selection(self, start: datetime, end: datetime) -> Selection:
        """What this version scored in [start, end)."""
        return Selection(
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
        self._times = times(reference.contract, self._table)

    def latest(self) -> datetime:
        """Just after the last lead."""
        return as_utc(int(self._times.max().astype(np.int64)) + 1)

    def outcomes(self, start: datetime, end: datetime) -> Outcomes:
        """The leads created in [start, end), with the target column's outcome where it is known."""
        rows = self._rows(start, end)
        target = labels(self._reference.contract, rows)
        known = ~np.isnan(target)
        matrix = encode_batch(self._reference.contract, rows.filter(pa.array(known)), threads=1).matrix
        counts = LabelCounts(rows.num_rows, int(known.sum()), rows.num_rows, int(known.sum()))
        return Outcomes(start, end, counts, target[known] > 0.5, self._model.score_rows(matrix))

    def _rows(self, start: datetime, end: datetime) -> pa.Table:
        inside = (self._times >= _moment(start)) & (self._times < _moment(end))
        return self._table.filter(pa.array(inside))

    def read(self, start: datetime, end: datetime) -> Window:
        """The leads created in [start, end)."""
        rows = self._rows(start, end)
        encoded = encode_batch(self._reference.contract, rows, threads=1)
        inputs = self._reference.contract.inputs
        unseen = {f.name: int(n) for f, n in zip(inputs, encoded.unseen, strict=True) if n}
        return Window.of(
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
        for warning in _decode_warnings(text):
            field, _, reason = warning.rpartition(":")
            if reason == "unseen_category":
                unseen[field] = unseen.get(field, 0) + 1


def _decode_warnings(text: str) -> tuple[str, ...]:
    import msgspec

    return msgspec.json.decode(text, type=tuple[str, ...])


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
