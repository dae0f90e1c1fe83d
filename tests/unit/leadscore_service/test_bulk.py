"""Many leads at once: the same scores as one by one, all or nothing, JSON and Arrow."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pytest

from leadscore_service.bulk_executor import MAX_WAITING

ARROW = "application/vnd.apache.arrow.stream"


def stream(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def many(lead, count: int) -> list[dict[str, object]]:
    sources = ("website", "referral", "partner", "event", "advert")
    return [
        {**lead, "lead_id": f"L-{i}", "budget": None if i % 7 == 0 else 1000.0 * i, "source": sources[i % 5]}
        for i in range(count)
    ]


def test_scores_are_those_of_single_leads(service, lead) -> None:
    leads = many(lead, 25)
    reply = service.post("/score-leads", {"leads": leads}).json
    singles = [service.post("/score-lead?reasons=0", one).json for one in leads]
    assert [r["lead_id"] for r in reply["results"]] == [one["lead_id"] for one in leads]
    for result, single in zip(reply["results"], singles, strict=True):
        assert (result["score"], result["probability"], result["grade"]) == (
            single["score"],
            pytest.approx(single["probability"], abs=1e-12),
            single["grade"],
        )
    logged = {record.prediction_id for record in service.logged()}
    assert {r["prediction_id"] for r in reply["results"]} <= logged
    assert len(logged) == 50


def test_one_bad_lead_refuses_all_of_them(service, lead) -> None:
    leads = many(lead, 5)
    leads[3] = {**leads[3], "budget": "much", "source": 7}
    answer = service.post("/score-leads", {"leads": leads})
    assert answer.status == 422
    assert {f["field"] for f in answer.json["error"]["fields"]} == {"leads[3].budget", "leads[3].source"}
    assert service.logged() == []


def test_no_leads_are_no_results(service) -> None:
    assert service.post("/score-leads", {"leads": []}).json["results"] == []


def test_too_many_leads_are_refused(make_service, lead) -> None:
    service = make_service(LEADSCORE_MAX_BULK_ROWS="10").start()
    assert service.post("/score-leads", {"leads": many(lead, 10)}).status == 200
    assert service.post("/score-leads", {"leads": many(lead, 11)}).status == 413
    table = pa.Table.from_pylist(many(lead, 11))
    assert service.ask("POST", "/score-leads", stream(table), {"content-type": ARROW}).status == 413


def test_reasons_can_be_had_for_a_thousand(service, lead) -> None:
    reply = service.post("/score-leads?reasons=2", {"leads": many(lead, 3)}).json
    single = service.post("/score-lead?reasons=2", many(lead, 3)[1]).json
    assert reply["results"][1]["reasons"] == single["reasons"]
    assert service.post("/score-leads?reasons=1", {"leads": many(lead, 1001)}).status == 413


@pytest.mark.parametrize("dictionary", [False, True])
def test_arrow_scores_as_json_does(service, lead, dictionary) -> None:
    leads = many(lead, 40)
    table = pa.Table.from_pylist(leads)
    if dictionary:
        column = table["source"].combine_chunks().dictionary_encode()
        table = table.set_column(table.schema.get_field_index("source"), "source", column)
    answer = service.ask("POST", "/score-leads", stream(table), {"content-type": ARROW})
    assert answer.status == 200, answer.body
    expected = service.post("/score-leads", {"leads": leads}).json["results"]
    scored = answer.json["results"]
    assert [(r["lead_id"], r["probability"]) for r in scored] == [
        (r["lead_id"], r["probability"]) for r in expected
    ]


def test_arrow_comes_back_if_asked_for(service, lead) -> None:
    leads = many(lead, 12)
    answer = service.post("/score-leads", {"leads": leads}, {"accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table["lead_id"].to_pylist() == [one["lead_id"] for one in leads]
    expected = service.post("/score-leads", {"leads": leads}).json["results"]
    assert table["probability"].to_pylist() == [r["probability"] for r in expected]
    assert set(table.column_names) >= {"score", "grade", "warnings", "prediction_id", "model_version"}


@pytest.mark.parametrize(
    ("accept", "arrow"),
    [
        ("*/*", False),
        (f"{ARROW};q=0.5, application/json", False),
        (f"application/json;q=0.5, {ARROW}", True),
        (f"{ARROW};q=0", False),
        (f"{ARROW};q=x", False),
    ],
)
def test_accept_decides_the_form(service, lead, accept, arrow) -> None:
    answer = service.post("/score-leads", {"leads": [lead]}, {"accept": accept})
    assert (answer.headers["content-type"] == ARROW) is arrow


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_arrow_is_refused_before_it_unfolds(service, lead, codec) -> None:
    options = pa.ipc.IpcWriteOptions(compression=codec)
    body = stream(pa.Table.from_pylist(many(lead, 100)), options=options)
    answer = service.ask("POST", "/score-leads", body, {"content-type": ARROW})
    assert answer.status == 400
    assert "compressed" in answer.json["error"]["message"]


def test_a_list_column_is_refused_by_name(service, lead) -> None:
    table = pa.Table.from_pylist([{**lead, "budget": [1.0]}])
    answer = service.ask("POST", "/score-leads", stream(table), {"content-type": ARROW})
    assert answer.status == 400
    assert "budget" in answer.json["error"]["message"]


def test_damaged_arrow_is_refused_and_never_a_defect(service, lead) -> None:
    body = stream(pa.Table.from_pylist(many(lead, 20)))
    damaged = [b"", b"x", b"\xff" * 64, body[:9], body[: len(body) // 2], body[:-20], body[8:]]
    damaged += [
        body[:i] + bytes([body[i] ^ 0xFF]) + body[i + 1 :] for i in range(0, min(len(body), 2400), 13)
    ]
    for sent in damaged:
        answer = service.ask("POST", "/score-leads", sent, {"content-type": ARROW})
        assert answer.status in (200, 400, 413, 422), answer.body


def test_bad_cells_of_arrow_are_named(service, lead) -> None:
    leads = many(lead, 3)
    leads[1]["pricing_visits"] = None
    answer = service.ask("POST", "/score-leads", stream(pa.Table.from_pylist(leads)), {"content-type": ARROW})
    assert answer.status == 422
    assert [f["field"] for f in answer.json["error"]["fields"]] == ["leads[1].pricing_visits"]


def test_what_is_no_list_of_leads_is_refused(service) -> None:
    for body in ({"leads": {}}, {"lead": []}, [], {"leads": [], "more": 1}):
        assert service.post("/score-leads", json.dumps(body).encode()).status in (400, 422)


def test_too_many_at_once_are_told_to_come_back(service, lead) -> None:
    import asyncio

    async def together():
        body = {"leads": many(lead, 200)}
        headers = {"content-type": "application/json"}
        return await asyncio.gather(
            *(service.asking("POST", "/score-leads", body, headers) for _ in range(MAX_WAITING + 4))
        )

    answers = service.loop.run_until_complete(together())
    refused = [answer for answer in answers if answer.status == 503]
    assert len(refused) == 4
    assert refused[0].json["error"]["code"] == "busy"
    assert refused[0].headers["retry-after"]
    assert service.post("/score-leads", {"leads": many(lead, 2)}).status == 200
