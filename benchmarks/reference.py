"""The reference model of the speed rows: 300 trees of depth 6 over 15 numeric and 10 categorical features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.environments import cache_folder
from leadscore.contract import Categorical, FeatureContract, Numeric, Target, dump_contract

if TYPE_CHECKING:
    import pyarrow as pa
    import xgboost

NUMERIC, CATEGORICAL, CATEGORIES = 15, 10, 8
TREES, DEPTH, TRAINING_ROWS = 300, 6, 40_000
LEADS = 1000

Matrix = npt.NDArray[np.float32]


def reference_contract() -> FeatureContract:
    """25 features with names and categories as long as real ones."""
    numeric = tuple(Numeric(name=f"amount_{i:02d}", range=(0.0, 1000.0)) for i in range(NUMERIC))
    categories = tuple(f"option-{i}" for i in range(CATEGORIES))
    categorical = tuple(
        Categorical(name=f"choice_{i:02d}", categories=categories) for i in range(CATEGORICAL)
    )
    return FeatureContract(
        name="Reference leads of the benchmark",
        id="lead_id",
        time="created_at",
        target=Target(column="converted"),
        features=(*numeric, *categorical),
    )


def reference_matrix(rows: int, seed: int) -> Matrix:
    """Encoded leads, float32 (rows, 25), nothing missing: not every server we compare with takes null."""
    source = np.random.default_rng(seed)
    numeric = np.round(source.gamma(2.0, 120.0, (rows, NUMERIC)).clip(0, 1000), 1)
    categorical = source.integers(CATEGORIES, size=(rows, CATEGORICAL))
    return np.concatenate([numeric, categorical], axis=1).astype(np.float32)


def reference_labels(matrix: Matrix, seed: int) -> npt.NDArray[np.float32]:
    """Outcomes that depend on everything, with interactions, so that trees grow to their full depth."""
    source = np.random.default_rng([seed, 1])
    scaled = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
    weights = np.where(np.arange(matrix.shape[1]) % 2 == 0, 0.4, -0.3)
    logit = (
        scaled @ weights + 0.6 * scaled[:, 0] * scaled[:, 16] + np.sin(3 * scaled[:, 1]) * scaled[:, 2] - 1.0
    )
    return (source.random(len(matrix)) < 1 / (1 + np.exp(-logit))).astype(np.float32)


def reference_table(rows: int, seed: int) -> pa.Table:
    """The same leads as a table with ids, creation times over six months, and known outcomes."""
    import pyarrow as pa  # noqa: PLC0415

    matrix = reference_matrix(rows, seed)
    start = np.datetime64("2026-01-01T00:00:00", "us")
    step = np.timedelta64(int(181 * 86_400_000_000 / rows), "us")
    columns: dict[str, pa.Array] = {
        "lead_id": pa.array([f"L-{i:07d}" for i in range(rows)]),
        "created_at": pa.array(start + np.arange(rows) * step),
        "converted": pa.array(reference_labels(matrix, seed).astype(np.int64)),
    }
    for index, feature in enumerate(reference_contract().inputs):
        if isinstance(feature, Categorical):
            codes = pa.array(matrix[:, index].astype(np.int8))
            columns[feature.name] = pa.DictionaryArray.from_arrays(codes, list(feature.categories))
        else:
            columns[feature.name] = pa.array(matrix[:, index].astype(np.float64))
    return pa.table(columns)


@dataclass(frozen=True, slots=True)
class Reference:
    """The trained reference model.

    Attributes:
        directory: A complete artefact.
        booster: The same model in XGBoost's own format, for everybody else.
    """

    directory: Path
    booster: Path

    @property
    def leads(self) -> list[dict[str, object]]:
        """The leads that are sent, as the CRM would."""
        contract = reference_contract()
        return [_lead(contract, row, i) for i, row in enumerate(self.matrix)]

    @property
    def matrix(self) -> Matrix:
        """The same leads encoded."""
        return reference_matrix(LEADS, seed=2)


def reference() -> Reference:
    """The reference model, trained the first time (about 20 s) and kept in the user's cache."""
    import xgboost  # noqa: PLC0415  (only this row of the bench trains)

    directory = cache_folder() / f"reference-{TREES}x{DEPTH}-xgboost-{xgboost.__version__}"
    found = Reference(directory, directory / "model.ubj")
    if not (directory / "manifest.json").exists():
        _train(directory)
    return found


def _train(directory: Path) -> None:
    import xgboost  # noqa: PLC0415

    from leadscore.drift.reference import build_profile  # noqa: PLC0415
    from leadscore.scoring import artefact  # noqa: PLC0415
    from leadscore.scoring.calibration import Calibration  # noqa: PLC0415
    from leadscore.scoring.golden import GOLDEN_ROWS, Golden  # noqa: PLC0415
    from leadscore.scoring.grades import Grades  # noqa: PLC0415

    contract, matrix = reference_contract(), reference_matrix(TRAINING_ROWS, seed=1)
    booster, margins = train_booster(contract, matrix, reference_labels(matrix, seed=1))
    calibration = Calibration.platt(0.9, -0.1)
    probabilities = calibration.probabilities(margins)
    a, b, c = (float(q) for q in np.quantile(probabilities, (0.9, 0.7, 0.4)))
    directory.parent.mkdir(parents=True, exist_ok=True)
    with artefact.writing_artefact(directory) as folder:
        (folder / "model.ubj").write_bytes(bytes(booster.save_raw("ubj")))
        (folder / artefact.CONTRACT).write_text(dump_contract(contract), encoding="utf-8")
        (folder / artefact.CALIBRATION).write_bytes(calibration.to_json())
        (folder / artefact.GRADES_FILE).write_bytes(Grades(a, b, c).to_json())
        (folder / artefact.REFERENCE).write_bytes(build_profile(contract, matrix, probabilities).to_json())
        golden = Golden.of(matrix[:GOLDEN_ROWS], margins[:GOLDEN_ROWS])
        (folder / artefact.GOLDEN).write_bytes(golden.to_json())
        artefact.write_manifest(
            folder,
            name="reference",
            algorithm="xgboost",
            data=artefact.DataSnapshot(rows=TRAINING_ROWS, digest="0" * 64),
            code_revision="benchmarks",
            seed=1,
            libraries={"xgboost": xgboost.__version__},
        )


def train_booster(
    contract: FeatureContract, matrix: Matrix, labels: npt.NDArray[np.float32]
) -> tuple[xgboost.Booster, npt.NDArray[np.float32]]:
    """The booster and its margins on the training rows; single-threaded, so the same bytes every time."""
    import xgboost  # noqa: PLC0415

    types = ["c" if isinstance(feature, Categorical) else "q" for feature in contract.inputs]
    data = xgboost.DMatrix(matrix, labels, feature_types=types, enable_categorical=True)
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": DEPTH,
        "eta": 0.05,
        "nthread": 1,
    }
    booster = xgboost.train(parameters, data, num_boost_round=TREES)
    return booster, booster.predict(data, output_margin=True)


def _lead(contract: FeatureContract, row: npt.NDArray[np.float32], number: int) -> dict[str, object]:
    lead: dict[str, object] = {contract.id: f"L-{number:06d}"}
    for feature, value in zip(contract.inputs, row.tolist(), strict=True):
        is_category = isinstance(feature, Categorical)
        lead[feature.name] = feature.categories[int(value)] if is_category else round(value, 1)
    return lead


def write_lines(path: Path, documents: list[dict[str, object]]) -> Path:
    """One compact JSON document per line."""
    lines = (json.dumps(document, separators=(",", ":")) for document in documents)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
