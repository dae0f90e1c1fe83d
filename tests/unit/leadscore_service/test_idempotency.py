"""`Idempotency-Key`: one prediction and one reply per key, whatever dies in between."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from leadscore.errors import UnavailableError
from leadscore.identity.apikeys import create_key
from leadscore_service.idempotency import RecordedReply, ReplyStore
from leadscore_service.metrics_layout import SINGLE_INDEX

KEY = {"idempotency-key": "6b0e-1"}


def test_the_same_request_gets_the_same_bytes(service, lead) -> None:
    first = service.post("/score-lead", lead, KEY)
    second = service.post("/score-lead", lead, KEY)
    assert first.status == second.status == 200
    assert first.body == second.body
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert {record.prediction_id for record in service.logged()} == {first.json["prediction_id"]}
    assert counted(service, "idempotency_stored") == counted(service, "idempotency_replayed") == 1


def test_two_workers_and_a_restart_share_what_is_remembered(make_service, lead) -> None:
    one, two = make_service().start(), make_service().start()
    first = one.post("/score-lead", lead, KEY)
    assert two.post("/score-lead", lead, KEY).body == first.body
    one.kill()
    three = make_service().start()
    assert three.post("/score-lead", lead, KEY).body == first.body


def test_the_reply_survives_a_change_of_the_model(make_service, lead) -> None:
    first = make_service(LEADSCORE_MODEL_VERSION="1").start().post("/score-lead", lead, KEY)
    again = make_service(LEADSCORE_MODEL_VERSION="2").start().post("/score-lead", lead, KEY)
    assert again.body == first.body


def test_a_copy_of_a_request_is_not_taken_for_the_original(make_service, lead) -> None:
    """The store keeps one record per id.

    With ids of their own, the caller's answer and the shadow's are both kept.
    """
    answers = [
        make_service(LEADSCORE_ROLE=role).start().post("/score-lead", lead, KEY)
        for role in ("champion", "shadow", "shadow", "champion")
    ]
    told = [answer.json["prediction_id"] for answer in answers]
    assert told[0] == told[3]
    assert told[1] == told[2] != told[0]


@pytest.mark.parametrize("change", [{"budget": 5.0}, {"lead_id": "other"}])
def test_the_key_of_another_request_is_refused(service, lead, change) -> None:
    service.post("/score-lead", lead, KEY)
    answer = service.post("/score-lead", {**lead, **change}, KEY)
    assert answer.status == 422
    assert answer.json["error"]["code"] == "idempotency_key_reused"
    assert service.post("/score-lead?reasons=1", lead, KEY).status == 422
    assert counted(service, "idempotency_refused") == 2


def test_keys_of_different_callers_and_paths_do_not_meet(make_service, tmp_path, lead) -> None:
    path = tmp_path / "keys.yaml"
    secrets = [create_key(path, name, ["score"])[0] for name in ("a", "b")]
    service = make_service(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=str(path)).start()
    ids = {
        service.post("/score-lead", lead, {**KEY, "x-api-key": secret}).json["prediction_id"]
        for secret in secrets
    }
    assert len(ids) == 2
    assert service.post("/score-leads", {"leads": [lead]}, {**KEY, "x-api-key": secrets[0]}).status == 200


def test_two_at_the_same_time_are_one_prediction(make_service, lead) -> None:
    one, two = make_service().start(), make_service().start()
    headers = {"content-type": "application/json", **KEY}

    async def together():
        tasks = [one.asking("POST", "/score-lead", lead, headers) for _ in range(8)]
        return await asyncio.gather(*tasks)

    answers = [*one.loop.run_until_complete(together()), two.post("/score-lead", lead, KEY)]
    assert len({answer.body for answer in answers}) == 1
    assert len({record.prediction_id for record in one.logged()}) == 1


def test_killed_after_remembering_the_repetition_brings_the_record(make_service, lead, monkeypatch) -> None:
    one = make_service().start()

    def killed(*_) -> None:
        raise SystemExit  # as far as kill -9 can be played inside a process

    with monkeypatch.context() as patched:
        patched.setattr(type(one.engine), "log_prediction", killed)
        with pytest.raises(SystemExit):
            one.post("/score-lead", lead, KEY)
    assert one.logged() == []
    one.kill()
    two = make_service().start()
    answer = two.post("/score-lead", lead, KEY)
    assert answer.headers["idempotency-replayed"] == "true"
    assert [record.prediction_id for record in two.logged()] == [answer.json["prediction_id"]]


def test_killed_after_logging_the_repetition_is_the_same_record(make_service, lead) -> None:
    one = make_service().start()
    lost = one.post("/score-lead", lead, KEY)  # the reply never reached the caller
    one.kill()
    two = make_service().start()
    assert two.post("/score-lead", lead, KEY).body == lost.body
    first, second = two.logged()
    assert first == second


def test_bulk_requests_are_remembered_with_all_their_records(make_service, lead) -> None:
    leads = {"leads": [{**lead, "lead_id": f"L-{i}"} for i in range(50)]}
    one = make_service().start()
    first = one.post("/score-leads", leads, KEY)
    one.kill()
    again = make_service().start().post("/score-leads", leads, KEY)
    assert again.body == first.body
    ids = [r["prediction_id"] for r in first.json["results"]]
    assert len(set(ids)) == 50
    assert {record.prediction_id for record in one.logged()} == set(ids)
    assert one.logged()[:50] == one.logged()[50:]


def test_a_refused_request_is_not_remembered(service, lead) -> None:
    assert service.post("/score-lead", {**lead, "budget": "x"}, KEY).status == 422
    assert service.post("/score-lead", lead, KEY).status == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ümlaut", "tab\t"])
def test_a_key_that_is_none_is_refused(service, lead, key) -> None:
    answer = service.post("/score-lead", lead, {"idempotency-key": key})
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json["error"]["message"]


def answer(body: bytes = b"{}") -> RecordedReply:
    return RecordedReply("application/json", body, [])


def test_replies_are_forgotten_after_their_time(tmp_path, monkeypatch) -> None:
    store = ReplyStore(tmp_path / "r.db", ttl_s=60, max_bytes=1 << 20)
    monkeypatch.setattr("leadscore_service.idempotency.time.time", lambda: 1000.0)
    store.remember(b"k", b"r", answer(b"first"))
    monkeypatch.setattr("leadscore_service.idempotency.time.time", lambda: 1061.0)
    assert store.find(b"k", b"r") is None
    assert store.remember(b"k", b"other", answer(b"second")).answer.body == b"second"


def test_the_store_stays_within_its_bound(tmp_path) -> None:
    import os

    store = ReplyStore(tmp_path / "r.db", ttl_s=3600, max_bytes=1 << 18)
    evicted = sum(
        store.remember(i.to_bytes(4, "big"), b"r", answer(os.urandom(4096))).evicted for i in range(512)
    )
    assert evicted > 0
    assert store.file_bytes() < 4 << 18
    assert store.find((511).to_bytes(4, "big"), b"r") is not None


def test_a_damaged_database_is_set_aside(tmp_path) -> None:
    path = tmp_path / "r.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    store = ReplyStore(path, ttl_s=60, max_bytes=1 << 20)
    store.remember(b"k", b"r", answer())
    assert (tmp_path / "r.db.damaged").exists()


def test_a_store_that_fails_refuses_and_acknowledges_nothing(service, lead) -> None:
    service.engine.replies._connection.close()
    service.engine.replies._connection = sqlite3.connect(":memory:", check_same_thread=False)
    answer = service.post("/score-lead", lead, KEY)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    assert service.logged() == []
    assert service.post("/score-lead", lead).status == 200


def test_a_folder_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot be remembered"):
        ReplyStore(tmp_path / "file" / "r.db", ttl_s=1, max_bytes=1 << 20)


def counted(service, name: str) -> int:
    return int(service.engine.counter_file.total()[service.engine.layout.singles + SINGLE_INDEX[name]])
