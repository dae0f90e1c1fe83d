"""One JSON object per log line: errors, slow requests, starts and stops; successes only when sampled.

Lines carry ids, sizes and durations; never a feature's value, never a key.
"""

from __future__ import annotations

import logging
import random
import re
import sys
from typing import Final

from leadscore.errors import LeadScoreError
from leadscore.logs import JsonLines
from leadscore_service.http import TRACEPARENT, Reply, Request

_log = logging.getLogger("leadscore_service.requests")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# Their own handlers would print each line a second time, in another format.
_FOREIGN: Final = ("bentoml", "uvicorn", "uvicorn.error", "circus")


def configure_logging() -> None:
    """Send every logger's lines to standard output as JSON, and uvicorn's access log nowhere."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in _FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.WARNING)
    access = logging.getLogger("uvicorn.access")
    # uvicorn formats its line for each request as soon as the logger has any handler, its ancestors'
    # included.
    access.handlers.clear()
    access.propagate = False


class RequestLog:
    """Decides which requests get a line."""

    __slots__ = ("_sample", "_slow_ns")

    def __init__(self, *, sample: float, slow_ms: float) -> None:
        self._sample = sample
        self._slow_ns = int(slow_ms * 1_000_000)

    def answered(self, request: Request, reply: Reply, nanoseconds: int) -> None:
        """Note an answered request if it failed on our side, was slow, or is in the sample."""
        slow = nanoseconds > self._slow_ns
        # A probe's 503 while loading is no failure.
        failed = reply.status >= 500 and request.path != "/readyz"
        if not (slow or failed) and (not self._sample or random.random() >= self._sample):  # noqa: S311
            return
        fields = {
            "request_id": request.request_id,
            "method": request.method,
            "path": request.path[:200],
            "status": reply.status,
            "ms": round(nanoseconds / 1e6, 3),
            "lead_id": request.lead_id,
            "prediction_id": request.prediction_id,
            "trace_id": _trace_id(request.text(TRACEPARENT)),
            "caller": "" if request.caller is None else request.caller.name,
            "address": request.address,
        }
        event = "request failed" if failed else "slow request" if slow else "request"
        _log.log(logging.WARNING if slow or failed else logging.INFO, event, extra={"fields": fields})


class RefusalLog:
    """Log refused callers, at most `_A_SECOND` lines a second; the next line counts those left out."""

    _A_SECOND: Final = 10

    def __init__(self) -> None:
        self._second = 0
        self._lines = self._left_out = 0

    def refused(self, request: Request, error: LeadScoreError) -> None:
        """Note who was refused what, and why; never what they presented."""
        second = request.now_ns // 1_000_000_000
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= self._A_SECOND:
            self._left_out += 1
            return
        fields = {
            "request_id": request.request_id,
            "path": request.path[:200],
            "status": error.status,
            "why": error.message,
            "caller": getattr(error, "caller", "") or "unknown",
            "address": request.address,
            "left_out": self._left_out,
        }
        self._lines, self._left_out = self._lines + 1, 0
        _log.warning("caller refused", extra={"fields": fields})


def _trace_id(traceparent: str) -> str:
    """The caller's trace, as W3C Trace Context writes it; empty if the header is none; pure."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return found.group(1) if found else ""
