"""Writing the artefact: every part of a finished run into one folder, all or nothing."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leadscore.contract import FeatureContract, dump_contract
from leadscore.errors import ConflictError, UnavailableError
from leadscore.intervals import Flags, Floats
from leadscore.scoring import artefact
from leadscore.scoring.artefact import Algorithm, ArtefactManifest, DataSnapshot
from leadscore.scoring.golden import GOLDEN_ROWS, Golden
from leadscore.scoring.profile import ReferenceProfile
from leadscore.training.card import Origin, model_card
from leadscore.training.evidence import TrainingEvidence

# Enough for multivariate drift tests; about a megabyte with 25 features.
SAMPLE_ROWS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What goes into an artefact.

    Attributes:
        name: Model name.
        contract: Of the leads.
        algorithm: Library.
        model: Bytes of the model file.
        evidence: Metrics and how the model came to be.
        profile: Reference for drift checks.
        matrix: Encoded leads the model has not trained on, float32 (n, inputs).
        converted: Their labels (n,).
        days: From each lead to its outcome, NaN where the table does not say (n,).
        age: Days from each lead to the newest moment in the table (n,); None without a time column.
        margins: Their margins by the training library (n,).
        plots: PNG files of the card by name.
        data: Which data it was made from.
        code_revision: Which code made it.
        seed: Which seed.
        libraries: Which library versions.
    """

    name: str
    contract: FeatureContract
    algorithm: Algorithm
    model: bytes
    evidence: TrainingEvidence
    profile: ReferenceProfile
    matrix: npt.NDArray[np.float32]
    converted: Flags
    days: Floats
    age: Floats | None
    margins: Floats
    plots: Mapping[str, bytes]
    data: DataSnapshot
    code_revision: str
    seed: int
    libraries: Mapping[str, str]


def check_writable(out: Path) -> None:
    """Refuse before tuning what could not be written afterwards.

    Raises:
        ConflictError: `out` exists and is not an empty folder.
        UnavailableError: Nothing can be written beside it.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise ConflictError(f"{out} exists already.", hint="Choose another folder, or remove it.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UnavailableError(
            f"Cannot write to {out.parent}: {error.strerror or error}.",
            hint="Check free space and permissions.",
        ) from error


def write(out: Path, parts: Parts) -> ArtefactManifest:
    """Write the artefact folder at `out`.

    Raises:
        ConflictError: `out` exists.
        UnavailableError: The disk is full or cannot be written; nothing is left behind.
    """
    golden = golden_rows(parts.matrix, parts.margins)
    origin = Origin(
        name=parts.name,
        algorithm=parts.algorithm,
        data=parts.data,
        code_revision=parts.code_revision,
        seed=parts.seed,
        libraries=parts.libraries,
    )
    with artefact.writing_artefact(out) as folder:
        (folder / artefact.MODEL_FILES[parts.algorithm]).write_bytes(parts.model)
        (folder / artefact.CONTRACT).write_text(dump_contract(parts.contract), encoding="utf-8")
        (folder / artefact.CALIBRATION).write_bytes(parts.evidence.calibration.calibration.to_json())
        (folder / artefact.GRADES_FILE).write_bytes(parts.evidence.grades.to_json())
        (folder / artefact.REFERENCE).write_bytes(parts.profile.to_json())
        (folder / artefact.GOLDEN).write_bytes(golden.to_json())
        (folder / artefact.METRICS).write_bytes(parts.evidence.to_json())
        (folder / artefact.CARD).write_text(
            model_card(origin, parts.contract, parts.evidence), encoding="utf-8"
        )
        for name, plot in parts.plots.items():
            (folder / name).write_bytes(plot)
        _write_sample(folder, parts)
        return artefact.write_manifest(
            folder,
            name=parts.name,
            algorithm=parts.algorithm,
            data=parts.data,
            code_revision=parts.code_revision,
            seed=parts.seed,
            libraries=parts.libraries,
        )


def golden_rows(matrix: npt.NDArray[np.float32], margins: Floats) -> Golden:
    """Rows spread over the range of margins, the extremes included."""
    order = np.argsort(margins, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, GOLDEN_ROWS).astype(np.intp))]
    return Golden.of(matrix[chosen], margins[chosen])


def _write_sample(folder: Path, parts: Parts) -> None:
    """Rows of the reference, and beside them, row by row, when their outcomes came (decision 16)."""
    rng = np.random.default_rng(parts.seed)
    size = min(SAMPLE_ROWS, len(parts.matrix))
    rows = np.sort(rng.choice(len(parts.matrix), size, replace=False))
    names = [feature.name for feature in parts.contract.inputs]
    columns = [pa.array(np.ascontiguousarray(parts.matrix[rows, i])) for i in range(len(names))]
    label = pa.array(parts.converted[rows].astype(np.uint8))
    sample = pa.table([*columns, label], names=[*names, parts.contract.target.column])
    _write_table(folder / artefact.REFERENCE_SAMPLE, sample)
    if parts.age is not None:
        days = pa.array(parts.days[rows], from_pandas=True)
        outcomes = pa.table({"days": days, "age": pa.array(parts.age[rows])})
        _write_table(folder / artefact.REFERENCE_OUTCOMES, outcomes)


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
