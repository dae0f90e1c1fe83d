"""Malformed requests over loopback.

Whatever is sent, the service answers in its own shapes, lives, and holds no memory.
"""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.fuzz.arrow import damaged

STATUSES = {200, 202, 400, 401, 404, 405, 413, 415, 422, 431, 501, 505}
_SECONDS = 20.0
_THREADS = 4


@dataclass(frozen=True)
class Target:
    """A service, a key for it, a lead that it scores, and a stream of such leads."""

    port: int
    key: str
    lead: bytes
    arrow: bytes


def requests(target: Target) -> list[bytes]:
    """Good requests of every kind."""
    key = b"Authorization: Bearer " + target.key.encode()
    as_json, as_arrow = (
        b"Content-Type: application/json",
        b"Content-Type: application/vnd.apache.arrow.stream",
    )
    lead, many = target.lead, b'{"leads": [' + target.lead + b", " + target.lead + b"]}"
    outcome = b'{"lead_id": "L-1", "converted": true, "occurred_at": "2026-05-04T10:00:00Z"}'
    upgrade = (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    )
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (lead[:20], lead[20:])) + b"0\r\n\r\n"
    return [
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: x:3000\r\nAccept: */*\r\n\r\n",
        _post(b"/score-lead?reasons=2", lead, key, as_json),
        _post(b"/score-lead", lead, key, as_json, *upgrade),
        _post(b"/score-lead", lead, key, as_json, b"Idempotency-Key: abc", b"Expect: 100-continue"),
        _post(b"/score-lead", chunked, key, as_json, b"Transfer-Encoding: chunked", sized=False),
        _post(b"/score-leads", many, key, as_json, b"Accept: application/vnd.apache.arrow.stream"),
        _post(b"/score-leads", target.arrow, key, as_arrow),
        _post(b"/explain-prediction?method=lime&samples=50", lead, key, as_json),
        _post(b"/outcomes", outcome, key, as_json),
    ]


def _post(path: bytes, body: bytes, *headers: bytes, sized: bool = True) -> bytes:
    length = (b"Content-Length: %d" % len(body),) if sized else ()
    return b"\r\n".join((b"POST " + path + b" HTTP/1.1", b"Host: x", *headers, *length, b"", body))


def malformed(good: list[bytes], chance: random.Random) -> bytes:
    """A good request after one to three changes; now and then with another one before or behind it."""
    request = chance.choice(good)
    for _ in range(chance.choice((1, 1, 2, 3))):
        request = chance.choice(_CHANGES)(request, chance)
    if chance.random() < 0.2:
        other = chance.choice(good)
        request = request + other if chance.random() < 0.5 else other + request
    return request


def _bytes(request: bytes, chance: random.Random) -> bytes:
    return damaged(request, chance)


def _body(request: bytes, chance: random.Random) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n" + damaged(body, chance)


def _line(request: bytes, chance: random.Random) -> bytes:
    """A header twice, gone, elsewhere, or another one."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    at = chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            lines.insert(at, lines[chance.randrange(len(lines))])
        case 1:
            del lines[at]
        case 2:
            chance.shuffle(lines)
        case _:
            lines.insert(1, chance.choice(_HEADERS))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _length(request: bytes, chance: random.Random) -> bytes:
    number = chance.choice(
        (b"0", b"1", b"-1", b"5", b"+7", b"0x10", b"1e3", b"99999999999999999999", b"65", b" ", b"7, 7")
    )
    before, found, after = request.partition(b"Content-Length: ")
    return before + found + number + after[after.find(b"\r\n") :] if found else request


def _first(request: bytes, chance: random.Random) -> bytes:
    _, _, rest = request.partition(b"\r\n")
    return chance.choice(_FIRST) + b"\r\n" + rest


def _ends(request: bytes, chance: random.Random) -> bytes:
    return request.replace(
        b"\r\n",
        chance.choice((b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\n\r", b"\0\r\n")),
        chance.randrange(1, 9),
    )


def _long(request: bytes, chance: random.Random) -> bytes:
    first, _, rest = request.partition(b"\r\n")
    line = b"X-%d: " % chance.randrange(99) + b"y" * chance.choice(
        (10, 1_000, 60_000, 65_536, 70_000, 300_000)
    )
    return first + b"\r\n" + line + b"\r\n" + rest


_HEADERS = (
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked"),
    *(
        b"Transfer-Encoding:\x0bchunked",
        b"Content-Encoding: gzip",
        b"Content-Type: application/x-python-pickle",
    ),
    *(
        b"Host: y",
        b"Host: a b",
        b"Host:",
        b": nothing",
        b"\xff\xfe: x",
        b"X-Request-Id: a\x7fb",
        b"Connection: close",
    ),
    *(
        b"Connection: upgrade\r\nUpgrade: websocket",
        b"Expect: 100-continue",
        b"Expect: the worst",
        b"Trailer: Host",
    ),
    *(
        b"Idempotency-Key: \xe4",
        b"Accept: application/vnd.apache.arrow.stream;q=x",
        b"Authorization: Basic eDp5",
    ),
)
_FIRST = (
    *(
        b"GET / HTTP/1.0",
        b"GET /livez HTTP/0.9",
        b"GET /livez HTTP/2.0",
        b"GET /livez HTTP/1.2",
        b"GET /livez",
        b"",
    ),
    *(
        b"CONNECT x:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"POST http://x/score-lead HTTP/1.1",
    ),
    *(
        b"GET /%00%ff/../livez HTTP/1.1",
        b"GET /\xc3\xbc HTTP/1.1",
        b"GET //x HTTP/1.1",
        b"GET ? HTTP/1.1",
        b"TRACE / HTTP/1.1",
    ),
    *(
        b"POST /score-lead?reasons=%zz&=&& HTTP/1.1",
        b"BREW /pot HTTP/1.1",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1",
    ),
)
_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_bytes, _bytes, _body, _body, _line, _line, _length, _first, _ends, _long),
)


def exchange(port: int, sent: bytes) -> bytes:
    """Everything that comes back for what was sent, until the service closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        except (ConnectionResetError, BrokenPipeError, OSError):
            pass  # refused before all of it was sent; the refusal may still be there
        parts: list[bytes] = []
        try:
            while part := connection.recv(1 << 18):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)


def replies(answer: bytes) -> Iterator[int]:
    """The statuses of the replies; AssertionError if one of them is not as all must be."""
    while answer:
        head, found, answer = answer.partition(b"\r\n\r\n")
        assert found, head
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        assert first.startswith("HTTP/1.1 "), first
        if status == 100:
            continue
        assert status in STATUSES, head
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers["content-length"])
        body, answer = answer[:size], answer[size:]
        assert len(body) == size, head
        if status >= 400:
            error = json.loads(body)
            assert set(error) == {"error", "request_id"}, body
            assert error["request_id"] == headers["x-request-id"]
        yield status


def run(target: Target, cases: int, seed: int) -> Counter[str]:
    """Send so many malformed requests on some connections at once; how they were answered."""
    good = requests(target)
    for request in good:
        assert [status // 100 for status in replies(exchange(target.port, request))] == [2], request

    def attack(number: int) -> Counter[str]:
        chance = random.Random(f"{seed} {number}")
        answered: Counter[str] = Counter()
        for case in range(number, cases, _THREADS):
            sent = malformed(good, chance)
            try:
                statuses = list(replies(exchange(target.port, sent)))
            except Exception as error:
                error.add_note(f"seed {seed}, case {case}: {sent[:4000]!r}")
                raise
            answered.update(map(str, statuses or ["nothing: it was not complete"]))
        return answered

    with ThreadPoolExecutor(_THREADS) as pool:
        answered = sum(pool.map(attack, range(_THREADS)), Counter())
    for request in good:
        assert [status // 100 for status in replies(exchange(target.port, request))] == [2], request
    return answered
