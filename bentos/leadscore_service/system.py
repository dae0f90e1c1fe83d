"""Endpoints about the service itself: `/`, `/livez`, `/readyz`, `/metrics`, `/openapi.json`."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from leadscore import __version__
from leadscore.errors import UnavailableError
from leadscore.events.health import read_health
from leadscore.events.segments import list_segments
from leadscore_service.engine import Engine
from leadscore_service.http import JSON, Reply
from leadscore_service.metrics_export import CONTENT_TYPE, Gauges, render
from leadscore_service.metrics_layout import ENDPOINTS
from leadscore_service.replies import Index, Liveness, Readiness
from leadscore_service.worker import Worker

_encode = msgspec.json.Encoder().encode
_ALIVE = _encode(Liveness("alive"))
_INDEX = _encode(
    Index("lead-scoring", __version__, tuple(e for e in ENDPOINTS if e != "other"), "/openapi.json")
)


def index(worker: Worker) -> Reply:
    """What there is."""
    del worker
    return Reply(200, _INDEX)


def livez(worker: Worker) -> Reply:
    """The worker's event loop answers: nothing more, so that a store that is down never restarts pods."""
    del worker
    return Reply(200, _ALIVE)


def readyz(worker: Worker) -> Reply:
    """200 when the model is loaded, verified and warm.

    503 with Retry-After before, after, and if it cannot be.
    """
    lifecycle, engine = worker.lifecycle, worker.engine
    about = None if engine is None else engine.about
    body = Readiness(
        lifecycle.phase,
        lifecycle.reason,
        "" if about is None else about.name,
        "" if about is None else about.version,
        "" if about is None else about.contract_version,
        "" if about is None else about.backend,
        _shipper(engine),
    )
    if lifecycle.phase == "ready":
        return Reply(200, _encode(body))
    return Reply(503, _encode(body), extra=((b"retry-after", b"2"),))


def openapi(worker: Worker) -> Reply:
    """The OpenAPI document of the loaded model's contract."""
    return Reply(200, worker.openapi, JSON)


def metrics(worker: Worker) -> Reply:
    """The counters of all workers of this machine or pod."""
    engine, keys = worker.loaded(), worker.keys
    engine.bins.flush()
    gauges = Gauges(
        ready=worker.lifecycle.phase == "ready",
        keys=0 if keys is None else len(keys),
        key_reload_errors=0 if keys is None else keys.reload_errors,
        spool_bytes=_spool_bytes(engine),
        spool_max_bytes=engine.settings.spool_max_bytes,
        idempotency_bytes=engine.replies.file_bytes(),
        shipper=read_health(engine.settings.spool_dir),
    )
    total: list[int] = engine.counter_file.total().tolist()
    return Reply(200, render(engine.about, engine.layout, total, gauges), CONTENT_TYPE)


def _shipper(engine: Engine | None) -> str:
    health = None if engine is None else read_health(engine.settings.spool_dir)
    return "" if health is None else health.state


def _spool_bytes(engine: Engine) -> int:
    total = 0
    try:
        segments = list_segments(engine.settings.spool_dir)
    except OSError as error:
        raise UnavailableError(
            f"The spool cannot be read: {error.strerror}.", hint="Check its disk."
        ) from error
    for segment in segments:
        with suppress(FileNotFoundError):  # shipped meanwhile
            total += segment.stat().st_size
    return total
