"""One Delta table: pinned reads, and commits that happen once however often they are tried.

Writers name each commit by an application and a number (Delta's transaction identifiers): the log itself
then says whether the commit has happened, also to whoever was killed before they heard of it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Full, Queue
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from leadscore.data.delimited import require_columns
from leadscore.data.tables import check_delta_features
from leadscore.errors import BadInputError, ConflictError, NotFoundError, UnavailableError
from leadscore.lake.schemas import TableSchema

if TYPE_CHECKING:
    from deltalake import DeltaTable, WriterProperties

# Rows of a Parquet row group: what a reader must hold at once.
_GROUP_ROWS: Final = 131_072
# Rows that a reader is given at once.
_PIECE_ROWS: Final = _GROUP_ROWS // 2
# Batches that wait for the writer.
_AHEAD: Final = 2
_WRITER_POLL_SECONDS: Final = 0.1
# A version can be read for as long as its log is there; records name versions for years.
_PROPERTIES: Final = {
    "delta.enableDeletionVectors": "false",
    "delta.logRetentionDuration": "interval 3650 days",
}


@dataclass(frozen=True, slots=True)
class TableCommit:
    """A commit that has happened.

    Attributes:
        version: Of the table after it.
        repeated: It had happened before; nothing was written now.
        rows: How many were written now.
    """

    version: int
    repeated: bool
    rows: int = field(default=0, compare=False)


class LakeTable:
    """A Delta table in a folder or an object store.

    Args:
        uri: Folder or URL (`s3://bucket/lake/scores`).
        described: Its columns; None for a table that somebody else writes.
    """

    def __init__(
        self,
        uri: str,
        described: TableSchema | None = None,
    ) -> None:
        self.uri = uri
        self._described = described

    def version(self) -> int | None:
        """The newest version; None if there is no such table yet.

        Raises:
            UnavailableError: The store cannot be read.
        """
        found = self._find()
        return None if found is None else found.version()

    def commit_of(self, application: str, number: int) -> TableCommit | None:
        """The commit of that name, if it has happened (or a later one of that application)."""
        found = self._find()
        return None if found is None else _commit_in(found, application, number)

    def last_number(self, application: str) -> int | None:
        """The greatest number among an application's commits; None: it has made none."""
        found = self._find()
        return None if found is None else found.transaction_version(application)

    def read(
        self,
        version: int | None = None,
        columns: Sequence[str] | None = None,
        *,
        dictionary: Sequence[str] = (),
        where: ds.Expression | None = None,
    ) -> Generator[pa.RecordBatch]:
        """Rows of one version, in batches; memory does not grow with the table.

        Args:
            version: Which; None: the newest when this is called.
            columns: Only these, in this order.
            dictionary: Text columns to hand out dictionary-encoded (several times faster).
            where: Only rows for which this holds; folders and files without any are not read.

        Raises:
            NotFoundError: There is no such table or version, or its files were vacuumed away.
            TableError: A column is not there, or the table uses features that this reader does not follow.
            UnavailableError: The store cannot be read.
        """
        from deltalake.schema import PrimitiveType  # noqa: PLC0415

        table = self._open(version)
        check_delta_features(self.uri, table)
        with self._translated():
            # A category may be stored as a number or a truth value, which Arrow would refuse to encode so.
            texts = {field.name for field in table.schema().fields if field.type == PrimitiveType("string")}
            encoded = [name for name in dictionary if name in texts]
            found = table.to_pyarrow_dataset(
                parquet_read_options=ds.ParquetReadOptions(dictionary_columns=encoded)
            )
            names = list(found.schema.names if columns is None else columns)
            require_columns(self.uri, found.schema.names, names)
            for fragment in found.get_fragments(where):
                yield from _read_file(fragment, found.schema, names, encoded, where)

    def read_added(self, version: int, since: int) -> Generator[pa.RecordBatch]:
        """Rows of the files that one version has and an older one had not.

        What was appended in between, and what stands in a file with a row that was changed; a file that only
        joins others is read as well, so rows may be known already.

        Args:
            version: The newer version.
            since: The older one. If its log is gone, every row is read.

        Raises:
            NotFoundError: There is no such table or version, or its files were vacuumed away.
            TableError: The table uses features that this reader does not follow.
            UnavailableError: The store cannot be read.
        """
        try:
            known = set(self._open(since).file_uris())
        except NotFoundError:
            known = set[str]()
        table = self._open(version)
        check_delta_features(self.uri, table)
        with self._translated():
            added = {name.rsplit("/", 1)[-1] for name in set(table.file_uris()) - known}
            found = table.to_pyarrow_dataset()
            for fragment in found.get_fragments():
                if fragment.path.rsplit("/", 1)[-1] in added:
                    yield from fragment.to_batches(schema=found.schema, batch_size=_PIECE_ROWS)

    def rows_by(self, column: str) -> dict[str, int | None]:
        """How many rows each value of a partition column has, as the log says; None where it does not.

        Empty if there is no such table. Values are texts, as folders are named.

        Raises:
            UnavailableError: The store cannot be read.
        """
        table = self._find()
        if table is None:
            return {}
        found: dict[str, int | None] = {}
        with self._translated():
            files = pa.table(table.get_add_actions(flatten=True))
            for value, count in zip(
                files.column(f"partition.{column}").to_pylist(),
                files.column("num_records").to_pylist(),
                strict=True,
            ):
                before = found.get(str(value), 0)
                found[str(value)] = None if count is None or before is None else before + count
        return found

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        application: str,
        number: int,
        mode: Literal["append", "overwrite"] = "append",
    ) -> TableCommit:
        """Commit rows, unless a commit of this name has happened: then none of the batches is made.

        Memory does not grow with the rows. An error that is raised while the batches are made ends the commit
        before it happens.

        Args:
            batches: Of the table's schema.
            application: Who writes, and what about.
            number: Which of its commits; later ones are greater.
            mode: `overwrite` replaces all rows.

        Raises:
            BadInputError: The table there has other types; whatever is raised while the batches are made.
            ConflictError: Somebody else has changed the table meanwhile, so that this commit cannot follow.
            UnavailableError: The store or the disk cannot be used; nothing was committed.
        """
        assert self._described is not None  # noqa: S101 - tables of others are only read
        from deltalake import CommitProperties, Transaction, write_deltalake  # noqa: PLC0415

        found = self._find() or self._create(self._described)
        done = _commit_in(found, application, number)
        if done is not None:
            return done
        self._check_schema(found, self._described)
        pipe = _Pipe()
        with self._translated(), ThreadPoolExecutor(1) as pool:
            writer = pool.submit(
                write_deltalake,
                # Not its address: a commit of this name that came since it was read has to be a conflict.
                found,
                pa.RecordBatchReader.from_batches(self._described.schema, pipe),
                mode=mode,  # pyright: ignore[reportArgumentType] - typed for one mode at a time
                schema_mode="merge",
                writer_properties=_writer_properties(self._described),
                commit_properties=CommitProperties(app_transactions=[Transaction(application, number)]),
            )
            rows = pipe.feed(batches, writer)
            writer.result()
        done = self.commit_of(application, number)
        if done is None:
            raise UnavailableError(f"The commit {application}/{number} to {self.uri} is not in its log.")
        return TableCommit(done.version, repeated=False, rows=rows)

    def compact(self) -> int:
        """Join small files; returns how many were replaced."""
        table = self._open(None)
        with self._translated():
            return int(table.optimize.compact().get("numFilesRemoved", 0))

    def vacuum(self, *, keep_versions: Sequence[int], hours: int) -> int:
        """Delete files that no kept version needs; returns how many.

        Args:
            keep_versions: Versions that must stay readable, whatever their age.
            hours: Files that were removed from the table later than this stay, too.
        """
        table = self._open(None)
        with self._translated():
            gone = table.vacuum(
                hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=False,
                keep_versions=sorted(set(keep_versions)),
            )
        return len(gone)

    def _create(self, described: TableSchema) -> DeltaTable:
        """Make it without rows: the first commits of two writers at once would not see each other.

        Delta compares a commit with those since the version that it was made from, and the first has none.
        """
        from deltalake import DeltaTable  # noqa: PLC0415
        from deltalake.exceptions import CommitFailedError  # noqa: PLC0415

        with self._translated(), suppress(CommitFailedError):
            return DeltaTable.create(
                self.uri,
                described.schema,
                mode="ignore",
                partition_by=list(described.partition_by) or None,
                configuration=_PROPERTIES,
            )
        # Somebody else has made it meanwhile.
        return self._open(None)

    def _check_schema(self, found: DeltaTable, described: TableSchema) -> None:
        """Refuse a table whose columns have other types: a writer that may add columns would convert ours."""
        from deltalake import Schema  # noqa: PLC0415

        known = {field.name: field.type for field in found.schema().fields}
        wanted = {field.name: field.type for field in Schema.from_arrow(described.schema).fields}
        other = [name for name, kind in wanted.items() if known.get(name, kind) != kind]
        if other:
            raise BadInputError(
                f"The Delta table {self.uri} has other types than this release writes: "
                f"{', '.join(f'{name} is {known[name]}, not {wanted[name]}' for name in other)}.",
                hint="Move that table away: columns may be added, never changed.",
            )

    def _find(self) -> DeltaTable | None:
        from deltalake import DeltaTable  # noqa: PLC0415 (heavy)
        from deltalake.exceptions import TableNotFoundError  # noqa: PLC0415

        with self._translated():
            try:
                return DeltaTable(self.uri)
            except TableNotFoundError:
                return None

    def _open(self, version: int | None) -> DeltaTable:
        found = self._find()
        if found is None:
            raise NotFoundError(f"There is no Delta table {self.uri}.", hint="Check the path.")
        if version is None or version == found.version():
            return found
        from deltalake.exceptions import DeltaError  # noqa: PLC0415

        try:
            found.load_as_version(version)
        except DeltaError as error:
            raise NotFoundError(
                f"{self.uri} has no version {version}: {_line(error)}.",
                hint="Its log keeps versions for 30 days unless its properties say otherwise.",
            ) from error
        return found

    @contextmanager
    def _translated(self) -> Generator[None]:
        from deltalake.exceptions import CommitFailedError, DeltaError, SchemaMismatchError  # noqa: PLC0415

        try:
            yield
        except (DeltaError, OSError, pa.ArrowException) as error:
            if isinstance(error, CommitFailedError):
                raise ConflictError(
                    f"{self.uri} was changed by somebody else meanwhile: {_line(error)}.",
                    hint="Run it again.",
                ) from error
            if isinstance(error, SchemaMismatchError):
                raise BadInputError(
                    f"{self.uri} has other columns than this release writes: {_line(error)}.",
                    hint="Move the table away; columns may be added, never changed.",
                ) from error
            if isinstance(error, FileNotFoundError):
                raise NotFoundError(
                    f"A file of {self.uri} is gone: {_line(error)}.",
                    hint="Was that version vacuumed away, or is a copy incomplete? Another may be whole.",
                ) from error
            raise UnavailableError(
                f"{self.uri} cannot be used: {_line(error)}.", hint=_hint(error)
            ) from error


class _Pipe:
    """Batches on their way to the writer, which takes them on threads of its own.

    They are made on the caller's thread: there may be no other work on a Delta table on the writer's.
    """

    def __init__(self) -> None:
        self._queue: Queue[pa.RecordBatch | None] = Queue(_AHEAD)
        self._given_up = False

    def feed(self, batches: Iterable[pa.RecordBatch], writer: Future[None]) -> int:
        """Hand over all batches, as long as the writer takes them; returns how many rows it took."""
        rows = 0
        try:
            for batch in batches:
                if not self._put(batch, writer):
                    break
                rows += batch.num_rows
        except BaseException:
            self._given_up = True
            raise
        finally:
            self._put(None, writer)
        return rows

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._queue.get()) is not None:
            yield batch
        if self._given_up:
            # Or what has been made until then would be committed.
            raise BatchesEndedError("the rows could not be made")

    def _put(self, batch: pa.RecordBatch | None, writer: Future[None]) -> bool:
        while not writer.done():
            with suppress(Full):
                self._queue.put(batch, timeout=_WRITER_POLL_SECONDS)
                return True
        return False


class BatchesEndedError(Exception):
    """Tells the writer, and nobody else, that no commit is wanted."""


def _read_file(
    fragment: ds.ParquetFileFragment,
    schema: pa.Schema,
    columns: list[str],
    dictionary: Sequence[str],
    where: ds.Expression | None,
) -> Generator[pa.RecordBatch]:
    """Rows of one file.

    Arrow's scanner decodes a row group (often a million rows) at once. Here a file is decoded in pieces, if
    it has the columns as the table has them: no value comes from its folder's name or has to be converted.
    """
    held = fragment.physical_schema
    if where is not None or any(
        name not in held.names or held.field(name).type != schema.field(name).type for name in columns
    ):
        yield from fragment.to_batches(
            schema=schema, columns=columns, filter=where, batch_size=_PIECE_ROWS, batch_readahead=2
        )
        return
    with pq.ParquetFile(fragment.open(), read_dictionary=list(dictionary), pre_buffer=True) as file:
        for group in range(file.num_row_groups):
            # One at a time, for what is fetched ahead is that of all row groups that are asked for.
            for batch in file.iter_batches(_PIECE_ROWS, row_groups=[group], columns=columns):
                yield batch.select(columns)


def _writer_properties(described: TableSchema) -> WriterProperties:
    from deltalake import ColumnProperties, WriterProperties  # noqa: PLC0415

    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(
        compression="SNAPPY",
        max_row_group_size=_GROUP_ROWS,
        column_properties=dict.fromkeys(described.distinct, plain),
    )


def locate(folder: str) -> str:
    """A URL as it is, a folder by its whole path: what records may name."""
    return folder if "://" in folder else str(Path(folder).absolute())


def table_uri(root: str, name: str) -> str:
    """Where a table of the lake at `root` (folder or URL) lies."""
    return f"{locate(root).rstrip('/')}/{name}"


def _commit_in(found: DeltaTable, application: str, number: int) -> TableCommit | None:
    known = found.transaction_version(application)
    return TableCommit(found.version(), repeated=True) if known is not None and known >= number else None


# What stands in the words of the reader and the writer, which have no codes for it.
_HINTS: Final = (
    ("No space left", "The disk is full, and nothing was committed: make room, and run it again."),
    ("Could not create local directory", "May this user write there?"),
    ("Permission denied", "May this user read and write there?"),
    ("Unsupported", "The table uses what this reader does not follow: write it anew without."),
)


def _hint(error: Exception) -> str:
    from deltalake.exceptions import DeltaError  # noqa: PLC0415

    known = next((hint for words, hint in _HINTS if words in str(error)), "")
    if known or not isinstance(error, DeltaError):
        return known
    return "Is its log, or a file, half written? Whoever writes the table has to repair it."


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:500]
