"""Scores: what the reply says, what is logged, what is counted."""

from __future__ import annotations

import numpy as np
import pytest

from leadscore_service.metrics_layout import SINGLE_INDEX, WARNING_INDEX

REPLY = {
    *("lead_id", "score", "probability", "grade", "reasons", "warnings"),
    *("model_name", "model_version", "contract_version", "prediction_id"),
}


def test_the_reply_is_the_models_score(service, model, lead) -> None:
    import json

    reply = service.post("/score-lead", lead).json
    decoded = model.decoder.decode(json.dumps(lead).encode())
    expected = model.score_row(decoded.row)
    assert set(reply) == REPLY
    assert reply["lead_id"] == lead["lead_id"]
    assert reply["probability"] == expected.probability
    assert reply["score"] == expected.score
    assert reply["grade"] == expected.grade
    assert reply["model_name"] == "sample"
    assert reply["model_version"] == model.digest[:12]


def test_the_model_version_can_be_told(make_service, lead) -> None:
    service = make_service(LEADSCORE_MODEL_VERSION="7").start()
    assert service.post("/score-lead", lead).json["model_version"] == "7"


@pytest.mark.parametrize(("query", "count"), [("", 3), ("?reasons=0", 0), ("?reasons=1", 1)])
def test_as_many_reasons_as_asked_for(service, lead, query, count) -> None:
    reasons = service.post(f"/score-lead{query}", lead).json["reasons"]
    assert len(reasons) == count
    assert all(
        set(r) == {"feature", "value", "impact", "share", "direction", "text"} and r["impact"]
        for r in reasons
    )


def test_more_reasons_than_features_are_all_of_them(service, lead) -> None:
    assert len(service.post("/score-lead?reasons=10000", lead).json["reasons"]) <= 8


def test_reasons_are_signed_and_sorted(service, lead) -> None:
    reasons = service.post("/score-lead?reasons=8", lead).json["reasons"]
    sizes = [abs(r["impact"]) for r in reasons]
    assert sizes == sorted(sizes, reverse=True)
    assert all((r["impact"] > 0) == (r["direction"] == "raises") for r in reasons)


def test_the_prediction_is_logged_before_the_reply(service, model, lead) -> None:
    reply = service.post("/score-lead", lead).json
    (record,) = service.logged()
    assert record.prediction_id == reply["prediction_id"]
    assert record.lead_id == reply["lead_id"]
    assert (record.probability, record.score, record.grade) == (
        reply["probability"],
        reply["score"],
        reply["grade"],
    )
    assert record.role == "champion"
    row = np.frombuffer(record.features, dtype="<f4")
    assert model.score_row(row.astype(np.float32)).probability == reply["probability"]


def test_an_unseen_category_is_scored_and_flagged(service, lead) -> None:
    reply = service.post("/score-lead", {**lead, "source": "carrier pigeon", "budget": 1e9}).json
    assert {(w["field"], w["reason"]) for w in reply["warnings"]} == {
        ("source", "unseen_category"),
        ("budget", "out_of_range"),
    }
    assert set(service.logged()[0].warnings) == {"source:unseen_category", "budget:out_of_range"}
    layout = service.engine.layout
    cells = service.engine.counter_file.total()
    assert cells[layout.warnings + WARNING_INDEX["unseen_category"]] == 1
    assert cells[layout.warnings + WARNING_INDEX["out_of_range"]] == 1


def test_ids_are_unique_and_sorted_by_time(service, lead) -> None:
    ids = [service.post("/score-lead", lead).json["prediction_id"] for _ in range(300)]
    assert len(set(ids)) == 300
    assert ids == sorted(ids)
    assert [record.prediction_id for record in service.logged()] == ids


def test_a_full_spool_refuses_rather_than_score_unlogged(make_service, lead) -> None:
    service = make_service(LEADSCORE_SPOOL_MAX_BYTES="2048", LEADSCORE_SPOOL_SEGMENT_BYTES="1024").start()
    answers = [service.post("/score-lead", lead) for _ in range(30)]
    scored = [a for a in answers if a.status == 200]
    refused = [a for a in answers if a.status == 503]
    assert scored
    assert refused
    assert len(scored) + len(refused) == 30
    assert refused[0].json["error"]["code"] == "spool_full"
    assert refused[0].headers["retry-after"]
    assert [r.prediction_id for r in service.logged()] == [a.json["prediction_id"] for a in scored]
    assert single(service, "spool_refused") == len(refused)


def test_a_full_spool_drops_when_told_to(make_service, lead) -> None:
    service = make_service(
        LEADSCORE_SPOOL_MAX_BYTES="2048",
        LEADSCORE_SPOOL_SEGMENT_BYTES="1024",
        LEADSCORE_SPOOL_ON_FULL="drop",
    ).start()
    assert {service.post("/score-lead", lead).status for _ in range(30)} == {200}
    assert single(service, "spool_dropped") == 30 - len(service.logged())
    assert single(service, "spool_dropped") > 0


def single(service, name: str) -> int:
    return int(service.engine.counter_file.total()[service.engine.layout.singles + SINGLE_INDEX[name]])
