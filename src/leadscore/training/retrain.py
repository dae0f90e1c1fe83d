"""Claim, run and report a requested retraining once, however often it is started."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from leadscore.contract import FeatureContract
from leadscore.data.tables import read_table
from leadscore.errors import ConflictError, UnavailableError
from leadscore.events.records import Evidence, now_us
from leadscore.events.retraining import RetrainReport
from leadscore.events.store import EventStore
from leadscore.files import temporary_folder
from leadscore.registry.store import ModelRegistry
from leadscore.training.logged import RECORDED_AT, logged_leads
from leadscore.training.nomination import nominate
from leadscore.training.options import TrainOptions
from leadscore.training.pipeline import train
from leadscore.training.progress import Progress

CLAIM: Final = "retrain-claim"
RESULT: Final = "retrain-result"


class RetrainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for.

    Attributes:
        run: Key of the retraining, the same however often it is started.
        attempt: Which start it is; each may be claimed once.
        claimant: Who starts it: a name that no other process has.
        model: Registered name.
        start: First moment of the leads to train on.
        end: First moment after it.
        data: A table to train on; None: the log.
    """

    run: str
    attempt: int
    claimant: str
    model: str
    start: datetime
    end: datetime
    data: Path | None = None


def find_report(store: EventStore, run: str) -> RetrainReport | None:
    """The report of a retraining that has been done already; None if it has not."""
    known = store.evidence(kind=RESULT, subject=run, limit=1)
    return msgspec.json.decode(known[0].document, type=RetrainReport) if known else None


def claim(store: EventStore, request: RetrainRequest) -> None:
    """Claim the retraining before anything is done for it.

    Kubernetes may run a Job's pod twice (kubernetes#62772).

    Raises:
        UnavailableError: Another process has claimed it.
    """
    document = msgspec.json.encode({"claimant": request.claimant, "model": request.model}).decode()
    identity = f"{CLAIM}-{request.run}-{request.attempt}"
    known = store.evidence(kind=CLAIM, subject=f"{request.run}/{request.attempt}", limit=1)
    if known and known[0].document == document:
        return
    item = Evidence(
        evidence_id=identity,
        kind=CLAIM,
        subject=f"{request.run}/{request.attempt}",
        at=now_us(),
        document=document,
    )
    try:
        store.record(item)
    except ConflictError as error:
        raise UnavailableError(
            f"Attempt {request.attempt} of the retraining {request.run} belongs to another process.",
            hint="It reports what comes of it; the next attempt is another one.",
        ) from error


def retrain(
    store: EventStore,
    registry: ModelRegistry,
    contract: FeatureContract,
    request: RetrainRequest,
    options: TrainOptions,
    *,
    scratch: Path,
    progress: Progress | None = None,
) -> RetrainReport:
    """Claim, train, publish as challenger, judge and record; or give the report of the one that did.

    The champion is never moved here: that is a release.

    Raises:
        UnavailableError: Another process has this attempt, or store or registry cannot be reached.
        RefusedError: Too few labelled leads.
        BadInputError: The table does not fit the contract.
    """
    known = find_report(store, request.run)
    if known is not None:
        return known
    claim(store, request)
    if request.data is None:
        table = logged_leads(store, contract, request.model, request.start, request.end)
        # The log dates every outcome, whether the contract has a column for it or not.
        options = dataclasses.replace(options, known_at=contract.target.known_at or RECORDED_AT)
    else:
        table = read_table(request.data)
    with temporary_folder(scratch, ".retraining-") as folder:
        trained = train(table, contract, options, out=folder / "artefact", progress=progress)
        result = nominate(registry, store, trained, promote=False)
    metrics = {
        name: round(figure.value, 6)
        for name, figure in msgspec.structs.asdict(trained.evidence.metrics).items()
        if figure is not None and name in {"auc", "average_precision", "brier", "ece"}
    }
    report = RetrainReport(
        model=request.model,
        version=result.version.version,
        digest=result.version.digest,
        passed=result.verdict.passed,
        summary=result.verdict.summary,
        champion=None if result.champion is None else result.champion.version,
        metrics=metrics,
    )
    return _record(store, request, report)


def _record(store: EventStore, request: RetrainRequest, report: RetrainReport) -> RetrainReport:
    item = Evidence(
        evidence_id=f"{RESULT}-{request.run}",
        kind=RESULT,
        subject=request.run,
        at=now_us(),
        document=msgspec.json.encode(report).decode(),
    )
    try:
        store.record(item)
    except ConflictError:
        # Another attempt was faster; the first report counts.
        return find_report(store, request.run) or report
    return report
