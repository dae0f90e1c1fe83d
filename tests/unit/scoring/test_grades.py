from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.errors import ArtefactError
from leadscore.scoring.grades import GRADES, Grades, score_of, scores_of

probabilities = st.floats(min_value=0.0, max_value=1.0)


def test_a_threshold_belongs_to_the_better_grade() -> None:
    grades = Grades(0.6, 0.3, 0.1)
    assert [grades.grade(p) for p in (1.0, 0.6, 0.59, 0.3, 0.29, 0.1, 0.09, 0.0)] == list("AABBCCDD")


def test_equal_thresholds_leave_a_grade_empty() -> None:
    assert [Grades(0.5, 0.5, 0.5).grade(p) for p in (0.5, 0.4)] == ["A", "D"]


@given(st.tuples(probabilities, probabilities, probabilities), st.lists(probabilities, min_size=1))
def test_arrays_and_single_probabilities_get_the_same_grade(
    thresholds: tuple[float, float, float], values: list[float]
) -> None:
    a, b, c = sorted(thresholds, reverse=True)
    grades = Grades(a, b, c)
    values += [a, b, c]
    codes = grades.codes(np.array(values))
    assert [GRADES[code] for code in codes] == [grades.grade(p) for p in values]


@given(st.lists(probabilities, min_size=1))
def test_arrays_and_single_probabilities_get_the_same_score(values: list[float]) -> None:
    assert scores_of(np.array(values)).tolist() == [score_of(p) for p in values]


def test_a_score_has_one_decimal_and_spans_0_to_100() -> None:
    assert [score_of(p) for p in (0.0, 0.12345, 0.9996, 1.0)] == [0.0, 12.3, 100.0, 100.0]


@pytest.mark.parametrize("document", [b"", b"{}", b'{"a":0.1,"b":0.2,"c":0.3}', b'{"a":2,"b":1,"c":0}'])
def test_a_file_without_usable_thresholds_is_refused_by_name(document: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"grades\.json"):
        Grades.from_json(document)


def test_grades_survive_their_file() -> None:
    grades = Grades(0.6, 0.3, 0.1)
    assert Grades.from_json(grades.to_json()) == grades
