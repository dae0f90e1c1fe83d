"""What the event log is told of a request beside its score."""

from __future__ import annotations

import pytest

import leadscore_service.http
from leadscore.events.records import API_SOURCE, Prediction


def test_a_prediction_says_how_long_its_request_took_and_that_it_was_one(service, lead) -> None:
    service.post("/score-lead", lead)
    service.post("/score-leads", {"leads": [lead, {**lead, "lead_id": "L-2"}]})
    logged = [record for record in service.logged() if isinstance(record, Prediction)]
    assert len(logged) == 3
    for record in logged:
        assert record.source == API_SOURCE
        assert record.latency_us is not None
        assert 0 < record.latency_us < 60_000_000


def test_a_clock_that_was_put_back_makes_no_record_that_nobody_can_read(
    service, lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(2_000_000_000_000_000_000, 0, -3_600_000_000_000))
    monkeypatch.setattr(leadscore_service.http.time, "time_ns", lambda: next(times))
    assert service.post("/score-lead", lead).status == 200
    monkeypatch.undo()
    (record,) = service.logged()
    assert record.latency_us == 0
