"""The routes: path, methods, handler, and the scope that a key needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadscore.identity.apikeys import KeyScope
from leadscore_service import system
from leadscore_service.bulk import score_leads
from leadscore_service.engine import Engine
from leadscore_service.explain import explain_prediction
from leadscore_service.http import Reply, Request
from leadscore_service.metrics_layout import ENDPOINT_INDEX
from leadscore_service.outcomes import take_outcomes
from leadscore_service.score import score_lead
from leadscore_service.worker import Worker

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
    scope: KeyScope | None
    answer: Callable[[Worker, Request], Awaitable[Reply]]


def _post(path: str, scope: KeyScope, answer: Callable[[Engine, Request], Awaitable[Reply]]) -> Route:
    def answer_by_model(worker: Worker, request: Request) -> Awaitable[Reply]:
        return answer(worker.loaded(), request)

    return Route(ENDPOINT_INDEX[path], POST, scope, answer_by_model)


def _get(path: str, scope: KeyScope | None, answer: Callable[[Worker], Reply]) -> Route:
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
