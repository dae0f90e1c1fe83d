"""Delta tables by Spark: pinned reads, commits that happen once, and what Spark says as our errors."""

# pyspark is installed where there is Spark, not in this project's own environment.
# pyright: reportMissingImports=false

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from leadscore.batch.spark_worker import said_by_worker
from leadscore.errors import BadInputError, NotFoundError, UnavailableError
from leadscore.lake.schemas import TableSchema
from leadscore.lake.table import locate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

# SCHEMA.TABLE or CATALOG.SCHEMA.TABLE: a table of the catalog. Everything else is a folder or URL.
_CATALOG_NAME: Final = re.compile(r"\w+(\.\w+){1,2}")
# Conditions by which Spark and Delta say that a table, version or file is not there.
_ABSENT: Final = re.compile(r"NOT_FOUND|FILE_NOT_EXIST|DELTA_MISSING|DELTA_TABLE_ONLY|DELTA_PATH|VERSION_NOT")
# Each business date and model version is committed once to each table.
_ONCE: Final = 1


@dataclass(frozen=True, slots=True)
class SparkTable:
    """A Delta table in a folder, an object store or the catalog.

    Attributes:
        spark: A session with Delta Lake.
        uri: As `located` gives it.
    """

    spark: SparkSession
    uri: str

    def version(self) -> int | None:
        """The newest version; None if there is no such table yet."""
        from pyspark.errors import AnalysisException  # noqa: PLC0415

        try:
            newest = self.spark.sql(f"DESCRIBE HISTORY {self._name} LIMIT 1").first()
        except AnalysisException as error:
            if _is_absent(error):
                return None
            raise
        return None if newest is None else int(newest["version"])

    def read(self, version: int | None = None) -> DataFrame:
        """Rows of one version; None: the newest."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.table(self.uri) if _CATALOG_NAME.fullmatch(self.uri) else reader.load(self.uri)

    def commit(
        self,
        rows: DataFrame,
        described: TableSchema,
        *,
        application: str,
        mode: Literal["append", "overwrite"] = "append",
    ) -> None:
        """Commit rows, unless that application has: then nothing is computed. Makes the table if need be.

        Raises:
            BadInputError: The table there has other types.
        """
        if self.version() is None:
            self._create(described)
        else:
            self._check_types(described)
        (
            rows.write.format("delta")
            .mode(mode)
            .option("mergeSchema", "true")
            .option("txnAppId", application)
            .option("txnVersion", _ONCE)
            .save(self.uri)
        )

    @property
    def _name(self) -> str:
        """What SQL calls it."""
        return self.uri if _CATALOG_NAME.fullmatch(self.uri) else f"delta.{column_named(self.uri)}"

    def _create(self, described: TableSchema) -> None:
        """Make it as the other writer does: the same types, and no deletion vectors."""
        columns = ", ".join(
            f"{column_named(field.name)} {field.dataType.simpleString()}"
            f"{'' if field.nullable else ' NOT NULL'}"
            for field in spark_schema(described)
        )
        parts = f" PARTITIONED BY ({', '.join(described.partition_by)})" if described.partition_by else ""
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS {self._name} ({columns}) USING delta{parts}"
            " TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')"
        )

    def _check_types(self, described: TableSchema) -> None:
        known = {field.name: field.dataType.simpleString() for field in self.read().schema}
        wanted = {field.name: field.dataType.simpleString() for field in spark_schema(described)}
        other = [name for name, kind in wanted.items() if known.get(name, kind) != kind]
        if other:
            raise BadInputError(
                f"The Delta table {self.uri} has other types than this release writes: "
                f"{', '.join(f'{name} is {known[name]}, not {wanted[name]}' for name in other)}.",
                hint="Move that table away: columns may be added, never changed.",
            )


def located(name: str) -> str:
    """A URL or a name of the catalog as it is, a folder by its whole path."""
    return name if _CATALOG_NAME.fullmatch(name) else locate(name)


def column_named(name: str) -> str:
    """A name as SQL quotes it."""
    return f"`{name.replace('`', '``')}`"


def spark_schema(described: TableSchema) -> StructType:
    """A table of the lake as Spark describes it."""
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415

    return from_arrow_schema(described.schema)


@contextmanager
def spark_errors() -> Generator[None]:
    """What Spark and its workers say, as our errors.

    Raises:
        TableError: What a worker found in the table.
        ArtefactError: A worker was given another model.
        NotFoundError: A table or file is not there.
        UnavailableError: Anything else.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JError) as error:
        said = said_by_worker(str(error))
        if said is not None:
            raise said from error
        if _is_absent(error):
            raise NotFoundError(
                f"Spark does not find a table, version or file: {_first_line(error)}.",
                hint="Check the path; was that version vacuumed away?",
            ) from error
        raise UnavailableError(f"Spark failed: {_first_line(error)}.", hint="Run it again.") from error


def _is_absent(error: Exception) -> bool:
    return _ABSENT.search(str(error)) is not None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:500].rstrip(".")
