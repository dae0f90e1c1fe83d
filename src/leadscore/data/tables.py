"""Tables from files: CSV, Parquet, Delta and Arrow in; CSV, Parquet and Arrow out."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from leadscore.data.atomic import replacing
from leadscore.data.delimited import read_csv, require_columns
from leadscore.errors import TableError

Format = Literal["csv", "parquet", "arrow", "folder", "delta"]

BATCH_ROWS = 65_536

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_KNOWN = ".csv, .tsv, .csv.gz, .parquet, .arrow, .feather, or a folder with Parquet files or a Delta table"


def read_table(path: Path | str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table whole.

    Args:
        path: CSV (`.csv`, `.tsv`, `.csv.gz`), Parquet file, folder of Parquet files (hive partitions become
            columns), Delta table folder, Arrow IPC or Feather file.
        columns: Only these, in this order; None reads all.

    Raises:
        TableError: Missing, unreadable, corrupt or of an unknown kind, or a column is not there.
    """
    path = Path(path)
    kind = table_format(path)
    with _named(path):
        if kind == "csv":
            return read_csv(path, columns)
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
    batch_rows: int = BATCH_ROWS,
    *,
    dictionary: Sequence[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Read a table piece by piece, in file order.

    Parquet, Delta and Arrow are streamed: memory does not grow with the file. A CSV is read whole first, as
    only its last row settles its types.

    Args:
        path: As for `read_table`.
        columns: Only these, in this order; None reads all.
        batch_rows: Most rows in a batch.
        dictionary: Text columns of a Parquet file to hand out dictionary-encoded (several times faster).

    Raises:
        TableError: As for `read_table`; at the first batch or, for a corrupt block, later.
    """
    path = Path(path)
    kind = table_format(path)
    with _named(path):
        if kind == "csv":
            yield from read_csv(path, columns).to_batches(max_chunksize=batch_rows)
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
        if kind == "csv":
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
    kind = _SUFFIXES.get(_suffix(path))
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
        if next(path.rglob("*.parquet"), None) is None:
            raise TableError(f"The folder {path} holds no table.", hint=f"Tables are {_KNOWN}.")
        return "folder"
    if not path.exists():
        raise TableError(f"There is no table {path}.", hint="Check the path.")
    kind = _SUFFIXES.get(_suffix(path))
    if kind is None:
        raise TableError(f"Cannot tell the format of {path}.", hint=f"Tables are {_KNOWN}.")
    return kind


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


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
        return DeltaTable(str(path)).to_pyarrow_dataset()
    except DeltaError as error:
        raise TableError(f"Cannot read the Delta table {path}: {error}.", hint="Check its log.") from error


def _folder(path: Path) -> ds.Dataset:
    dataset = ds.dataset(str(path), format="parquet", partitioning="hive")
    # By itself Arrow takes the first file's columns and drops what only later files have.
    schemas = [dataset.schema, *(fragment.physical_schema for fragment in dataset.get_fragments())]
    return dataset.replace_schema(pa.unify_schemas(schemas, promote_options="permissive"))


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
    except (OSError, pa.ArrowException) as error:
        raise read_error(path, error) from error


def read_error(path: Path, error: OSError | pa.ArrowException) -> TableError:
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
