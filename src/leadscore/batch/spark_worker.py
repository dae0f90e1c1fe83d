"""What the nightly run does in Spark's Python workers: leads of a partition in, scores out.

A worker is a process that lives longer than a task. It reads the model once, from the archive that the driver
gave to the job, and takes it only if it is the artefact that the run has claimed.
"""

# pyspark is installed where there is Spark, not in this project's own environment.
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from leadscore.batch.digests import id_digests
from leadscore.batch.records import BatchClaim
from leadscore.batch.scoring import predictions_of, score_changed
from leadscore.contract import FeatureContract
from leadscore.data.ahead import with_first_rows
from leadscore.data.matrix import encode_batch, lead_ids
from leadscore.errors import ArtefactError, LeadScoreError, TableError
from leadscore.events.store import EventStore
from leadscore.scoring.model import ScoringModel

# Marks, in what Spark says of a task that failed, the sentence that it failed with.
MARK: Final = "leadscore-said:"
# Batches are read ahead of the one that is scored (`map_ahead`).
_READ_AHEAD: Final = 8
_ROW: Final = re.compile(r"row (\d+) \(the first row of data is row 1\)")

Batches = Iterable[pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class SparkWork:
    """What each worker of a run is told.

    Attributes:
        claim: What the run is about.
        archive: Name of the unpacked model among the files of the job.
        events_url: Event store that predictions go to; None: they are not logged.
    """

    claim: BatchClaim
    archive: str
    events_url: str | None


def score_partition(work: SparkWork, batches: Batches) -> Generator[pa.RecordBatch]:
    """Scores of the leads, as the table of scores has them; their predictions go to the event store first."""
    with _told():
        model = _model(_folder(work.archive), work.claim.digest)
        store = None if work.events_url is None else _store(work.events_url)
        recent: deque[tuple[int, pa.RecordBatch]] = deque(maxlen=_READ_AHEAD)
        with _naming_lead(model.contract, recent):
            for piece in score_changed(
                model, work.claim, _kept(batches, recent), np.empty(0, np.int64), None, threads=1
            ):
                if store is not None:
                    for predictions in predictions_of(work.claim, piece, piece.scores.num_rows):
                        store.append(predictions, ())
                yield piece.scores


def check_rows(contract: FeatureContract, batches: Batches) -> Generator[pa.RecordBatch]:
    """Digests of the ids of leads (column `id_digest`), after each id and value was checked."""
    with _told():
        for batch in batches:
            with _naming_lead(contract, [(1, batch)]):
                encode_batch(contract, batch)
                digests = id_digests(lead_ids(contract, batch))
            yield pa.RecordBatch.from_arrays([pa.array(digests)], names=["id_digest"])


def read_lead_ids(contract: FeatureContract, batches: Batches) -> Generator[pa.RecordBatch]:
    """Ids of leads as text (column `lead_id`)."""
    for batch in batches:
        yield pa.RecordBatch.from_arrays([lead_ids(contract, batch)], names=["lead_id"])


def states_of_scores(batches: Batches) -> Generator[pa.RecordBatch]:
    """What the next run compares leads with, of rows of scores (`lead_id`, `row_digest`)."""
    for batch in batches:
        digests = pa.array(id_digests(batch.column("lead_id")))
        yield pa.RecordBatch.from_arrays(
            [digests, batch.column("row_digest")], names=["id_digest", "row_digest"]
        )


def said_by_worker(text: str) -> LeadScoreError | None:
    """The error that a worker has ended a task with, found in what Spark says; None: none of ours."""
    found = re.search(re.escape(MARK) + r"(\{.*\})", text)
    if found is None:
        return None
    said = json.loads(found[1])
    kind = next((each for each in (TableError, ArtefactError) if each.__name__ == said["kind"]), None)
    if kind is None:
        return None
    return kind(said["message"], hint=said["hint"])


@contextmanager
def _told() -> Generator[None]:
    """Errors of ours in a form that reaches the driver, which is only given the text of an exception."""
    try:
        yield
    except LeadScoreError as error:
        said = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
        raise RuntimeError(MARK + json.dumps(said)) from error


def _kept(batches: Batches, recent: deque[tuple[int, pa.RecordBatch]]) -> Generator[pa.RecordBatch]:
    for first_row, batch in with_first_rows(batches):
        recent.append((first_row, batch))
        yield batch


@contextmanager
def _naming_lead(contract: FeatureContract, recent: Iterable[tuple[int, pa.RecordBatch]]) -> Generator[None]:
    """Say whose value it is: rows have no order in Spark, so a row's number tells nobody anything."""
    try:
        yield
    except TableError as error:
        found = _ROW.search(error.message)
        row = 0 if found is None else int(found[1])
        for first_row, batch in recent:
            if first_row <= row < first_row + batch.num_rows:
                lead = batch.column(contract.id)[row - first_row].as_py()
                message = error.message.replace(
                    f"row {row} (the first row of data is row 1)", f"lead {lead!r}"
                )
                raise TableError(message, hint=error.hint) from error
        raise


def _folder(archive: str) -> Path:
    from pyspark import SparkFiles  # noqa: PLC0415

    return Path(SparkFiles.get(archive))


@lru_cache(maxsize=1)
def _model(folder: Path, digest: str) -> ScoringModel:
    model = ScoringModel.load(folder, threads=1)
    if model.digest != digest:
        raise ArtefactError(
            f"The workers were given the artefact {model.digest[:12]}, the run has claimed {digest[:12]}.",
            hint="Start the run again in a new Spark session.",
        )
    return model


@lru_cache(maxsize=1)
def _store(url: str) -> EventStore:
    return EventStore(url)
