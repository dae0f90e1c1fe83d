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


def test_every_cell_is_text_as_it_stands(tmp_path):
    content = b"id,n,x,flag,day\n12345e10,01067,1.10,true,2026-01-01\n2026-01-05,1e3, 2 ,False,09:00\n"
    table = read_table(write(tmp_path, content))
    assert set(table.schema.types) == {pa.string()}
    assert table.to_pylist() == [
        {"id": "12345e10", "n": "01067", "x": "1.10", "flag": "true", "day": "2026-01-01"},
        {"id": "2026-01-05", "n": "1e3", "x": " 2 ", "flag": "False", "day": "09:00"},
    ]


def test_an_empty_cell_is_null_and_a_quoted_one_is_empty_text(tmp_path):
    table = read_table(write(tmp_path, b'country,n\nNA,1\n,2\nNULL,NA\n"",4\n'))
    assert table["country"].to_pylist() == ["NA", None, "NULL", ""]


@pytest.mark.parametrize("delimiter", [b",", b";", b"\t", b"|"])
def test_the_delimiter_is_found_in_the_header(tmp_path, delimiter):
    table = read_table(
        write(tmp_path, delimiter.join([b"id", b"x"]) + b"\n" + delimiter.join([b"1", b"2"]) + b"\n")
    )
    assert table.to_pylist() == [{"id": "1", "x": "2"}]


def test_a_quoted_delimiter_in_the_header_is_not_counted(tmp_path):
    table = read_table(write(tmp_path, b'"size, people, or so";id\n3;1\n'))
    assert table.column_names == ["size, people, or so", "id"]


def test_byte_order_mark_and_blank_first_lines_are_skipped(tmp_path):
    assert read_table(write(tmp_path, b"\xef\xbb\xbfid,x\n1,2\n")).column_names == ["id", "x"]
    assert read_table(write(tmp_path, b"\n\nid,x\n1,2\n")).column_names == ["id", "x"]


def test_compressed_csv_is_read(tmp_path):
    assert read_table(write(tmp_path, gzip.compress(b"id,x\n1,2\n"), "leads.csv.gz")).num_rows == 1


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
        (b"a,,c\n1,2,3\n", "column 2 has values but no name in row 1"),
        (b"a,b,a\n1,2,3\n", "'a' appears twice (columns 1 and 3)"),
        (b"a,b\n1,2\n3\n", "row 3 (the header is row 1) has 1 columns instead of 2"),
        (b"a,b\n1,2\n3\n4\n", "(2 rows like this)"),
        (b"a,b\n1,2,3\n", "row 2 (the header is row 1) has 3 columns instead of 2"),
        (b"a,b\n1,ok\n2,caf\xe9\n", "row 3 (the header is row 1), column 'b' is not UTF-8"),
        (b"caf\xe9,b\n1,2\n", "row 1 (the header) is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "UTF-16"),
        ("a,b\n1,2\n".encode("utf-16-le"), "NUL characters: UTF-16 without"),
        (
            b"id,at,n,sum\n1,2026-01-05,2,3\nTotal,,2,3\n",
            "row 3 (the header is row 1) looks like a report's footer",
        ),
        (b"PK\x03\x04aaaa", "an Excel workbook"),
        (b"PAR1aaaaaaaa", "Parquet, not CSV"),
        (b'a,b,c\n1,2,3\n4,"5,6\n7,8,9\n', "a quote that is opened in row 3"),
        (b'a,b,c\n1,2,3\n4,5,"6\n7,8,9\n10,11,12\n', "a quote that is opened in row 2"),
        (b'a,b,c\n1,2,3\n4,5,"\n', "a quote that is opened in row 2"),
        (
            b"a,b,c\n" + b"1,2,3\n" * 3 + b"Total,,\n",
            "row 5 (the header is row 1) looks like a report's footer",
        ),
        (
            b"a,b,c\n" + b"1,2,3\n" * 3 + b"3 leads\nprinted today\n",
            "rows 5 to 6 (the header is row 1) look like a report",
        ),
        (b"a,b,c\n" + b"1,2,3\n" * 3 + b"4,5", "row 5 (the header is row 1) has 2 columns instead of 3"),
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


@pytest.mark.parametrize("content", [b" ,", b'"\x1c', b"\x1c,\x1c", b'\n"\x1c', b"\x1c\n,"])
def test_a_header_without_a_name_is_no_table(tmp_path, content):
    with pytest.raises(TableError, match=r"no column with a name|is empty"):
        read_table(write(tmp_path, content))


def test_an_error_does_not_quote_the_row(tmp_path):
    with pytest.raises(TableError) as caught:
        read_table(write(tmp_path, b"a,b\nsecret\n"))
    assert "secret" not in str(caught.value)


ROWS = b"id,source,visits,amount\n" + b"".join(b"%d,web,%d,10\n" % (i, i) for i in range(30))
WHOLE = {"names": ["id", "source", "visits", "amount"], "rows": 30}


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        ROWS.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + ROWS,
        ROWS.decode().encode("utf-16"),
        gzip.compress(ROWS),
        b"sep=;\n" + ROWS.replace(b",", b";"),
        b"Leads of March\n\n" + ROWS,
        b"Leads of March,,,\nby region,,,\n" + ROWS,
        ROWS + b",,,\n,,,\n",
        ROWS + b'\n\n"Grand Totals (30 Records)"\n"Do not distribute"\n',
        ROWS.replace(b"\n", b",\n"),
        ROWS.replace(b"10\n", b"10,\n"),
        b"\n".join(
            b"%s,%s" % (str(i - 1).encode() if i else b"", line) for i, line in enumerate(ROWS.splitlines())
        ),
    ],
    ids=[
        "plain", "CRLF", "byte order mark", "UTF-16", "gzip", "sep line", "title", "padded titles",
        "empty rows below", "footer after a blank line", "nameless empty column", "a delimiter too many",
        "pandas index",
    ],
)  # fmt: skip
def test_what_stands_around_a_table_is_passed_over(tmp_path, content):
    table = read_table(write(tmp_path, content))
    assert {"names": table.column_names, "rows": table.num_rows} == WHOLE
    assert table["amount"].to_pylist() == ["10"] * 30
    chosen = read_table(write(tmp_path, content), ["amount", "id"])
    assert chosen.column_names == ["amount", "id"]
    assert chosen.num_rows == 30


def test_the_delimiter_is_told_by_the_rows_not_by_the_header_alone(tmp_path):
    content = b"id\tSource, medium, campaign, term\tvisits\n" + b"1\tweb\t3\n" * 5
    assert read_table(write(tmp_path, content)).num_columns == 3
    content = b"id;amount;rate\n" + b"1;3,5;0,25\n" * 5
    assert read_table(write(tmp_path, content)).column_names == ["id", "amount", "rate"]


def test_a_cell_may_be_longer_than_a_block(tmp_path):
    long = b"y" * 2_500_000
    table = read_table(write(tmp_path, b"id,note,n\n1,short,2\n" + b"2,%s,3\n3,a,4\n" % long))
    assert table.num_rows == 3
    assert len(table["note"][1].as_py()) == len(long)


@pytest.mark.parametrize("columns", [None, ["id", "visits"]])
def test_a_stray_quote_never_swallows_rows(tmp_path, columns):
    lines = ROWS.splitlines()
    lines[11] = b'10,"web,10,10'
    lines[25] = b'24,we"b,24,10'
    with pytest.raises(TableError, match=r"from row 11 .* of column 'source' spans 15 lines"):
        read_table(write(tmp_path, b"\n".join(lines)), columns)


def test_notes_of_several_lines_with_commas_are_no_stray_quote(tmp_path):
    note = b'"Called, twice.\nWants, perhaps, an offer,\nor not"'
    table = read_table(write(tmp_path, ROWS.replace(b"web", note)))
    assert table.num_rows == 30
    assert table["source"][0].as_py() == note.decode().strip('"')


def test_a_folder_of_csv_files_is_one_table(tmp_path):
    write(tmp_path, b"id,x\n1,2\n", "a.csv")
    write(tmp_path, b"x;id;y\n3;4;5\n", "b.csv")
    assert read_table(tmp_path).to_pylist() == [
        {"id": "1", "x": "2", "y": None},
        {"id": "4", "x": "3", "y": "5"},
    ]
    assert read_table(tmp_path, ["y"]).column_names == ["y"]


@pytest.mark.parametrize(
    "row",
    ["Teilergebnis,,,7", "Zwischensumme,,,7", "Anzahl: 160,,,", "-- End of report --,,,", "--------,---,,"],
)
def test_what_ends_a_report_is_no_lead_in_other_words_either(tmp_path, row):
    path = tmp_path / "t.csv"
    path.write_text(f"id,source,visits,amount\nL1,Web,3,100\nL2,Web,4,200\n{row}\n")
    with pytest.raises(TableError, match=r"row 4 .* looks like a report's footer"):
        read_table(path)


@pytest.mark.parametrize(
    "row",
    [
        *(
            "Subtotal,,7,300",
            "Zwischensumme Mai,,7,300",
            "Subtotal,Web,7,300",
            "SUB-TOTAL,,,300",
            "Sous-total,,7,300",
        ),
        *(
            "Berlin Total,,,300",
            "Summe,,,300",
            "Gesamtergebnis,,7,300",
            ',"Teilsumme",7,300',
            "Total Web,,,300",
        ),
    ],
)
@pytest.mark.parametrize("rows_below", [8, 70_000])
def test_a_subtotal_in_the_middle_of_a_table_is_no_lead(tmp_path, row, rows_below):
    leads = [f"L{number},Web,3,100" for number in range(rows_below)]
    path = write(tmp_path, "\n".join(["id,source,visits,amount", *leads[:5], row, *leads]).encode() + b"\n")
    with pytest.raises(TableError, match=r"line 7 looks like a report's subtotal"):
        read_table(path, ["id", "visits"])


@pytest.mark.parametrize(
    "row",
    [
        "Total,Web,7,300",
        "L1,Total,,300",
        "Total Energies,Paris,7,",
        "L1,Subtotal,7,300",
        "L2,,,",
        "Summerville,,7,3",
    ],
)
def test_a_company_named_total_is_a_lead(tmp_path, row):
    leads = [f"L{number},Web,3,100" for number in range(20)]
    path = write(tmp_path, "\n".join(["id,source,visits,amount", row, *leads]).encode() + b"\n")
    assert read_table(path).num_rows == 21


def test_a_subtotal_far_down_a_large_file_is_found(tmp_path):
    leads = [f"L{number},Web and a long text that fills the file,3,100" for number in range(150_000)]
    leads.insert(120_000, "Subtotal,,3,100")
    path = write(tmp_path, "\n".join(["id,source,visits,amount", *leads]).encode() + b"\n")
    with pytest.raises(TableError, match=r"line 120002 looks like"):
        read_table(path)
