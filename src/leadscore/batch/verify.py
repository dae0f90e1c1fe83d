"""Making a night again from what its record names, and holding it against what the lake has."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds

from leadscore.batch.records import BatchRecord, list_records
from leadscore.batch.run import score_night
from leadscore.errors import ConflictError, NotFoundError
from leadscore.events.store import EventStore
from leadscore.lake.schemas import SCORES
from leadscore.lake.table import LakeTable, table_uri
from leadscore.registry.model_reference import fetch_model
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home


class NightComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A night made again.

    Attributes:
        record: What is on record about it.
        rows: Scores that were made now.
        stored: Scores that the lake has of it.
        differing: Leads whose rows are not the same in every column, to the last bit, are not as many, or are
            on one side only.
    """

    record: BatchRecord
    rows: int
    stored: int
    differing: int


def verify_night(
    store: EventStore, home: Home, reference: str, day: date, *, threads: int
) -> NightComparison:
    """Score a night again from the table version and the artefact that its record names; nothing is written.

    Args:
        store: Whose records.
        home: Registry, model cache and lake.
        reference: `NAME/7`, or a folder.
        day: Business date.
        threads: Scoring threads.

    Raises:
        NotFoundError: There is no such night, or a version that it names is gone.
        ConflictError: The artefact is not the one that made the night.
        UnavailableError: Registry, store or lake cannot be used.
    """
    name, version, folder = fetch_model(reference, home)
    record = _record_of(store, name, version, day)
    model = ScoringModel.load(folder, threads=1)
    if model.digest != record.claim.digest:
        raise ConflictError(
            f"{reference} is the artefact {model.digest[:12]}; {record.claim.digest[:12]} made the night.",
            hint="Name the version that made it; `leadscore batch status` shows it.",
        )
    _, pieces = score_night(record.claim, model, home, threads)
    made = pa.Table.from_batches((piece.scores for piece in pieces), schema=SCORES.schema)
    c = ds.field
    this = (c("business_date") == day) & (c("model_name") == name) & (c("model_version") == version)
    table = LakeTable(table_uri(home.lake, SCORES.name), SCORES)
    known = pa.Table.from_batches(table.read(None, SCORES.schema.names, where=this), schema=SCORES.schema)
    return NightComparison(
        record=record, rows=made.num_rows, stored=known.num_rows, differing=_differing(made, known)
    )


def _record_of(store: EventStore, name: str, version: str, day: date) -> BatchRecord:
    for record in list_records(store, since=0):
        claim = record.claim
        if (claim.model, claim.version, claim.date) == (name, version, day):
            return record
    raise NotFoundError(
        f"No night of {name}/{version} of {day.isoformat()} has ended.", hint="See `leadscore batch status`."
    )


def _differing(made: pa.Table, known: pa.Table) -> int:
    """How many leads have not the same row on both sides."""
    made, known = (each.sort_by([("lead_id", "ascending")]) for each in (made, known))
    if made.equals(known):
        return 0
    left, right = _rows_by_lead(made), _rows_by_lead(known)
    return sum(left.get(lead) != right.get(lead) for lead in left.keys() | right.keys())


def _rows_by_lead(scores: pa.Table) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for row in scores.to_pylist():
        found.setdefault(row["lead_id"], []).append(row)
    return found
