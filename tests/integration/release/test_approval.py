"""An approval is given once, by a person who proves it, for exactly these bytes and this evidence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.support.approvers import KeyHolders
from tests.support.issuer import Issuer, issuer

from leadscore.errors import BadInputError, ConflictError, ForbiddenError, RefusedError, UnauthorizedError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.identity.apikeys import create_key, revoke_key
from leadscore.identity.approvers import Approvers, ApproversUnavailableError
from leadscore.identity.oidc import TokenVerifier
from leadscore.release.approval import (
    APPROVAL,
    Approval,
    ApprovalVerdict,
    Binding,
    answers_of,
    nonce_for,
    open_requests,
    record_approval,
    request,
)
from leadscore.release.binding import is_bound
from leadscore.release.evidence import observe_approval, read_evidence, record_end
from leadscore.release.states import Final, Finish, ReleaseSpec, ReleaseStatus

BINDING = Binding(model="leads", version=7, digest="d" * 64, evidence=("gate-1", "replay-1"), release="uid-1")
SPEC = ReleaseSpec(release="uid-1", model="leads", version=7)


# A day ahead: keys are made while the tests run, and none of them may be younger than what it answers.
NOW = time.time_ns() // 1000 + 86_400_000_000
SECONDS = NOW / 1e6


@pytest.fixture
def people(tmp_path: Path) -> KeyHolders:
    holders = KeyHolders(tmp_path)
    for name in ("Ada", "Grace"):
        holders.credential(name)
    return holders


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore(url) as opened:
        yield opened


@pytest.fixture
def approve(people: KeyHolders) -> Callable[..., bool]:
    def say(store: EventStore, binding: Binding = BINDING, by: str = "Ada", at: int = 5) -> bool:
        return people.answer(store, binding, by=by, at=NOW + at)[1]

    return say


def opened(store: EventStore, people: KeyHolders) -> list[Binding]:
    return [asked for _, asked in open_requests(store, people.approvers, SECONDS)]


def test_an_approval_is_on_record_with_everything_it_is_about(
    store: EventStore, approve, people: KeyHolders
) -> None:
    request(store, BINDING, at=1)
    assert approve(store)
    (record, said), *more = answers_of(store, "leads/7")
    assert more == []
    assert (record.kind, record.subject, record.at) == ("approval", "leads/7", NOW + 5)
    assert (said.by, said.reason, said.binding) == ("Ada", "replay is fine", BINDING)
    assert said.login
    assert said.why_not(people.approvers, SECONDS) == ""


def test_the_same_approval_again_changes_nothing(store: EventStore, approve, people: KeyHolders) -> None:
    approve(store, at=5)
    assert not approve(store, at=9)
    assert [record.at for record, _ in answers_of(store)] == [NOW + 5]


def test_a_second_person_s_approval_is_refused_with_the_first_one_s_name(
    store: EventStore, approve, people: KeyHolders
) -> None:
    approve(store)
    with pytest.raises(RefusedError, match=r"was approved by Ada .* an answer is given once"):
        approve(store, by="Grace")


@pytest.mark.parametrize(("first", "second"), [("approved", "denied"), ("denied", "approved")])
def test_the_opposite_answer_is_refused(
    store: EventStore, approve, people: KeyHolders, first: ApprovalVerdict, second: ApprovalVerdict
) -> None:
    people.answer(store, BINDING, first, reason="x", at=NOW + 1)
    with pytest.raises(RefusedError, match=f"was {first} by Ada"):
        people.answer(store, BINDING, second, reason="x", at=NOW + 2)


def test_approving_other_bytes_of_the_same_version_is_refused(
    store: EventStore, approve, people: KeyHolders
) -> None:
    approve(store)
    changed = msgspec.structs.replace(BINDING, digest="e" * 64)
    with pytest.raises(RefusedError, match="with digest dddddddddddd; it is eeeeeeeeeeee now"):
        approve(store, changed)


def test_new_evidence_is_a_new_question(store: EventStore, approve, people: KeyHolders) -> None:
    people.answer(store, BINDING, "denied", reason="too slow", at=NOW + 1)
    assert approve(store, msgspec.structs.replace(BINDING, evidence=("gate-1", "replay-2")))


def at_once(url: str, *deeds: Callable[[EventStore], bool]) -> list[bool | str]:
    """What each deed gave, or the sentence it was refused with.

    Each has a connection of its own, as commands have.
    """
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


def test_of_two_people_at_the_same_moment_one_is_heard(
    store: EventStore, approve, people: KeyHolders, url: str
) -> None:
    results = at_once(url, partial(approve, by="Ada"), partial(approve, by="Grace"))
    assert len(answers_of(store)) == 1
    assert sorted(isinstance(r, str) for r in results) == [False, True]


def test_of_two_ends_at_the_same_moment_one_is_the_end(
    store: EventStore, approve, people: KeyHolders, url: str
) -> None:
    def end(phase: Final, own: EventStore) -> bool:
        return record_end(own, SPEC, ReleaseStatus(), Finish(phase, f"so it was {phase}"), at=1)

    results = at_once(url, partial(end, "Aborted"), partial(end, "Promoted"))
    assert sorted(results) == [False, True]
    ended = read_evidence(store, SPEC, None, people.approvers, SECONDS).ended
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


def test_an_answer_that_came_between_look_and_write_is_found(
    store: EventStore, approve, people: KeyHolders, url: str
) -> None:
    approve(store)
    with LooksTooEarly(url) as late:
        assert not approve(late, at=9)
    with LooksTooEarly(url) as late, pytest.raises(RefusedError, match="was approved by Ada"):
        approve(late, by="Grace")
    assert len(answers_of(store)) == 1


def test_the_order_of_the_evidence_makes_no_other_question(
    store: EventStore, approve, people: KeyHolders
) -> None:
    backwards = msgspec.structs.replace(BINDING, evidence=("replay-1", "gate-1"))
    assert request(store, backwards, at=1)
    assert not request(store, BINDING, at=2)
    assert [asked.evidence for asked in opened(store, people)] == [("gate-1", "replay-1")]
    assert approve(store, backwards)
    assert not approve(store)


def test_the_question_of_a_release_that_has_ended_is_open_no_more(
    store: EventStore, approve, people: KeyHolders
) -> None:
    request(store, BINDING, at=1)
    now, approvers = SECONDS, people.approvers
    assert open_requests(store, approvers, now, ended=frozenset({"uid-2"})) != ()
    assert open_requests(store, approvers, now, ended=frozenset({"uid-1"})) == ()


def test_the_longest_name_and_reason_are_taken(store: EventStore, people: KeyHolders) -> None:
    said, new = people.answer(store, BINDING, by="x" * 63, reason="y" * 2_000, at=NOW)
    assert new
    assert (len(said.by), len(said.reason)) == (63, 2_000)


@pytest.mark.parametrize("name", ["root", "CI", "42", "local"])
def test_an_account_gets_no_key_to_approve_with(people: KeyHolders, name: str) -> None:
    with pytest.raises(BadInputError, match="not a person's name"):
        people.credential(name)


@pytest.mark.parametrize("reason", ["", " ", "…", "x" * 2001])
def test_an_approval_needs_a_reason(store: EventStore, approve, people: KeyHolders, reason: str) -> None:
    with pytest.raises(BadInputError, match="reason"):
        people.answer(store, BINDING, "approved", reason=reason, at=NOW + 1)


def test_a_release_asks_once_and_only_about_one_thing(store: EventStore, approve, people: KeyHolders) -> None:
    assert request(store, BINDING, at=1)
    assert not request(store, BINDING, at=2)
    with pytest.raises(ConflictError):
        request(store, msgspec.structs.replace(BINDING, digest="e" * 64), at=3)
    assert read_evidence(store, SPEC, None, people.approvers, SECONDS).requested


def test_the_machine_sees_the_answer_to_its_own_question(
    store: EventStore, approve, people: KeyHolders
) -> None:
    request(store, BINDING, at=1)
    assert observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS) == (None, "")
    assert opened(store, people) == [BINDING]
    approve(store)
    seen, refused = observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS)
    assert seen is not None
    assert refused == ""
    status = ReleaseStatus(digest="d" * 64, gate="gate-1", evaluation="replay-1")
    assert is_bound(seen, SPEC, status)
    assert not is_bound(seen, SPEC, msgspec.structs.replace(status, evaluation="replay-2"))
    assert opened(store, people) == []


def test_the_first_record_of_an_end_counts(store: EventStore, approve, people: KeyHolders) -> None:
    assert record_end(store, SPEC, ReleaseStatus(), Finish("Aborted", "error rate"), at=1)
    assert not record_end(store, SPEC, ReleaseStatus(), Finish("Rejected", "late"), at=2)
    ended = read_evidence(store, SPEC, None, people.approvers, SECONDS).ended
    assert ended is not None
    assert (ended.phase, ended.reason) == ("Aborted", "error rate")


# --- what does not count -----------------------------------------------------------------------------------


def put(store: EventStore, said: Approval, number: int = 1) -> None:
    """Write a record as whoever may write the event store can."""
    name = said.binding.evidence_id if number == 1 else f"{said.binding.evidence_id}-{number}"
    text = msgspec.json.encode(said).decode()
    store.record(Evidence(name, APPROVAL, said.binding.ref, said.at or NOW, text))


def why_not(store: EventStore, people: KeyHolders, now: float = SECONDS) -> str:
    request(store, BINDING, at=1)
    seen, refused = observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, now)
    assert seen is None
    return refused


def genuine(
    people: KeyHolders, url: str, binding: Binding = BINDING, verdict: ApprovalVerdict = "approved"
) -> Approval:
    """An answer that a person really gave, in another store."""
    with EventStore(url) as elsewhere:
        return people.answer(elsewhere, binding, verdict, at=NOW)[0]


def test_a_name_that_somebody_wrote_down_lets_nothing_through(store: EventStore, people: KeyHolders) -> None:
    put(store, Approval(verdict="approved", by="Ada", login="ada", reason="fine", binding=BINDING))
    assert "(approved by 'Ada') does not count: it carries no proof of who made it." in why_not(store, people)
    assert opened(store, people) == [BINDING]


def test_a_proven_answer_is_taken_beside_one_that_does_not_count(
    store: EventStore, people: KeyHolders, approve
) -> None:
    put(store, Approval(verdict="approved", by="Ada", login="ada", reason="fine", binding=BINDING))
    request(store, BINDING, at=1)
    assert approve(store, by="Grace")
    assert not approve(store, by="Grace", at=9)
    with pytest.raises(RefusedError, match="was approved by Grace"):
        approve(store, by="Ada")
    seen, refused = observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS)
    assert seen is not None
    assert (seen.by, refused) == ("Grace", "")


@pytest.mark.parametrize(
    "forged",
    [
        {"reason": "another reason"},
        {"verdict": "denied"},
        {"at": NOW + 1},
        {"binding": msgspec.structs.replace(BINDING, release="")},
    ],
    ids=["reason", "verdict", "time", "release"],
)
def test_an_answer_that_was_edited_does_not_count(
    store: EventStore, people: KeyHolders, forged: dict, tmp_path: Path
) -> None:
    said = genuine(people, f"sqlite:///{tmp_path}/elsewhere.db")
    put(store, msgspec.structs.replace(said, **forged))
    assert "its signature is not that of the key 'Ada' over what it says" in why_not(store, people)


def test_an_approval_of_other_bytes_cannot_be_used_again(
    store: EventStore, people: KeyHolders, tmp_path: Path
) -> None:
    other = msgspec.structs.replace(BINDING, digest="e" * 64)
    said = genuine(people, f"sqlite:///{tmp_path}/elsewhere.db", other)
    put(store, msgspec.structs.replace(said, binding=BINDING))
    assert "its signature is not that of the key 'Ada'" in why_not(store, people)


def test_another_name_over_a_signature_does_not_count(
    store: EventStore, people: KeyHolders, tmp_path: Path
) -> None:
    said = genuine(people, f"sqlite:///{tmp_path}/elsewhere.db")
    put(store, msgspec.structs.replace(said, by="Grace"))
    assert "it names 'Grace', and 'Ada' made it" in why_not(store, people)
    caller = msgspec.structs.replace(said.caller, name="Grace")
    put(store, msgspec.structs.replace(said, by="Grace", caller=caller), 2)
    assert "its signature is not that of the key 'Grace'" in why_not(store, people)


def test_the_key_of_another_file_does_not_count(
    store: EventStore, people: KeyHolders, tmp_path: Path
) -> None:
    strangers = tmp_path / "strangers"
    strangers.mkdir()
    put(store, genuine(KeyHolders(strangers), f"sqlite:///{tmp_path}/elsewhere.db"))
    assert "its signature is not that of the key 'Ada'" in why_not(store, people)


def test_a_revoked_key_has_approved_nothing_and_somebody_else_may_answer(
    store: EventStore, people: KeyHolders, approve
) -> None:
    approve(store)
    revoke_key(people.path, "Ada")
    assert "there is no key 'Ada' (any more)" in why_not(store, people)
    assert people.answer(store, BINDING, "denied", by="Grace", reason="who was that?", at=NOW)[1]
    seen, _ = observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS)
    assert seen is not None
    assert (seen.verdict, seen.by) == ("denied", "Grace")


def test_a_key_that_has_expired_cannot_be_used_by_saying_an_earlier_time(
    store: EventStore, people: KeyHolders, approve
) -> None:
    text = people.path.read_text()
    approve(store)
    expires = "  expires: '2020-01-01T00:00:00Z'\n"
    first = text.index("  approvalKey")
    people.path.write_text(text[:first] + expires + text[first:])
    assert "the key 'Ada' has expired" in why_not(store, people)


def test_an_answer_of_the_future_does_not_count(
    store: EventStore, people: KeyHolders, tmp_path: Path
) -> None:
    put(store, genuine(people, f"sqlite:///{tmp_path}/elsewhere.db"))
    assert "it was made in the future" in why_not(store, people, now=SECONDS - 301)
    assert (
        observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS - 299)[0]
        is not None
    )


def test_a_key_without_the_scope_and_a_stranger_s_key_approve_nothing(
    store: EventStore, people: KeyHolders
) -> None:
    secret, _ = create_key(people.path, "crm", ["score"])
    for credential, error in ((secret.encode(), ForbiddenError), (b"lsk_nobody", UnauthorizedError)):
        with pytest.raises(error):
            record_approval(
                store,
                BINDING,
                "approved",
                credential=credential,
                approvers=people.approvers,
                reason="x",
                at=NOW,
            )
    assert answers_of(store) == ()


def test_an_answer_tells_no_secret(store: EventStore, people: KeyHolders, approve) -> None:
    approve(store)
    ((record, _),) = answers_of(store)
    assert people.credential("Ada").decode() not in record.document


# --- by token ----------------------------------------------------------------------------------------------


@pytest.fixture
def idp() -> Iterator[Issuer]:
    with issuer() as made:
        yield made


def by_token(
    store: EventStore, idp: Issuer, people: KeyHolders, **claims: object
) -> tuple[Approvers, Approval]:
    approvers = Approvers(people.path, TokenVerifier(idp.settings()))
    nonce = nonce_for(BINDING, "approved", "fine")
    token = idp.token(**{"nonce": nonce, **claims})
    said, _ = record_approval(
        store,
        BINDING,
        "approved",
        credential=token,
        approvers=approvers,
        reason="fine",
        at=time.time_ns() // 1000,
    )
    return approvers, said


def test_a_token_given_out_for_the_answer_approves_and_holds_after_it_has_expired(
    store: EventStore, people: KeyHolders, idp: Issuer
) -> None:
    request(store, BINDING, at=1)
    approvers, said = by_token(store, idp, people)
    assert (said.by, said.caller.kind) == ("ada@example.com", "oidc")
    seen, _ = observe_approval(store.evidence(subject=SPEC.ref), SPEC, approvers, time.time() + 86_400)
    assert seen is not None
    assert seen.by == "ada@example.com"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"nonce": None}, "given out for something else"),
        ({"nonce": "that of another answer"}, "given out for something else"),
        ({"exp": int(time.time()) - 60}, "expired"),
        ({"scope": "leadscore:score"}, "lacks the scope 'leadscore:approve'"),
        ({"aud": "other"}, "another audience"),
    ],
)
def test_a_token_for_anything_else_approves_nothing(
    store: EventStore, people: KeyHolders, idp: Issuer, claims: dict, message: str
) -> None:
    with pytest.raises((UnauthorizedError, ForbiddenError), match=message):
        by_token(store, idp, people, **claims)
    assert answers_of(store) == ()


def test_a_token_cannot_be_put_under_another_answer(
    store: EventStore, people: KeyHolders, idp: Issuer
) -> None:
    elsewhere = msgspec.structs.replace(BINDING, digest="e" * 64)
    approvers, said = by_token(store, idp, people)
    put(store, msgspec.structs.replace(said, binding=elsewhere))
    put(store, msgspec.structs.replace(said, reason="another"), 2)
    put(store, msgspec.structs.replace(said, at=said.at + 700_000_000, reason="fine"), 3)
    why = [found.why_not(approvers, time.time() + 1000) for _, found in answers_of(store)]
    assert sorted(why) == [
        "",
        "its token does not hold: The token has expired.",
        "the token of 'ada@example.com' was given out for something else",
        "the token of 'ada@example.com' was given out for something else",
    ]


def test_while_the_issuer_is_away_nothing_is_known_of_its_answers_and_all_of_others(
    store: EventStore, people: KeyHolders, idp: Issuer, approve
) -> None:
    by_token(store, idp, people)
    request(store, BINDING, at=1)
    idp.answers = False
    fresh = Approvers(people.path, TokenVerifier(idp.settings()))
    with pytest.raises(ApproversUnavailableError):
        observe_approval(store.evidence(subject=SPEC.ref), SPEC, fresh, time.time())
    other = msgspec.structs.replace(BINDING, evidence=("gate-1",))
    assert approve(store, other)


@pytest.mark.parametrize("content", ["keys: [", "kind: Other", "\x00"])
def test_with_a_key_file_that_cannot_be_read_nothing_is_known(
    store: EventStore, people: KeyHolders, approve, content: str
) -> None:
    approve(store)
    request(store, BINDING, at=1)
    people.path.write_text(content)
    with pytest.raises(ApproversUnavailableError):
        observe_approval(store.evidence(subject=SPEC.ref), SPEC, people.approvers, SECONDS)
