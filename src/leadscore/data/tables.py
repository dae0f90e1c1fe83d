"""Tables from files: CSV, Parquet, Delta and Arrow in; CSV, Parquet and Arrow out."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from leadscore.cpus import cpu_limit
from leadscore.data.atomic import replacing
from leadscore.data.columns import is_number, is_text
from leadscore.data.delimited import read_csv, require_columns
from leadscore.data.folders import (
    CSV,
    PARQUET,
    folder_files,
    folder_kind,
    refuse_copies,
    refuse_second_downloads,
    suffix_of,
)
from leadscore.errors import TableError

if TYPE_CHECKING:
    from deltalake import DeltaTable

Format = Literal["csv", "parquet", "arrow", "folder", "csv folder", "delta"]

TABLE_BATCH_ROWS = 65_536

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_KNOWN = (
    ".csv, .tsv, .csv.gz, .parquet, .arrow, .feather, or a folder with Parquet or CSV files or a Delta table"
)
# Delta's runtime has a thread for each processor that the process may use, and counts them when a table is
# first opened. A writer that waits for its next rows holds one: where it is the only one, a table that is
# read into another would wait for ever.
_RUNTIME_THREADS: Final = "TOKIO_WORKER_THREADS"
_LEAST_THREADS: Final = 4
os.environ[_RUNTIME_THREADS] = str(max(_LEAST_THREADS, cpu_limit()))
# What a Delta table may use that the reader of its files does not follow.
_FOLLOWED = frozenset({"timestampNtz"})
_NOT_FOLLOWED = {"columnMapping": "column mapping", "deletionVectors": "deletion vectors"}


def read_table(path: Path | str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table whole; every column of a CSV is text, which the contract says how to read.

    Args:
        path: CSV (`.csv`, `.tsv`, `.csv.gz`), Parquet file, folder of Parquet files (hive partitions become
            columns of text) or of CSV files, Delta table folder, Arrow IPC or Feather file.
        columns: Only these, in this order; None reads all.

    Raises:
        TableError: Missing, unreadable, corrupt or of an unknown kind, or a column is not there.
    """
    path = Path(path)
    kind = table_format(path)
    with _named(path):
        if kind == "csv":
            return read_csv(path, columns)
        if kind == "csv folder":
            return _csv_folder(path, columns)
        if kind == "parquet":
            with _open_parquet(path, columns) as file:
                return file.read(columns=_listed(columns), use_threads=True)
        if kind == "arrow":
            table = pa.Table.from_batches(*_arrow_batches(path))
            _check_columns(path, table.schema, columns)
            return table if columns is None else table.select(list(columns))
        return _dataset(path, kind, columns).to_table(columns=_listed(columns))


def iter_batches(
    path: Path | str,
    columns: Sequence[str] | None = None,
    batch_rows: int = TABLE_BATCH_ROWS,
    *,
    dictionary: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Read a table piece by piece, in file order.

    Parquet, Delta and Arrow are streamed: memory does not grow with the file. A CSV is read whole first: only
    its end tells whether a quote is closed and what stands below the table.

    Args:
        path: As for `read_table`.
        columns: Only these, in this order; None reads all.
        batch_rows: Most rows in a batch.
        dictionary: Text columns of a Parquet or CSV file to hand out dictionary-encoded (several times
            faster).

    Raises:
        TableError: As for `read_table`; at the first batch or, for a corrupt block, later.
    """
    path = Path(path)
    kind = table_format(path)
    with _named(path):
        if kind == "csv":
            yield from read_csv(path, columns, dictionary).to_batches(max_chunksize=batch_rows)
        elif kind == "csv folder":
            yield from _csv_folder(path, columns).to_batches(max_chunksize=batch_rows)
        elif kind == "parquet":
            with _open_parquet(path, columns, dictionary) as file:
                yield from file.iter_batches(batch_rows, columns=_listed(columns), use_threads=True)
        elif kind == "arrow":
            batches, schema = _arrow_batches(path)
            _check_columns(path, schema, columns)
            for batch in batches:
                piece = batch if columns is None else batch.select(list(columns))
                for start in range(0, piece.num_rows, batch_rows):
                    yield piece.slice(start, batch_rows)
        else:
            yield from _dataset(path, kind, columns).to_batches(
                columns=_listed(columns), batch_size=batch_rows, batch_readahead=2, fragment_readahead=1
            )


def count_rows(path: Path | str) -> int | None:
    """Rows of the table where its metadata says so (Parquet, Delta, Arrow); None for CSV."""
    path = Path(path)
    kind = table_format(path)
    with _named(path):
        if kind in {"csv", "csv folder"}:
            return None
        if kind == "parquet":
            with _open_parquet(path, None) as file:
                return file.metadata.num_rows
        if kind == "arrow":
            return sum(batch.num_rows for batch in _arrow_batches(path)[0])
        return _dataset(path, kind, None).count_rows()


def write_table(table: pa.Table, path: Path | str) -> None:
    """Write a table whole or not at all, in the format that the suffix names (CSV, Parquet, Arrow).

    Raises:
        TableError: Unknown suffix, no such folder, no permission, or a type that CSV cannot hold.
        UnavailableError: The disk is full; what was there before is untouched.
    """
    path = Path(path)
    kind = _SUFFIXES.get(suffix_of(path))
    if kind is None or path.suffix == ".gz":
        raise TableError(f"Cannot tell the format of {path}.", hint="Use .csv, .tsv, .parquet or .arrow.")
    with replacing(path) as temporary:
        try:
            if kind == "csv":
                options = pacsv.WriteOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
                pacsv.write_csv(table, str(temporary), write_options=options)
            elif kind == "parquet":
                pq.write_table(table, str(temporary), compression="zstd", row_group_size=131_072)
            else:
                _write_arrow(table, temporary)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise TableError(f"Cannot write {path}: {error}.", hint="Write Parquet instead.") from error


def table_format(path: Path) -> Format:
    """How the table is stored, by folder content or suffix.

    Raises:
        TableError: Nothing there, an unknown suffix, or a folder that holds no table.
    """
    if path.is_dir():
        if (path / "_delta_log").is_dir():
            return "delta"
        kind = folder_kind(path)
        if kind is None:
            raise TableError(f"The folder {path} holds no table.", hint=f"Tables are {_KNOWN}.")
        return "folder" if kind == "parquet" else "csv folder"
    if not path.exists():
        raise TableError(f"There is no table {path}.", hint="Check the path.")
    kind = _SUFFIXES.get(suffix_of(path))
    if kind is None:
        raise TableError(f"Cannot tell the format of {path}.", hint=f"Tables are {_KNOWN}.")
    return kind


def _listed(columns: Sequence[str] | None) -> list[str] | None:
    return None if columns is None else list(columns)


def _check_columns(path: Path, schema: pa.Schema, columns: Sequence[str] | None) -> None:
    repeated = {name for name in schema.names if schema.names.count(name) > 1}
    if repeated:
        raise TableError(f"{path}: column {min(repeated)!r} appears twice.", hint="Rename or remove one.")
    if columns is not None:
        require_columns(path, schema.names, columns)


def _open_parquet(
    path: Path, columns: Sequence[str] | None, dictionary: Sequence[str] = ()
) -> pq.ParquetFile:
    # Without pre-buffering, a row group is read when it is its turn: memory stays flat.
    file = pq.ParquetFile(str(path), read_dictionary=list(dictionary), pre_buffer=False)
    try:
        _check_columns(path, file.schema_arrow, columns)
    except TableError:
        file.close()
        raise
    return file


def _dataset(path: Path, kind: Format, columns: Sequence[str] | None) -> ds.Dataset:
    dataset = _delta(path) if kind == "delta" else _folder(path)
    _check_columns(path, dataset.schema, columns)
    return dataset


def _delta(path: Path) -> ds.Dataset:
    # Imported here: it is slow to import, and most tables are files.
    from deltalake import DeltaTable  # noqa: PLC0415
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    try:
        table = DeltaTable(str(path))
        check_delta_features(str(path), table)
        return table.to_pyarrow_dataset()
    except DeltaError as error:
        raise TableError(f"Cannot read the Delta table {path}: {error}.", hint="Check its log.") from error


def check_delta_features(name: str, table: DeltaTable) -> None:
    """Refuse a table whose files do not say by themselves what its rows are.

    They would be read wrongly, not refused.

    Raises:
        TableError: It uses column mapping, deletion vectors or another feature that is not followed.
    """
    found = set(table.protocol().reader_features or ()) - {"columnMapping"}
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        found.add("columnMapping")
    unknown = [_NOT_FOLLOWED.get(name, name) for name in sorted(found - _FOLLOWED)]
    if unknown:
        raise TableError(
            f"The Delta table {name} uses {' and '.join(unknown)}, which this reader does not follow.",
            hint="Write it anew without, as in Spark: `spark.read.table(…).write.format('parquet').save(…)`.",
        )


def _folder(path: Path) -> ds.Dataset:
    # The type of a partition is not guessed from its folders' names: "01067" is no number.
    files = folder_files(path, PARQUET)
    refuse_copies(files, lambda file: int(pq.read_metadata(file).num_rows))
    keys = dict.fromkeys(
        part.split("=", 1)[0] for file in files for part in file.relative_to(path).parts[:-1] if "=" in part
    )
    partitioning = ds.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")

    def opened(schema: pa.Schema | None = None) -> ds.FileSystemDataset:
        return ds.dataset(
            [str(file) for file in files],
            schema,
            format="parquet",
            partitioning=partitioning,
            partition_base_dir=str(path),
        )

    dataset = opened()
    # Arrow's default takes the first file's columns and drops those of later files.
    found = {str(fragment.path): fragment.physical_schema for fragment in dataset.get_fragments()}
    _refuse_respelled({Path(name): schema.names for name, schema in found.items()})
    schemas = [dataset.schema, *found.values()]
    schema = pa.unify_schemas(_as_text_where_mixed(schemas), promote_options="permissive")
    return opened(schema)


def _as_text_where_mixed(schemas: list[pa.Schema]) -> list[pa.Schema]:
    """The schemas, with text for columns that are text in one file and plain values in another."""
    kinds: dict[str, set[pa.DataType]] = {}
    for field in (field for schema in schemas for field in schema):
        kinds.setdefault(field.name, set()).add(field.type)
    mixed = {
        name
        for name, found in kinds.items()
        if len(found) > 1 and any(map(is_text, found)) and all(is_text(k) or _is_plain(k) for k in found)
    }
    return [
        pa.schema([field.with_type(pa.string()) if field.name in mixed else field for field in schema])
        for schema in schemas
    ]


def _refuse_respelled(files: dict[Path, list[str]]) -> None:
    """Refuse files of one table whose names for a column differ in case or in spaces.

    A column that a file simply lacks is null in its rows; one that it has under a near name would be lost.
    """
    first: dict[str, tuple[str, Path]] = {}
    for file, names in files.items():
        for name in names:
            known, where = first.setdefault(name.strip().casefold(), (name, file))
            if name != known and known not in names and name not in files[where]:
                raise TableError(
                    f"{where} has a column {known!r}, {file} has {name!r}.",
                    hint="Give the column one name in all files of the folder.",
                )


def _is_plain(kind: pa.DataType) -> bool:
    return is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)


def _csv_folder(path: Path, columns: Sequence[str] | None) -> pa.Table:
    """The rows of all CSV files, in order of their names; a column that a file lacks is null there."""
    files = folder_files(path, CSV)
    tables = [read_csv(file) for file in files]
    found: dict[Path, pa.Table] = dict(zip(files, tables, strict=True))
    refuse_copies(files, lambda file: int(found[file].num_rows))
    refuse_second_downloads(found)
    _refuse_respelled({file: table.column_names for file, table in zip(files, tables, strict=True)})
    table = pa.concat_tables(tables, promote_options="default")
    _check_columns(path, table.schema, columns)
    return table if columns is None else table.select(list(columns))


def _arrow_batches(path: Path) -> tuple[Iterator[pa.RecordBatch], pa.Schema]:
    source = pa.memory_map(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        # An IPC stream saved to a file has no footer.
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return iter(stream), stream.schema
    return (file.get_batch(index) for index in range(file.num_record_batches)), file.schema


def _write_arrow(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@contextmanager
def _named(path: Path) -> Generator[None, None, None]:
    try:
        yield
    # Names of columns are decoded when they are asked for.
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise read_error(path, error) from error


def read_error(path: Path, error: OSError | pa.ArrowException | UnicodeDecodeError) -> TableError:
    """The table error for what reading `path` raised: names the file, never quotes its content."""
    if isinstance(error, PermissionError):
        return TableError(f"May not read {path}.", hint="Ask for read permission.")
    if isinstance(error, FileNotFoundError):
        return TableError(f"There is no table {path}.", hint="Check the path.")
    if isinstance(error, pa.ArrowTypeError | pa.ArrowNotImplementedError):
        return TableError(
            f"The files of {path} disagree about a column's type: {error}.", hint="Rewrite them alike."
        )
    return TableError(
        f"{path} is corrupt, cut short, or not what its suffix says.",
        hint="Write or copy it again, and check that its size is the same at both ends.",
    )
