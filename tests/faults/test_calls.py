"""What a request asks is read from its method and path, and named alike in every replay."""

from __future__ import annotations

import json

import pytest
from tests.faults.harness.calls import Call, Numbering, Point, understand
from tests.faults.harness.events import End, Freeze, Send, Stream, Wait
from tests.faults.harness.faults import EVENT_KINDS, Answer, Event, Kill, LostReply, Stale, status_body
from tests.faults.harness.ledger import Entry
from tests.faults.harness.sweep import OCCURRENCES, faults_of, kind

CRD = "/apis/leadscore.dev/v1alpha1/namespaces/n/retrainruns"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", CRD, {}, Call("list", "leadscore.dev", "retrainruns", "n")),
        ("GET", CRD, {"watch": "true"}, Call("watch", "leadscore.dev", "retrainruns", "n")),
        ("GET", f"{CRD}/a", {}, Call("get", "leadscore.dev", "retrainruns", "n", "a")),
        ("PATCH", f"{CRD}/a/status", {}, Call("patch", "leadscore.dev", "retrainruns/status", "n", "a")),
        ("POST", "/api/v1/namespaces/n/events", {}, Call("create", "", "events", "n")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", {},
            Call("update", "coordination.k8s.io", "leases", "n", "l")),
        ("DELETE", "/apis/batch/v1/namespaces/n/jobs", {}, Call("deletecollection", "batch", "jobs", "n")),
        ("DELETE", "/apis/batch/v1/namespaces/n/jobs/j", {}, Call("delete", "batch", "jobs", "n", "j")),
        ("GET", "/api/v1/namespaces", {}, Call("list", "", "namespaces")),
        ("GET", "/api/v1/namespaces/n", {}, Call("get", "", "namespaces", "", "n")),
        ("GET", "/apis/batch/v1/jobs", {"watch": "1"}, Call("watch", "batch", "jobs")),
        ("GET", "/apis/batch/v1", {}, Call("other", "batch", "/apis/batch/v1")),
        ("GET", "/version", {}, Call("other", "", "/version")),
    ],
)  # fmt: skip
def test_a_request_is_understood(method: str, path: str, query: dict[str, str], expected: Call) -> None:
    assert understand(method, path, query) == expected


def test_names_are_no_part_of_a_signature_because_they_hold_uids() -> None:
    one, other = (understand("GET", f"{CRD}/{name}", {}) for name in ("run-1f", "run-2e"))
    assert one.signature == other.signature == "get retrainruns.leadscore.dev"


def test_points_count_by_signature() -> None:
    numbering = Numbering()
    assert [numbering.next(s).occurrence for s in ("a", "b", "a")] == [1, 1, 2]


def log(*requests: tuple[str, str]) -> list[Entry]:
    numbering = Numbering()
    calls = [
        understand(method, path, {"watch": "1"} if path.endswith("?w") else {}) for method, path in requests
    ]
    return [Entry("a", numbering.next(call.signature), call, 200) for call in calls]


SCENARIO = log(("GET", CRD), ("POST", CRD), ("GET", CRD), ("GET", "/version"), ("GET", f"{CRD}?w"))


def test_a_sweep_kills_before_and_after_every_call_and_before_every_watch() -> None:
    kills = {(str(t[0]), len(t)) for t in faults_of(SCENARIO, {}) if isinstance(t[0], Kill)}
    expected = {(f"kill {when} {p} retrainruns.leadscore.dev #{n}", 1)
                for when in ("before", "after")
                for p, n in (("list", 1), ("create", 1), ("list", 2))}  # fmt: skip
    assert expected <= kills
    assert not [k for k, _ in kills if "/version" in k], "discovery is no part of a scenario"


def test_a_write_is_refused_lost_and_forgotten_by_a_lagging_server() -> None:
    write = Point("create retrainruns.leadscore.dev", 1)
    troubles = faults_of(SCENARIO, {})
    assert (Answer(write, 409),) in troubles
    assert {t[0].how for t in troubles if isinstance(t[0], LostReply) and t[0].at == write} == {
        "reset",
        "hang",
    }
    past = [t for t in troubles if len(t) > 1]
    assert {kind(t) for t in past} == {"kill after, then stale", "reply lost (reset), then stale"}
    assert all(isinstance(fault, Stale) for t in past for fault in t[1:])


def test_every_watch_event_meets_every_kind_of_trouble() -> None:
    of_events = [t for t in faults_of(SCENARIO, {"jobs.batch": 2}) if isinstance(t[0], Event)]
    assert len(of_events) == 2 * len(EVENT_KINDS)


def test_calls_that_repeat_for_ever_are_swept_a_few_times() -> None:
    repeated = log(*[("GET", CRD)] * 50)
    assert max(t[0].at.occurrence for t in faults_of(repeated, {}) if isinstance(t[0], Kill)) == OCCURRENCES


def event(n: int) -> bytes:
    return json.dumps({"type": "ADDED", "object": {"n": n}}).encode() + b"\n"


def fed(what: str, number: int = 2, count: int = 3) -> list[object]:
    numbers = iter(range(1, 100))
    stream = Stream([Event("jobs.batch", number, what)], lambda: next(numbers))
    return [step for n in range(1, count + 1) for step in stream.feed(event(n))]


def test_events_are_dropped_doubled_reordered_delayed_and_cut() -> None:
    one, two, three = (Send(event(n)) for n in (1, 2, 3))
    assert fed("drop") == [one, three]
    assert fed("duplicate") == [one, two, two, three]
    assert fed("reorder") == [one, three, two]
    assert [type(step) for step in fed("delay")] == [Send, Wait, Send, Send]
    assert fed("freeze", count=2) == [one, Freeze()]
    assert fed("close", count=2) == [one, End()]


def test_a_watch_that_is_too_old_ends_with_410() -> None:
    sent, end = fed("gone", count=2)[1:]
    assert isinstance(sent, Send)
    assert json.loads(sent.line)["object"]["code"] == 410
    assert end == End()


def test_bookmarks_are_no_events() -> None:
    stream = Stream([Event("jobs.batch", 1, "drop")], lambda: pytest.fail("counted"))
    bookmark = b'{"type": "BOOKMARK", "object": {}}\n'
    assert stream.feed(bookmark) == [Send(bookmark)]


def test_a_409_says_what_an_api_server_says() -> None:
    assert status_body(409, "create")["reason"] == "AlreadyExists"
    assert status_body(409, "patch")["reason"] == "Conflict"
