"""Why a score changed: parts that sum to the change, and a plain word where there can be none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.artefacts import build_artefact, sample_contract, sample_matrix

from leadscore.contract import Categorical
from leadscore.scoring.calibration import Calibration
from leadscore.scoring.model import ScoringModel
from leadscore.scoring.score_change import ScoreChange, ScoredRow, explain_change

LEADS = 60


def _load(folder: Path) -> ScoringModel:
    return ScoringModel.load(folder, backend="numpy")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ScoringModel]:
    folder = tmp_path_factory.mktemp("versions")
    flat = Calibration.isotonic((-2.0, -0.5, 0.0, 1.5), (0.0, 0.2, 0.2, 1.0))
    return {
        "1": _load(build_artefact(folder / "1", seed=1)),
        "2": _load(build_artefact(folder / "2", seed=2)),
        "1, recalibrated": _load(
            build_artefact(folder / "1c", seed=1, calibration=Calibration.platt(1.3, -0.8))
        ),
        "in steps": _load(build_artefact(folder / "4", seed=4, calibration=flat)),
    }


MATRIX = sample_matrix(sample_contract(), LEADS, seed=5)


def scored(models: dict[str, ScoringModel], version: str, row: np.ndarray) -> ScoredRow:
    model = models[version]
    return ScoredRow(version, model, row, model.score_row(row).probability)


def check_sum(change: ScoreChange) -> None:
    split = change.split
    assert split is not None
    for of in ("log_odds", "points"):
        parts = [getattr(p, of) for p in (split.data, split.model, split.calibration)]
        assert sum(parts) == pytest.approx(getattr(change, of), abs=1e-9)


VERSIONS = ("1", "2", "1, recalibrated", "in steps")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    places=st.tuples(st.integers(0, LEADS - 1), st.integers(0, LEADS - 1)),
    versions=st.tuples(st.sampled_from(VERSIONS), st.sampled_from(VERSIONS)),
)
def test_the_parts_sum_to_the_change_and_turn_around_with_it(models, places, versions) -> None:
    ends = [scored(models, version, MATRIX[place]) for version, place in zip(versions, places, strict=True)]

    there, back = explain_change(*ends), explain_change(*reversed(ends))

    check_sum(there)
    check_sum(back)
    assert there.split is not None
    assert back.split is not None
    assert there.split.model.log_odds == pytest.approx(-back.split.model.log_odds, abs=1e-9)
    assert there.split.calibration.log_odds == pytest.approx(-back.split.calibration.log_odds, abs=1e-9)
    returned = {f.feature: f.part.log_odds for f in back.split.features}
    for feature in there.split.features:
        assert feature.part.log_odds == pytest.approx(-returned[feature.feature], abs=1e-9)


def test_the_same_lead_under_the_same_model_has_no_change(models) -> None:
    one = scored(models, "1", MATRIX[0])
    change = explain_change(one, one)
    assert (change.log_odds, change.points) == (0.0, 0.0)
    assert change.split is not None
    assert change.split.features == ()
    assert change.split.model.log_odds == change.split.calibration.log_odds == 0.0
    assert change.sentences == ("Nothing changed: the same values, read by the same model.",)


def test_under_the_same_model_only_the_data_have_a_part(models) -> None:
    change = explain_change(scored(models, "1", MATRIX[0]), scored(models, "1", MATRIX[1]))
    assert change.split is not None
    assert change.split.model.log_odds == change.split.calibration.log_odds == 0.0
    assert change.split.data.log_odds == pytest.approx(change.log_odds, abs=1e-9)


def test_of_one_changed_field_the_whole_change_is_its_own(models) -> None:
    later = MATRIX[0].copy()
    later[1] = 25.0
    change = explain_change(scored(models, "1", MATRIX[0]), scored(models, "1", later))
    assert change.split is not None
    [only] = change.split.features
    assert only.feature == "pricing_visits"
    assert only.part.log_odds == pytest.approx(change.log_odds, abs=1e-9)
    assert change.sentences[0].startswith("Visits to the pricing page went from ")
    assert " points " in change.sentences[0]


def test_where_only_the_calibration_is_new_the_whole_change_is_its_own(models) -> None:
    change = explain_change(scored(models, "1", MATRIX[0]), scored(models, "1, recalibrated", MATRIX[0]))
    assert change.split is not None
    assert change.split.model.log_odds == 0.0
    assert change.split.calibration.log_odds == pytest.approx(change.log_odds, abs=1e-9)
    assert any("translates its ranking into chances anew" in said for said in change.sentences)


def test_where_only_the_model_is_new_no_field_is_blamed(models) -> None:
    change = explain_change(scored(models, "1", MATRIX[0]), scored(models, "2", MATRIX[0]))
    assert change.split is not None
    assert change.split.features == ()
    assert change.split.model.log_odds == pytest.approx(change.log_odds, abs=1e-9)
    assert "version 2 instead of version 1" in change.sentences[0]


def test_certain_probabilities_leave_the_parts_finite(models) -> None:
    low, high = (MATRIX[models["in steps"].kernel.margins(MATRIX).argsort()[place]] for place in (0, -1))
    ends = [scored(models, "in steps", row) for row in (low, high)]
    assert (ends[0].probability, ends[1].probability) == (0.0, 1.0)
    change = explain_change(*ends)
    check_sum(change)
    assert change.points == 100.0


def test_a_version_of_another_contract_says_what_cannot_be_compared(models, tmp_path: Path) -> None:
    contract = sample_contract()
    features = [f for f in contract.features if f.name != "is_urgent"]
    features = [
        msgspec.structs.replace(f, categories=(*f.categories, "IT"))
        if isinstance(f, Categorical) and f.name == "country"
        else f
        for f in features
    ]
    other = msgspec.structs.replace(contract, features=tuple(features))
    models = {**models, "9": _load(build_artefact(tmp_path / "9", contract=other))}
    row = sample_matrix(other, 1, seed=8)[0]
    change = explain_change(scored(models, "1", MATRIX[0]), scored(models, "9", row))
    assert change.split is None
    assert "another list of fields" in change.not_comparable[0]
    assert "Only the older version uses: Is urgent." in change.not_comparable
    assert "Read in another way: Country." in change.not_comparable
    assert any(said.startswith("Budget went from ") for said in change.sentences)


def test_a_prediction_that_its_model_does_not_reproduce_is_not_explained(models) -> None:
    real = scored(models, "1", MATRIX[0])
    forged = ScoredRow("1", real.model, real.row, real.probability / 2)
    change = explain_change(real, forged)
    assert change.split is None
    assert "does not give the stored score" in change.not_comparable[0]
