"""The proxy against a real API server: rights are the operator's, and each fault does what it says, once."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.faults.harness.api import Api
from tests.faults.harness.calls import Point
from tests.faults.harness.controlplane import OPERATOR, ControlPlane
from tests.faults.harness.faults import Answer, Cut, Event, Fault, Kill, LostReply, Stale
from tests.faults.harness.proxy import Proxy
from tests.faults.harness.scenario import _grant
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("faults")
CREATE, LIST = Point("create configmaps", 1), Point("list configmaps", 1)
names = itertools.count(1)
RULES = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create"]}]
Opened = Callable[..., tuple[Proxy, httpx.Client, str]]


@pytest.fixture
def opened(plane: ControlPlane, api: Api) -> Iterator[Opened]:
    """A proxy with faults, an operator's client through it, and the path of a namespace's ConfigMaps."""
    proxies: list[Proxy] = []
    clients: list[httpx.Client] = []

    def start(
        *faults: Fault, kill: Callable[[str], None] = lambda _: None
    ) -> tuple[Proxy, httpx.Client, str]:
        namespace = f"proxy-{next(names)}"
        _grant(api, namespace, RULES)
        proxy = Proxy(plane, ["a"], kill=kill)
        proxies.append(proxy)
        proxy.arm(faults)
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        client = httpx.Client(base_url=proxy.addresses["a"], headers=headers, timeout=2)
        clients.append(client)
        return proxy, client, f"/api/v1/namespaces/{namespace}/configmaps"

    yield start
    for client in clients:
        client.close()
    for proxy in proxies:
        proxy.close()


def named(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


def stored(api: Api, path: str) -> set[str]:
    return {item["metadata"]["name"] for item in api.items(path)} - {"kube-root-ca.crt"}


def test_a_call_goes_through_with_the_operators_own_rights(api: Api, opened: Opened) -> None:
    proxy, client, path = opened()
    assert client.post(path, json=named("one")).status_code == 201
    assert client.delete(f"{path}/one").status_code == 403, "delete was not granted"
    assert client.get("/api/v1/namespaces").status_code == 403
    assert stored(api, path) == {"one"}
    assert [(e.call.verb, e.status, e.committed) for e in proxy.log] == [
        ("create", 201, True), ("delete", 403, False), ("list", 403, False),
    ]  # fmt: skip


def test_killed_before_a_call_the_server_never_sees_it(api: Api, opened: Opened) -> None:
    killed: list[str] = []
    proxy, client, path = opened(Kill(CREATE, "before"), kill=killed.append)
    with pytest.raises(httpx.TransportError):
        client.post(path, json=named("one"))
    assert (killed, stored(api, path), proxy.log[0].status) == (["a"], set(), None)
    assert client.post(path, json=named("two")).status_code == 201, "a fault happens once"


def test_a_cut_call_is_never_seen_and_a_server_that_is_away_comes_back(api: Api, opened: Opened) -> None:
    proxy, client, path = opened(Cut(CREATE))
    with pytest.raises(httpx.TransportError):
        client.post(path, json=named("one"))
    assert (stored(api, path), proxy.hit) == (set(), {Cut(CREATE)})
    proxy.ledger.leave(3600)
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            client.get(path)
    proxy.arm(())
    assert client.get(path).status_code == 200


def test_what_the_server_did_for_a_client_that_is_gone_is_logged_as_done(api: Api, opened: Opened) -> None:
    proxy, client, path = opened()
    sent = [f"n{number}" for number in range(20)]
    for name in sent:
        with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
            connection.sendall(_request("POST", path, json.dumps(named(name)).encode()))
    assert client.post(path, json=named("last")).status_code == 201

    def logged_as_stored() -> bool:
        return sum(entry.committed for entry in proxy.log) == len(stored(api, path))

    wait_until(lambda: not proxy.busy() and logged_as_stored(), seconds=10, what="a log that tells all")
    assert len(stored(api, path)) > 1, "nothing was asked by a client that was gone"


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer {OPERATOR}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_killed_after_a_call_it_is_done_and_nobody_heard_of_it(api: Api, opened: Opened) -> None:
    killed: list[str] = []
    proxy, client, path = opened(Kill(CREATE, "after"), kill=killed.append)
    with pytest.raises(httpx.TransportError):
        client.post(path, json=named("one"))
    assert (killed, stored(api, path)) == (["a"], {"one"})
    assert proxy.log[0].committed
    assert not proxy.log[0].delivered


@pytest.mark.parametrize(("how", "error"), [("reset", httpx.TransportError), ("hang", httpx.ReadTimeout)])
def test_a_lost_reply_hides_what_was_done(api: Api, opened: Opened, how: str, error: type[Exception]) -> None:
    proxy, client, path = opened(LostReply(CREATE, how))
    with pytest.raises(error):
        client.post(path, json=named("one"))
    assert stored(api, path) == {"one"}
    assert proxy.hit == {LostReply(CREATE, how)}


@pytest.mark.parametrize("status", [409, 410, 429, 500])
def test_an_injected_error_is_a_status_object_and_changes_nothing(
    api: Api, opened: Opened, status: int
) -> None:
    _, client, path = opened(Answer(CREATE, status))
    reply = client.post(path, json=named("one"))
    assert (reply.status_code, reply.json()["code"], stored(api, path)) == (status, status, set())
    assert ("Retry-After" in reply.headers) is (status == 429)


def test_a_stale_list_answers_what_it_answered_first(opened: Opened) -> None:
    proxy, client, path = opened(Stale(Point("list configmaps", 2)))
    lists = [client.get(path).json()["items"]]
    client.post(path, json=named("one"))
    lists += [client.get(path).json()["items"], client.get(path).json()["items"]]
    assert [len(items) for items in lists] == [0, 0, 1]
    assert len(proxy.hit) == 1


def test_a_first_answer_cannot_be_stale_and_does_not_count_as_reached(opened: Opened) -> None:
    proxy, client, path = opened(Stale(LIST))
    assert client.get(path).status_code == 200
    assert proxy.hit == set()


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("drop", ["one", "three"]),
        ("duplicate", ["one", "two", "two", "three"]),
        ("reorder", ["one", "three", "two"]),
        ("freeze", ["one"]),
        ("close", ["one"]),
        ("gone", ["one", 410]),
    ],
)
def test_a_watch_is_as_faulty_as_it_is_told(api: Api, opened: Opened, what: str, seen: list[object]) -> None:
    proxy, client, path = opened(Event("configmaps", 2, what))
    for name in ("one", "two", "three"):
        api.create(path, named(name))
    since = min(int(item["metadata"]["resourceVersion"]) for item in api.items(path)) - 1
    found: list[object] = []
    with (
        pytest.MonkeyPatch.context(),
        client.stream("GET", f"{path}?watch=1&resourceVersion={since}") as reply,
    ):
        try:
            for line in reply.iter_lines():
                document = json.loads(line)["object"]
                found.append(document.get("code") or document["metadata"]["name"])
                if len(found) == len(seen) and what not in {"freeze", "close", "gone"}:
                    break
        except httpx.ReadTimeout:
            assert what == "freeze"
        else:
            assert what != "freeze"
    assert found == seen
    wait_until(lambda: len(proxy.hit) == 1, what="the fault")
