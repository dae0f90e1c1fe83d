"""Digests tell leads apart, and changed from unchanged ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from leadscore.batch.digests import LeadStates, id_digests, row_digests

TEXTS = st.lists(st.text(max_size=20), max_size=50)


@given(TEXTS)
def test_ids_are_told_apart_wherever_they_stand(ids: list[str]) -> None:
    found = id_digests(pa.array(ids, pa.string())).tolist()
    alone = [id_digests(pa.array([text], pa.string()))[0] for text in ids]
    assert found == alone
    assert len(set(found)) == len(set(ids))


@given(TEXTS, st.integers(0, 5))
def test_a_slice_of_a_column_is_read_from_its_own_start(ids: list[str], start: int) -> None:
    column = pa.array(ids, pa.string())
    assert id_digests(column.slice(start)).tolist() == id_digests(column).tolist()[start:]


def test_a_million_similar_ids_do_not_collide() -> None:
    ids = pa.array([f"L-{i:07d}" for i in range(1_000_000)])
    assert len(np.unique(id_digests(ids))) == 1_000_000


def test_each_value_of_a_row_counts_and_any_nan_is_missing() -> None:
    matrix = np.zeros((26, 25), np.float32)
    matrix[np.arange(25), np.arange(25)] = 1.0
    assert len(set(row_digests(matrix).tolist())) == 26
    odd = np.array([[0xFFC00001, 0]], np.uint32).view(np.float32)
    assert row_digests(odd) == row_digests(np.array([[np.nan, 0.0]], np.float32))


def test_new_and_changed_leads_are_found() -> None:
    ids = id_digests(pa.array(["a", "b", "c"]))
    known = LeadStates.of([ids[:2]], [np.array([1, 2])])
    assert known.changed(ids, np.array([1, 3, 9])).tolist() == [False, True, True]
    assert LeadStates.of([], []).changed(ids, np.array([1, 2, 3])).all()
