from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import xgboost
from tests.support.artefacts import build_artefact, sample_matrix

from leadscore.contract import dump_contract, load_contract
from leadscore.errors import ArtefactError
from leadscore.scoring.artefact import MANIFEST, Manifest, verify_artefact, write_manifest
from leadscore.scoring.golden import Golden
from leadscore.scoring.model import ScoringModel
from leadscore.scoring.profile import ReferenceProfile


@pytest.fixture(scope="module")
def model(artefact: Path) -> ScoringModel:
    return ScoringModel.load(artefact)


def _changed(artefact: Path, target: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy with one file changed and a manifest that admits it: what a mistaken publisher would make."""
    shutil.copytree(artefact, target)
    manifest: Manifest = verify_artefact(target)
    (target / MANIFEST).unlink()
    (target / name).write_bytes(change((target / name).read_bytes()))
    write_manifest(
        target,
        name=manifest.name,
        algorithm=manifest.algorithm,
        data=manifest.data,
        code_revision="",
        seed=0,
        libraries={},
    )
    return target


def test_the_loaded_model_scores_like_the_training_library(model: ScoringModel, artefact: Path) -> None:
    booster = xgboost.Booster(model_file=str(artefact / "model.ubj"))
    matrix = sample_matrix(model.contract, 200, seed=9)
    kinds = ["c" if f.kind == "categorical" else "q" for f in model.profile.features]
    data = xgboost.DMatrix(matrix, feature_types=kinds, enable_categorical=True)
    expected = model.calibration.probabilities(booster.predict(data, output_margin=True))
    assert model.score_rows(matrix) == pytest.approx(expected, abs=1e-6)


def test_one_row_and_many_rows_get_the_same_score(model: ScoringModel) -> None:
    matrix = sample_matrix(model.contract, 50, seed=11)
    single = [model.score_row(row).probability for row in matrix]
    assert model.score_rows(matrix) == pytest.approx(single, abs=1e-12)


def test_a_score_is_plain_python_values(model: ScoringModel) -> None:
    score = model.score_row(sample_matrix(model.contract, 1, seed=2)[0])
    assert [type(v) for v in (score.probability, score.score, score.grade, score.margin)] == [
        float,
        float,
        str,
        float,
    ]
    assert score.grade == model.grades.grade(score.probability)


def test_a_lead_as_json_is_scored_with_missing_values(model: ScoringModel) -> None:
    lead = model.decoder.decode(b'{"lead_id": "L-1", "pricing_visits": 3, "source": "referral"}')
    assert 0.0 < model.score_row(lead.row).probability < 1.0


def test_reasons_add_up_to_the_margin(model: ScoringModel) -> None:
    row = sample_matrix(model.contract, 1, seed=4)[0]
    base = float(model.kernel.shapley(row)[-1])
    reasons = model.explain_row(row, top=99)
    assert base + sum(r.impact for r in reasons) == pytest.approx(model.score_row(row).margin, abs=1e-5)


def test_threads_and_backend_do_not_change_scores(model: ScoringModel, artefact: Path) -> None:
    matrix = sample_matrix(model.contract, 100, seed=5)
    other = ScoringModel.load(artefact, backend="numpy", threads=2)
    assert np.array_equal(other.score_rows(matrix), model.score_rows(matrix))


def test_golden_margins_that_our_evaluator_does_not_reproduce_are_refused(
    artefact: Path, tmp_path: Path
) -> None:
    def shift(data: bytes) -> bytes:
        golden = Golden.from_json(data)
        margins = (golden.margins[0] + 1e-4, *golden.margins[1:])
        return msgspec.structs.replace(golden, margins=margins).to_json()

    with pytest.raises(ArtefactError, match=r"golden\.json.*evaluator differs"):
        ScoringModel.load(_changed(artefact, tmp_path / "m", "golden.json", shift))


def test_a_model_of_another_seed_does_not_pass_with_these_golden_rows(artefact: Path, tmp_path: Path) -> None:
    other = build_artefact(tmp_path / "other", seed=1)
    with pytest.raises(ArtefactError, match=r"golden\.json"):
        ScoringModel.load(
            _changed(artefact, tmp_path / "m", "model.ubj", lambda _: (other / "model.ubj").read_bytes())
        )


def test_a_contract_with_fewer_inputs_than_the_model_is_refused(artefact: Path, tmp_path: Path) -> None:
    def drop_last(_: bytes) -> bytes:
        contract = load_contract(artefact / "contract.yaml")
        return dump_contract(msgspec.structs.replace(contract, features=contract.features[:-3])).encode()

    with pytest.raises(ArtefactError, match=r"reference\.json"):
        ScoringModel.load(_changed(artefact, tmp_path / "m", "contract.yaml", drop_last))


def test_a_profile_in_another_order_is_refused(artefact: Path, tmp_path: Path) -> None:
    def swap(data: bytes) -> bytes:
        profile = ReferenceProfile.from_json(data)
        return msgspec.structs.replace(profile, features=profile.features[::-1]).to_json()

    with pytest.raises(ArtefactError, match=r"reference\.json"):
        ScoringModel.load(_changed(artefact, tmp_path / "m", "reference.json", swap))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("golden.json", b"{}"),
        ("golden.json", b'{"rows": [[1.0]], "margins": [0.0]}'),
        ("grades.json", b"{}"),
        ("calibration.json", b"[]"),
        ("reference.json", b"{}"),
    ],
)
def test_a_malformed_part_is_refused_by_file_name(
    artefact: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        ScoringModel.load(_changed(artefact, tmp_path / "m", name, lambda _: content))


@pytest.mark.parametrize("content", [b"name: [unclosed", b"name: leads\nid: ''\n"])
def test_a_contract_that_is_none_is_refused_by_file_name(
    artefact: Path, tmp_path: Path, content: bytes
) -> None:
    folder = Path(shutil.copytree(artefact, tmp_path / "m"))
    (folder / "contract.yaml").write_bytes(content)
    document = msgspec.json.decode((folder / MANIFEST).read_bytes())
    document["files"]["contract.yaml"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (folder / MANIFEST).write_bytes(msgspec.json.encode(document))
    with pytest.raises(ArtefactError, match=r"contract\.yaml"):
        ScoringModel.load(folder)


def test_a_truncated_model_file_is_refused(artefact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        ScoringModel.load(
            _changed(artefact, tmp_path / "m", "model.ubj", lambda data: data[: len(data) // 2])
        )


def _one_category_less(data: bytes) -> bytes:
    profile = msgspec.json.decode(data)
    (feature,) = (f for f in profile["features"] if f["name"] == "source")
    last = feature["counts"].pop()
    feature["counts"][-1] += last
    return msgspec.json.encode(profile)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("reference.json", _one_category_less),
        ("reference.json", lambda _: b'{"rows": ' + b"[" * 100_000),
        ("golden.json", lambda _: b'{"rows": ' + b"1" * 5_000 + b"}"),
        ("calibration.json", lambda _: b'{"method": "platt", "x": ' + b"[" * 100_000),
        ("grades.json", lambda _: b"[" * 100_000),
        ("grades.json", lambda data: data + b" " * (33 * 1024 * 1024)),
        ("model.ubj", lambda data: data[: len(data) // 2]),
        ("model.ubj", lambda data: b"{" * 1000 + data),
        ("model.ubj", lambda _: b"[#l" + (2**21).to_bytes(4, "big") + b"Z" * 2**21),
    ],
)
def test_whatever_is_wrong_with_a_file_the_error_names_it(
    artefact: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(ArtefactError, match=name.replace(".", r"\.")):
        ScoringModel.load(_changed(artefact, tmp_path / "changed", name, change))
