"""What strangers do to connections.

None of it costs memory or time without a bound, harms others, or goes unanswered.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pyarrow as pa
import pytest
from tests.fuzz.arrow import written
from tests.fuzz.http import Target as MalformedTarget
from tests.fuzz.http import run
from tests.integration.service.conftest import Served
from tests.integration.service.wire import Wire, post
from tests.support.waiting import wait_until

from leadscore.identity.apikeys import create_key

# The last test judges what the others left in the log of the one service.
pytestmark = pytest.mark.xdist_group("connections")
CASES = Path("../shared/cases")
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def target(artefact, tmp_path_factory) -> Iterator[tuple[Served, bytes]]:
    """One service for all of it, with short deadlines and few connections, and a key."""
    home = tmp_path_factory.mktemp("wire") / "home"
    key, _ = create_key(home / "api-keys.yaml", "wire", ["score", "explain", "outcomes"])
    environ = {
        "LEADSCORE_MODEL_DIR": str(artefact),
        "LEADSCORE_THREADS": "1",
        "LEADSCORE_HEADERS_TIMEOUT_S": "1",
        "LEADSCORE_MAX_CONNECTIONS": "60",
    }
    served = Served(home, environ, 1, None).start()
    yield served, b"Authorization: Bearer " + key.encode()
    served.stop()


@pytest.fixture
def port(target) -> int:
    return target[0].port


def resident(served: Served) -> int:
    """Bytes of memory that the worker holds."""
    (worker,) = served.workers()
    return int(Path(f"/proc/{worker}/statm").read_text().split()[1]) * 4096


# --- what is no request ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n",
        b"get /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello ",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: x\n\n",
        b"GET http://x HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_in_the_one_shape(port, request_bytes) -> None:
    with Wire(port) as wire:
        reply = wire.send(request_bytes).reply()
        assert (reply.status, reply.code) == (400, "request_malformed")
        assert reply.headers["connection"] == "close"
        assert wire.closed()


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        (b"Content-Length: 5\r\nContent-Length: 6", 400),
        (b"Content-Length: 5\r\nContent-Length: 5", 400),
        (b"Content-Length: 5, 5", 400),
        (b"Content-Length: +5", 400),
        (b"Content-Length: -5", 400),
        (b"Content-Length: 0x5", 400),
        (b"Content-Length: 99999999999999999999", 400),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
        (b"Transfer-Encoding: identity", 501),
        (b"Transfer-Encoding: chunked, identity", 400),
        (b"Transfer-Encoding: xchunked", 501),
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
    ],
)
def test_a_body_whose_length_is_said_in_two_ways_is_refused(target, framing, status) -> None:
    served, key = target
    head = b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + key + b"\r\n"
    smuggled = b"0\r\n\r\n" + GET + b"\r\n"
    with Wire(served.port) as wire:
        reply = wire.send(head + framing + b"\r\n\r\n" + smuggled).reply()
        code = "request_malformed" if status == 400 else "transfer_coding_unsupported"
        assert (reply.status, reply.code) == (status, code)
        assert wire.closed()


@pytest.mark.parametrize(
    "chunks",
    [
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"5\r\nhelloX",
        b"g\r\n",
    ],
)
def test_bad_chunks_are_refused(target, chunks) -> None:
    served, key = target
    head = b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + key
    with Wire(served.port) as wire:
        reply = wire.send(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks).reply()
        assert (reply.status, reply.code) == (400, "request_malformed")
        assert wire.closed()
    with Wire(served.port) as wire:
        expecting = head + b"\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert wire.send(expecting + chunks).reply().status == 400
        assert wire.closed()


def test_a_refusal_waits_for_the_replies_before_it(target, lead_body) -> None:
    served, key = target
    good = post("/score-lead", lead_body, key)
    with Wire(served.port) as wire:
        wire.send(good + good + b"GET /livez HTTP/1.1\r\n\r\n" + good)
        assert [wire.reply().status for _ in range(3)] == [200, 200, 400]
        assert wire.closed()
    with Wire(served.port) as wire:
        wire.send(
            good + b"POST /score-lead HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n" + good
        )
        assert [wire.reply().status for _ in range(2)] == [200, 400]
        assert wire.closed()


@pytest.mark.parametrize("request_bytes", [b"GET /livez\r\n\r\n", b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n"])
def test_another_version_of_http_is_refused_as_such(port, request_bytes) -> None:
    with Wire(port) as wire:
        reply = wire.send(request_bytes).reply()
        assert (reply.status, reply.code) == (505, "http_version_unsupported")
        assert wire.closed()


def test_refusals_are_counted(target) -> None:
    served, _ = target
    line = 'leadscore_http_requests_total{endpoint="other"'
    before = served.metric(line)
    with Wire(served.port) as wire:
        assert wire.send(b"?\r\n\r\n").reply().status == 400
    assert served.metric(line) == before + 1


def test_trailers_are_nobodys_headers(target, lead_body) -> None:
    served, key = target
    head = (
        b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    body = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(lead_body), lead_body, key)
    with Wire(served.port) as wire:
        assert wire.send(head + body).reply().status == 401


# --- upgrades --------------------------------------------------------------------------------------------


UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
)


def test_a_wish_for_another_protocol_is_ignored_and_the_request_answered(target, lead_body) -> None:
    served, key = target
    wish = post("/score-lead", lead_body, key, *UPGRADE)
    with Wire(served.port) as wire:
        for _ in range(2):
            assert wire.send(wish).reply().status == 200
        # In two parts, with others behind it, and in the middle of the head.
        wire.send(wish[:-10])
        assert wire.send(wish[-10:] + wish + GET + b"\r\n").reply().status == 200
        assert wire.reply().status == 200
        assert wire.reply().status == 200
        wire.send(wish[:60])
        assert wire.send(wish[60:]).reply().status == 200
        # A bodiless one, a WebSocket, and a chunked one.
        assert wire.send(GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n").reply().status == 200
        chunked = b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + key
        chunked += b"\r\n" + b"\r\n".join(UPGRADE) + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(lead_body), lead_body)
        assert wire.send(chunked + GET + b"\r\n").reply().status == 200
        assert wire.reply().status == 200


def test_a_wish_does_not_hide_what_is_wrong_with_a_request(target, lead_body) -> None:
    served, key = target
    for request, status in (
        (post("/score-lead", lead_body, *UPGRADE), 401),
        (post("/score-lead", lead_body, key, *UPGRADE, host=b"X: y"), 400),
        (post("/score-lead", lead_body, key, *UPGRADE, b"Transfer-Encoding: chunked"), 400),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", 405),
    ):
        with Wire(served.port) as wire:
            assert wire.send(request).reply().status == status


def test_many_wishes_in_one_read_are_all_answered(target) -> None:
    served, _ = target
    wish = GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    with Wire(served.port) as wire:
        wire.send(wish * 2000)
        assert {wire.reply().status for _ in range(2000)} == {200}


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not there")
def test_the_reported_wish_is_answered(target) -> None:
    served, key = target
    sent = (CASES / "attack-h2c-upgrade.http").read_bytes().replace(b"Authorization: Bearer KEY", key)
    with Wire(served.port) as wire:
        # The lead lacks what this contract requires, which shows that its body was read.
        reply = wire.send(sent).reply()
        assert (reply.status, reply.code) == (422, "lead_invalid")


# --- bounds ----------------------------------------------------------------------------------------------


def test_headers_up_to_64_kib_are_taken_and_larger_ones_refused(port) -> None:
    with Wire(port) as wire:
        assert wire.send(GET + b"X: " + b"y" * 65_000 + b"\r\n\r\n").reply().status == 200
    for more in (
        b"X: " + b"y" * 65_530 + b"\r\n\r\n",
        b"".join(b"X-%d: y\r\n" % i for i in range(7_000)) + b"\r\n",
        b"X: " + b"y" * 400_000,
    ):
        with Wire(port) as wire:
            reply = wire.send(GET + more).reply()
            assert (reply.status, reply.code) == (431, "headers_too_large")
            assert wire.closed()
    with Wire(port) as wire:
        reply = wire.send(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").reply()
        assert reply.status == 431


@pytest.mark.parametrize(
    "endless",
    [
        GET + b"X: ",
        GET,
        b"GET /",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HEAD /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_what_never_ends_is_ended_and_costs_no_memory(target, endless) -> None:
    served, _ = target
    before = resident(served)
    part = (
        b"a: b\r\n" * 10_000
        if endless == GET
        else b"5\r\nhello\r\n" * 6_000
        if b"nothing" in endless
        else b"x" * 60_000
    )
    sent = 0
    with Wire(served.port) as wire:
        wire.send(endless)
        try:
            while sent < 200 << 20:
                sent += wire.socket.send(part)
        except (ConnectionResetError, BrokenPipeError):
            pass
    assert sent < 64 << 20, "it was read on"
    assert resident(served) - before < 32 << 20


def test_a_reply_before_the_body_reaches_a_client_that_goes_on_sending(port) -> None:
    with Wire(port) as wire:
        wire.send(b"POST /score-lead HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n")
        for _ in range(5):
            wire.send(b"x" * 60_000)
        reply = wire.reply()
        assert reply.status == 401
        assert reply.headers["connection"] == "close"
        assert wire.closed()


def test_close_is_done_when_it_is_said(target, lead_body) -> None:
    served, key = target
    for request in (
        GET + b"Connection: close\r\n\r\n",
        b"GET /livez HTTP/1.0\r\n\r\n",
        post("/score-lead", lead_body, key, b"Connection: close"),
        post("/score-lead", b"x" * 100_000, key),
        post("/score-lead", lead_body, b"Authorization: Bearer no"),
    ):
        with Wire(served.port) as wire:
            reply = wire.send(request).reply()
            assert reply.headers["connection"] == "close"
            assert wire.closed()


def test_headers_have_a_deadline_that_bytes_do_not_put_off(port) -> None:
    with Wire(port) as wire:
        wire.send(GET)
        waiting = iter(b"X-Slow: 1\r\n" * 10_000)
        # One byte now and then, until the service has had enough.
        wire.socket.settimeout(0.05)
        answered = b""
        while not answered:
            wire.socket.send(bytes([next(waiting)]))
            try:
                answered = wire.socket.recv(65536)
            except TimeoutError:
                continue
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answered.partition(b"\r\n\r\n")[2])["error"]["code"] == "headers_timeout"


def test_a_connection_kept_or_opened_in_advance_outlives_the_deadline_of_headers(port) -> None:
    with Wire(port) as early, Wire(port) as kept, Wire(port) as slow:
        assert kept.send(GET + b"\r\n").reply().status == 200
        early.send(b"\r\n")  # an empty line is no request
        assert slow.send(GET).reply().status == 408
        assert early.send(GET + b"\r\n").reply().status == 200
        assert kept.send(GET + b"\r\n").reply().status == 200


def test_idle_connections_make_room_for_new_ones(target) -> None:
    served, _ = target
    with ExitStack() as stack:
        kept = stack.enter_context(Wire(served.port))
        assert kept.send(GET + b"\r\n").reply().status == 200
        idle = [stack.enter_context(Wire(served.port)) for _ in range(150)]
        half = [stack.enter_context(Wire(served.port)).send(b"GET /") for _ in range(10)]
        assert httpx.get(f"{served.url}/livez").status_code == 200
        assert idle[0].closed()
        # One that has been of use goes last.
        assert kept.send(GET + b"\r\n").reply().status == 200
        assert len(half) == 10


def test_when_all_connections_are_in_use_a_new_one_is_told_so(target) -> None:
    served, key = target
    half = post("/score-lead", b"{" + b" " * 1000, key)[:-500]
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(Wire(served.port)).send(half)
        with Wire(served.port) as wire:
            reply = wire.reply()
            assert (reply.status, reply.code) == (503, "too_many_connections")
            assert reply.headers["retry-after"]
    wait_until(served.ready, what="room")


def test_half_sent_bodies_take_no_slot_of_others(target, lead) -> None:
    served, key = target
    half = post("/score-leads", b'{"leads": [' + b" " * 200_000, key)[:-1000]
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(Wire(served.port)).send(half)
        headers = {"authorization": key.decode().partition(": ")[2]}
        reply = httpx.post(
            f"{served.url}/score-leads", json={"leads": [lead] * 50}, headers=headers, timeout=20
        )
        assert reply.status_code == 200


def test_a_client_that_takes_no_reply_holds_nobody_up(target, lead_body) -> None:
    served, key = target
    request = post("/score-lead", lead_body, key)
    with Wire(served.port, seconds=1.0) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = resident(served)
        sent = 0
        try:
            while sent < 30 << 20:
                sent += wire.socket.send(request * 50)
        except TimeoutError:
            pass
        assert resident(served) - before < 32 << 20
        assert httpx.get(f"{served.url}/livez").status_code == 200


def test_a_client_that_has_said_all_is_answered(target, lead_body) -> None:
    served, key = target
    with Wire(served.port) as wire:
        wire.send(post("/score-lead", lead_body, key) * 3)
        wire.socket.shutdown(socket.SHUT_WR)
        assert [wire.reply().status for _ in range(3)] == [200, 200, 200]
        assert wire.closed()


def test_115000_malformed_requests_in_small(target, lead, lead_body) -> None:
    served, key = target
    stream = written(pa.Table.from_pylist([lead] * 3))
    secret = key.decode().rpartition(" ")[2]
    answered = run(MalformedTarget(served.port, secret, lead_body, stream), 1_000, seed=3)
    assert answered["400"] > answered["200"] > 0


def test_nothing_so_far_was_a_defect(target) -> None:
    served, _ = target
    bad = ("internal error", "Traceback", "Exception in")
    assert [line for line in served.log.read_text().splitlines() if any(word in line for word in bad)] == []
