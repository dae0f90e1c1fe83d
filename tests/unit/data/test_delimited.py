"""CSV in: what is inferred, what is refused, and where the error points."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.data.tables import read_table
from leadscore.errors import TableError


def write(folder: Path, content: bytes, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_types_are_inferred_over_the_whole_file(tmp_path):
    content = b"id,n,x,flag,day\n" + b"1,1,0.5,true,2026-01-01\n" * 200_000 + b"2,2.5,1,false,2026-01-02\n"
    table = read_table(write(tmp_path, content))
    assert table.schema.types == [pa.int64(), pa.float64(), pa.float64(), pa.bool_(), pa.date32()]


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_the_delimiter_is_found_in_the_header(tmp_path, delimiter):
    table = read_table(
        write(tmp_path, delimiter.join([b"id", b"x"]) + b"\n" + delimiter.join([b"1", b"2"]) + b"\n")
    )
    assert table.to_pylist() == [{"id": 1, "x": 2}]


def test_a_quoted_delimiter_in_the_header_is_not_counted(tmp_path):
    table = read_table(write(tmp_path, b'"size, people, or so";id\n3;1\n'))
    assert table.column_names == ["size, people, or so", "id"]


def test_byte_order_mark_and_blank_first_lines_are_skipped(tmp_path):
    assert read_table(write(tmp_path, b"\xef\xbb\xbfid,x\n1,2\n")).column_names == ["id", "x"]
    assert read_table(write(tmp_path, b"\n\nid,x\n1,2\n")).column_names == ["id", "x"]


def test_compressed_csv_is_read(tmp_path):
    assert read_table(write(tmp_path, gzip.compress(b"id,x\n1,2\n"), "leads.csv.gz")).num_rows == 1


def test_leading_zeros_and_long_ids_stay_text(tmp_path):
    table = read_table(write(tmp_path, b"postcode,id,n\n01067,123456789012345678901,10\n80331,1,20\n"))
    assert table.to_pydict() == {
        "postcode": ["01067", "80331"],
        "id": ["123456789012345678901", "1"],
        "n": [10, 20],
    }


def test_empty_text_is_null_but_namibia_is_a_country(tmp_path):
    table = read_table(write(tmp_path, b"country,n\nNA,1\n,2\nNULL,NA\nDE,4\n"))
    assert table["country"].to_pylist() == ["NA", None, None, "DE"]
    assert table["n"].to_pylist() == [1, 2, None, 4]


def test_quoted_newlines_are_part_of_the_value(tmp_path):
    assert read_table(write(tmp_path, b'id,note\n1,"a\nb"\n'))["note"].to_pylist() == ["a\nb"]


def test_only_the_wanted_columns_in_the_wanted_order(tmp_path):
    assert read_table(write(tmp_path, b"a,b,c\n1,2,3\n"), ["c", "a"]).column_names == ["c", "a"]


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    assert read_table(write(tmp_path, b"a,b\n")).num_rows == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"1,2\n3,4\n", "no header"),
        (b"a,,c\n1,2,3\n", "column 2 has no name"),
        (b"a,b,a\n1,2,3\n", "'a' appears twice (columns 1 and 3)"),
        (b"a,b\n1,2\n3\n", "row 3 (the header is row 1) has 1 columns instead of 2"),
        (b"a,b\n1,2\n3\n4\n", "(2 rows like this)"),
        (b"a,b\n1,2,3\n", "row 2 (the header is row 1) has 3 columns instead of 2"),
        (b"a,b\n1,ok\n2,caf\xe9\n", "row 3 (the header is row 1), column 'b' is not UTF-8"),
        (b"caf\xe9,b\n1,2\n", "row 1 (the header) is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path, content, says):
    path = write(tmp_path, content)
    with pytest.raises(TableError) as caught:
        read_table(path)
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_missing_column_is_named_with_what_there_is(tmp_path):
    with pytest.raises(TableError, match="no column 'budget', 'size'") as caught:
        read_table(write(tmp_path, b"a,b\n1,2\n"), ["a", "budget", "size"])
    assert "a, b" in caught.value.hint


def test_the_ragged_row_is_found_far_down(tmp_path):
    with pytest.raises(TableError, match="row 300002 "):
        read_table(write(tmp_path, b"a,b\n" + b"1,2\n" * 300_000 + b"1,2,3\n"))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_table_or_a_table_error(tmp_path_factory, content):
    path = write(tmp_path_factory.mktemp("csv"), content)
    try:
        assert read_table(path).num_columns > 0
    except TableError as error:
        assert error.message  # noqa: PT017 - either outcome is right


def test_an_error_does_not_quote_the_row(tmp_path):
    with pytest.raises(TableError) as caught:
        read_table(write(tmp_path, b"a,b\nsecret\n"))
    assert "secret" not in str(caught.value)
