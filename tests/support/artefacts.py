"""A small, real model artefact for tests: XGBoost trained on a few hundred made-up leads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xgboost

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target, dump_contract
from leadscore.scoring import artefact
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.golden import GOLDEN_ROWS, Golden
from leadscore.scoring.grades import Grades
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

BINS = 10


def sample_contract() -> FeatureContract:
    """Eight inputs of every kind, one audit-only sensitive feature."""
    return FeatureContract(
        name="Sample leads",
        id="lead_id",
        time="created_at",
        target=Target(column="converted", known_at="outcome_known_at"),
        value="revenue",
        features=(
            Numeric(name="budget", range=(0.0, 100_000.0), unit="EUR", description="Budget"),
            Numeric(
                name="pricing_visits",
                range=(0.0, 50.0),
                integer=True,
                unit="visits",
                description="Visits to the pricing page",
                required=True,
            ),
            Numeric(
                name="response_hours", range=(0.0, 500.0), unit="hours", description="Time to first answer"
            ),
            Numeric(
                name="emails_opened", range=(0.0, 40.0), integer=True, description="Number of emails opened"
            ),
            Categorical(
                name="source",
                categories=("website", "referral", "partner", "event", "advert"),
                description="Source",
                required=True,
            ),
            Categorical(
                name="country", categories=("DE", "FR", "NL", "US", "GB", "PL"), description="Country"
            ),
            Boolean(name="has_phone", description="Has a phone number"),
            Boolean(name="is_urgent", description="Is urgent"),
            Categorical(name="age_band", categories=("18-34", "35-54", "55+"), sensitive=True, input=False),
        ),
    )


def sample_matrix(contract: FeatureContract, rows: int, seed: int) -> npt.NDArray[np.float32]:
    """Encoded leads within the contract's ranges, float32 (rows, inputs); one value in ten is missing."""
    rng = np.random.default_rng(seed)
    matrix = np.empty((rows, len(contract.inputs)), dtype=np.float32)
    for column, feature in enumerate(contract.inputs):
        if isinstance(feature, Categorical):
            matrix[:, column] = rng.integers(len(feature.categories), size=rows)
        elif isinstance(feature, Boolean):
            matrix[:, column] = rng.integers(2, size=rows)
        else:
            low, high = (0.0 if end is None else end for end in feature.range)
            values = low + (max(high, low + 1.0) - low) * rng.beta(1.2, 4.0, size=rows)
            matrix[:, column] = np.round(values) if feature.integer else values
        if not feature.required:
            matrix[rng.random(rows) < 0.1, column] = np.nan
    return matrix


def sample_leads(rows: int, seed: int) -> pa.Table:
    """The same leads as a table of the CRM, `L-0000` first."""
    contract = sample_contract()
    matrix = sample_matrix(contract, rows, seed)
    columns: dict[str, pa.Array] = {contract.id: pa.array([f"L-{i:04d}" for i in range(rows)])}
    for column, feature in enumerate(contract.inputs):
        values = [None if np.isnan(value) else value for value in matrix[:, column].tolist()]
        if isinstance(feature, Categorical):
            texts = [None if value is None else feature.categories[int(value)] for value in values]
            columns[feature.name] = pa.array(texts, pa.string())
        elif isinstance(feature, Boolean):
            columns[feature.name] = pa.array(
                [None if value is None else bool(value) for value in values], pa.bool_()
            )
        else:
            columns[feature.name] = pa.array(values, pa.float64())
    return pa.table(columns)


def sample_labels(matrix: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float32]:
    """Noisy 0/1 outcomes, about three in ten positive, that every column has a part in."""
    rng = np.random.default_rng([seed, 1])
    scaled = np.nan_to_num((matrix - np.nanmean(matrix, axis=0)) / (np.nanstd(matrix, axis=0) + 1e-9))
    weights = np.where(np.arange(matrix.shape[1]) % 3 == 0, -0.9, 0.7)
    logit = scaled @ weights + 0.8 * scaled[:, 0] * scaled[:, 1] - 1.2
    return (rng.random(len(matrix)) < 1.0 / (1.0 + np.exp(-logit))).astype(np.float32)


def train_booster(
    contract: FeatureContract,
    matrix: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    *,
    trees: int = 20,
    depth: int = 4,
    seed: int = 0,
) -> xgboost.Booster:
    """An XGBoost model with native categories, the same bytes for the same arguments."""
    data = xgboost.DMatrix(matrix, labels, feature_types=_feature_types(contract), enable_categorical=True)
    parameters = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": depth,
        "eta": 0.2,
        "seed": seed,
        "nthread": 1,
    }
    return xgboost.train(parameters, data, num_boost_round=trees)


def build_artefact(
    directory: Path,
    *,
    name: str = "sample",
    seed: int = 0,
    trees: int = 20,
    depth: int = 4,
    rows: int = 500,
    contract: FeatureContract | None = None,
    calibration: Calibration | None = None,
) -> Path:
    """Train on made-up leads and write a complete, verified artefact folder at `directory`.

    Different seeds give models (and digests) that differ. The default calibration is Platt's with fixed
    numbers.
    """
    contract = contract or sample_contract()
    calibration = calibration or Calibration.platt(0.9, -0.1)
    matrix = sample_matrix(contract, rows, seed)
    booster = train_booster(
        contract, matrix, sample_labels(matrix, seed), trees=trees, depth=depth, seed=seed
    )
    data = xgboost.DMatrix(matrix, feature_types=_feature_types(contract), enable_categorical=True)
    margins = booster.predict(data, output_margin=True)
    probabilities = calibration.probabilities(margins)
    a, b, c = (float(q) for q in np.quantile(probabilities, (0.9, 0.7, 0.4)))
    with artefact.writing_artefact(directory) as folder:
        (folder / "model.ubj").write_bytes(bytes(booster.save_raw("ubj")))
        (folder / artefact.CONTRACT).write_text(dump_contract(contract), encoding="utf-8")
        (folder / artefact.CALIBRATION).write_bytes(calibration.to_json())
        (folder / artefact.GRADES_FILE).write_bytes(Grades(a, b, c).to_json())
        (folder / artefact.REFERENCE).write_bytes(sample_profile(contract, matrix, probabilities).to_json())
        (folder / artefact.GOLDEN).write_bytes(
            Golden.of(matrix[:GOLDEN_ROWS], margins[:GOLDEN_ROWS]).to_json()
        )
        (folder / artefact.METRICS).write_text(json.dumps(_metrics(seed)), encoding="utf-8")
        (folder / artefact.CARD).write_text(f"# {name}\n\nMade for tests.\n", encoding="utf-8")
        artefact.write_manifest(
            folder,
            name=name,
            algorithm="xgboost",
            created_at=datetime(2026, 1, 5, tzinfo=UTC),
            data=artefact.DataSnapshot(rows=rows, digest="0" * 64),
            code_revision="test",
            seed=seed,
            libraries={"xgboost": xgboost.__version__},
        )
    return directory


def sample_profile(
    contract: FeatureContract,
    matrix: npt.NDArray[np.float32],
    probabilities: npt.NDArray[np.float64],
) -> ReferenceProfile:
    """The reference profile of encoded rows, computed the plain way."""
    score_edges = tuple(i / BINS for i in range(1, BINS))
    return ReferenceProfile(
        rows=len(matrix),
        features=tuple(
            _feature_profile(feature, matrix[:, column]) for column, feature in enumerate(contract.inputs)
        ),
        score_edges=score_edges,
        score_counts=_counts(np.searchsorted(score_edges, probabilities, side="right"), BINS),
        quantiles=tuple(float(q) for q in np.quantile(probabilities, np.linspace(0, 1, 101))),
    )


def _feature_profile(
    feature: Numeric | Categorical | Boolean, column: npt.NDArray[np.float32]
) -> FeatureProfile:
    present = column[~np.isnan(column)].astype(np.float64)
    missing = len(column) - len(present)
    if isinstance(feature, Categorical):
        counts = _counts(present, len(feature.categories) + 1)
        return FeatureProfile(name=feature.name, kind="categorical", counts=counts, missing=missing)
    if isinstance(feature, Boolean):
        return FeatureProfile(name=feature.name, kind="boolean", counts=_counts(present, 2), missing=missing)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, present, side="right")
    groups = [present[bins == i] for i in range(len(edges) + 1)]
    return FeatureProfile(
        name=feature.name,
        kind="numeric",
        edges=tuple(edges.tolist()),
        counts=tuple(len(g) for g in groups),
        missing=missing,
        mean=float(present.mean()),
        std=float(present.std()),
        minimum=float(present.min()),
        maximum=float(present.max()),
        bin_means=tuple(float(g.mean()) if len(g) else 0.0 for g in groups),
        bin_stds=tuple(float(g.std()) if len(g) else 0.0 for g in groups),
    )


def _counts(codes: npt.NDArray[np.generic], length: int) -> tuple[int, ...]:
    return tuple(np.bincount(codes.astype(np.intp), minlength=length).tolist())


def _feature_types(contract: FeatureContract) -> list[str]:
    return ["c" if isinstance(feature, Categorical) else "q" for feature in contract.inputs]


def _metrics(seed: int) -> dict[str, object]:
    auc = 0.80 + 0.01 * (seed % 10)
    return {"metrics": {"auc": {"value": auc, "low": auc - 0.02, "high": auc + 0.02}}}
