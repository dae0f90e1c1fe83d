"""Kill -9, SIGTERM, dead parents.

Nothing acknowledged is lost, nothing is stored twice, everything comes back.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from typing import Self

import httpx
import pytest
from tests.integration.service.conftest import alive, children
from tests.support.waiting import wait_until

JSON = {"content-type": "application/json"}


class Load:
    """Threads that score leads one after the other and remember which predictions were acknowledged."""

    def __init__(self, url: str, body: bytes, threads: int = 4) -> None:
        self.acknowledged: list[str] = []
        self.failed = 0
        self.others: list[int] = []
        self._url, self._body = url, body
        self._stop = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                try:
                    reply = client.post(f"{self._url}/score-lead?reasons=0", content=self._body, headers=JSON)
                except httpx.TransportError:
                    self.failed += 1
                    continue
                if reply.status_code == 200:
                    self.acknowledged.append(reply.json()["prediction_id"])
                else:
                    self.others.append(reply.status_code)


def kill_worker(served, load: Load) -> None:
    before = len(load.acknowledged)
    wait_until(lambda: len(load.acknowledged) > before + 200, what="some load")
    (worker,) = served.workers()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: served.workers() not in ([], [worker]), what="a new worker")
    wait_until(served.ready, what="readiness")


def test_a_worker_killed_under_load_loses_and_doubles_nothing(serve, lead_body) -> None:
    served = serve()
    with Load(served.url, lead_body) as load:
        for _ in range(3):
            kill_worker(served, load)
    assert served.metric("leadscore_worker_starts_total") == 4
    wait_until(lambda: set(load.acknowledged) <= set(served.stored()), what="shipping")
    stored = served.stored()
    assert len(stored) == len(set(stored))
    assert len(load.acknowledged) == len(set(load.acknowledged))
    # What was written but never acknowledged (a reply cut off by the kill) may be there too: one per thread
    # and kill.
    assert len(stored) - len(load.acknowledged) <= 3 * 4


def test_a_killed_worker_is_replaced_within_seconds_and_counters_go_on(serve, lead_body) -> None:
    served = serve(workers=2)
    wait_until(lambda: served.metric("leadscore_worker_starts_total") == 2, what="both workers")
    for _ in range(20):
        httpx.post(f"{served.url}/score-lead", content=lead_body, headers=JSON).raise_for_status()
    requests = 'leadscore_http_requests_total{endpoint="/score-lead"'
    # A request is counted after its reply has left (the count has its duration), so the caller may be first.
    wait_until(lambda: served.metric(requests) == 20, what="all of them to be counted")
    os.kill(served.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(served.workers()) == 2, what="a new worker")
    wait_until(lambda: served.metric("leadscore_worker_starts_total") == 3, what="its start")
    assert served.metric(requests) == 20


def test_a_worker_that_comes_back_never_says_not_ready(serve, lead_body) -> None:
    served = serve()
    with Load(served.url, lead_body) as load:
        kill_worker(served, load)
        after = len(load.acknowledged)
        wait_until(lambda: len(load.acknowledged) > after + 200, what="load after the kill")
    # Who was being answered by the killed worker lost the connection; all others waited for the new one.
    assert load.others == []
    assert load.failed <= len(load.threads)


def test_workers_that_share_a_socket_answer_only_when_ready(serve, lead_body) -> None:
    served = serve(workers=2)
    wait_until(lambda: served.metric("leadscore_worker_starts_total") == 2, what="both workers")
    os.kill(served.workers()[0], signal.SIGKILL)
    with Load(served.url, lead_body) as load:
        wait_until(lambda: served.metric("leadscore_worker_starts_total") == 3, what="the new worker")
        wait_until(lambda: len(load.acknowledged) > 500, what="load")
    assert load.others == []


def test_sigterm_finishes_what_is_in_flight(serve, lead) -> None:
    served = serve(LEADSCORE_DRAIN_S="1")
    leads = {"leads": [{**lead, "lead_id": f"L-{i}"} for i in range(10_000)]}
    replies: list[httpx.Response] = []

    def bulk() -> None:
        replies.append(httpx.post(f"{served.url}/score-leads", json=leads, timeout=60))

    thread = threading.Thread(target=bulk)
    thread.start()
    wait_until(lambda: served.metric("leadscore_spool_bytes") >= 0, what="the service")
    started = time.monotonic()
    code = served.stop()
    thread.join()
    assert code == 0
    assert time.monotonic() - started < 15
    (reply,) = replies
    assert reply.status_code == 200
    ids = {result["prediction_id"] for result in reply.json()["results"]}
    again = serve(LEADSCORE_DRAIN_S="0")
    wait_until(lambda: ids <= set(again.stored()), what="shipping")


def test_while_draining_it_is_not_ready_but_answers_and_closes(serve, lead_body) -> None:
    served = serve(LEADSCORE_DRAIN_S="6")
    with httpx.Client(timeout=10) as client:
        assert client.post(f"{served.url}/score-lead", content=lead_body, headers=JSON).status_code == 200
        (worker,) = served.workers()
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{served.url}/readyz").status_code == 503, seconds=6, what="the drain")
        answer = client.post(f"{served.url}/score-lead", content=lead_body, headers=JSON)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_behind(serve, number) -> None:
    served = serve(workers=2)
    wait_until(lambda: len(served.family()) >= 5, what="supervisor, two workers and a shipper")
    family = served.family()
    started = time.monotonic()
    assert served.stop(number) == 0
    assert time.monotonic() - started < 10
    wait_until(lambda: not any(map(alive, family)), seconds=20, what="all processes' end")


def test_when_the_parents_are_killed_the_port_is_freed(serve) -> None:
    served = serve()
    family = served.family()
    (supervisor,) = children(served.process.pid)
    os.kill(served.process.pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    served.process.wait()
    wait_until(lambda: not any(map(alive, family)), seconds=20, what="all processes' end")


def test_what_hangs_is_cut_off(serve) -> None:
    served = serve(LEADSCORE_SHUTDOWN_S="1")
    (worker,) = served.workers()
    # A body that never comes: in flight for good.
    import socket

    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(
            b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        wait_until(lambda: alive(worker), what="the worker")
        started = time.monotonic()
        served.stop()
        assert time.monotonic() - started < 8
    assert not alive(worker)


def test_the_first_output_is_one_json_document(serve) -> None:
    served = serve()
    lines = iter(served.process.stdout.readline, b"}\n")
    document = json.loads(b"".join(lines) + b"}")
    assert document["url"] == served.url
    assert document["model"] == "sample"
