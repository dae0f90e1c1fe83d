"""Leads of a table as scores: which have changed, what the model says of them, and why."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final, cast

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
        predictions: The same for the event store.
    """

    rows: Digests
    scores: pa.RecordBatch
    predictions: tuple[Prediction, ...]


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
    found = [id_digests(ids) for ids in _ids(model, read())]
    digests = np.concatenate(found) if found else np.empty(0, np.int64)
    ordered = np.sort(digests)
    again = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(again):
        # Digests may collide: the ids themselves decide.
        suspects = [ids.filter(pa.array(np.isin(id_digests(ids), again))) for ids in _ids(model, read())]
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
        return _scored(model, claim, rows, leads, encoded.matrix[changed], rows[changed])

    yield from map_ahead(score, with_first_rows(batches), threads)
    notation.check(model.contract.formats)


def _scored(
    model: ScoringModel,
    claim: BatchClaim,
    rows: Digests,
    leads: pa.Array,
    matrix: npt.NDArray[np.float32],
    changed_rows: Digests,
) -> ScoredRows:
    count = len(matrix)
    probabilities = model.score_rows(matrix) if count else np.empty(0)
    codes = model.grades.codes(probabilities)
    grades = [GRADES[code] for code in codes.tolist()]
    scores = scores_of(probabilities)
    texts = cast("list[str]", leads.to_pylist())
    known = [_prediction_id(claim, lead) for lead in texts]
    hashed = contract_version(model.contract)
    wanted = frozenset(claim.reasons)
    reasons = [
        [reason.text for reason in model.explain_row(matrix[i], _REASONS)] if grade in wanted else []
        for i, grade in enumerate(grades)
    ]
    predictions = tuple(
        Prediction(
            known[i], texts[i], claim.model, claim.version, hashed, BATCH_ROLE, claim.at, p, score, grades[i],
            matrix[i].tobytes(), claim.application, source=BATCH_SOURCE,
        )
        for i, (p, score) in enumerate(zip(probabilities.tolist(), scores.tolist(), strict=True))
    )  # fmt: skip
    schema = SCORES.schema
    return ScoredRows(
        rows,
        pa.RecordBatch.from_arrays(
            [
                pa.repeat(pa.scalar(claim.date, pa.date32()), count),
                leads,
                pa.array(known, pa.string()),
                pa.array(probabilities),
                pa.array(scores),
                pa.array(grades, pa.string()),
                pa.array(reasons, pa.list_(pa.string())),
                pa.repeat(pa.scalar(claim.model), count),
                pa.repeat(pa.scalar(claim.version), count),
                pa.repeat(pa.scalar(hashed), count),
                pa.array(changed_rows),
                pa.repeat(pa.scalar(claim.at, schema.field("scored_at").type), count),
            ],
            schema=schema,
        ),
        predictions,
    )


def _prediction_id(claim: BatchClaim, lead: str) -> str:
    """An id that the same run gives the same lead each time; of one night side by side in an index."""
    said = f"{claim.application}\0{lead}".encode()
    return f"{claim.at // 1000:012x}" + hashlib.sha256(said).hexdigest()[:_ID_DIGITS]
