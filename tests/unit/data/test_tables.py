"""Tables from and to files of every format."""

import errno
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from leadscore.data.tables import count_rows, iter_batches, read_error, read_table, write_table
from leadscore.errors import TableError


@pytest.fixture
def table() -> pa.Table:
    return pa.table(
        {
            "lead_id": [f"L{i}" for i in range(1000)],
            "budget": pa.array([None if i % 7 == 0 else i / 2 for i in range(1000)]),
            "source": [("web", "event")[i % 2] for i in range(1000)],
            "created_at": pa.array(
                [datetime(2026, 1, 1, i % 24, tzinfo=UTC) for i in range(1000)], pa.timestamp("ms", "UTC")
            ),
        }
    )


@pytest.fixture(params=["csv", "tsv", "parquet", "arrow", "feather", "folder", "delta", "stream"])
def stored(request, tmp_path, table) -> Path:
    kind = request.param
    path = tmp_path / f"leads.{kind}"
    if kind == "delta":
        write_deltalake(str(path), table)
    elif kind == "folder":
        path.mkdir()
        write_table(table.slice(0, 400), path / "part-0.parquet")
        write_table(table.slice(400), path / "part-1.parquet")
        (path / "_SUCCESS").touch()
    elif kind == "stream":
        path = tmp_path / "stream.arrow"
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    else:
        write_table(table, path)
    return path


def test_every_format_gives_back_the_table(stored, table):
    read = read_table(stored)
    assert read.cast(table.schema).equals(table)


def test_every_format_gives_columns_in_the_wanted_order(stored):
    assert read_table(stored, ["source", "lead_id"]).column_names == ["source", "lead_id"]
    batch = next(iter(iter_batches(stored, ["source", "lead_id"], 10)))
    assert batch.schema.names == ["source", "lead_id"]


def test_batches_are_the_table_in_order_and_no_larger_than_asked(stored, table):
    batches = list(iter_batches(stored, batch_rows=64))
    assert max(batch.num_rows for batch in batches) <= 64
    assert pa.Table.from_batches(batches)["lead_id"].to_pylist() == table["lead_id"].to_pylist()


def test_rows_are_counted_from_metadata(stored):
    assert count_rows(stored) == (None if stored.suffix in {".csv", ".tsv"} else 1000)


def test_every_format_names_the_missing_column(stored):
    for attempt in (lambda: read_table(stored, ["nope"]), lambda: next(iter(iter_batches(stored, ["nope"])))):
        with pytest.raises(TableError, match="no column 'nope'") as caught:
            attempt()
        assert "lead_id" in caught.value.hint


def test_text_columns_come_dictionary_encoded_on_request(tmp_path, table):
    write_table(table, tmp_path / "t.parquet")
    batch = next(iter(iter_batches(tmp_path / "t.parquet", dictionary=["source", "budget"])))
    assert pa.types.is_dictionary(batch.schema.field("source").type)
    assert batch.column("budget").to_pylist()[:3] == [None, 0.5, 1.0]


def test_hive_partitions_become_a_column(tmp_path):
    for country in ("DE", "AT"):
        folder = tmp_path / "leads" / f"country={country}"
        folder.mkdir(parents=True)
        write_table(pa.table({"id": [1, 2]}), folder / "part.parquet")
    assert sorted(read_table(tmp_path / "leads")["country"].to_pylist()) == ["AT", "AT", "DE", "DE"]


def test_columns_that_only_later_files_have_are_kept(tmp_path):
    write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    write_table(pa.table({"id": [2], "budget": [5.0]}), tmp_path / "b.parquet")
    assert read_table(tmp_path)["budget"].to_pylist() == [None, 5.0]


@pytest.mark.parametrize("first", [0, 1])
def test_whole_numbers_in_one_file_and_gaps_in_another_are_numbers(tmp_path, first):
    columns = [pa.array([1, 2], pa.int64()), pa.array([3.0, None], pa.float64())]
    write_table(pa.table({"visits": columns[first]}), tmp_path / "a.parquet")
    write_table(pa.table({"visits": columns[1 - first]}), tmp_path / "b.parquet")
    whole = read_table(tmp_path)["visits"].to_pylist()
    assert whole in ([1.0, 2.0, 3.0, None], [3.0, None, 1.0, 2.0])
    assert [value for batch in iter_batches(tmp_path) for value in batch.column(0).to_pylist()] == whole


def test_the_name_of_a_partition_s_folder_is_text(tmp_path):
    for code in ("01067", "80331"):
        folder = tmp_path / "leads" / f"plz={code}" / "year=2026"
        folder.mkdir(parents=True)
        write_table(pa.table({"id": ["a"]}), folder / "part.parquet")
    table = read_table(tmp_path / "leads")
    assert sorted(table["plz"].to_pylist()) == ["01067", "80331"]
    assert table["year"].to_pylist() == ["2026", "2026"]


def test_a_dot_in_a_column_name_is_no_path(tmp_path):
    write_table(pa.table({"web.views": [1], "id": [2]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet", ["web.views"]).to_pylist() == [{"web.views": 1}]
    assert next(iter(iter_batches(tmp_path / "t.parquet", ["web.views"]))).to_pylist() == [{"web.views": 1}]


def test_streaming_a_parquet_file_never_holds_it_whole(tmp_path):
    path = tmp_path / "large.parquet"
    schema = pa.schema([("x", pa.float64())])
    with pq.ParquetWriter(str(path), schema, compression="none", use_dictionary=False) as writer:
        for i in range(64):
            writer.write_table(pa.table({"x": pa.array(range(i, i + 65_536), pa.float64())}))
    size = path.stat().st_size
    peak = 0
    before = pa.total_allocated_bytes()
    for _ in iter_batches(path, batch_rows=16_384):
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < size / 8


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.pq", "t.feather"])
@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_file_cut_short_is_refused_by_name(tmp_path, table, name, keep):
    write_table(table, tmp_path / "whole.parquet")
    path = tmp_path / name
    path.write_bytes((tmp_path / "whole.parquet").read_bytes()[:keep])
    with pytest.raises(TableError, match=name) as caught:
        read_table(path)
    assert caught.value.hint


def test_a_corrupt_block_is_refused_by_name(tmp_path, table):
    path = tmp_path / "t.parquet"
    write_table(table, path)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet"):
        list(iter_batches(path))


def test_a_column_name_of_damaged_bytes_is_refused_by_the_file_s_name(tmp_path):
    path = tmp_path / "leads.arrow"
    write_table(pa.table({"name": [1], "other": [2]}), path)
    path.write_bytes(path.read_bytes().replace(b"name", b"\xff\xfename"[:4]))
    with pytest.raises(TableError, match=r"leads\.arrow is corrupt"):
        read_table(path)


def test_files_that_disagree_about_a_type_are_refused(tmp_path):
    write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    write_table(pa.table({"id": [[1]]}), tmp_path / "b.parquet")
    with pytest.raises(TableError, match="disagree"):
        read_table(tmp_path)


def test_ids_that_are_numbers_in_one_file_and_text_in_another_are_text(tmp_path):
    for name, column in (("a", [1, 12]), ("b", ["007", "x"]), ("c", [1.0, 2.5])):
        write_table(pa.table({"id": column}), tmp_path / f"{name}.parquet")
    assert read_table(tmp_path)["id"].to_pylist() == ["1", "12", "007", "x", "1", "2.5"]


@pytest.mark.parametrize(
    ("name", "says"), [("none.csv", "no table"), ("none", "no table"), (".", "holds no table")]
)
def test_what_is_not_there_is_said(tmp_path, name, says):
    with pytest.raises(TableError, match=says):
        read_table(tmp_path / name)


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    path = tmp_path / "leads.xlsx"
    path.touch()
    with pytest.raises(TableError, match=r"leads\.xlsx") as caught:
        read_table(path)
    assert ".parquet" in caught.value.hint


def test_a_broken_delta_log_is_refused(tmp_path, table):
    write_deltalake(str(tmp_path / "d"), table)
    for log in (tmp_path / "d" / "_delta_log").glob("*.json"):
        log.write_text("{")
    with pytest.raises(TableError, match="Delta"):
        read_table(tmp_path / "d")


@pytest.mark.parametrize(
    ("feature", "mode", "says"),
    [
        (None, "name", "column mapping"),
        ("columnMapping", "id", "column mapping"),
        ("deletionVectors", None, "deletion vectors"),
        ("v2Checkpoint", None, "v2Checkpoint"),
    ],
)
def test_a_delta_table_whose_files_do_not_tell_its_rows_is_refused(tmp_path, table, feature, mode, says):
    write_deltalake(str(tmp_path / "d"), table)
    log = tmp_path / "d" / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
            if feature is not None:
                features = {"readerFeatures": [feature], "writerFeatures": [feature]}
                action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        if "metaData" in action and mode is not None:
            action["metaData"]["configuration"] = {"delta.columnMapping.mode": mode}
            schema = json.loads(action["metaData"]["schemaString"])
            for number, field in enumerate(schema["fields"], start=1):
                field["metadata"] = {
                    "delta.columnMapping.id": number,
                    "delta.columnMapping.physicalName": f"col-{number}",
                }
            action["metaData"]["schemaString"] = json.dumps(schema)
    log.write_text("\n".join(map(json.dumps, actions)))
    for read in (read_table, lambda path: list(iter_batches(path)), count_rows):
        with pytest.raises(TableError, match=says):
            read(tmp_path / "d")


def test_a_delta_table_that_could_map_columns_and_does_not_is_read(tmp_path, table):
    write_deltalake(str(tmp_path / "d"), table)
    log = tmp_path / "d" / "_delta_log" / "00000000000000000000.json"
    log.write_text(re.sub(r'"minReaderVersion":\s*\d+', '"minReaderVersion":2', log.read_text()))
    assert read_table(tmp_path / "d").num_rows == table.num_rows


def test_a_delta_table_shows_its_latest_version(tmp_path, table):
    write_deltalake(str(tmp_path / "d"), table)
    write_deltalake(str(tmp_path / "d"), table.slice(0, 10), mode="overwrite")
    assert read_table(tmp_path / "d").num_rows == 10


def test_a_repeated_column_is_refused(tmp_path):
    repeated = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    write_table(repeated, tmp_path / "t.parquet")
    with pytest.raises(TableError, match="'a' appears twice"):
        read_table(tmp_path / "t.parquet")


def test_a_refused_read_says_which_permission():
    error = read_error(Path("leads.parquet"), PermissionError(errno.EACCES, "Permission denied"))
    assert "May not read leads.parquet" in error.message


def test_writing_replaces_the_old_file(tmp_path, table):
    write_table(table, tmp_path / "t.parquet")
    write_table(table.slice(0, 3), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").num_rows == 3
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.csv.gz", "no/such/folder/t.parquet"])
def test_what_cannot_be_written_is_refused(tmp_path, table, name):
    with pytest.raises(TableError):
        write_table(table, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_csv_cannot_hold_leaves_nothing_behind(tmp_path):
    with pytest.raises(TableError, match="Cannot write"):
        write_table(pa.table({"x": [[1, 2]]}), tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_whose_files_spell_a_column_differently_is_refused_by_name(tmp_path, suffix):
    folder = tmp_path / "leads"
    folder.mkdir()
    write_table(pa.table({"id": ["a"], "budget": ["1"]}), folder / f"a.{suffix}")
    write_table(pa.table({"id": ["b"], "Budget": ["2"]}), folder / f"b.{suffix}")
    with pytest.raises(TableError, match=r"a\.\w+ has a column 'budget', .*b\.\w+ has 'Budget'"):
        read_table(folder)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_folder_may_have_two_columns_that_differ_in_case_if_every_file_has_both(tmp_path, suffix):
    folder = tmp_path / "leads"
    folder.mkdir()
    for name in "ab":
        write_table(pa.table({"id": [name], "budget": ["1"], "Budget": ["2"]}), folder / f"{name}.{suffix}")
    assert read_table(folder).column_names == ["id", "budget", "Budget"]


@pytest.mark.parametrize("dictionary", [(), ("plz",)])
def test_the_guard_that_keeps_excel_from_making_numbers_is_taken_off(tmp_path, dictionary):
    path = tmp_path / "t.csv"
    path.write_text('id,plz\n"=""00123""","=""01067"""\n="00124",80331\n')
    batches = list(iter_batches(path, ["id", "plz"], dictionary=dictionary))
    table = pa.Table.from_batches(batches)
    assert table.column("id").to_pylist() == ["00123", "00124"]
    assert table.column("plz").to_pylist() == ["01067", "80331"]


LEADS = "lead_id,amount,source\nL1,1.5,web\nL2,22.75,event\n"


@pytest.mark.parametrize("name", [".b.csv", "._a.csv", "~$a.csv", "__MACOSX/a.csv", ".git/b.csv"])
def test_what_programs_hide_in_a_folder_is_not_read(tmp_path, name):
    (tmp_path / "a.csv").write_text(LEADS)
    hidden = tmp_path / name
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_text(LEADS.replace("L", "X"))
    assert read_table(tmp_path)["lead_id"].to_pylist() == ["L1", "L2"]


def test_a_hidden_parquet_file_makes_no_folder_of_parquet(tmp_path):
    (tmp_path / "a.csv").write_text(LEADS)
    (tmp_path / "._a.parquet").write_bytes(b"Mac OS X")
    assert read_table(tmp_path).num_rows == 2


def test_a_csv_file_is_one_in_capital_letters_too(tmp_path):
    (tmp_path / "a.csv").write_text(LEADS)
    (tmp_path / "B.CSV").write_text(LEADS.replace("L", "M"))
    assert sorted(read_table(tmp_path)["lead_id"].to_pylist()) == ["L1", "L2", "M1", "M2"]


@pytest.mark.parametrize("name", ["b.parquet", "b.arrow", "b.xlsx", "deeper/b.ods"])
def test_a_folder_of_several_formats_is_refused_instead_of_read_in_part(tmp_path, name):
    (tmp_path / "a.csv").write_text(LEADS)
    other = tmp_path / name
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"something else")
    with pytest.raises(TableError, match="several formats"):
        read_table(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_that_is_there_twice_is_refused_by_name(tmp_path, table, suffix):
    for name in ("a", "b"):
        write_table(table.select(["lead_id", "source"]), tmp_path / f"{name}.{suffix}")
    with pytest.raises(TableError, match=rf"b\.{suffix} looks like a copy of a\.{suffix}"):
        read_table(tmp_path)


def test_two_files_without_rows_are_no_copies(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("lead_id,source\n")
    assert read_table(tmp_path).num_rows == 0


@pytest.mark.parametrize("name", ["a (1).csv", "a - Copy.csv", "a - Kopie (2).csv", "a copy.csv"])
def test_a_second_download_with_some_of_the_same_leads_is_refused(tmp_path, name):
    (tmp_path / "a.csv").write_text(LEADS)
    (tmp_path / name).write_text(LEADS + "L3,4.25,web\n")
    with pytest.raises(TableError, match="they share 2 rows"):
        read_table(tmp_path)


def test_a_second_download_of_other_leads_is_read(tmp_path):
    (tmp_path / "a.csv").write_text(LEADS)
    (tmp_path / "a (1).csv").write_text(LEADS.replace("L", "M"))
    assert read_table(tmp_path).num_rows == 4
