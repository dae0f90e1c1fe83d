from __future__ import annotations

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contract.leads import CONTRACT, MINIMAL, leads

from leadscore.contract.request import LeadDecoder
from leadscore.errors import InvalidLeadError, MalformedBodyError

DECODER = LeadDecoder(CONTRACT)
GOOD: dict[str, list[object]] = {name: [value, value] for name, value in MINIMAL.items()}


def problems(columns: dict[str, object]) -> dict[str, str]:
    with pytest.raises(InvalidLeadError) as caught:
        DECODER.columns_to_rows(columns)  # pyright: ignore[reportArgumentType]
    return {p.field: p.reason for p in caught.value.problems}


@given(st.lists(leads, min_size=1, max_size=5))
def test_json_and_columns_give_the_same_rows(many: list[dict[str, object]]) -> None:
    names = {name for lead in many for name in lead}
    columns = {name: [lead.get(name) for lead in many] for name in names}
    by_column = DECODER.columns_to_rows(columns)
    by_json = DECODER.decode_many(json.dumps({"leads": many}).encode(), 5)
    assert by_column.lead_ids == by_json.lead_ids
    assert by_column.warnings == by_json.warnings
    assert np.array_equal(by_column.rows, by_json.rows, equal_nan=True)


def test_arrays_give_the_same_rows_as_lists() -> None:
    lists = GOOD | {"balance": [1.5, None], "visits": [3, 4], "größe": ["klein", None]}
    arrays = {
        "lead_id": np.array(["L-1", "L-1"]),
        "budget": np.array([1000, 1000], dtype=np.int64),
        "source": np.array(["web", "web"]),
        "newsletter": np.array([True, True]),
        "balance": np.array([1.5, np.nan], dtype=np.float32),
        "visits": np.array([3, 4], dtype=np.uint8),
        "größe": np.array(["klein", None], dtype=object),
        "created_at": np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[us]"),
    }
    a, b = DECODER.columns_to_rows(lists), DECODER.columns_to_rows(arrays)
    assert np.array_equal(a.rows, b.rows, equal_nan=True)
    assert a.lead_ids == b.lead_ids


def test_every_bad_value_is_named_by_lead_and_field() -> None:
    found = problems(
        {
            "lead_id": ["a", ""],
            "budget": np.array([np.nan, np.inf]),
            "visits": [1.5, "2"],
            "source": ["web", 3],
            "newsletter": [None, 1],
            "converted": [0, 1],
            "sorce": [0, 1],
            "created_at": ["2026-01-01", "soon"],
        }
    )
    assert found == {
        "leads[1].lead_id": "empty",
        "leads[0].budget": "missing",
        "leads[1].budget": "not_finite",
        "leads[0].visits": "not_whole",
        "leads[1].visits": "wrong_type",
        "leads[1].source": "wrong_type",
        "leads[0].newsletter": "missing",
        "leads[1].newsletter": "wrong_type",
        "leads[1].created_at": "wrong_format",
        "converted": "leak",
        "sorce": "unknown_field",
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [("budget", np.array(["1", "2"])), ("newsletter", np.array([1.0, 0.0])), ("source", np.array([1, 2]))],
)
def test_column_of_another_type_is_one_problem(name: str, column: np.ndarray) -> None:
    assert problems(GOOD | {name: column}) == {name: "wrong_type"}


@pytest.mark.parametrize("name", ["lead_id", "budget", "source", "newsletter"])
def test_missing_required_column_is_named(name: str) -> None:
    assert problems({k: v for k, v in GOOD.items() if k != name}) == {name: "missing"}


def test_columns_of_different_lengths_are_malformed() -> None:
    with pytest.raises(MalformedBodyError):
        DECODER.columns_to_rows(GOOD | {"visits": [1]})


def test_unknown_column_warns_on_every_lead_where_the_contract_says_so() -> None:
    decoder = LeadDecoder(msgspec.structs.replace(CONTRACT, unknown_fields="warn"))
    decoded = decoder.columns_to_rows(GOOD | {"extra": [1, 2]})
    assert [[w.reason for w in found] for found in decoded.warnings] == [["unknown_field"]] * 2
