"""A model ready to score: verified, with an evaluator that was checked on golden rows."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import (
    Boolean,
    Categorical,
    Feature,
    FeatureContract,
    contract_version,
    parse_contract,
)
from leadscore.contract.request import LeadDecoder
from leadscore.errors import ArtefactError, ContractError
from leadscore.scoring import artefact
from leadscore.scoring.artefact import Algorithm, ArtefactManifest
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.forest import Forest
from leadscore.scoring.golden import Golden
from leadscore.scoring.grades import Grade, Grades, score_of
from leadscore.scoring.kernel import Kernel, open_kernel
from leadscore.scoring.lightgbm_text import read_lightgbm
from leadscore.scoring.profile import ReferenceProfile
from leadscore.scoring.reasons import Explainer, Reason
from leadscore.scoring.xgboost_ubj import read_xgboost

GOLDEN_TOLERANCE = 1e-6


class Score(msgspec.Struct, frozen=True, gc=False):
    """One lead's result.

    Attributes:
        probability: Calibrated probability that the lead converts.
        score: The same as 0-100 with one decimal.
        grade: A-D by the model's thresholds.
        margin: Log-odds of the trees before calibration.
    """

    probability: float
    score: float
    grade: Grade
    margin: float


@dataclass(frozen=True, slots=True, eq=False)
class ScoringModel:
    """Everything one model needs to score and explain; immutable, safe to share between threads.

    Attributes:
        digest: `artefact_digest` of the manifest: the identity of this model's bytes.
        decoder: JSON or columns to rows, by this model's contract.
    """

    contract: FeatureContract
    manifest: ArtefactManifest
    digest: str
    profile: ReferenceProfile
    calibration: Calibration
    grades: Grades
    kernel: Kernel
    decoder: LeadDecoder
    explainer: Explainer

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        backend: Literal["auto", "native", "numpy"] = "auto",
        threads: int = 1,
    ) -> Self:
        """Verify an artefact folder, read it, and check the evaluator on its golden rows.

        Args:
            directory: The artefact folder.
            backend: Evaluator: the compiled one, the numpy one, or whichever works.
            threads: Threads for whole matrices; single rows always take one.

        Raises:
            ArtefactError: A file is missing, extra, changed, malformed or contradicts another one, or our
                evaluator does not reproduce the training library's margins; the message names the file.
        """
        manifest = artefact.verify_artefact(directory)

        def read(name: str) -> bytes:
            return artefact.read_verified(directory, manifest, name)

        contract = _contract(read(artefact.CONTRACT), manifest)
        profile = ReferenceProfile.from_json(read(artefact.REFERENCE))
        _check_profile(profile, contract)
        calibration = Calibration.from_json(read(artefact.CALIBRATION))
        # Numbers beyond their type are refused by the comparison below; NumPy's warning adds nothing.
        with _naming(manifest.model_file), np.errstate(over="ignore", invalid="ignore"):
            forest = _read_forest(read(manifest.model_file), manifest.algorithm)
            if forest.features != len(contract.inputs):
                raise ArtefactError(
                    f"The trees take {forest.features} features, the contract has {len(contract.inputs)}."
                )
            kernel = open_kernel(forest, backend=backend, threads=threads)
        _check_golden(Golden.from_json(read(artefact.GOLDEN)), kernel, contract)
        return cls(
            contract=contract,
            manifest=manifest,
            digest=artefact.artefact_digest(manifest),
            profile=profile,
            calibration=calibration,
            grades=Grades.from_json(read(artefact.GRADES_FILE)),
            kernel=kernel,
            decoder=LeadDecoder(contract),
            explainer=Explainer(contract),
        )

    def score_row(self, row: npt.NDArray[np.float32]) -> Score:
        """Score one encoded lead, float32 (inputs,)."""
        margin = self.kernel.margin(row)
        probability = self.calibration.probability(margin)
        return Score(probability, score_of(probability), self.grades.grade(probability), margin)

    def score_rows(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Probabilities, float64 (n,), of encoded leads float32 (n, inputs)."""
        return self.calibration.probabilities(self.kernel.margins(matrix))

    def explain_row(self, row: npt.NDArray[np.float32], top: int) -> tuple[Reason, ...]:
        """The `top` features by exact Shapley value (path-dependent TreeSHAP), largest first."""
        return self.explainer.reasons(row, self.kernel.shapley(row), top)


def _contract(data: bytes, manifest: ArtefactManifest) -> FeatureContract:
    try:
        contract = parse_contract(data, artefact.CONTRACT)
    except ContractError as error:
        raise ArtefactError(f"{artefact.CONTRACT}: {error.message}", hint="Train the model again.") from error
    version = contract_version(contract)
    if version != manifest.contract_version:
        raise ArtefactError(
            f"{artefact.CONTRACT} has version {version}, the manifest says {manifest.contract_version}."
        )
    return contract


def _check_profile(profile: ReferenceProfile, contract: FeatureContract) -> None:
    profiled = [(feature.name, _shape(feature.kind, len(feature.counts))) for feature in profile.features]
    inputs = [(feature.name, _shape_of(feature)) for feature in contract.inputs]
    if profiled != inputs:
        raise ArtefactError(
            f"{artefact.REFERENCE} describes other features than {artefact.CONTRACT}"
            f" ({len(profiled)} against {len(inputs)}, in another order, or of other kinds or categories)."
        )


def _shape(kind: str, bins: int) -> tuple[str, int]:
    """Kind of a feature and how many bins it has by its kind; a number has as many as training gave it."""
    return kind, 0 if kind == "numeric" else bins


def _shape_of(feature: Feature) -> tuple[str, int]:
    if isinstance(feature, Categorical):
        return _shape("categorical", len(feature.categories) + 1)
    return _shape("boolean", 2) if isinstance(feature, Boolean) else _shape("numeric", 0)


@contextmanager
def _naming(file: str) -> Generator[None]:
    """Say in which file it is what readers of trees find wrong."""
    try:
        yield
    except ArtefactError as error:
        if file in error.message:
            raise
        raise ArtefactError(f"{file}: {error.message}", hint=error.hint) from error


def _read_forest(data: bytes, algorithm: Algorithm) -> Forest:
    if algorithm == "xgboost":
        return read_xgboost(data)
    try:
        return read_lightgbm(data.decode())
    except UnicodeDecodeError as error:
        raise ArtefactError("The file is not UTF-8 text.") from error


def _check_golden(golden: Golden, kernel: Kernel, contract: FeatureContract) -> None:
    matrix = golden.matrix()
    if matrix.shape[1] != len(contract.inputs):
        raise ArtefactError(
            f"{artefact.GOLDEN} has rows of {matrix.shape[1]} features, the contract {len(contract.inputs)}."
        )
    expected = np.array(golden.margins)
    # Both paths: the service scores single rows, bulk and batch score matrices.
    single = np.array([kernel.margin(row) for row in matrix])
    for margins in (single, kernel.margins(matrix)):
        error = float(np.max(np.abs(margins - expected) / np.maximum(1.0, np.abs(expected))))
        if not error <= GOLDEN_TOLERANCE:
            raise ArtefactError(
                f"{artefact.GOLDEN}: the {kernel.backend} evaluator differs from the training library by"
                f" {error:.2g} (allowed {GOLDEN_TOLERANCE:g}).",
                hint="This model must not serve. Report it with the model file; roll back meanwhile.",
            )
