"""Which path is answered by what, by which methods, and which scope a key needs for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lead_scoring import system
from lead_scoring.bulk import score_leads
from lead_scoring.engine import Engine
from lead_scoring.explain import explain_prediction
from lead_scoring.http import Reply, Request
from lead_scoring.metrics_layout import ENDPOINT_INDEX
from lead_scoring.outcomes import take_outcomes
from lead_scoring.score import score_lead
from lead_scoring.worker import Worker
from leadscore.identity.apikeys import Scope

POST: Final = ("POST",)
GET: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path.

    Attributes:
        endpoint: Its number in the metrics.
        methods: Those that it takes.
        scope: What the caller's key must allow; None: anybody is answered, whether or not a model is loaded.
        answer: Makes the reply.
    """

    endpoint: int
    methods: tuple[str, ...]
    scope: Scope | None
    answer: Callable[[Worker, Request], Awaitable[Reply]]


def _post(path: str, scope: Scope, answer: Callable[[Engine, Request], Awaitable[Reply]]) -> Route:
    def answer_by_model(worker: Worker, request: Request) -> Awaitable[Reply]:
        return answer(worker.loaded(), request)

    return Route(ENDPOINT_INDEX[path], POST, scope, answer_by_model)


def _get(path: str, scope: Scope | None, answer: Callable[[Worker], Reply]) -> Route:
    async def answer_of_worker(worker: Worker, request: Request) -> Reply:
        del request
        return answer(worker)

    return Route(ENDPOINT_INDEX[path], GET, scope, answer_of_worker)


ROUTES: Final[Mapping[str, Route]] = MappingProxyType(
    {
        "/score-lead": _post("/score-lead", "score", score_lead),
        "/score-leads": _post("/score-leads", "score", score_leads),
        "/explain-prediction": _post("/explain-prediction", "explain", explain_prediction),
        "/outcomes": _post("/outcomes", "outcomes", take_outcomes),
        "/metrics": _get("/metrics", "metrics", system.metrics),
        "/openapi.json": _get("/openapi.json", "metrics", system.openapi),
        "/readyz": _get("/readyz", None, system.readyz),
        "/livez": _get("/livez", None, system.livez),
        "/": _get("/", None, system.index),
    }
)
OTHER: Final = ENDPOINT_INDEX["other"]
