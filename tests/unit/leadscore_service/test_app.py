"""What every endpoint refuses, and how it says so."""

from __future__ import annotations

import asyncio
import json

import pytest

POSTS = ("/score-lead", "/score-leads", "/explain-prediction", "/outcomes")
GETS = ("/", "/livez", "/readyz", "/metrics", "/openapi.json")


def error_of(answer) -> dict:
    body = answer.json
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "hint", "fields"}
    assert body["error"]["message"]
    assert body["error"]["hint"]
    assert answer.headers["x-request-id"] == body["request_id"]
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    return body["error"]


@pytest.mark.parametrize("path", GETS)
def test_system_endpoints_answer_get(service, path) -> None:
    assert service.ask("GET", path).status == 200
    assert service.ask("HEAD", path).status == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_scoring_endpoints_take_post_only(service, path, method) -> None:
    answer = service.ask(method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert error_of(answer)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", GETS)
def test_system_endpoints_take_get_only(service, path) -> None:
    answer = service.ask("POST", path)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path",
    ["/schema.json", "/docs.json", "/healthz", "/static_content/x", "/score-lead/", "//livez", "/nope"],
)
def test_nothing_falls_through_to_other_endpoints(service, path) -> None:
    answer = service.ask("GET", path)
    assert answer.status == 404
    assert error_of(answer)["code"] == "not_found"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("media", "word"),
    [
        ("application/vnd.bentoml+pickle", "Pickle"),
        ("application/x-python-pickle", "Pickle"),
        ("multipart/form-data; boundary=x", "Multipart"),
        ("application/x-www-form-urlencoded", "Form"),
        ("text/plain", "not taken"),
        ("application/jsonp", "not taken"),
        ("", "not taken"),
        ("application/json; charset=utf-16", "UTF-8"),
    ],
)
def test_other_media_types_are_refused_by_name(service, lead, path, media, word) -> None:
    answer = service.ask("POST", path, lead, {"content-type": media})
    assert answer.status == 415
    error = error_of(answer)
    assert error["code"] == "media_type_unsupported"
    assert word in error["message"]


@pytest.mark.parametrize("path", POSTS)
def test_a_body_without_media_type_is_refused(service, lead, path) -> None:
    assert service.ask("POST", path, lead).status == 415


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON ; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_taken_however_it_is_written(service, lead, media) -> None:
    assert service.ask("POST", "/score-lead", lead, {"content-type": media}).status == 200


@pytest.mark.parametrize("path", POSTS)
def test_coded_bodies_are_refused(service, lead, path) -> None:
    assert service.post(path, lead, {"content-encoding": "gzip"}).status == 415
    assert service.post("/score-lead", lead, {"content-encoding": "identity"}).status == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[1", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000, b"nul", b'{"a":1}x']
)
def test_what_is_not_json_is_refused_without_a_defect(make_service, path, body) -> None:
    service = make_service(LEADSCORE_MAX_LEAD_BYTES="1000000").start()
    answer = service.post(path, body)
    assert answer.status in (400, 422)
    error_of(answer)


@pytest.mark.parametrize("path", POSTS)
def test_a_declared_length_over_the_cap_is_refused_before_the_body_is_read(make_service, path) -> None:
    service = make_service(LEADSCORE_MAX_LEAD_BYTES="1000", LEADSCORE_MAX_BODY_BYTES="1000").start()
    headers = {"content-type": "application/json", "content-length": "1001"}

    async def never():
        pytest.fail("the body was read")

    answer = service.ask("POST", path, b"", headers, chunks=[])
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert error_of(answer)["code"] == "body_too_large"


@pytest.mark.parametrize("path", POSTS)
def test_a_streamed_body_is_cut_at_the_cap(make_service, path) -> None:
    service = make_service(LEADSCORE_MAX_LEAD_BYTES="1000", LEADSCORE_MAX_BODY_BYTES="1000").start()
    answer = service.ask("POST", path, b"", {"content-type": "application/json"}, chunks=[b" " * 600] * 50)
    assert answer.status == 413


def test_a_body_in_parts_is_put_together(service, lead) -> None:
    body = json.dumps(lead).encode()
    parts = [body[i : i + 7] for i in range(0, len(body), 7)]
    answer = service.ask("POST", "/score-lead", b"", {"content-type": "application/json"}, chunks=parts)
    assert answer.status == 200


def test_a_body_that_never_ends_is_given_up_on(make_service) -> None:
    service = make_service(LEADSCORE_BODY_TIMEOUT_S="0.05").start()
    sent = []

    async def receive():
        if not sent:
            sent.append(True)
            return {"type": "http.request", "body": b"{", "more_body": True}
        return await asyncio.Event().wait()

    replies = []

    async def send(message) -> None:
        replies.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/score-lead",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    service.loop.run_until_complete(service.app(scope, receive, send))
    assert replies[0]["status"] == 408
    assert (b"connection", b"close") in replies[0]["headers"]


def test_nobody_is_answered_who_went_away(service) -> None:
    answer = service.ask("POST", "/score-lead", b"", {"content-type": "application/json"}, chunks=[])
    assert answer.status == 0


def test_a_bad_lead_gets_one_entry_per_bad_field(service, lead) -> None:
    answer = service.post("/score-lead", {**lead, "budget": "12", "pricing_visits": None, "nope": 1})
    assert answer.status == 422
    fields = error_of(answer)["fields"]
    assert {field["field"] for field in fields} == {"budget", "pricing_visits", "nope"}
    assert all(set(field) == {"field", "reason", "received", "allowed"} for field in fields)


@pytest.mark.parametrize(
    "query", ["reasons=x", "reasons=-1", "reasons=10001", "reason=1", "reasons=1&reasons=2"]
)
@pytest.mark.parametrize("path", ["/score-lead", "/score-leads"])
def test_parameters_are_checked(service, lead, path, query) -> None:
    answer = service.post(f"{path}?{query}", lead)
    assert answer.status == 400
    assert "reason" in error_of(answer)["message"]


@pytest.mark.parametrize("path", [*POSTS, "/metrics", "/openapi.json"])
def test_before_the_model_is_loaded_requests_are_told_to_come_back(
    make_service, lead, path, tmp_path
) -> None:
    service = make_service(LEADSCORE_MODEL_DIR=str(tmp_path / "none")).start(until=("failed",))
    answer = service.post(path, lead) if path in POSTS else service.ask("GET", path)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert error_of(answer)["code"] == "not_ready"


def test_readiness_says_why_there_is_none(make_service, tmp_path) -> None:
    service = make_service(LEADSCORE_MODEL_DIR=str(tmp_path / "none")).start(until=("failed",))
    answer = service.ask("GET", "/readyz")
    assert answer.status == 503
    assert "retry-after" in answer.headers
    assert answer.json["status"] == "failed"
    assert "no model folder" in answer.json["reason"]
    assert service.ask("GET", "/livez").status == 200


def test_a_tampered_artefact_never_gets_ready(make_service, artefact, tmp_path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in artefact.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "calibration.json").write_bytes((copy / "calibration.json").read_bytes() + b" ")
    service = make_service(LEADSCORE_MODEL_DIR=str(copy)).start(until=("ready", "failed"))
    assert service.worker.lifecycle.phase == "failed"
    assert "calibration.json" in service.ask("GET", "/readyz").json["reason"]


def test_while_draining_requests_are_answered_and_connections_closed(service, lead) -> None:
    service.worker.lifecycle.drain()
    ready = service.ask("GET", "/readyz")
    assert ready.status == 503
    assert ready.headers["connection"] == "close"
    answer = service.post("/score-lead", lead)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


def test_readiness_names_the_model(service, model) -> None:
    body = service.ask("GET", "/readyz").json
    assert body["status"] == "ready"
    assert body["model_name"] == model.manifest.name
    assert body["contract_version"] == model.manifest.contract_version


def test_a_decent_request_id_is_echoed(service, lead) -> None:
    answer = service.post("/score-lead", lead, {"x-request-id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"
    assert answer.json["prediction_id"] != "abc-123"
    assert service.logged()[0].request_id == "abc-123"


@pytest.mark.parametrize("given", ["", "with space", "x" * 129, "tab\there"])
def test_another_request_id_is_replaced(service, given) -> None:
    answer = service.ask("GET", "/livez", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] != given
    assert len(answer.headers["x-request-id"]) == 26


def test_a_defect_is_a_500_with_the_request_id_and_no_details(service, lead, monkeypatch) -> None:
    def broken(*_) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(service.engine.model), "score_row", broken)
    answer = service.post("/score-lead", lead)
    assert answer.status == 500
    assert error_of(answer)["code"] == "internal"
    assert b"secret detail" not in answer.body


def test_an_application_that_was_never_started_says_so(make_service) -> None:
    service = make_service()
    answer = service.ask("GET", "/livez")
    assert answer.status == 404
    assert "lifespan" in answer.json["error"]["message"]


def test_websockets_are_closed(service) -> None:
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message) -> None:
        sent.append(message)

    service.loop.run_until_complete(service.app({"type": "websocket", "path": "/"}, receive, send))
    assert sent[0]["type"] == "websocket.close"


def test_it_takes_the_place_of_the_stack_around_it(make_service) -> None:
    class Outer:
        middleware_stack = object()

    service = make_service()
    outer = Outer()

    async def begin() -> None:
        life = asyncio.ensure_future(
            service.app({"type": "lifespan", "app": outer}, service._messages.get, service._sent.put)
        )
        await service._messages.put({"type": "lifespan.startup"})
        await service._sent.get()
        service._life = life

    service.loop.run_until_complete(begin())
    assert outer.middleware_stack is service.app
