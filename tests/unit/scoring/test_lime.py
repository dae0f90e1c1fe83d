from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from tests.support.artefacts import build_artefact, sample_matrix

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.errors import BadInputError
from leadscore.scoring.lime import explain_lime
from leadscore.scoring.model import ScoringModel

# Everything required: the lime package cannot read missing values.
CONTRACT = FeatureContract(
    name="complete",
    id="id",
    target=Target(column="y"),
    features=(
        Numeric(name="a", range=(0.0, 100.0), required=True),
        Numeric(name="b", range=(0.0, 10.0), required=True),
        Categorical(name="c", categories=("x", "y", "z"), required=True),
        Numeric(name="d", range=(-5.0, 5.0), required=True),
        Boolean(name="e", required=True),
        Numeric(name="f", range=(0.0, 1.0), required=True),
    ),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoringModel:
    return ScoringModel.load(
        build_artefact(tmp_path_factory.mktemp("lime") / "m", contract=CONTRACT, rows=1500)
    )


@pytest.fixture(scope="module")
def sample(artefact: Path) -> ScoringModel:
    return ScoringModel.load(artefact)


@pytest.fixture(scope="module")
def their_weights(model: ScoringModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, and the lime package's weights (rows, features) and R² for them."""
    from lime.lime_tabular import LimeTabularExplainer

    training = sample_matrix(CONTRACT, 1500, seed=0)
    explainer = LimeTabularExplainer(
        training.astype(float), categorical_features=[2, 4], discretize_continuous=True, random_state=0
    )

    def predict(matrix: np.ndarray) -> np.ndarray:
        p = model.score_rows(matrix.astype(np.float32))
        return np.column_stack([1 - p, p])

    rows = training[:6]
    weights, scores = np.zeros((6, 6)), np.zeros(6)
    for i, row in enumerate(rows):
        found = explainer.explain_instance(row.astype(float), predict, num_features=6, num_samples=8000)
        for column, weight in found.as_map()[1]:
            weights[i, column] = weight
        scores[i] = found.score
    return rows, weights, scores


def _ours(model: ScoringModel, row: np.ndarray) -> tuple[np.ndarray, float]:
    names = [f.name for f in CONTRACT.inputs]
    explanation = explain_lime(model, row, samples=8000, seed=1, top=6)
    weights = np.zeros(len(names))
    for weight in explanation.weights:
        weights[names.index(weight.feature)] = weight.weight
    return weights, explanation.r2


def test_weights_agree_with_the_lime_package(
    model: ScoringModel, their_weights: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    rows, theirs, scores = their_weights
    for row, their, score in zip(rows, theirs, scores, strict=True):
        ours, r2 = _ours(model, row)
        assert np.corrcoef(ours, their)[0, 1] > 0.97
        # The same leading feature, unless theirs are as good as equal.
        lead = np.sort(np.abs(their))[::-1]
        if lead[0] - lead[1] > 0.02:
            assert np.argmax(np.abs(ours)) == np.argmax(np.abs(their))
        assert r2 == pytest.approx(score, abs=0.06)


def test_the_same_seed_gives_the_same_explanation(sample: ScoringModel) -> None:
    row = sample_matrix(sample.contract, 1, seed=5)[0]
    assert explain_lime(sample, row, seed=3) == explain_lime(sample, row, seed=3)
    assert explain_lime(sample, row, seed=3) != explain_lime(sample, row, seed=4)


@pytest.mark.parametrize("top", [1, 3, 6, 7, 8, 50])
def test_it_names_the_features_asked_for_largest_first(sample: ScoringModel, top: int) -> None:
    row = sample_matrix(sample.contract, 1, seed=5)[0]
    weights = explain_lime(sample, row, seed=3, top=top).weights
    sizes = [abs(w.weight) for w in weights]
    assert len(weights) == min(top, 8)
    assert len({w.feature for w in weights}) == len(weights)
    assert sizes == sorted(sizes, reverse=True)


def test_intercept_and_weights_make_the_local_probability(sample: ScoringModel) -> None:
    row = sample_matrix(sample.contract, 1, seed=6)[0]
    found = explain_lime(sample, row, seed=0, top=8)
    assert found.local_probability == pytest.approx(found.intercept + sum(w.weight for w in found.weights))
    assert found.probability == pytest.approx(sample.score_row(row).probability)
    assert 0.0 <= found.r2 <= 1.0


def test_a_lead_with_nothing_known_is_explained(sample: ScoringModel) -> None:
    row = np.full(len(sample.contract.inputs), math.nan, dtype=np.float32)
    found = explain_lime(sample, row, top=8)
    assert {w.condition for w in found.weights} == {"missing"}


def test_values_outside_the_training_range_are_explained(sample: ScoringModel) -> None:
    row = np.array([3e38, -3e38, 1e9, 0, 4, 5, 1, 0], dtype=np.float32)
    assert len(explain_lime(sample, row, top=8).weights) == 8


def test_conditions_are_true_for_the_lead(sample: ScoringModel) -> None:
    row = sample_matrix(sample.contract, 1, seed=8)[0]
    row[:] = [20_000.0, 3.0, 100.0, 5.0, 1, 0, 1, 0]
    conditions = {w.feature: w.condition for w in explain_lime(sample, row, top=8).weights}
    assert conditions["source"] == "referral"
    assert conditions["has_phone"] == "yes"
    assert conditions["is_urgent"] == "no"
    low, high = (float(part) for part in conditions["budget"].split(" to "))
    assert low <= 20_000.0 < high


@pytest.mark.parametrize(("samples", "top"), [(49, 5), (100_001, 5), (1000, 0)])
def test_unreasonable_requests_are_refused(sample: ScoringModel, samples: int, top: int) -> None:
    row = sample_matrix(sample.contract, 1, seed=8)[0]
    with pytest.raises(BadInputError):
        explain_lime(sample, row, samples=samples, top=top)
