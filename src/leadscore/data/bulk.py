"""Score a whole table from file to file, streamed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from leadscore.contract import Categorical, FeatureContract, Numeric
from leadscore.contract.plain import bounds
from leadscore.data.ahead import map_ahead, with_first_rows
from leadscore.data.atomic import replacing
from leadscore.data.matrix import encode_batch, lead_ids
from leadscore.data.notation import Notation
from leadscore.data.tables import iter_batches
from leadscore.errors import TableError
from leadscore.scoring.grades import GRADES, Grades, scores_of

BATCH_ROWS = 65_536


class Scorer(Protocol):
    """What bulk scoring needs of a model; `ScoringModel` is one. Used by several threads at once."""

    @property
    def contract(self) -> FeatureContract:
        """The contract by which the table is read."""
        ...

    @property
    def grades(self) -> Grades:
        """Thresholds of the grades."""
        ...

    def score_rows(self, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Probabilities, float64 (n,), of encoded leads float32 (n, inputs)."""
        ...


@dataclass(frozen=True, slots=True)
class ColumnShare:
    """A column with values that the contract does not expect.

    Attributes:
        column: Its name.
        rows: Rows that hold one.
        share: The same as a share of all rows, 0 to 1.
    """

    column: str
    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class GradeCount:
    """How many leads got a grade."""

    grade: str
    rows: int


@dataclass(frozen=True, slots=True)
class BulkReport:
    """What bulk scoring did.

    Attributes:
        rows: Leads scored; all of the source.
        seconds: Wall time from opening the source to the destination being in place.
        grades: Count per grade, A to D.
        unseen: Columns with categories that the contract does not list (scored as missing), most rows first.
        out_of_range: Columns with numbers outside the contract's range (scored as they are), most rows first.
        empty: Columns without a value in any row: forgotten or renamed upstream, more often than meant.
    """

    rows: int
    seconds: float
    grades: tuple[GradeCount, ...]
    unseen: tuple[ColumnShare, ...]
    out_of_range: tuple[ColumnShare, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def rows_per_second(self) -> float:
        """Leads per second, end to end."""
        return self.rows / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class _Scored:
    batch: pa.RecordBatch
    grades: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.int64]
    missing: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]


def score_file(
    model: Scorer,
    source: Path,
    destination: Path,
    *,
    threads: int = 2,
    batch_rows: int = BATCH_ROWS,
    progress: Callable[[int], None] | None = None,
) -> BulkReport:
    """Score every lead of a table into a Parquet file: id, probability, score (0-100), grade (A-D).

    Rows keep their order. Batches are encoded and scored by `threads` threads while this
    one reads and writes; only a few batches are in memory at any time. The destination
    appears when all is scored, or not at all.

    Args:
        model: The model; its `score_rows` is called by several threads.
        source: Any table that `iter_batches` reads.
        destination: A `.parquet` path; an existing file is replaced.
        threads: Scoring threads.
        batch_rows: Leads per batch, and per row group of the result.
        progress: Called with the number of leads written so far.

    Raises:
        TableError: The source cannot be read or does not fit the contract (names row and column), or the
            destination is no Parquet path or is the source itself.
        UnavailableError: The disk is full; what was at the destination is still there.
    """
    _check_destination(source, destination)
    started = time.perf_counter()
    rows = 0
    grades = np.zeros(len(GRADES), np.int64)
    unseen = np.zeros(len(model.contract.inputs), np.int64)
    missing = np.zeros(len(model.contract.inputs), np.int64)
    outside = np.zeros(len(model.contract.inputs), np.int64)
    notation = Notation()
    with replacing(destination) as temporary, _writer(temporary, model.contract) as writer:
        for scored in _score(model, source, threads, batch_rows, notation):
            writer.write_batch(scored.batch)
            rows += scored.batch.num_rows
            grades += scored.grades
            unseen += scored.unseen
            missing += scored.missing
            outside += scored.outside
            if progress is not None:
                progress(rows)
        notation.check(model.contract.formats)
    return BulkReport(
        rows=rows,
        seconds=time.perf_counter() - started,
        grades=tuple(GradeCount(grade, int(count)) for grade, count in zip(GRADES, grades, strict=True)),
        unseen=_shares(model.contract, unseen, rows),
        out_of_range=_shares(model.contract, outside, rows),
        empty=tuple(
            f.name for f, n in zip(model.contract.inputs, missing, strict=True) if rows and n == rows
        ),
    )


def _check_destination(source: Path, destination: Path) -> None:
    if destination.suffix.lower() not in {".parquet", ".pq"}:
        raise TableError(f"Scores are written as Parquet, not to {destination}.", hint="Use a .parquet path.")
    if destination.exists() and source.exists() and destination.samefile(source):
        raise TableError(
            f"{destination} is the table to be scored.", hint="Write the scores to another file."
        )


def _writer(path: Path, contract: FeatureContract) -> pq.ParquetWriter:
    # A score has at most 1,001 values and a grade four; ids and probabilities are all different.
    repetitive = ["score", "grade"]
    return pq.ParquetWriter(
        str(path),
        _schema(contract),
        compression="snappy",
        use_dictionary=repetitive,  # pyright: ignore[reportArgumentType] - takes a list as well, untyped
    )


def _schema(contract: FeatureContract) -> pa.Schema:
    return pa.schema(
        [
            pa.field(contract.id, pa.string(), nullable=False),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("grade", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        ]
    )


def _score(
    model: Scorer, source: Path, threads: int, batch_rows: int, notation: Notation
) -> Iterator[_Scored]:
    contract = model.contract
    features = [feature.name for feature in contract.inputs]
    texts = [feature.name for feature in contract.inputs if isinstance(feature, Categorical)]
    schema = _schema(contract)
    batches = iter_batches(source, [contract.id, *features], batch_rows, dictionary=texts)

    def score(piece: tuple[int, pa.RecordBatch]) -> _Scored:
        return _score_batch(model, schema, piece[1], piece[0], notation)

    yield from map_ahead(score, with_first_rows(batches), threads)


def _score_batch(
    model: Scorer, schema: pa.Schema, batch: pa.RecordBatch, first_row: int, notation: Notation
) -> _Scored:
    encoded = encode_batch(model.contract, batch, first_row=first_row, notation=notation)
    probabilities = model.score_rows(encoded.matrix)
    codes = model.grades.codes(probabilities)
    columns = [
        lead_ids(model.contract, batch, first_row=first_row),
        pa.array(probabilities),
        pa.array(scores_of(probabilities)),
        pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int8)), pa.array(GRADES)),
    ]
    return _Scored(
        pa.RecordBatch.from_arrays(columns, schema=schema),
        np.bincount(codes, minlength=len(GRADES)),
        encoded.unseen,
        encoded.missing,
        _outside(model.contract, encoded.matrix),
    )


def _outside(contract: FeatureContract, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Rows of each column that lie outside the contract's range, in the matrix' own precision."""
    ends = [bounds(f) if isinstance(f, Numeric) else (-np.inf, np.inf) for f in contract.inputs]
    low, high = np.array(ends, dtype=np.float32).T
    found = np.less(matrix, low)
    found |= np.greater(matrix, high)
    return found.sum(axis=0) if found.any() else np.zeros(len(ends), np.int64)


def _shares(contract: FeatureContract, counts: npt.NDArray[np.int64], rows: int) -> tuple[ColumnShare, ...]:
    found = [
        ColumnShare(feature.name, int(count), int(count) / rows)
        for feature, count in zip(contract.inputs, counts, strict=True)
        if count
    ]
    return tuple(sorted(found, key=lambda share: -share.rows))
