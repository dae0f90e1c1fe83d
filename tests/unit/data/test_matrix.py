"""Tables as the model sees them."""

import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.contract import Boolean, Categorical, ColumnFormat, FeatureContract, Numeric, Target
from leadscore.contract.request import LeadDecoder
from leadscore.data.matrix import (
    encode_batch,
    encode_table,
    known_times,
    labels,
    lead_ids,
    matrix_times,
    values,
)
from leadscore.errors import TableError

FLOAT32_MAX = float(np.finfo(np.float32).max)


def contract_of(*features, positive=1, **roles) -> FeatureContract:
    target = Target(column="converted", positive=positive)
    return FeatureContract(name="t", id="lead_id", target=target, features=features, **roles)


CONTRACT = contract_of(
    Numeric(name="budget"),
    Numeric(name="visits", integer=True),
    Categorical(name="source", categories=("web", "event", "7", "")),
    Boolean(name="referred"),
    Categorical(name="gender", categories=("f", "m"), input=False),
    Categorical(name="size", categories=("s", "l"), required=True),
)


def encoded(feature, column) -> list[float]:
    array = column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)
    return encode_table(contract_of(feature), pa.table({feature.name: array}))[:, 0].tolist()


def same(left, right) -> bool:
    return np.array_equal(np.asarray(left, np.float32), np.asarray(right, np.float32), equal_nan=True)


N, WHOLE = Numeric(name="x"), Numeric(name="x", integer=True)
C, B = Categorical(name="x", categories=("1", "2", "a")), Boolean(name="x")
WORDS = Categorical(name="x", categories=("true", "09:00", "2026-01-05", "1.0", "1.10"))
NAN = math.nan


@pytest.mark.parametrize(
    ("feature", "column", "expected"),
    [
        (N, [1, None, 3], [1, NAN, 3]),
        (N, pa.array([1.5, None, NAN], pa.float32()), [1.5, NAN, NAN]),
        (N, pa.array([1.5, None], pa.float16()), [1.5, NAN]),
        (N, [1e300, -1e300], [FLOAT32_MAX, -FLOAT32_MAX]),
        (N, [Decimal("12.50"), None], [12.5, NAN]),
        (N, ["12.5", "-3", "1e3", ".5", "7.", None], [12.5, -3, 1000, 0.5, 7, NAN]),
        (N, pa.array(["1", "2", "1"]).dictionary_encode(), [1, 2, 1]),
        (N, pa.nulls(2), [NAN, NAN]),
        (N, [" 2 ", "$5", "nan", "-", "(blank)", "#DIV/0!", "+3", "NA"], [2, 5, NAN, NAN, NAN, NAN, 3, NAN]),
        (Categorical(name="x", categories=("DE", "NA")), ["NA", "n.a.", "DE"], [1, NAN, 0]),
        (B, ["NA", "wahr", "f"], [NAN, 1, 0]),
        (N, pa.array([2**63 + 1], pa.uint64()), [float(2**63)]),
        (WHOLE, [1.0, None, NAN], [1, NAN, NAN]),
        (C, ["a", None, "2", "zzz"], [2, NAN, 1, NAN]),
        (C, pa.array(["a", "1"], pa.large_string()), [2, 0]),
        (C, pa.array(["a", "1"], pa.string_view()), [2, 0]),
        (C, pa.array(["zzz", "a", None, "1"]).dictionary_encode(), [NAN, 2, NAN, 0]),
        (C, [1, 2, None, 3], [0, 1, NAN, NAN]),
        (C, [1.0, 2.0, None, NAN], [0, 1, NAN, NAN]),
        (C, [1.5, 2.0], [NAN, 1]),
        (C, pa.nulls(1), [NAN]),
        (C, ["1.0", "2.0", "A", "N/A"], [0, 1, NAN, NAN]),
        (C, [True, False], [NAN, NAN]),
        (WORDS, [True, False, None], [0, NAN, NAN]),
        (WORDS, [time(9), time(14, 30), time(9, 0, 1)], [1, NAN, NAN]),
        (WORDS, [date(2026, 1, 5)], [2]),
        (WORDS, pa.array([1.0, 1.1, 2.0], pa.float32()), [3, 4, NAN]),
        (WORDS, [Decimal("1.10"), Decimal("1.00")], [4, 3]),
        (WORDS, [datetime(2026, 1, 5)], [2]),  # noqa: DTZ001 - a time without a zone is the case
        (B, [True, False, None], [1, 0, NAN]),
        (B, [1, 0, None], [1, 0, NAN]),
        (B, [1.0, 0.0, NAN], [1, 0, NAN]),
        (B, ["Yes", "no", "TRUE", "false", "1", "0", None], [1, 0, 1, 0, 1, 0, NAN]),
        (B, pa.nulls(1), [NAN]),
    ],
)
def test_a_column_becomes_what_the_model_sees(feature, column, expected):
    assert same(encoded(feature, column), expected)


@pytest.mark.parametrize(
    ("feature", "column", "says"),
    [
        (N, ["1", "2", "three", "4", "five"], "row 3 .* not a number.*1 more"),
        (N, ["1,5"], "row 1 .* not a number"),
        (N, ["inf"], "row 1 .* not a number"),
        (N, [1.0, math.inf], "row 2 .* infinite"),
        (N, ["1e999"], "row 1 .* infinite"),
        (N, [True, False], "holds bool"),
        (N, [date(2026, 1, 1)], "holds date32"),
        (N, [datetime(2026, 1, 1, tzinfo=UTC)], "holds timestamp"),
        (N, [b"1"], "holds binary"),
        (WHOLE, [1.0, 1.5], "row 2 .* not a whole number"),
        (C, [["a"]], "holds list"),
        (B, [0, 1, 2], "row 3 .* neither 0 nor 1"),
        (B, ["true", "maybe"], "row 2 .* not a boolean"),
        (B, [date(2026, 1, 1)], "holds date32"),
        (Numeric(name="x", required=True), [1.0, None], "row 2 .* required"),
        (Numeric(name="x", required=True), [1.0, NAN], "row 2 .* required"),
        (Categorical(name="x", categories=("a",), required=True), ["a", "b", None], "row 3 .* required"),
        (Boolean(name="x", required=True), pa.nulls(1), "row 1 .* required"),
    ],
)
def test_what_does_not_fit_is_refused_with_row_and_column(feature, column, says):
    with pytest.raises(TableError, match="Column 'x'.*" + says) as caught:
        encoded(feature, column)
    assert "three" not in str(caught.value)


def test_missing_columns_are_all_named():
    with pytest.raises(TableError, match="'visits', 'referred'"):
        encode_table(CONTRACT, pa.table({"budget": [1.0], "source": ["web"], "size": ["s"]}))


def test_row_numbers_count_through_blocks_and_threads():
    column = ["1"] * 100_000
    column[70_000] = "x"
    column[90_000] = "y"
    for threads in (1, 3):
        with pytest.raises(TableError, match="row 70001 "):
            encode_table(contract_of(N), pa.table({"x": column}), threads=threads)


def test_the_matrix_is_the_same_for_any_threads_and_chunks():
    rng = np.random.default_rng(0)
    column = pa.array(rng.normal(size=50_000), mask=rng.random(50_000) < 0.1)
    whole = pa.table({"x": column})
    chunked = pa.concat_tables([whole.slice(0, 11), whole.slice(11, 30_000), whole.slice(30_011)])
    expected = column.to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
    for table, threads in [(whole, 1), (whole, 2), (chunked, 1), (chunked, 2)]:
        matrix = encode_table(contract_of(N), table, threads=threads)
        assert matrix.flags.c_contiguous
        assert matrix.dtype == np.float32
        assert same(matrix, expected)


def test_a_table_without_rows_is_a_matrix_without_rows():
    table = pa.table({"x": pa.array([], pa.string())})
    assert encode_table(contract_of(C), table).shape == (0, 1)


@pytest.mark.parametrize("encode", [pa.array, lambda column: pa.array(column).dictionary_encode()])
def test_unseen_categories_are_counted_and_gaps_are_not(encode):
    batch = pa.record_batch({"x": encode(["a", "b", None, "b", "1"])})
    assert encode_batch(contract_of(C), batch).unseen.tolist() == [2]


def test_unseen_whole_numbers_are_counted_and_gaps_are_not():
    batch = pa.record_batch({"x": pa.array([1.0, NAN, None, 9.0])})
    assert encode_batch(contract_of(C), batch).unseen.tolist() == [1]


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60).map(float)
leads = st.fixed_dictionaries(
    {
        "budget": st.none() | numbers,
        "visits": st.none() | st.integers(-(2**53), 2**53),
        "source": st.none() | st.sampled_from(("web", "event", "7", "", "other")) | st.text(max_size=5),
        "referred": st.none() | st.booleans(),
        "gender": st.none() | st.sampled_from("fmx"),
        "size": st.sampled_from(("s", "l", "xl")),
    }
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(leads, min_size=1, max_size=8), dictionary=st.booleans(), words=st.booleans())
def test_a_table_gives_the_rows_that_requests_give(rows, dictionary, words):
    decoder = LeadDecoder(CONTRACT)
    expected = [decoder.decode(json.dumps({"lead_id": "1", **row}).encode()).row for row in rows]
    source = pa.array([row["source"] for row in rows], pa.string())
    visits = pa.array([row["visits"] for row in rows], pa.int64())
    referred = pa.array([row["referred"] for row in rows], pa.bool_())
    table = pa.table(
        {
            "budget": pa.array([row["budget"] for row in rows], pa.float64()),
            "visits": visits.cast(pa.string()) if words else visits,
            "source": source.dictionary_encode() if dictionary else source,
            "referred": referred.cast(pa.string()) if words else referred,
            "size": pa.array([row["size"] for row in rows]),
        }
    )
    assert same(encode_table(CONTRACT, table), np.array(expected))


@pytest.mark.parametrize(
    ("positive", "column", "expected"),
    [
        (1, [1, 0, None], [1, 0, NAN]),
        (1, [1.0, 0.0, NAN], [1, 0, NAN]),
        (1, ["1", "0", None], [1, 0, NAN]),
        (1, [True, False, None], [1, 0, NAN]),
        ("yes", ["yes", "no", None, "maybe"], [1, 0, NAN, 0]),
        ("yes", [True, False], [1, 0]),
        (True, ["true", "false"], [1, 0]),
        (False, [True, False], [0, 1]),
        ("2", [2, 1], [1, 0]),
        ("won", pa.array(["won", "lost"]).dictionary_encode(), [1, 0]),
        (1, pa.nulls(2), [NAN, NAN]),
    ],
)
def test_labels_compare_with_the_positive_value(positive, column, expected):
    array = column if isinstance(column, pa.Array) else pa.array(column)
    found = labels(contract_of(N, positive=positive), pa.table({"converted": array}))
    assert found.dtype == np.float32
    assert same(found, expected)


@pytest.mark.parametrize(("positive", "column"), [("won", [1, 0]), ("won", [True]), (1, [date(2026, 1, 1)])])
def test_a_positive_value_that_cannot_occur_is_refused(positive, column):
    with pytest.raises(TableError, match="'converted'"):
        labels(contract_of(N, positive=positive), pa.table({"converted": column}))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["2008-05"], "2008-05-01"),
        (["2008-05-17"], "2008-05-17"),
        (["2008-05-17T09:30:00"], "2008-05-17T09:30"),
        (["2008-05-17 09:30:00.250"], "2008-05-17T09:30:00.250"),
        (["2008-05-17T09:30:00Z"], "2008-05-17T09:30"),
        (["2008-05-17T09:30:00+02:00"], "2008-05-17T07:30"),
        (["2008-05-17T09:30"], "2008-05-17T09:30"),
        ([date(2008, 5, 17)], "2008-05-17"),
        ([datetime(2008, 5, 17, 9, 30)], "2008-05-17T09:30"),  # noqa: DTZ001 - a time without a zone is the case
        (
            pa.array([datetime(2008, 5, 17, 9, tzinfo=UTC)], pa.timestamp("ns", "Europe/Berlin")),
            "2008-05-17T09:00",
        ),
        (pa.array(["2008-05"]).dictionary_encode(), "2008-05-01"),
    ],
)
def test_times_are_understood(column, expected):
    array = column if isinstance(column, pa.Array) else pa.array(column)
    found = matrix_times(contract_of(N, time="at"), pa.table({"at": array}))
    assert found.dtype == np.dtype("datetime64[us]")
    assert found.tolist() == [np.datetime64(expected, "us").item()]


def test_mixed_forms_of_times_are_understood_row_by_row():
    table = pa.table({"at": ["2008-05", "2008-05-17", "2008-05-17T09:30:00+02:00", "2008-05-17 09:30"]})
    found = matrix_times(contract_of(N, time="at"), table)
    assert found[2] == np.datetime64("2008-05-17T07:30")


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["2008-05-17", "17.05.2008"], "row 2 .* ISO 8601"),
        (["2008-13"], "row 1 .* ISO 8601"),
        (["2008-05", None], "row 2 .* no time"),
        ([1210000000], "holds int64"),
    ],
)
def test_what_is_no_time_is_refused_with_its_row(column, says):
    with pytest.raises(TableError, match=says):
        matrix_times(contract_of(N, time="at"), pa.table({"at": column}))


def test_a_contract_without_time_or_value_says_so():
    table = pa.table({"x": [1]})
    with pytest.raises(TableError, match="names no time"):
        matrix_times(contract_of(N), table)
    with pytest.raises(TableError, match="names no value"):
        values(contract_of(N), table)


@pytest.mark.parametrize(
    "column", [pa.array([10, None]), pa.array(["10", None]), pa.array([Decimal("10.00"), None])]
)
def test_values_are_numbers_or_missing(column):
    found = values(contract_of(N, value="revenue"), pa.table({"revenue": column}))
    assert found.dtype == np.float64
    assert np.array_equal(found, [10.0, NAN], equal_nan=True)


def ids(column) -> list[str]:
    return lead_ids(contract_of(N), pa.table({"lead_id": column})).to_pylist()


def test_ids_are_text_as_a_request_would_hold_it():
    assert ids([7, 8]) == ["7", "8"]
    assert ids(["a", "12345e10", "2026-01-05", "01.0", " b "]) == [
        "a",
        "12345e10",
        "2026-01-05",
        "01.0",
        " b ",
    ]
    assert ids([1001.0]) == ids(["1001.0"]) == ["1001"]
    assert ids([Decimal(12345678901234567890123456789012345678)]) == [
        "12345678901234567890123456789012345678"
    ]
    assert ids([date(2026, 1, 5)]) == ["2026-01-05"]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["a", None], "row 2 .* no id"),
        (["a", "N/A"], "row 2 .* no value"),
        ([1.0, math.nan], "row 2 .* no id"),
        ([1.0, 1.5], "row 2 .* no id"),
        ([1e19], "row 1 .* no id"),
        ([Decimal("1.5")], "row 1 .* no id"),
        (["a", "b\tc"], "row 2 .* refuse"),
        (["a", "  "], "row 2 .* (refuse|no value)"),
        ([" a", "\u00a0\u2003"], "row 2 .* refuse"),
        (["ä" * 257], "row 1 .* refuse"),
        ([True], "holds bool"),
        ([datetime(2026, 1, 5, 9)], "holds timestamp"),  # noqa: DTZ001 - a time without a zone is the case
    ],
)
def test_what_is_no_id_is_refused_with_its_row(column, says):
    with pytest.raises(TableError, match=says):
        ids(column)


def test_columns_of_text_are_read_by_their_format():
    contract = msgspec.structs.replace(
        contract_of(N, Categorical(name="c", categories=("a",)), time="at", value="revenue"),
        target=Target(column="converted", positive="Won", known_at="closed", open_values=("Engaging",)),
        formats={
            "x": ColumnFormat(decimal=",", thousands="."),
            "revenue": ColumnFormat(thousands=","),
            "at": ColumnFormat(time_format="%d/%m/%Y"),
            "closed": ColumnFormat(time_format="%d/%m/%Y", missing=("open",)),
            "c": ColumnFormat(missing=("Select",)),
        },
    )
    table = pa.table(
        {
            "x": ["29.118", "1.234,50 €", None],
            "c": ["a", "Select", "b"],
            "at": ["01/02/2026", "31/12/2025", "05/01/2026"],
            "closed": ["02/02/2026", "open", ""],
            "revenue": ["$1,234.50", "-", "7"],
            "converted": ["won", "Engaging", "Lost"],
        }
    )
    batch = encode_batch(contract, table)
    assert same(batch.matrix, [[29118, 0], [1234.5, NAN], [NAN, NAN]])
    assert batch.unseen.tolist() == [0, 1]
    assert batch.missing.tolist() == [1, 1]
    assert matrix_times(contract, table).astype("M8[D]").astype(str).tolist() == [
        "2026-02-01",
        "2025-12-31",
        "2026-01-05",
    ]
    assert known_times(contract, table).astype(str).tolist() == ["2026-02-02T23:59:59.999999", "NaT", "NaT"]
    assert np.array_equal(values(contract, table), [1234.5, NAN, 7], equal_nan=True)
    assert same(labels(contract, table), [1, NAN, 0])


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["$5", "5 €"], "more than one currency: \\$, €"),
        (["45 %", "0.45"], "percent sign and numbers without"),
    ],
)
def test_units_that_cannot_be_compared_are_refused(column, says):
    with pytest.raises(TableError, match=says):
        encoded(N, column)


def test_a_column_of_other_numbers_says_how_to_describe_it():
    with pytest.raises(TableError, match=r"row 1 .* not a number.*formats: \{x: \{decimal"):
        encoded(N, ["1.234,50"])


def test_nanoseconds_are_cut_off_the_same_from_text_and_timestamps():
    moments = ["2026-01-01T09:30:00.123456789Z", "1969-12-31T23:59:59.999999999Z"]
    typed = pa.array([1767259800123456789, -1]).cast(pa.timestamp("ns", "UTC"))
    contract = contract_of(N, time="at")
    found = matrix_times(contract, pa.table({"at": moments}))
    assert np.array_equal(found, matrix_times(contract, pa.table({"at": typed})))
    assert str(found[0]) == "2026-01-01T09:30:00.123456"


def test_times_written_as_numbers_need_a_format():
    contract = msgspec.structs.replace(
        contract_of(N, time="at"), formats={"at": ColumnFormat(time_format="excel")}
    )
    for column in ([46027.5], ["46027.5"]):
        assert str(matrix_times(contract, pa.table({"at": column}))[0]) == "2026-01-05T12:00:00.000000"
