"""Log a table of past leads as if the model had scored them when they came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, cast

import msgspec
import numpy as np
import pyarrow as pa

from leadscore.contract import contract_version
from leadscore.data.matrix import encode_table, lead_ids, matrix_times, values
from leadscore.errors import BadInputError
from leadscore.events.records import BACKFILL_SOURCE, Outcome, Prediction, outcome_id_of
from leadscore.events.store import Appended, EventStore
from leadscore.scoring.grades import GRADES, scores_of
from leadscore.scoring.model import ScoringModel
from leadscore.training.leads import label_state
from leadscore.training.window import utc_moment

# Stands in `request_id`, so that what was written afterwards can be told from what answered a caller.
BACKFILL: Final = "backfill"
_ROLE: Final = "champion"
_BATCH: Final = 10_000


def backfill(
    store: EventStore,
    model: ScoringModel,
    name: str,
    version: int,
    table: pa.Table,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Appended:
    """Log the table's leads as scored by a model at their creation, with the outcomes that are known.

    So a system with older leads can be retrained, replayed and watched from the first day. Ids are made from
    model, lead and time: the same table again adds nothing. An outcome counts as told when the contract's
    `target.known_at` says, without such a column when the lead was created. Warnings are not kept.

    Args:
        store: Where to.
        model: The version that counts as having scored them.
        name: Its registered name.
        version: Its version.
        table: Leads with the contract's columns, outcomes among them.
        since: Leave older leads out; None takes all.
        until: Leave out leads from then on; None means now.

    Returns:
        How many predictions and outcomes were new.

    Raises:
        BadInputError: The contract has no time column, or no lead is left.
        TableError: The table does not fit the contract.
        UnavailableError: The store cannot be reached.
    """
    contract = model.contract
    if contract.time is None:
        raise BadInputError(
            f"The contract {contract.name!r} has no time column: when its leads were scored cannot be told.",
            hint="Set `time` in the contract.",
        )
    created = matrix_times(contract, table)
    inside = created < utc_moment(until or datetime.now(UTC))
    if since is not None:
        inside &= created >= utc_moment(since)
    table = table.filter(pa.array(inside))
    if not table.num_rows:
        raise BadInputError("The table has no lead of that time to log.", hint="Take an earlier --since.")
    # Old leads are logged even if they lack a field that the contract requires by now.
    lenient = msgspec.structs.replace(
        contract, features=tuple(msgspec.structs.replace(f, required=False) for f in contract.features)
    )
    matrix = encode_table(lenient, table)
    probabilities = model.score_rows(matrix)
    scored_at = matrix_times(contract, table).astype(np.int64).tolist()
    ids = cast("list[str]", lead_ids(contract, table).to_pylist())
    known = [
        hashlib.sha256(f"{name}/{version}\0{lead}\0{at}".encode()).hexdigest()[:32]
        for lead, at in zip(ids, scored_at, strict=True)
    ]
    grades = model.grades.codes(probabilities).tolist()
    scores = scores_of(probabilities).tolist()
    hashed = contract_version(contract)
    predictions = [
        Prediction(
            known[i], ids[i], name, str(version), hashed, _ROLE, scored_at[i], p, scores[i],
            GRADES[grades[i]], matrix[i].tobytes(), BACKFILL, source=BACKFILL_SOURCE,
        )
        for i, p in enumerate(probabilities.tolist())
    ]  # fmt: skip
    outcomes = list(_outcomes(model, table, ids, known, scored_at))
    new = [
        store.append(predictions[i : i + _BATCH], outcomes[i : i + _BATCH])
        for i in range(0, len(predictions), _BATCH)
    ]
    return Appended(
        predictions=sum(batch.predictions for batch in new), outcomes=sum(batch.outcomes for batch in new)
    )


def _outcomes(
    model: ScoringModel, table: pa.Table, ids: list[str], known: list[str], scored_at: list[int]
) -> Iterator[Outcome]:
    contract = model.contract
    converted, told = label_state(contract, table, None)
    revenue = np.full(len(ids), np.nan) if contract.value is None else values(contract, table)
    for i in np.flatnonzero(~np.isnan(converted)).tolist():
        at = scored_at[i] if told is None or np.isnat(told[i]) else int(told[i].astype(np.int64))
        hit, value = bool(converted[i]), None if np.isnan(revenue[i]) else float(revenue[i])
        identity = outcome_id_of(ids[i], known[i], hit, value, at, at)
        yield Outcome(identity, ids[i], known[i], hit, value, at, at, BACKFILL)
