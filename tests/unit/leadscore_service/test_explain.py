"""Explanations: exact by default, LIME on request, bare or wrapped leads."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost

from leadscore.contract import Categorical


def test_reasons_equal_the_boosters_own_contributions(service, model, artefact, lead) -> None:
    reply = service.post("/explain-prediction", {"lead": lead}).json
    booster = xgboost.Booster(model_file=artefact / "model.ubj")
    row = model.decoder.decode(json.dumps(lead).encode()).row
    kinds = ["c" if isinstance(f, Categorical) else "q" for f in model.contract.inputs]
    data = xgboost.DMatrix(row[None, :], feature_types=kinds, enable_categorical=True)
    expected = booster.predict(data, pred_contribs=True)[0]
    impacts = {r["feature"]: r["impact"] for r in reply["reasons"]}
    ours = [impacts.get(f.name, 0.0) for f in model.contract.inputs]
    np.testing.assert_allclose([*ours, reply["base_margin"]], expected, atol=1e-5)
    assert reply["margin"] == pytest.approx(sum(ours) + reply["base_margin"], abs=1e-5)
    assert reply["method"] == "shap"
    assert reply["lime"] is None


def test_a_bare_lead_takes_its_parameters_from_the_query(service, lead) -> None:
    bare = service.post("/explain-prediction?top=2", lead).json
    wrapped = service.post("/explain-prediction", {"lead": lead, "top": 2}).json
    assert bare == wrapped
    assert len(bare["reasons"]) == 2


def test_lime_says_the_same_for_the_same_seed(service, lead) -> None:
    wish = {"lead": lead, "method": "lime", "top": 3, "samples": 200, "seed": 5}
    first, second = (service.post("/explain-prediction", wish).json for _ in range(2))
    assert first == second
    assert first["method"] == "lime"
    assert len(first["lime"]["weights"]) == 3
    assert first["lime"]["samples"] == 200
    bare = service.post("/explain-prediction?method=lime&top=3&samples=200&seed=5", lead).json
    assert bare == first


def test_the_score_is_that_of_score_lead_and_nothing_is_logged(service, lead) -> None:
    explained = service.post("/explain-prediction", lead).json
    assert service.logged() == []
    scored = service.post("/score-lead", lead).json
    assert (explained["score"], explained["probability"], explained["grade"]) == (
        scored["score"],
        scored["probability"],
        scored["grade"],
    )


@pytest.mark.parametrize(
    "wish",
    [
        {"method": "magic"},
        {"top": 0},
        {"top": 1.5},
        {"samples": 49},
        {"samples": 10_001},
        {"seed": -1},
        {"seed": 2**32},
        {"more": 1},
    ],
)
def test_wishes_out_of_range_are_refused(service, lead, wish) -> None:
    assert service.post("/explain-prediction", {"lead": lead, **wish}).status == 400


@pytest.mark.parametrize(
    "query", ["method=magic", "top=0", "samples=49", "samples=10001", "seed=-1", "seed=4294967296", "tops=1"]
)
def test_parameters_out_of_range_are_refused(service, lead, query) -> None:
    assert service.post(f"/explain-prediction?{query}", lead).status == 400


def test_a_key_given_twice_is_refused_around_the_lead_too(service, lead) -> None:
    text = json.dumps(lead)
    assert service.post("/explain-prediction", f'{{"lead": {text}, "lead": {text}}}'.encode()).status == 400


def test_a_bad_lead_is_named_by_field(service, lead) -> None:
    for body in ({**lead, "budget": []}, {"lead": {**lead, "budget": []}}):
        answer = service.post("/explain-prediction", body)
        assert answer.status == 422
        assert [f["field"] for f in answer.json["error"]["fields"]] == ["budget"]
