"""Each copy of a request belongs to the one answer that its caller got."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leadscore.release.pairing import ChampionAnswer, Copy, pair
from leadscore.release.report import ShadowFacts
from leadscore.release.shadow import judge_shadow

SECOND = 1_000_000


def copied(
    name: str = "s1", at: int = 0, *, request: str = "", contract: str = "c", features: bytes = b"x"
) -> Copy:
    return Copy(name, request or name, at, contract, features)


def answered(
    name: str = "a1", at: int = 0, *, request: str = "", contract: str = "c", features: bytes = b"x"
) -> ChampionAnswer:
    return ChampionAnswer(name, request or name, at, contract, features, "6", 0.5, "B")


def pairs(copies: list[Copy], answers: list[ChampionAnswer]) -> dict[str, str]:
    """Every answer may belong to every copy."""
    found = pair(copies, {c.prediction_id: answers for c in copies})
    return {copy: answer.prediction_id for copy, answer in found.items()}


def test_of_several_answers_the_nearest_in_time_counts() -> None:
    answers = [answered("a1", 0), answered("a2", 3 * SECOND), answered("a3", 9 * SECOND)]
    assert pairs([copied(at=4 * SECOND)], answers) == {"s1": "a2"}


def test_a_caller_s_request_id_counts_more_than_time() -> None:
    answers = [answered("a1", 0, request="r1"), answered("a2", 4 * SECOND, request="r2")]
    assert pairs([copied(at=4 * SECOND, request="r1")], answers) == {"s1": "a1"}


def test_no_answer_belongs_to_two_copies() -> None:
    copies = [copied("s1", 1), copied("s2", 2)]
    assert pairs(copies, [answered("a1", 2)]) == {"s2": "a1"}
    assert pairs(copies, [answered("a1", 2), answered("a2", 9)]) == {"s2": "a1", "s1": "a2"}


def test_an_answer_about_other_features_is_another_request_s() -> None:
    assert pairs([copied(features=b"x")], [answered(features=b"y")]) == {}
    answers = [answered("a1", 0, features=b"y"), answered("a2", 5 * SECOND, features=b"x")]
    assert pairs([copied(features=b"x")], answers) == {"s1": "a2"}


def test_features_of_another_contract_are_not_compared() -> None:
    assert pairs([copied(contract="c2", features=b"xy")], [answered(contract="c1")]) == {"s1": "a1"}


def test_a_copy_without_an_answer_is_left_alone() -> None:
    assert pair([copied()], {}) == {}


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("xyz")), max_size=12),
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("xyz")), max_size=12),
)
def test_a_pair_that_could_be_made_is_made_and_the_order_of_rows_is_nothing(
    copies: list[tuple[int, str]], answers: list[tuple[int, str]]
) -> None:
    asked = [copied(f"s{n:02}", at, features=f.encode()) for n, (at, f) in enumerate(copies)]
    given = [answered(f"a{n:02}", at, features=f.encode()) for n, (at, f) in enumerate(answers)]
    found = pairs(asked, given)
    assert len(set(found.values())) == len(found)
    for kind in "xyz":
        counts = [sum(f == kind for _, f in rows) for rows in (copies, answers)]
        made = [s for s in found if asked[int(s[1:])].features == kind.encode()]
        assert len(made) == min(counts)
    assert pairs(asked, given[::-1]) == found


# --- What only a shadow's report says ---------------------------------------------------------------------


def said(
    *, unpaired: int = 0, copies: float | None = 1.0, reproduced: float = 1.0, left_out: int = 0
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return judge_shadow(ShadowFacts(unpaired, copies, reproduced), "leads/7", rows=1_000, left_out=left_out)


def test_a_shadow_without_fault_is_not_remarked_on() -> None:
    assert said() == ((), ())


def test_a_shadow_that_lost_half_of_its_requests_is_refused_and_one_that_lost_some_is_remarked_on() -> None:
    against, _ = said(copies=0.49)
    assert against == (
        "it scored only 49% of the requests that were copied to it: it refuses or loses the others",
    )
    against, notes = said(copies=0.85)
    assert against == ()
    assert "scored about 85% of the requests" in notes[0]
    assert said(copies=0.95) == ((), ())


def test_what_the_mirror_copied_may_be_unknown_which_is_said() -> None:
    assert "nothing here says whether the shadow lost some" in said(copies=None)[1][0]


def test_other_bytes_than_the_registered_ones_are_refused() -> None:
    (against,), _ = said(reproduced=0.4)
    assert against == (
        "leads/7 gives only 40.0% of the shadow's answers again: what was shadowed is not what is registered"
    )


def test_leads_without_the_champion_s_answer_are_counted_and_told() -> None:
    _, notes = said(unpaired=101, left_out=7)
    assert notes == (
        "101 of the 1,000 leads that the shadow scored were answered to nobody.",
        "7 leads were answered by another version than the champion and left out.",
    )
    assert said(unpaired=100) == ((), ())
