"""Run a watch: find model, stream and memory, and return the report."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from leadscore.drift.report.document import DriftReport
from leadscore.drift.verdict import as_utc
from leadscore.drift.watch.design import ChartBaseline
from leadscore.events.store import EventStore
from leadscore.monitoring.references import grading, load_outcomes, load_reference
from leadscore.monitoring.stream_memory import FileMemory, NoMemory, StoredMemory
from leadscore.monitoring.stream_monitor import StreamMonitor, StreamProgress, WatchRequest
from leadscore.monitoring.streams import StoredStream, TableStream
from leadscore.registry.model_reference import fetch_model
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home


def run_watch(
    model: str,
    request: WatchRequest,
    home: Home,
    *,
    data: Path | None = None,
    state: Path | None = None,
    events_url: str | None = None,
    progress: StreamProgress | None = None,
) -> DriftReport:
    """Follow a model's leads from where the last watch of this name ended.

    Args:
        model: `NAME`, `NAME@champion`, `NAME/7` or an artefact folder.
        request: What is asked for; `until` of a table that ends earlier is the table's end.
        home: Where models are, and charts of what is not followed in the event store.
        data: A table whose leads are followed instead of those in the event store.
        state: File that says how far it came, instead of the event store.
        events_url: Of the event store; None: the home's.
        progress: Who is told how it goes on.

    Raises:
        NotFoundError: There is no such model.
        BadInputError: The charts cannot be designed from its reference, or what is kept is damaged.
        UnavailableError: Registry, store or file cannot be read or written.
    """
    progress = progress or StreamProgress()
    name, version, folder = fetch_model(model, home)
    scorer = ScoringModel.load(folder)
    reference = load_reference(name, version, folder, scorer)
    sample = reference.sample
    baseline = ChartBaseline(
        scorer.profile,
        sample,
        None if sample is None else scorer.score_rows(sample),
        load_outcomes(folder, scorer.contract) if request.outcomes else None,
    )
    charts = home.root / "charts"
    with ExitStack() as opened:
        memory = NoMemory(charts, progress.say) if state is None else FileMemory(state, charts, progress.say)
        if data is not None:
            stream = TableStream(data, scorer)
            request = replace(request, until=min(request.until, as_utc(stream.end)))
        else:
            store = opened.enter_context(EventStore(events_url or home.events_url))
            stream = StoredStream(store, scorer.contract, (name, version))
            if state is None:
                memory = StoredMemory(store, reference.model, request.detector, progress.say)
        monitor = StreamMonitor(
            request, reference, baseline, stream, memory, grade=grading(scorer), progress=progress
        )
        return monitor.run()
