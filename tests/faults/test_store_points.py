"""Calls to the event store and the registry meet the possible faults, the telling ones first."""

from __future__ import annotations

import pytest
from tests.faults.harness.calls import Call, Numbering
from tests.faults.harness.faults import Answer, Cut, Fault, Kill, LostReply, Stale
from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.harness.servers import HttpServer
from tests.faults.harness.sweep import describe, faults_of, kind, rank

COMMIT = Call("commit", "store", "evidence/gate")
READ = Call("read", "store", "evidence/gate")
CONNECT = Call("connect", "store", "sessions")
VERSIONS = Call("get", "registry", "model-versions")


def troubles(*calls: Call) -> list[tuple[Fault, ...]]:
    numbering = Numbering()
    return faults_of(
        [Entry("a", numbering.next(call.signature), call, 200) for call in calls], {}, clock=True
    )


def kinds(*calls: Call) -> set[str]:
    return {kind(trouble) for trouble in troubles(*calls)}


def test_a_commit_is_lost_before_and_after_and_refused() -> None:
    assert kinds(COMMIT) == {
        "store: kill before", "store: kill after", "store: reply lost (reset)", "store: reply lost (hang)",
        "store: cut", "store: away", "store: answer 57P01", "store: answer 25006", "store: answer 40001",
    }  # fmt: skip


def test_of_a_read_it_makes_no_difference_whether_the_server_has_seen_it() -> None:
    assert "store: kill after" not in kinds(READ)
    assert {"store: kill before", "store: reply lost (hang)", "store: cut", "store: away"} <= kinds(READ)


def test_a_login_is_refused_for_each_reason() -> None:
    states = {t[0].status for t in troubles(CONNECT) if isinstance(t[0], Answer)}
    assert states == {"28P01", "53300", "57P03"}


def test_the_registry_errs_and_gives_old_answers_but_no_first_one() -> None:
    once = kinds(VERSIONS)
    assert {"registry: answer 429", "registry: answer 500", "registry: answer 401", "registry: away"} <= once
    assert "registry: stale answer" not in once
    assert "registry: stale answer" in kinds(*[VERSIONS] * 8)


def test_later_calls_of_a_signature_are_points_too_but_not_all_of_them() -> None:
    at = {t[0].at.occurrence for t in troubles(*[READ] * 30) if isinstance(t[0], Kill)}
    assert at == {1, 8}


def test_a_sweep_of_one_server_is_chosen_by_its_name() -> None:
    assert all(".store" in describe(t) for t in troubles(COMMIT, READ, CONNECT))
    assert all(".registry" in describe(t) for t in troubles(VERSIONS))


def test_a_lost_acknowledgement_is_among_the_first_and_a_read_that_hangs_among_the_last() -> None:
    first = min(rank(t) for t in troubles(COMMIT, READ, VERSIONS))
    assert all(
        rank(t) == first
        for t in troubles(COMMIT)
        if t[0] in {LostReply(t[0].at, "reset"), Kill(t[0].at, "after")}
    )
    assert all(rank(t) > first for t in troubles(READ, VERSIONS))


def test_who_is_away_takes_no_call_until_the_time_is_over() -> None:
    now = 0.0
    ledger = Ledger(lambda: now)
    away = Cut(ledger.enter("a", COMMIT).point, 3.0)
    ledger.arm([away])
    assert ledger.fault_at(away.at) == away
    other = ledger.enter("b", READ).point
    now = 2.9
    assert ledger.fault_at(other) == away
    now = 3.1
    assert ledger.fault_at(other) is None
    assert ledger.hit == {away}


@pytest.mark.parametrize(
    ("path", "query", "signature"),
    [
        (
            "/api/2.0/mlflow/model-versions/get",
            {"name": "leads", "version": "2"},
            "get model-versions.registry",
        ),
        ("/api/2.0/mlflow/registered-models/get", {"name": "leads"}, "get registered-models.registry"),
        ("/health", {}, "other /health.registry"),
    ],
)
def test_mlflows_calls_are_named_by_what_they_are_about(
    path: str, query: dict[str, str], signature: str
) -> None:
    server = HttpServer("registry", "http://127.0.0.1:1")
    assert server.understand("GET", path, query).signature == signature


def test_an_old_answer_is_one_to_the_same_question() -> None:
    server = HttpServer("registry", "http://127.0.0.1:1")
    path = "/api/2.0/mlflow/model-versions/get"
    one, two = (server.question(path, {"name": "leads", "version": v}) for v in "12")
    assert one != two
    assert one == server.question(path, {"version": "1", "name": "leads"})


def test_stale_answers_come_alone() -> None:
    assert [t for t in troubles(*[VERSIONS] * 8) if len(t) > 1] == []
    assert {t[0].times for t in troubles(*[VERSIONS] * 8) if isinstance(t[0], Stale)} == {1, 5}
