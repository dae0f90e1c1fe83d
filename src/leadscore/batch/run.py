"""A nightly run from beginning to end; whoever runs it again after a kill goes on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa

from leadscore.batch.digests import Digests, LeadStates
from leadscore.batch.records import (
    BatchClaim,
    BatchRecord,
    batch_subject,
    claim_run,
    find_claim,
    find_record,
    list_claims,
    save_record,
)
from leadscore.batch.scoring import (
    ScoredRows,
    check_ids,
    check_leads,
    columns_of,
    predictions_of,
    score_changed,
)
from leadscore.errors import ConflictError, NotFoundError, TableError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.lake.schemas import LEAD_STATES, SCORES
from leadscore.lake.table import LakeTable, TableCommit, locate, table_uri
from leadscore.registry.model_reference import fetch_model
from leadscore.revision import code_revision
from leadscore.scoring.grades import GRADES
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

_LOG_ROWS: Final = 10_000
_STATE_ROWS: Final = 131_072
# Each business date and model version is committed once to each table.
_ONCE: Final = 1
# Claims of earlier nights that are looked at for the version of the leads which they read.
_REMEMBERED_US: Final = 35 * 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What to score.

    Attributes:
        date: Business date.
        model: `NAME`, `NAME@alias` or `NAME/7`.
        leads: Delta table of leads: folder or URL.
        everything: Score also what has not changed.
        reasons: Grades whose leads get reasons.
        threads: Scoring threads.
    """

    date: date
    model: str
    leads: str
    everything: bool = False
    reasons: Sequence[str] = GRADES
    threads: int = 2


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a call of `run_batch` did.

    Attributes:
        record: What is on record about the run.
        repeated: It had ended before; nothing was done now.
    """

    record: BatchRecord
    repeated: bool


def run_batch(
    request: BatchRequest,
    home: Home,
    store: EventStore,
    *,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> BatchResult:
    """Score a date's leads into the lake and the event store, unless that has been done.

    The predictions go to the event store first (their ids make repeating harmless), then the scores are one
    commit, then the record says that the run has ended.

    Args:
        request: What to score.
        home: Registry, model cache and lake.
        store: The event store.
        progress: Called with how many rows have been seen, and of how many.

    Raises:
        NotFoundError: There is no such model or table.
        TableError: The table has not the contract's columns, a value does not fit, or an id is missing or
            stands in two rows. Nothing was claimed: the date can be run again when the table is mended.
        ConflictError: The run was claimed for another table or artefact.
        UnavailableError: Registry, store or lake cannot be used. Run it again.
    """
    name, version, folder = fetch_model(request.model, home)
    subject = batch_subject(name, version, request.date)
    done = find_record(store, subject)
    if done is not None:
        return BatchResult(done, repeated=True)
    model = ScoringModel.load(folder, threads=1)
    states = _states_of(home, name, version)
    claim, checked = find_claim(store, subject), None
    if claim is None:
        leads = locate(request.leads)
        wanted = new_claim(
            request,
            store,
            name=name,
            version=version,
            digest=model.digest,
            leads=leads,
            leads_version=LakeTable(leads).version(),
            states_version=None if request.everything else states.version(),
        )
        # Before it is claimed: a claim pins the table's version, and this may be one that cannot be scored.
        found = _check_leads(wanted, model, request.threads)
        claim = claim_run(store, wanted)
        # Whoever claimed it first may have pinned another version.
        checked = found if claim == wanted else None
    check_claim(claim, locate(request.leads), model.digest)
    ids, pieces = score_night(claim, model, home, request.threads, checked)
    return BatchResult(_carry_out(claim, home, store, ids, pieces, progress), repeated=False)


def _check_leads(claim: BatchClaim, model: ScoringModel, threads: int) -> Digests:
    """Refuse a table whose columns, ids or values cannot be scored; returns the digests of its ids."""
    leads = LakeTable(claim.leads)
    names, texts = columns_of(model)
    batches = leads.read(claim.leads_version, names, dictionary=texts)
    ids = check_leads(model, batches, _id_reader(claim, model), threads=threads)
    if not len(ids):
        raise TableError(
            f"The table {claim.leads} has no leads.",
            hint="Does its job write it anew just now? Run it again when it has rows.",
        )
    return ids


def _id_reader(claim: BatchClaim, model: ScoringModel) -> Callable[[], Iterable[pa.RecordBatch]]:
    return partial(LakeTable(claim.leads).read, claim.leads_version, [model.contract.id])


def _states_of(home: Home, name: str, version: str) -> LakeTable:
    return LakeTable(table_uri(home.lake, f"{LEAD_STATES.name}/{name}/{version}"), LEAD_STATES)


def new_claim(
    request: BatchRequest,
    store: EventStore,
    *,
    name: str,
    version: str,
    digest: str,
    leads: str,
    leads_version: int | None,
    states_version: int | None,
) -> BatchClaim:
    """What a run of these pins, if nobody has claimed it.

    Args:
        request: What to score.
        store: Whose claims say since when nobody has written to the table.
        name: Model.
        version: Model version.
        digest: Of its artefact.
        leads: Table of leads.
        leads_version: Its newest version; None: there is no such table.
        states_version: Newest version of the lead states; None: all leads are scored.

    Raises:
        NotFoundError: There is no such table.
        UnavailableError: The store cannot be used.
    """
    if leads_version is None:
        raise NotFoundError(
            f"There is no Delta table of leads at {leads}.",
            hint="`--leads` names its folder or URL; on Spark also a table of the catalog (SCHEMA.TABLE).",
        )
    now = now_us()
    same = [
        claim.date
        for claim in list_claims(store, since=now - _REMEMBERED_US)
        if claim.model == name
        and claim.date < request.date
        and claim.leads == leads
        and claim.leads_version == leads_version
    ]
    return BatchClaim(
        date=request.date,
        model=name,
        version=version,
        digest=digest,
        leads=leads,
        leads_version=leads_version,
        states_version=states_version,
        reasons=tuple(request.reasons),
        at=now,
        unchanged_since=min(same, default=None),
    )


def check_claim(claim: BatchClaim, leads: str, digest: str) -> None:
    """Refuse to go on with a run from another table of leads, or with another artefact."""
    if claim.leads != leads or claim.digest != digest:
        raise ConflictError(
            f"The run {claim.subject} was begun with {claim.leads} and the artefact {claim.digest[:12]}.",
            hint="End it with the same table and model; another table is another model's or date's run.",
        )


def score_night(
    claim: BatchClaim, model: ScoringModel, home: Home, threads: int, ids: Digests | None = None
) -> tuple[Digests, Generator[ScoredRows]]:
    """Score what a claim pins: digests of all lead ids, and the table's rows as they are scored.

    Args:
        claim: What is scored.
        model: By what.
        home: The lake.
        threads: Scoring threads.
        ids: Digests of the ids of the claimed version, if they have been checked; None: they are read.

    Raises:
        NotFoundError: A version that the claim names is gone.
        TableError: The table has not the contract's columns or types, an id is missing or stands in two rows.
        UnavailableError: The lake cannot be read.
    """
    leads, states = LakeTable(claim.leads), _states_of(home, claim.model, claim.version)
    names, texts = columns_of(model)
    ids = check_ids(model, _id_reader(claim, model)) if ids is None else ids
    known = None if claim.states_version is None else _read_states(states, claim.states_version)
    read = leads.read(claim.leads_version, names, dictionary=texts)
    return ids, score_changed(model, claim, read, ids, known, threads=threads)


def _carry_out(
    claim: BatchClaim,
    home: Home,
    store: EventStore,
    ids: Digests,
    pieces: Iterable[ScoredRows],
    progress: Callable[[int, int], None],
) -> BatchRecord:
    rows = np.empty(len(ids), np.int64)
    grades: dict[str, int] = dict.fromkeys(GRADES, 0)
    unseen = Counter[str]()
    scored = 0

    def batches() -> Generator[pa.RecordBatch]:
        nonlocal scored
        seen = 0
        for piece in pieces:
            _log(store, claim, piece)
            rows[seen : seen + len(piece.rows)] = piece.rows
            seen += len(piece.rows)
            scored += piece.scores.num_rows
            unseen.update(piece.unseen)
            for each in piece.scores.column("grade").value_counts().to_pylist():
                grades[each["values"]] += each["counts"]
            progress(seen, len(ids))
            yield piece.scores

    commit = _commit(home, claim, batches())
    _keep_states(_states_of(home, claim.model, claim.version), claim, ids, rows)
    record = BatchRecord(
        claim=claim,
        leads=len(ids),
        scored=scored,
        grades=grades,
        scores_version=commit.version,
        code=code_revision(),
        unseen=dict(unseen),
    )
    return save_record(store, record)


def _log(store: EventStore, claim: BatchClaim, piece: ScoredRows) -> None:
    for predictions in predictions_of(claim, piece, _LOG_ROWS):
        store.append(predictions, ())


def _commit(home: Home, claim: BatchClaim, batches: Iterable[pa.RecordBatch]) -> TableCommit:
    scores = LakeTable(table_uri(home.lake, SCORES.name), SCORES)
    commit = scores.write(batches, application=claim.application, number=_ONCE)
    if commit.repeated:
        # Committed by whoever was killed after it: what is left to do needs the digests and the counts.
        for _ in batches:
            pass
    return commit


def _keep_states(states: LakeTable, claim: BatchClaim, ids: Digests, rows: Digests) -> None:
    def batches() -> Generator[pa.RecordBatch]:
        for start in range(0, len(ids), _STATE_ROWS):
            piece = slice(start, start + _STATE_ROWS)
            yield pa.RecordBatch.from_arrays(
                [pa.array(ids[piece]), pa.array(rows[piece])], schema=LEAD_STATES.schema
            )

    states.write(batches(), application=claim.application, number=_ONCE, mode="overwrite")


def _read_states(states: LakeTable, version: int) -> LeadStates:
    ids: list[Digests] = []
    rows: list[Digests] = []
    for batch in states.read(version, LEAD_STATES.schema.names):
        ids.append(batch.column("id_digest").to_numpy())
        rows.append(batch.column("row_digest").to_numpy())
    return LeadStates.of(ids, rows)
