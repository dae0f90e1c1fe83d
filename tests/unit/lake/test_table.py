"""A Delta table: each commit happens once, and a version that is named stays readable."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, WriterProperties, write_deltalake

from leadscore.errors import BadInputError, ConflictError, NotFoundError, TableError, UnavailableError
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.lake.table import LakeTable, TableCommit, locate, table_uri


def batches(count: int, start: int = 0) -> Iterator[pa.RecordBatch]:
    for i in range(start, start + count):
        numbers = np.arange(10) + 10 * i
        yield pa.record_batch([pa.array(numbers), pa.array(numbers)], schema=LEAD_STATES.schema)


def rows(table: LakeTable, version: int | None = None) -> list[int]:
    return sorted(
        value for batch in table.read(version, ["id_digest"]) for value in batch.column(0).to_pylist()
    )


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return LakeTable(table_uri(str(tmp_path), "states"), LEAD_STATES)


COPY = """
import sys
from leadscore.lake.schemas import LEAD_STATES
from leadscore.lake.table import LakeTable
table = LakeTable(sys.argv[1], LEAD_STATES)
copy = LakeTable(sys.argv[2], LEAD_STATES)
print(copy.write(table.read(None, LEAD_STATES.schema.names), application="copy", number=1).rows)
"""


def test_a_table_is_read_into_another_on_one_processor(table: LakeTable, tmp_path: Path) -> None:
    table.write(batches(3), application="night", number=1)
    done = subprocess.run(
        [sys.executable, "-c", COPY, table.uri, str(tmp_path / "copy")],
        # As the runtime below counts in a pod that may use one.
        env={**os.environ, "TOKIO_WORKER_THREADS": "1"},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "30"


def test_a_commit_happens_once_however_often_it_is_tried(table: LakeTable) -> None:
    assert table.version() is None
    assert table.write(batches(3), application="night", number=1) == TableCommit(1, repeated=False)
    assert table.write(batches(3), application="night", number=1) == TableCommit(1, repeated=True)
    assert rows(table) == list(range(30))
    assert table.write(batches(1, 3), application="night", number=2).version == 2
    # An older number of the same application has happened, too.
    assert table.write(batches(9), application="night", number=1).repeated
    assert table.write(batches(1, 4), application="another", number=1).version == 3
    assert rows(table) == list(range(50))


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_of_two_commits_of_one_name_at_once_the_second_is_refused(
    table: LakeTable, before: int, mode: Literal["append", "overwrite"], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, before + 1):
        table.write(batches(1), application="earlier", number=number)
    looked_over = LakeTable._check_schema

    def overtaken(self: LakeTable, *arguments: Any) -> None:
        # Nothing of that name is there yet: now another writer comes, and is done sooner.
        looked_over(self, *arguments)
        monkeypatch.setattr(LakeTable, "_check_schema", looked_over)
        LakeTable(table.uri, LEAD_STATES).write(batches(3), application="night", number=1, mode=mode)

    monkeypatch.setattr(LakeTable, "_check_schema", overtaken)
    with pytest.raises(ConflictError):
        table.write(batches(3), application="night", number=1, mode=mode)
    assert len(rows(table)) == 30 + (10 * before if mode == "append" else 0)
    assert table.write(batches(3), application="night", number=1, mode=mode).repeated


@pytest.mark.parametrize(
    "columns", [["day", "number"], ["number", "late"], ["late", "text", "number", "day"]]
)
def test_files_that_lack_a_column_are_read_beside_those_that_have_it(
    columns: list[str], tmp_path: Path
) -> None:
    uri = str(tmp_path / "leads")
    old = pa.table({"day": ["mo"] * 7, "number": range(7), "text": list("abcdefg")})
    new = pa.table({"text": ["h"], "late": [0.5], "number": [7], "day": ["tu"]})
    for part in (old, new):
        write_deltalake(uri, part, mode="append", schema_mode="merge", partition_by=["day"])
    found = pa.Table.from_batches(LakeTable(uri).read(None, columns, dictionary=["text"]))
    assert found.column_names == columns
    wanted = pa.concat_tables([old, new], promote_options="default").select(columns).to_pylist()
    assert sorted(found.to_pylist(), key=str) == sorted(wanted, key=str)


def test_categories_that_are_no_texts_are_handed_out_as_they_are(tmp_path: Path) -> None:
    uri, table = str(tmp_path / "leads"), pa.table({"a": [1, 2], "b": [True, None], "c": ["x", "y"]})
    write_deltalake(uri, table)
    found = pa.Table.from_batches(LakeTable(uri).read(None, ["a", "b", "c"], dictionary=["a", "b", "c"]))
    assert [str(kind)[:4] for kind in found.schema.types] == ["int6", "bool", "dict"]
    assert found.to_pylist() == table.to_pylist()


def test_columns_come_in_the_order_that_was_asked_for_however_they_lie_in_the_file(tmp_path: Path) -> None:
    uri, table = str(tmp_path / "leads"), pa.table({"a": range(250), "b": [str(i % 3) for i in range(250)]})
    write_deltalake(uri, table, writer_properties=WriterProperties(max_row_group_size=100))
    batches = list(LakeTable(uri).read(None, ["b", "a"], dictionary=["b"]))
    assert [batch.num_rows for batch in batches] == [100, 100, 50]
    assert {str(batch.schema.field("b").type) for batch in batches} == {
        "dictionary<values=string, indices=int32, ordered=0>"
    }
    assert [row for batch in batches for row in batch.to_pylist()] == table.select(["b", "a"]).to_pylist()


def test_an_error_while_rows_are_made_commits_nothing(table: LakeTable) -> None:
    table.write(batches(1), application="night", number=1)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(5, 1)
        raise TableError("Row 51 is wrong.")

    with pytest.raises(TableError, match="Row 51"):
        table.write(broken(), application="night", number=2)
    assert table.version() == 1
    assert table.commit_of("night", 2) is None
    assert table.write(batches(1, 1), application="night", number=2).version == 2


def test_rows_may_come_from_another_table_of_the_lake(table: LakeTable, tmp_path: Path) -> None:
    table.write(batches(4), application="night", number=1)
    other = LakeTable(table_uri(str(tmp_path), "copies"), LEAD_STATES)
    other.write(table.read(), application="copy", number=1)
    assert rows(other) == rows(table)


def test_a_version_that_is_kept_is_read_after_compaction_and_vacuum(table: LakeTable) -> None:
    for number in range(1, 6):
        table.write(batches(1, number), application="night", number=number)
    kept = rows(table, 2)
    table.write(batches(1), application="night", number=6, mode="overwrite")
    table.compact()
    assert table.vacuum(keep_versions=[2], hours=0) > 0
    assert rows(table, 2) == kept
    assert rows(table) == list(range(10))
    with pytest.raises(NotFoundError, match="vacuumed"):
        rows(table, 4)


def test_a_version_that_never_was_is_not_found(table: LakeTable) -> None:
    with pytest.raises(NotFoundError, match="no Delta table"):
        rows(table)
    table.write(batches(1), application="night", number=1)
    with pytest.raises(NotFoundError, match="version"):
        rows(table, 7)


def test_tables_have_no_deletion_vectors_and_times_have_zones(tmp_path: Path) -> None:
    table = LakeTable(table_uri(str(tmp_path), "scores"), SCORES)
    table.write([], application="x", number=1)
    found = DeltaTable(table.uri)
    assert not set(found.protocol().reader_features or ()) & {"deletionVectors", "timestampNtz"}
    assert found.metadata().partition_columns == ["business_date"]


def test_a_table_with_another_type_is_refused_in_a_sentence(table: LakeTable, tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "states"), pa.table({"id_digest": ["text"], "row_digest": [1]}))
    with pytest.raises(BadInputError, match=r"id_digest is .*string.*, not .*long"):
        table.write(batches(1), application="night", number=1)
    assert table.version() == 0


def test_a_table_with_more_columns_goes_on(table: LakeTable, tmp_path: Path) -> None:
    newer = pa.table({"id_digest": [1], "row_digest": [2], "since": ["a newer release"]})
    write_deltalake(str(tmp_path / "states"), newer)
    table.write(batches(1), application="night", number=1)
    assert rows(table) == sorted([*range(10), 1])


def test_a_column_that_is_not_there_is_named(table: LakeTable) -> None:
    table.write(batches(1), application="night", number=1)
    with pytest.raises(TableError, match="no column 'budget'"):
        list(table.read(columns=["budget"]))


def test_a_log_that_is_cut_off_is_said(table: LakeTable) -> None:
    table.write(batches(1), application="night", number=1)
    (Path(table.uri) / "_delta_log" / f"{0:020d}.json").write_text('{"commitInfo": {')
    with pytest.raises(UnavailableError, match="cannot be used"):
        rows(table)


@pytest.mark.parametrize(
    ("root", "uri"), [("s3://bucket/lake/", "s3://bucket/lake/scores"), ("/lake", "/lake/scores")]
)
def test_a_lake_lies_in_a_folder_or_at_a_url(root: str, uri: str) -> None:
    assert table_uri(root, "scores") == uri
    assert locate(root) == root
