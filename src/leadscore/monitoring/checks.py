"""Run a check: find model, leads and the detector's memory, and record the results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from leadscore.drift.options import DriftOptions
from leadscore.events.store import EventStore
from leadscore.monitoring.detector import DetectorRun
from leadscore.monitoring.files import write_file
from leadscore.monitoring.records import DriftRecord, read_history
from leadscore.monitoring.references import grading, load_baseline, load_reference
from leadscore.monitoring.windows import StoredWindows, TableWindows
from leadscore.registry.model_reference import fetch_model
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What is asked for.

    Attributes:
        model: `NAME`, `NAME@champion`, `NAME/7` or an artefact folder.
        options: How windows are judged.
        span: Length of a window.
        detector: Name under which records are kept.
        until: End of the last window; None: the last whole one.
        count: Windows up to there, at most.
        warm_up: Span before the first window that a new detector learns; None: it learns nothing.
        data: A table whose leads are judged instead of those in the event store.
        history: With `data`: file of the detector's memory.
    """

    model: str
    options: DriftOptions
    span: timedelta
    detector: str
    until: datetime | None = None
    count: int = 1
    warm_up: timedelta | None = None
    data: Path | None = None
    history: Path | None = None


def run_check(request: CheckRequest, home: Home, events_url: str | None = None) -> list[DriftRecord]:
    """Judge the windows that are due, oldest first, and keep what was judged.

    Args:
        request: What is asked for.
        home: Where models are.
        events_url: Of the event store; None: the home's.

    Raises:
        NotFoundError: There is no such model.
        BadInputError: The options do not fit the model or its leads.
        UnavailableError: Registry, store or file cannot be read or written.
    """
    name, version, folder = fetch_model(request.model, home)
    scorer = ScoringModel.load(folder)
    reference = load_reference(name, version, folder, scorer)
    outcomes = {"performance", "cbpe"} & set(request.options.methods)
    baseline = load_baseline(folder) if outcomes else None
    asked = (request.options, request.span, request.detector)
    grade = grading(scorer)
    if request.data is not None:
        run = DetectorRun(
            reference, TableWindows(request.data, reference, scorer), *asked, grade=grade, baseline=baseline
        )
        history = None if request.history is None else read_history(request.history, reference.model)
        judged = run.judge(history, request.until, request.count, request.warm_up)
        if request.history is not None:
            write_file(request.history, judged[-1].history.to_json())
        return judged
    with EventStore(events_url or home.events_url) as store:
        run = DetectorRun(reference, StoredWindows(store, reference), *asked, grade=grade, baseline=baseline)
        return run.judge_stored(store, request.until, request.count, request.warm_up)
