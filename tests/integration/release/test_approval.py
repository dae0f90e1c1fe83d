"""An approval is given once, by a person, for exactly these bytes and this evidence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from leadscore.errors import BadInputError, ConflictError, RefusedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.release.approval import Binding, Verdict, answer, answers_of, open_requests, request
from leadscore.release.binding import is_bound
from leadscore.release.evidence import read_evidence, record_end
from leadscore.release.states import Final, Finish, ReleaseSpec, ReleaseStatus

BINDING = Binding(model="leads", version=7, digest="d" * 64, evidence=("gate-1", "replay-1"), release="uid-1")
SPEC = ReleaseSpec(release="uid-1", model="leads", version=7)


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened


def approve(store: EventStore, binding: Binding = BINDING, by: str = "Ada", at: int = 5) -> bool:
    return answer(store, binding, "approved", by=by, reason="replay is fine", at=at)[1]


def test_an_approval_is_on_record_with_everything_it_is_about(store: EventStore) -> None:
    request(store, BINDING, at=1)
    assert approve(store)
    (record, said), *more = answers_of(store, "leads/7")
    assert more == []
    assert (record.kind, record.subject, record.at) == ("approval", "leads/7", 5)
    assert (said.by, said.reason, said.binding) == ("Ada", "replay is fine", BINDING)
    assert said.login


def test_the_same_approval_again_changes_nothing(store: EventStore) -> None:
    approve(store, at=5)
    assert not approve(store, at=9)
    assert [record.at for record, _ in answers_of(store)] == [5]


def test_a_second_person_s_approval_is_refused_with_the_first_one_s_name(store: EventStore) -> None:
    approve(store)
    with pytest.raises(RefusedError, match=r"was approved by Ada .* an answer is given once"):
        approve(store, by="Grace")


@pytest.mark.parametrize(("first", "second"), [("approved", "denied"), ("denied", "approved")])
def test_the_opposite_answer_is_refused(store: EventStore, first: Verdict, second: Verdict) -> None:
    answer(store, BINDING, first, by="Ada", reason="x", at=1)
    with pytest.raises(RefusedError, match=f"was {first} by Ada"):
        answer(store, BINDING, second, by="Ada", reason="x", at=2)


def test_approving_other_bytes_of_the_same_version_is_refused(store: EventStore) -> None:
    approve(store)
    changed = msgspec.structs.replace(BINDING, digest="e" * 64)
    with pytest.raises(RefusedError, match="with digest dddddddddddd; it is eeeeeeeeeeee now"):
        approve(store, changed)


def test_new_evidence_is_a_new_question(store: EventStore) -> None:
    answer(store, BINDING, "denied", by="Ada", reason="too slow", at=1)
    assert approve(store, msgspec.structs.replace(BINDING, evidence=("gate-1", "replay-2")))


def at_once(url: str, *deeds: Callable[[EventStore], bool]) -> list[bool | str]:
    """What each deed gave, or the sentence it was refused with; each has a connection of its own, as commands have."""
    gate = threading.Barrier(len(deeds))

    def go(deed: Callable[[EventStore], bool]) -> bool | str:
        try:
            with EventStore(url) as own:
                own.counts()
                gate.wait()
                return deed(own)
        except RefusedError as error:
            return error.message
        except BaseException:
            gate.abort()
            raise

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(go, deeds))


def test_of_two_people_at_the_same_moment_one_is_heard(store: EventStore, url: str) -> None:
    results = at_once(url, partial(approve, by="Ada"), partial(approve, by="Grace"))
    assert len(answers_of(store)) == 1
    assert sorted(isinstance(r, str) for r in results) == [False, True]


def test_of_two_ends_at_the_same_moment_one_is_the_end(store: EventStore, url: str) -> None:
    def end(phase: Final, own: EventStore) -> bool:
        return record_end(own, SPEC, ReleaseStatus(), Finish(phase, f"so it was {phase}"), at=1)

    results = at_once(url, partial(end, "Aborted"), partial(end, "Promoted"))
    assert sorted(results) == [False, True]
    ended = read_evidence(store, SPEC, None).ended
    assert ended is not None
    assert ended.reason == f"so it was {ended.phase}"
    assert len(store.evidence(kind="release")) == 1


class LooksTooEarly(EventStore):
    """A store whose first look at answers comes before anybody's answer."""

    looks = 0

    def evidence(
        self, *, kind: str | None = None, subject: str | None = None, limit: int = 1_000
    ) -> tuple[Evidence, ...]:
        self.looks += 1
        return () if self.looks == 1 else super().evidence(kind=kind, subject=subject, limit=limit)


def test_an_answer_that_came_between_look_and_write_is_found(store: EventStore, url: str) -> None:
    approve(store)
    with LooksTooEarly(url) as late:
        assert not approve(late, at=9)
    with LooksTooEarly(url) as late, pytest.raises(RefusedError, match="was approved by Ada"):
        approve(late, by="Grace")
    assert len(answers_of(store)) == 1


def test_the_order_of_the_evidence_makes_no_other_question(store: EventStore) -> None:
    backwards = msgspec.structs.replace(BINDING, evidence=("replay-1", "gate-1"))
    assert request(store, backwards, at=1)
    assert not request(store, BINDING, at=2)
    assert [asked.evidence for _, asked in open_requests(store)] == [("gate-1", "replay-1")]
    assert approve(store, backwards)
    assert not approve(store)


def test_the_question_of_a_release_that_has_ended_is_open_no_more(store: EventStore) -> None:
    request(store, BINDING, at=1)
    assert open_requests(store, ended=frozenset({"uid-2"})) != ()
    assert open_requests(store, ended=frozenset({"uid-1"})) == ()


def test_the_longest_name_and_reason_are_taken(store: EventStore) -> None:
    said, new = answer(store, BINDING, "approved", by="x" * 200, reason="y" * 2_000, at=1)
    assert new
    assert (len(said.by), len(said.reason)) == (200, 2_000)


@pytest.mark.parametrize("name", ["", "  ", "root", "CI", "42", "x" * 201])
def test_an_account_is_not_a_person(store: EventStore, name: str) -> None:
    with pytest.raises(BadInputError, match="not a person's name"):
        approve(store, by=name)


@pytest.mark.parametrize("reason", ["", " ", "…", "x" * 2001])
def test_an_approval_needs_a_reason(store: EventStore, reason: str) -> None:
    with pytest.raises(BadInputError, match="reason"):
        answer(store, BINDING, "approved", by="Ada", reason=reason, at=1)


def test_a_release_asks_once_and_only_about_one_thing(store: EventStore) -> None:
    assert request(store, BINDING, at=1)
    assert not request(store, BINDING, at=2)
    with pytest.raises(ConflictError):
        request(store, msgspec.structs.replace(BINDING, digest="e" * 64), at=3)
    assert read_evidence(store, SPEC, None).requested


def test_the_machine_sees_the_answer_to_its_own_question(store: EventStore) -> None:
    request(store, BINDING, at=1)
    assert read_evidence(store, SPEC, None).approval is None
    assert [asked for _, asked in open_requests(store)] == [BINDING]
    approve(store)
    seen = read_evidence(store, SPEC, None).approval
    assert seen is not None
    status = ReleaseStatus(digest="d" * 64, gate="gate-1", evaluation="replay-1")
    assert is_bound(seen, SPEC, status)
    assert not is_bound(seen, SPEC, msgspec.structs.replace(status, evaluation="replay-2"))
    assert open_requests(store) == ()


def test_the_first_record_of_an_end_counts(store: EventStore) -> None:
    assert record_end(store, SPEC, ReleaseStatus(), Finish("Aborted", "error rate"), at=1)
    assert not record_end(store, SPEC, ReleaseStatus(), Finish("Rejected", "late"), at=2)
    ended = read_evidence(store, SPEC, None).ended
    assert ended is not None
    assert (ended.phase, ended.reason) == ("Aborted", "error rate")
