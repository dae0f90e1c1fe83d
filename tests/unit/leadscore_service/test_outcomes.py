"""Outcomes: on the spool before 202, one id per thing said, every bad field named."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from leadscore.errors import InvalidLeadError
from leadscore_service.outcomes import read_outcomes

GOOD = {"lead_id": "L-1", "converted": True}
NOW = 1_790_000_000_000_000


def read(*outcomes: dict) -> list:
    return read_outcomes(json.dumps(list(outcomes)).encode(), NOW)


def test_one_outcome_is_on_the_spool_when_it_is_acknowledged(service) -> None:
    sent = {**GOOD, "prediction_id": "P-1", "value": 12.5, "occurred_at": "2026-05-04T10:00:00+02:00"}
    answer = service.post("/outcomes", sent)
    assert answer.status == 202
    (record,) = service.logged()
    assert answer.json == {"outcome_ids": [record.outcome_id]}
    assert (record.lead_id, record.prediction_id, record.converted, record.value) == (
        "L-1",
        "P-1",
        True,
        12.5,
    )
    assert record.occurred_at == int(datetime(2026, 5, 4, 8, tzinfo=UTC).timestamp() * 1e6)
    assert record.source == "api"


def test_a_list_is_taken_in_order(service) -> None:
    sent = [{"lead_id": f"L-{i}", "converted": i % 2 == 0} for i in range(1000)]
    ids = service.post("/outcomes", sent).json["outcome_ids"]
    assert [record.outcome_id for record in service.logged()] == ids
    assert len(set(ids)) == 1000
    assert service.post("/outcomes", [*sent, GOOD]).status == 413
    assert service.post("/outcomes", []).json == {"outcome_ids": []}


def test_the_same_outcome_has_the_same_id_and_another_has_not() -> None:
    (first, again, lost, later) = read(
        GOOD, GOOD, {**GOOD, "converted": False}, {**GOOD, "occurred_at": "2026-01-01"}
    )
    assert first.outcome_id == again.outcome_id
    assert len({first.outcome_id, lost.outcome_id, later.outcome_id}) == 3


def test_the_id_is_that_of_the_same_outcome_imported_from_a_table() -> None:
    import pyarrow as pa

    from leadscore.events.outcome_formats import OutcomeColumns
    from leadscore.events.outcome_table import outcomes_from_table

    table = pa.table({"lead_id": ["L-1"], "converted": [True], "occurred_at": ["2026-01-02T03:04:05Z"]})
    imported = outcomes_from_table(
        table, OutcomeColumns("lead_id", "converted", "occurred_at"), recorded_at=NOW, source="import"
    )
    (sent,) = read({**GOOD, "occurred_at": "2026-01-02T03:04:05Z"})
    assert [outcome.outcome_id for outcome in imported.outcomes] == [sent.outcome_id]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-04", datetime(2026, 5, 4, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("2026-05-04T10:00:00", datetime(2026, 5, 4, 10, tzinfo=UTC)),
        ("2026-05-04T10:00:00.250Z", datetime(2026, 5, 4, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_utc_and_dates_as_their_end(text, moment) -> None:
    (outcome,) = read({**GOOD, "occurred_at": text})
    assert outcome.occurred_at == round(moment.timestamp() * 1e6)


def test_an_integer_lead_id_is_text() -> None:
    assert read({**GOOD, "lead_id": 17})[0].lead_id == "17"
    assert read({**GOOD, "lead_id": 17.0})[0].lead_id == "17"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"lead_id": None}, "lead_id", "missing"),
        ({"lead_id": ""}, "lead_id", "not_an_id"),
        ({"lead_id": " \u00a0"}, "lead_id", "not_an_id"),
        ({"lead_id": "x" * 257}, "lead_id", "not_an_id"),
        ({"lead_id": "a\u0000b"}, "lead_id", "not_an_id"),
        ({"lead_id": True}, "lead_id", "wrong_type"),
        ({"converted": None}, "converted", "missing"),
        ({"converted": 1}, "converted", "wrong_type"),
        ({"converted": "yes"}, "converted", "wrong_type"),
        ({"prediction_id": 5}, "prediction_id", "wrong_type"),
        ({"value": "12"}, "value", "wrong_type"),
        ({"value": True}, "value", "wrong_type"),
        ({"value": 1e301}, "value", "not_finite"),
        ({"occurred_at": 5}, "occurred_at", "wrong_type"),
        ({"occurred_at": "yesterday"}, "occurred_at", "not_a_time"),
        ({"occurred_at": "1969-12-31T23:59:59Z"}, "occurred_at", "not_a_time"),
        ({"occurred_at": "9999-12-31"}, "occurred_at", "not_a_time"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at", "not_a_time"),
        ({"recorded_at": "soon"}, "recorded_at", "not_a_time"),
        ({"extra": 1}, "extra", "unknown_field"),
    ],
)
def test_each_bad_field_is_named_with_its_place(change, field, reason) -> None:
    with pytest.raises(InvalidLeadError) as caught:
        read(GOOD, {**GOOD, **change})
    assert [(p.field, p.reason) for p in caught.value.problems] == [(f"[1].{field}", reason)]


@pytest.mark.parametrize(
    "body", [b'{"lead_id":"a","lead_id":"b","converted":true}', b"[1]", b'{"lead_id":"a","converted":NaN}']
)
def test_nasty_outcomes_are_refused(service, body) -> None:
    assert service.post("/outcomes", body).status == 422
    assert service.logged() == []


def test_a_full_spool_refuses_outcomes_even_when_it_may_drop_predictions(make_service) -> None:
    service = make_service(
        LEADSCORE_SPOOL_MAX_BYTES="2048", LEADSCORE_SPOOL_SEGMENT_BYTES="1024", LEADSCORE_SPOOL_ON_FULL="drop"
    ).start()
    statuses = [service.post("/outcomes", {**GOOD, "value": i}).status for i in range(40)]
    assert set(statuses) == {202, 503}
    assert len(service.logged()) == statuses.count(202)
