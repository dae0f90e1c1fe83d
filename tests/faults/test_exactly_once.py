"""What people and Jobs write into the event store.

Whatever happens to the first try, the second leaves exactly one record.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.database import DatabaseProxy
from tests.faults.harness.faults import Answer, Cut, Fault, LostReply
from tests.faults.operating import databases
from tests.faults.operating.releasing import people
from tests.support.postgres import PostgresServer

from leadscore.errors import RefusedError, UnavailableError
from leadscore.events.errors import StoreUnavailableError
from leadscore.events.store import EventStore
from leadscore.release.approval import APPROVAL, Binding, answers_of
from leadscore.training.retrain import CLAIM, RetrainRequest, claim

pytestmark = pytest.mark.xdist_group("faults")
names = itertools.count(1)
BINDING = Binding(model="leads", version=2, digest="d" * 64, evidence=("gate-1",), release="r")
WHEN = datetime(2026, 3, 1, tzinfo=UTC)


def _claimed(store: EventStore, claimant: str = "pod-1") -> None:
    claim(
        store,
        RetrainRequest(run="run", attempt=1, claimant=claimant, model="leads", start=WHEN, end=WHEN),
    )


def _approved(store: EventStore, by: str = "ada.lovelace") -> None:
    people().answer(store, BINDING, by=by, reason="The replay shows it.")


WRITERS: list[tuple[str, Callable[..., None], str, type[Exception]]] = [
    (CLAIM, _claimed, "pod-2", UnavailableError),
    (APPROVAL, _approved, "grace.hopper", RefusedError),
]


@pytest.mark.parametrize("what", ["reply lost (reset)", "reply lost (hang)", "cut", "57P01", "40001"])
@pytest.mark.parametrize(("kind", "write", "other", "refusal"), WRITERS, ids=["a claim", "an approval"])
def test_the_second_try_leaves_one_record_and_nobody_else_gets_it(
    database: PostgresServer,
    kind: str,
    write: Callable[..., None],
    other: str,
    refusal: type[Exception],
    what: str,
) -> None:
    commit = Point(f"commit evidence/{kind}.store", 1)
    fault = _fault(what, commit)
    name = f"once-{next(names)}"
    with (
        databases.fresh(name) as (server,),
        EventStore(databases.url(f"127.0.0.1:{database.port}", name)) as past,
    ):
        past.counts()
        proxy = DatabaseProxy(server, ["a"])
        try:
            proxy.ledger.arm([fault])
            with EventStore(databases.url(proxy.addresses["a"], name), answer_seconds=0.5) as store:
                with pytest.raises(StoreUnavailableError):
                    write(store)
                write(store)
                with pytest.raises(refusal):
                    write(store, other)
        finally:
            proxy.close()
        assert proxy.ledger.hit == {fault}
        assert len(past.evidence(kind=kind)) == 1


def _fault(what: str, commit: Point) -> Fault:
    if what == "cut":
        return Cut(commit)
    return LostReply(commit, what[12:-1]) if what.startswith("reply") else Answer(commit, what)


def test_who_approved_is_who_did_so_first_although_nobody_heard_of_it(database: PostgresServer) -> None:
    commit = Point(f"commit evidence/{APPROVAL}.store", 1)
    with databases.fresh("once-heard") as (server,):
        proxy = DatabaseProxy(server, ["a"])
        try:
            proxy.ledger.arm([LostReply(commit, "reset")])
            with EventStore(databases.url(proxy.addresses["a"], "once-heard")) as store:
                with pytest.raises(StoreUnavailableError):
                    _approved(store)
                with pytest.raises(RefusedError, match=r"ada\.lovelace"):
                    _approved(store, "grace.hopper")
                assert [said.by for _, said in answers_of(store)] == ["ada.lovelace"]
        finally:
            proxy.close()
    assert database.port == server.port
