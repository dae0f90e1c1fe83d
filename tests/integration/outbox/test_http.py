"""The request of a delivery: what it writes down, when it is over, which connection it takes."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.authority import new_authority
from tests.support.ports import free_port
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

from leadscore.outbox.attempts import SendResult
from leadscore.outbox.http import HttpConnections, Lookup, look_up_addresses

REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def post(url: str, *, seconds: float = 10.0) -> SendResult:
    with HttpConnections() as connections:
        return connections.post_json(url, b'{"text": "x"}', headers={}, seconds=seconds)


@contextmanager
def serving(talk: Callable[[socket.socket, threading.Event], None]) -> Iterator[tuple[str, list[int]]]:
    """A server that talks over each connection as told; its address, and the ports that connected to it."""
    over, ports = threading.Event(), list[int]()
    talking: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak(connection: socket.socket) -> None:
            # Whoever asked may be gone.
            try:
                with connection:
                    talk(connection, over)
            except OSError:
                return

        def accept() -> None:
            while not over.is_set():
                connection, (_, port) = server.accept()
                ports.append(port)
                talking.append(threading.Thread(target=speak, args=(connection,)))
                talking[-1].start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/secret", ports
        finally:
            over.set()
            socket.create_connection(server.getsockname()).close()
            thread.join()
            for each in talking:
                each.join()


def drip(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    """A byte every now and then, within the time of any single step, for ever."""

    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(text)
        while not over.wait(0.05):
            connection.sendall(b"x")

    return talk


def test_a_delivery_writes_no_address_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Receiver() as receiver:
        assert post(f"{receiver.url}/slack/T0-B0-secret").outcome == "accepted"
    assert "secret" not in caplog.text
    assert "127.0.0.1" not in caplog.text


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: "], ids=["status", "headers"])
def test_a_receiver_that_drips_its_reply_holds_a_channel_until_the_deadline_only(begun: bytes) -> None:
    with serving(drip(begun)) as (url, _):
        assert post(url, seconds=0.4).outcome in {"uncertain", "failed"}


def test_a_reply_that_is_read_whole_has_the_same_deadline() -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    with serving(drip(begun)) as (url, _), HttpConnections() as connections:
        found = connections.exchange("GET", url, body=b"", headers={}, seconds=0.4, most_bytes=2_000_000)
    assert found == SendResult("uncertain", "no answer (ReadTimeout)")


def test_a_receiver_that_reads_nothing_has_the_same_deadline() -> None:
    with serving(lambda _, over: over.wait() and None) as (url, _), HttpConnections() as connections:
        found = connections.post_json(url, bytes(50_000_000), headers={}, seconds=0.4)
    assert found == SendResult("uncertain", "no answer (WriteTimeout)")


def test_a_status_counts_whatever_becomes_of_the_body() -> None:
    begun = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n"
    with serving(drip(begun)) as (url, _), HttpConnections(kept=1) as connections:
        assert connections.post_json(url, b"{}", headers={}, seconds=0.4).outcome == "accepted"


def answer(connection: socket.socket, over: threading.Event) -> None:
    """Reply to each request of `{}`, whose head and body may come apart."""
    read = b""
    while not over.is_set() and (piece := connection.recv(65_536)):
        read += piece
        if read.endswith(b"\r\n\r\n{}"):
            connection.sendall(REPLY)
            read = b""


@pytest.mark.parametrize(("kept", "opened"), [(1, 1), (0, 3)])
def test_a_connection_is_used_again_where_it_is_kept(kept: int, opened: int) -> None:
    with serving(answer) as (url, ports), HttpConnections(kept=kept) as connections:
        for _ in range(3):
            assert connections.post_json(url, b"{}", headers={}).outcome == "accepted"
        assert len(ports) == opened


def test_a_kept_connection_that_was_closed_meanwhile_is_not_used() -> None:
    closed: list[int] = []

    def answer_once(connection: socket.socket, over: threading.Event) -> None:
        del over
        connection.recv(65_536)
        connection.sendall(REPLY)
        connection.close()
        closed.append(1)

    with serving(answer_once) as (url, ports), HttpConnections(kept=1) as connections:
        for expected in (1, 2, 3):
            assert connections.post_json(url, b"{}", headers={}).outcome == "accepted"
            assert len(ports) == expected
            wait_until(lambda enough=expected: len(closed) == enough, what="closed by the receiver")


def test_the_proxy_of_the_environment_is_used_unless_it_lists_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bytes] = []

    def proxy(connection: socket.socket, over: threading.Event) -> None:
        del over
        asked.append(connection.recv(65_536).partition(b"\r\n")[0])
        connection.sendall(REPLY)

    with serving(proxy) as (url, _):
        monkeypatch.setenv("http_proxy", url.removesuffix("/secret"))
        assert post("http://hooks.example/a?b=c d").outcome == "accepted"
        assert asked == [b"POST http://hooks.example/a?b=c%20d HTTP/1.1"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert post(url).outcome == "accepted"
        assert asked[1:] == [b"POST /secret HTTP/1.1"]


def test_a_user_in_the_address_signs_in() -> None:
    asked: list[bytes] = []

    def look(connection: socket.socket, over: threading.Event) -> None:
        del over
        asked.append(connection.recv(65_536))
        connection.sendall(REPLY)

    with serving(look) as (url, _):
        assert post(url.replace("//", "//ada:pw@")).outcome == "accepted"
    assert b"authorization: basic ywrhonb3" in asked[0].lower()


def unknown_name(host: str, port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def detail(url: str, look_up: Lookup = look_up_addresses) -> str:
    with HttpConnections(look_up=look_up) as connections:
        found = connections.post_json(url, b"{}", headers={}, seconds=5)
    assert found.outcome == "failed"
    return found.detail


def test_a_name_server_that_is_silent_is_waited_for_until_the_deadline() -> None:
    answers = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        answers.wait()
        return ["127.0.0.1"]

    try:
        with HttpConnections(look_up=hang) as connections:
            found = connections.post_json("http://crm.example", b"{}", headers={}, seconds=0.2)
    finally:
        answers.set()
    assert found == SendResult("failed", "no connection: the name servers do not answer")


def test_why_there_is_no_connection_is_said(tmp_path: Path) -> None:
    assert detail("http://crm.example", unknown_name) == "no connection: the name is not known"
    assert detail(f"http://127.0.0.1:{free_port()}") == "no connection: nothing listens at the port"
    with serving(lambda connection, _: connection.sendall(REPLY)) as (url, _):
        plain = detail(url.replace("http://", "https://"))
    assert plain.startswith("no connection: no TLS is spoken there")
    authority = new_authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)

    def shake_hands(connection: socket.socket, over: threading.Event) -> None:
        del over
        context.wrap_socket(connection, server_side=True).close()

    with serving(shake_hands) as (url, _):
        untrusted = detail(url.replace("http://", "https://"))
    assert untrusted.startswith("no connection: its certificate is not trusted (")
