"""The state of a worker with a loaded model: everything that answering a request needs."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from leadscore.contract.lead import LeadWarning
from leadscore.errors import NotFoundError, UnavailableError
from leadscore.events.records import API_SOURCE, Outcome, Prediction
from leadscore.events.spool import SpoolWriter
from leadscore.scoring.grades import Grade
from leadscore.scoring.model import ScoringModel
from leadscore_service.bulk_executor import MAX_WAITING, BodyRoom, BulkExecutor
from leadscore_service.http import Request
from leadscore_service.idempotency import ReplyStore
from leadscore_service.ids import PredictionIds
from leadscore_service.metrics_bins import BinCounts
from leadscore_service.metrics_export import ServedModel
from leadscore_service.metrics_layout import CounterLayout, Counters
from leadscore_service.metrics_store import CounterFile
from leadscore_service.settings import Settings
from leadscore_service.telemetry import Telemetry, open_telemetry
from leadscore_service.version import served_version

_log = logging.getLogger(__name__)

_WARM_UP_ROUNDS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """One loaded model with its spool, counters and remembered replies.

    Attributes:
        settings: As read from the environment.
        model: The verified model.
        about: Its identity, as replies and metrics show it.
        ids: Of predictions.
        layout: Of the counters.
        counter_file: This worker's counters, and the sum of all workers'.
        counters: The same, for the hot path.
        bins: Live counts in the reference profile's bins.
        spool: Where every prediction and outcome goes before its reply.
        replies: Remembered by `Idempotency-Key`.
        remembering: The one thread that talks to `replies`.
        room: For bodies that are on their way.
        heavy: The one thread for bulk requests and LIME: single leads keep their latency.
        telemetry: None: no tracing.
    """

    settings: Settings
    model: ScoringModel
    about: ServedModel
    ids: PredictionIds
    layout: CounterLayout
    counter_file: CounterFile
    counters: Counters
    bins: BinCounts
    spool: SpoolWriter
    replies: ReplyStore
    remembering: ThreadPoolExecutor
    room: BodyRoom
    heavy: BulkExecutor
    telemetry: Telemetry | None

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Load, verify and warm up the model; claim a spool and a counter file.

        Raises:
            LeadScoreError: The model is not there or not what it should be, its version is not sure, or
                the spool's disk cannot be used.
        """
        directory = _model_directory(settings)
        version = served_version(settings, directory)
        model = ScoringModel.load(directory, threads=settings.threads)
        about = ServedModel(
            name=model.manifest.name,
            version=version or model.digest[:12],
            contract_version=model.manifest.contract_version,
            backend=model.kernel.backend,
            pod_template_hash=settings.pod_template_hash,
            profile=model.profile,
        )
        identity = f"{about.name}/{about.version}/{model.digest}"
        layout = CounterLayout.of(model.profile, identity)
        with ExitStack() as undo:
            counter_file = CounterFile(settings.spool_dir / "counters", layout)
            undo.callback(counter_file.close)
            spool = undo.enter_context(
                SpoolWriter(
                    settings.spool_dir,
                    max_bytes=settings.spool_max_bytes,
                    segment_bytes=min(settings.spool_segment_bytes, settings.spool_max_bytes // 2),
                    on_full=settings.spool_on_full,
                    fsync=settings.spool_fsync,
                )
            )
            replies = ReplyStore(
                settings.spool_dir / "replies.db",
                ttl_s=settings.idempotency_ttl_s,
                max_bytes=settings.idempotency_max_bytes,
            )
            undo.pop_all()
        _warm_up(model)
        counter_file.counters.add("worker_starts")
        return cls(
            settings=settings,
            model=model,
            about=about,
            ids=PredictionIds(),
            layout=layout,
            counter_file=counter_file,
            counters=counter_file.counters,
            bins=BinCounts(model.profile, model.grades, layout, counter_file.cells),
            spool=spool,
            replies=replies,
            remembering=ThreadPoolExecutor(1, thread_name_prefix="replies"),
            room=BodyRoom(MAX_WAITING * settings.max_body_bytes),
            heavy=BulkExecutor(),
            telemetry=open_telemetry(settings, about.name, about.version),
        )

    def prediction(
        self,
        request: Request,
        prediction_id: str,
        lead_id: str,
        score: tuple[float, float, Grade],
        features: bytes,
        warnings: tuple[LeadWarning, ...],
    ) -> Prediction:
        """What the event log keeps of one scored lead, however it came.

        Args:
            request: Brought the lead.
            prediction_id: New, or derived from the request's idempotency key.
            lead_id: The caller's.
            score: Probability, score 0 to 100, grade.
            features: The encoded row.
            warnings: Kept as `field:reason`.
        """
        about = self.about
        return Prediction(
            prediction_id,
            lead_id,
            about.name,
            about.version,
            about.contract_version,
            self.settings.role,
            request.now_ns // 1000,
            *score,
            features,
            request.request_id,
            tuple(f"{warning.field}:{warning.reason}" for warning in warnings) if warnings else (),
            request.latency_us(),
            API_SOURCE,
            request.caller,
        )

    def log_prediction(self, prediction: Prediction) -> None:
        """Put a prediction on the spool, or raise so that its reply is never sent (unless told to drop).

        Raises:
            UnavailableError: The spool is full or its disk fails.
        """
        try:
            if not self.spool.append_prediction(prediction):
                self.counters.add("spool_dropped")
        except UnavailableError:
            self.counters.add("spool_refused")
            raise

    async def log_predictions(self, predictions: list[Prediction]) -> None:
        """Put predictions on the spool; more than one off the event loop. Raises as `log_prediction` does."""
        if len(predictions) == 1:
            self.log_prediction(predictions[0])
            return
        append = self.spool.append_prediction
        try:
            dropped = await self.heavy.run(lambda: sum(not append(prediction) for prediction in predictions))
        except UnavailableError:
            self.counters.add("spool_refused")
            raise
        self.counters.add("spool_dropped", dropped)

    def log_outcome(self, outcome: Outcome) -> None:
        """Put an outcome on the spool; UnavailableError if it cannot be taken."""
        try:
            self.spool.append_outcome(outcome)
        except UnavailableError:
            self.counters.add("spool_refused")
            raise
        self.counters.add("outcomes_accepted")

    def close(self) -> None:
        """Finish threads, counters and spool."""
        self.heavy.close()
        self.remembering.shutdown()
        self.bins.flush()
        self.replies.close()
        self.spool.close()
        self.counter_file.close()
        if self.telemetry is not None:
            self.telemetry.close()


def _model_directory(settings: Settings) -> Path:
    if settings.model_dir is not None:
        if not settings.model_dir.is_dir():
            raise NotFoundError(
                f"There is no model folder {settings.model_dir}.", hint="Check LEADSCORE_MODEL_DIR."
            )
        return settings.model_dir
    if not settings.model_ref:
        raise NotFoundError(
            "No model is named.", hint="Set LEADSCORE_MODEL (NAME@champion, NAME/7) or LEADSCORE_MODEL_DIR."
        )
    # Imported only if something is to be fetched; a pinned version in the cache needs no registry.
    from leadscore.registry.store import ModelRegistry  # noqa: PLC0415

    return ModelRegistry(settings.home).fetch(settings.model_ref)


def _warm_up(model: ScoringModel) -> None:
    """Warm the hot path up, so that the first caller does not wait for it."""
    row = np.full(len(model.contract.inputs), np.nan, dtype=np.float32)
    started = time.perf_counter()
    for _ in range(_WARM_UP_ROUNDS):
        model.score_row(row)
        model.explain_row(row, 3)
    model.score_rows(np.repeat(row[None, :], 64, axis=0))
    _log.info("model warm", extra={"fields": {"ms": round(1000 * (time.perf_counter() - started), 1)}})
