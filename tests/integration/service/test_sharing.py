"""What workers share, and what changes under a running service."""

from __future__ import annotations

import json
import subprocess

import httpx
from tests.integration.service.conftest import COMMAND
from tests.support.waiting import wait_until

JSON = {"content-type": "application/json"}


def worker_of(reply: httpx.Response) -> str:
    """The part of a request id that names its worker."""
    return reply.headers["x-request-id"][10:20]


def test_two_workers_give_one_answer_per_idempotency_key(serve, lead_body) -> None:
    served = serve(workers=2)
    headers = {**JSON, "idempotency-key": "K-1"}
    bodies: set[bytes] = set()
    workers: set[str] = set()

    def ask() -> bool:
        # A fresh connection each time: the kernel hands it to either worker.
        reply = httpx.post(f"{served.url}/score-lead", content=lead_body, headers=headers)
        assert reply.status_code == 200
        bodies.add(reply.content)
        workers.add(worker_of(reply))
        return len(workers) == 2

    wait_until(ask, what="an answer of each worker")
    assert len(bodies) == 1
    prediction_id = json.loads(bodies.pop())["prediction_id"]
    wait_until(lambda: served.stored() == [prediction_id], what="shipping")


def test_the_answer_is_the_same_after_a_restart(serve, lead_body) -> None:
    headers = {**JSON, "idempotency-key": "K-1"}
    first = serve()
    before = httpx.post(f"{first.url}/score-lead", content=lead_body, headers=headers)
    assert first.stop() == 0
    second = serve()
    after = httpx.post(f"{second.url}/score-lead", content=lead_body, headers=headers)
    assert after.content == before.content
    assert after.headers["idempotency-replayed"] == "true"


def test_keys_come_and_go_without_a_restart(serve, tmp_path, lead_body) -> None:
    file = str(tmp_path / "keys.yaml")

    def keys(*arguments: str) -> dict:
        done = subprocess.run(
            [COMMAND, "keys", *arguments, "--api-keys", file, "--json"], capture_output=True, check=True
        )
        return json.loads(done.stdout)

    first = keys("create", "first", "--scope", "score")["key"]
    served = serve(LEADSCORE_AUTH="keys", LEADSCORE_API_KEYS=file)

    def status(key: str) -> int:
        headers = {**JSON, "authorization": f"Bearer {key}"}
        return httpx.post(f"{served.url}/score-lead", content=lead_body, headers=headers).status_code

    assert status(first) == 200
    second = keys("create", "second", "--scope", "score")["key"]
    wait_until(lambda: status(second) == 200, what="the new key")
    keys("revoke", "first")
    wait_until(lambda: status(first) == 401, what="the end of the old key")
    (tmp_path / "keys.yaml").write_text("keys: [")
    wait_until(lambda: served.metric("leadscore_api_key_reload_errors") == 1, what="the failed reload")
    assert status(second) == 200


def test_bentomls_own_server_serves_it_too(serve, lead_body) -> None:
    bentoml = COMMAND.removesuffix("leadscore") + "bentoml"
    command = [
        bentoml,
        "serve",
        "leadscore_service.service:LeadScoring",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    served = serve(command=command)
    reply = httpx.post(f"{served.url}/score-lead", content=lead_body, headers=JSON)
    assert reply.status_code == 200
    for path in ("/schema.json", "/docs.json", "/healthz", "/static_content/"):
        assert httpx.get(f"{served.url}{path}").status_code == 404
    wait_until(lambda: served.stored() == [reply.json()["prediction_id"]], what="shipping")
