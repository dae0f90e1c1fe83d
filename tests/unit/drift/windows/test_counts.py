import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.drift.streams import CONTRACT, leads, probabilities, reference

from leadscore.drift.windows.counts import count_window, empty_counts, fine_grid, reference_counts
from leadscore.drift.windows.inputs import ranges_of
from leadscore.errors import BadInputError

BASE = reference(3_000)


def test_the_training_rows_are_counted_as_the_profile_has_them():
    matrix = leads(3_000, 0)
    counted = count_window(BASE.profile, matrix, probabilities(matrix))
    for mine, profile, theirs in zip(
        counted.features, BASE.profile.features, reference_counts(BASE.profile).features, strict=True
    ):
        assert mine.counts == profile.counts
        assert mine.missing == profile.missing
        assert mine.mean == pytest.approx(theirs.mean) if profile.kind == "numeric" else True
    assert counted.scores == BASE.profile.score_counts


@settings(max_examples=25)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 10_000))
def test_counts_add_up_over_batches(first, second, seed):
    matrix = leads(first + second, seed)
    scores = probabilities(matrix)
    grid = fine_grid(BASE.profile, leads(500, 1))

    def count(part):
        return count_window(BASE.profile, matrix[part], scores[part], ranges=ranges_of(CONTRACT), grid=grid)

    whole, parts = count(slice(None)), count(slice(0, first)) + count(slice(first, None))
    for mine, theirs in zip(whole.features, parts.features, strict=True):
        assert mine.total == pytest.approx(theirs.total)
        assert msgspec.structs.replace(mine, total=0.0) == msgspec.structs.replace(theirs, total=0.0)
    assert (whole.rows, whole.scores) == (parts.rows, parts.scores)


def test_memory_order_does_not_matter():
    matrix = leads(40_000, 3)
    assert count_window(BASE.profile, matrix) == count_window(BASE.profile, np.asfortranarray(matrix))


def test_unseen_categories_are_counted_apart_from_missing_ones():
    matrix = leads(100, 4)
    matrix[:10, 2] = np.nan
    source = count_window(BASE.profile, matrix, unseen={"source": 7}).features[2]
    assert (source.counts[-1], source.missing) == (7, 3)
    with pytest.raises(BadInputError, match="11 unseen"):
        count_window(BASE.profile, matrix, unseen={"source": 11})


def test_values_outside_the_contracts_range_are_counted():
    matrix = leads(100, 5)
    matrix[:3, 0], matrix[3:5, 0] = -1.0, 2e6
    budget = count_window(BASE.profile, matrix, ranges=ranges_of(CONTRACT)).features[0]
    assert (budget.below, budget.above) == (3, 2)


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        (np.zeros((3, 2), np.float32), "shape"),
        (np.array([[1, 1, 9, 0]], np.float32), "category code"),
        (np.array([[np.inf, 1, 1, 0]], np.float32), "not finite"),
    ],
)
def test_a_window_of_another_contract_is_refused(matrix, problem):
    with pytest.raises(BadInputError, match=problem):
        count_window(BASE.profile, matrix)


def test_nothing_plus_a_window_is_the_window():
    counted = count_window(BASE.profile, leads(50, 6))
    total = empty_counts(BASE.profile) + counted
    assert total.features == counted.features
