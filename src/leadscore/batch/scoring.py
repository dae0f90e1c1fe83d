"""Leads of a table as scores: which have changed, what the model says of them, and why."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.batch.digests import Digests, LeadStates, id_digests, row_digests
from leadscore.batch.records import BatchClaim
from leadscore.contract import Categorical, contract_version
from leadscore.data.ahead import map_ahead, with_first_rows
from leadscore.data.matrix import encode_batch, lead_ids
from leadscore.data.notation import Notation
from leadscore.errors import TableError
from leadscore.events.records import BATCH_SOURCE, Prediction
from leadscore.lake.schemas import SCORES
from leadscore.scoring.grades import GRADES, scores_of
from leadscore.scoring.model import ScoringModel

BATCH_ROLE: Final = "batch"
_REASONS: Final = 3
_ID_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Some rows of the table after scoring.

    Attributes:
        rows: Digests of all their encoded rows, int64 (n,), changed or not.
        scores: Of the changed ones, as the table of scores has them.
        matrix: Of the changed ones, encoded, float32 (m, inputs).
        unseen: Per column, in how many of all rows stands a category that the model has not seen.
    """

    rows: Digests
    scores: pa.RecordBatch
    matrix: npt.NDArray[np.float32]
    unseen: dict[str, int]


def columns_of(model: ScoringModel) -> tuple[list[str], list[str]]:
    """Columns that scoring reads, and which of them are categories."""
    contract = model.contract
    names = [contract.id, *(feature.name for feature in contract.inputs)]
    return names, [feature.name for feature in contract.inputs if isinstance(feature, Categorical)]


def check_ids(model: ScoringModel, read: Callable[[], Iterable[pa.RecordBatch]]) -> Digests:
    """Digests of all lead ids, in the table's order.

    Args:
        model: Whose contract names the column.
        read: Reads the column; called again if there are ids to compare.

    Raises:
        TableError: A row has no id, or an id stands in two rows: which of them is true cannot be known.
    """
    return _distinct(model, [id_digests(ids) for ids in _ids(model, read())], read)


def check_leads(
    model: ScoringModel,
    batches: Iterable[pa.RecordBatch],
    read_ids: Callable[[], Iterable[pa.RecordBatch]],
    *,
    threads: int,
) -> Digests:
    """Refuse a table with a lead that cannot be scored; otherwise what `check_ids` returns.

    Args:
        model: Whose contract says what can be scored.
        batches: The table's rows, with `columns_of(model)`.
        read_ids: Reads the column of ids; called if there are ids to compare.
        threads: Threads that read values.

    Raises:
        TableError: A value does not fit the contract, a row has no id, or an id stands in two rows.
    """
    notation = Notation()

    def check(piece: tuple[int, pa.RecordBatch]) -> Digests:
        first_row, batch = piece
        encode_batch(model.contract, batch, first_row=first_row, notation=notation)
        return id_digests(lead_ids(model.contract, batch, first_row=first_row))

    found = list(map_ahead(check, with_first_rows(batches), threads))
    notation.check(model.contract.formats)
    return _distinct(model, found, read_ids)


def _distinct(
    model: ScoringModel, found: list[Digests], read_ids: Callable[[], Iterable[pa.RecordBatch]]
) -> Digests:
    """All digests as one array, if each stands for another lead."""
    digests = np.concatenate(found) if found else np.empty(0, np.int64)
    found.clear()
    ordered = np.sort(digests)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    del ordered
    if len(again):
        # Digests may collide: the ids themselves decide.
        suspects = [ids.filter(pa.array(np.isin(id_digests(ids), again))) for ids in _ids(model, read_ids())]
        counts = pc.value_counts(pa.concat_arrays(suspects))
        twice = sorted(each["values"] for each in counts.to_pylist() if each["counts"] > 1)
        if twice:
            raise TableError(
                f"{len(twice):,} ids of the column {model.contract.id!r} stand in several rows: {twice[0]!r}"
                + (", …." if len(twice) > 1 else "."),
                hint="A lead has one row: remove the older ones.",
            )
    return digests


def _ids(model: ScoringModel, batches: Iterable[pa.RecordBatch]) -> Generator[pa.Array]:
    for first_row, batch in with_first_rows(batches):
        yield lead_ids(model.contract, batch, first_row=first_row)


def score_changed(
    model: ScoringModel,
    claim: BatchClaim,
    batches: Iterable[pa.RecordBatch],
    ids: Digests,
    known: LeadStates | None,
    *,
    threads: int,
) -> Generator[ScoredRows]:
    """Score the leads that are new or have changed, batch by batch.

    Args:
        model: The model.
        claim: What the run is about.
        batches: The table's rows, with `columns_of(model)`.
        ids: Digests of their ids, in the same order.
        known: What the run before knew; None: every lead is scored.
        threads: Threads that encode, score and explain.

    Raises:
        TableError: A value does not fit the contract; names row and column.
    """
    notation = Notation()

    def score(piece: tuple[int, pa.RecordBatch]) -> ScoredRows:
        first_row, batch = piece
        encoded = encode_batch(model.contract, batch, first_row=first_row, notation=notation)
        rows = row_digests(encoded.matrix)
        changed = np.ones(len(rows), np.bool_)
        if known is not None:
            changed = known.changed(ids[first_row - 1 : first_row - 1 + len(rows)], rows)
        leads = lead_ids(model.contract, batch, first_row=first_row).filter(pa.array(changed))
        counts = zip(model.contract.inputs, encoded.unseen.tolist(), strict=True)
        unseen = {feature.name: count for feature, count in counts if count}
        matrix = encoded.matrix[changed]
        return ScoredRows(rows, _scores(model, claim, leads, matrix, rows[changed]), matrix, unseen)

    yield from map_ahead(score, with_first_rows(batches), threads)
    notation.check(model.contract.formats)


def predictions_of(claim: BatchClaim, scored: ScoredRows, rows: int) -> Generator[tuple[Prediction, ...]]:
    """The same scores as the event store logs them, `rows` at a time."""
    names = ("prediction_id", "lead_id", "contract_version", "probability", "score", "grade")
    for start in range(0, scored.scores.num_rows, rows):
        piece = scored.scores.slice(start, rows)
        cells = zip(*(piece.column(name).to_pylist() for name in names), strict=True)
        yield tuple(
            Prediction(
                prediction_id, lead_id, claim.model, claim.version, contract, BATCH_ROLE, claim.at,
                probability, score, grade, features.tobytes(), claim.application, source=BATCH_SOURCE,
            )
            for (prediction_id, lead_id, contract, probability, score, grade), features in zip(
                cells, scored.matrix[start : start + rows], strict=True
            )
        )  # fmt: skip


def _scores(
    model: ScoringModel,
    claim: BatchClaim,
    leads: pa.Array,
    matrix: npt.NDArray[np.float32],
    changed_rows: Digests,
) -> pa.RecordBatch:
    count = len(matrix)
    probabilities = model.score_rows(matrix) if count else np.empty(0)
    codes = model.grades.codes(probabilities)
    schema = SCORES.schema
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(claim.date, pa.date32()), count),
            leads,
            _prediction_ids(claim, leads),
            pa.array(probabilities),
            pa.array(scores_of(probabilities)),
            pa.array(GRADES).take(pa.array(codes)),
            _reasons(model, matrix, np.isin(codes, [GRADES.index(grade) for grade in claim.reasons])),
            pa.repeat(pa.scalar(claim.model), count),
            pa.repeat(pa.scalar(claim.version), count),
            pa.repeat(pa.scalar(contract_version(model.contract)), count),
            pa.array(changed_rows),
            pa.repeat(pa.scalar(claim.at, schema.field("scored_at").type), count),
        ],
        schema=schema,
    )


def _reasons(model: ScoringModel, matrix: npt.NDArray[np.float32], wanted: npt.NDArray[np.bool_]) -> pa.Array:
    """Texts of the strongest reasons of the rows that are wanted, none of the others."""
    texts: list[str] = []
    counts = np.zeros(len(matrix), np.int32)
    for row in np.flatnonzero(wanted):
        found = model.explain_row(matrix[row], _REASONS)
        texts += [reason.text for reason in found]
        counts[row] = len(found)
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(counts, dtype=np.int32)])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(texts, pa.string()))


def _prediction_ids(claim: BatchClaim, leads: pa.Array) -> pa.Array:
    """Ids that the same run gives the same leads each time; of one night side by side in an index.

    The beginning of an id is the time, the rest the SHA-256 of the run's name and the lead's id.
    """
    begun = hashlib.sha256(f"{claim.application}\0".encode())

    def digest_of(lead: bytes) -> bytes:
        said = begun.copy()
        said.update(lead)
        return said.digest()

    digests = b"".join([digest_of(lead) for lead in leads.cast(pa.binary()).to_pylist()])
    kept = np.frombuffer(digests, np.uint8).reshape(-1, begun.digest_size)[:, : _ID_DIGITS // 2]
    time = f"{claim.at // 1000:012x}".encode()
    # One text after the other: what Arrow holds, without a Python string for each.
    width = len(time) + _ID_DIGITS
    letters = np.empty((len(leads), width), np.uint8)
    letters[:, : len(time)] = np.frombuffer(time, np.uint8)
    letters[:, len(time) :] = np.frombuffer(kept.tobytes().hex().encode(), np.uint8).reshape(-1, _ID_DIGITS)
    offsets = np.arange(len(leads) + 1, dtype=np.int32) * np.int32(width)
    return pa.StringArray.from_buffers(len(leads), pa.py_buffer(offsets), pa.py_buffer(letters))
