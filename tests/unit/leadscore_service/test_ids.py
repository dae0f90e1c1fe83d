"""Prediction ids: unique, ordered, or the same again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from leadscore_service.ids import PredictionIds, repeatable_id

ALPHABET = set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@given(st.lists(st.integers(0, (1 << 48) * 1_000_000 - 1), min_size=2, max_size=20))
def test_ids_sort_by_time_and_never_repeat(moments) -> None:
    ids = PredictionIds()
    made = [ids.next(moment) for moment in sorted(moments)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert all(len(one) == 26 and set(one) <= ALPHABET and one[0] <= "7" for one in made)


def test_threads_and_workers_do_not_collide() -> None:
    workers = [PredictionIds() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: workers[i % 4].next(1), range(20_000)))
    assert len(set(made)) == 20_000


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10_000))
def test_a_repeatable_id_is_repeatable_and_unlike_one_made_from_time(digest, number) -> None:
    made = repeatable_id(digest, number)
    assert made == repeatable_id(digest, number)
    assert made != repeatable_id(digest, number + 1)
    assert made[0] == "Z"
    assert len(made) == 26
    assert set(made) <= ALPHABET
