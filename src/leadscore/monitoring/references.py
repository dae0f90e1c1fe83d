"""Read the reference of windows and streams from a model's artefact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.ipc

from leadscore.contract import FeatureContract
from leadscore.drift.check.impact import Grading
from leadscore.drift.performance.outcomes import PerformanceBaseline
from leadscore.drift.watch.outcome_plan import OutcomeSample
from leadscore.drift.windows.inputs import Reference
from leadscore.errors import ArtefactError
from leadscore.scoring import artefact
from leadscore.scoring.model import ScoringModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows of the reference sample that Shapley values are computed for; more would not change a mean noticeably.
_EXPLAINED: Final = 2_000


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
            f"{artefact.REFERENCE_OUTCOMES} has {len(days)} rows, "
            f"{artefact.REFERENCE_SAMPLE} {len(converted)}."
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
        # Arrow does not check whether a buffer is as long as its column says.
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


def load_baseline(folder: Path) -> PerformanceBaseline:
    """The model's figures on its hold-out, from the artefact's `metrics.json`.

    Raises:
        ArtefactError: The artefact has none, or what it has is damaged.
    """
    from leadscore.training.evidence import TrainingEvidence  # noqa: PLC0415 (seconds: it brings what trains)

    manifest = artefact.verify_artefact(folder)
    if artefact.METRICS not in manifest.files:
        raise ArtefactError(
            f"The artefact {folder} holds no {artefact.METRICS}: there is nothing to compare its AUC with.",
            hint="Train it with `leadscore train`, or leave out the methods performance and cbpe.",
        )
    evidence = TrainingEvidence.from_json(artefact.read_verified(folder, manifest, artefact.METRICS))
    holdout = evidence.holdout
    return PerformanceBaseline(evidence.metrics.auc, holdout.confidence, holdout.calibration)


def grading(model: ScoringModel) -> Grading:
    """Encoded leads to grade codes."""

    def grade(matrix: NDArray[np.float32]) -> NDArray[np.intp]:
        return model.grades.codes(model.score_rows(np.ascontiguousarray(matrix)))

    return grade
