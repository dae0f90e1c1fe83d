"""Faults as a bad release would have them: `errors`, `slow`, `stuck` (the model is never loaded).

They are put around the endpoints' answers and the model's loading, inside the process: the service's own
error handling, metrics and probes see them as they would see a defect of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import MappingProxyType

from leadscore_service import app, routes, worker
from leadscore_service.engine import Engine
from leadscore_service.http import Reply, Request

Answer = Callable[[worker.Worker, Request], Awaitable[Reply]]

# A defect rarely hits everybody.
_EVERY = 3
_SLOW_S = 0.7


def inject(fault: str) -> None:
    """Arm a fault; ValueError for an unknown one."""
    if fault == "stuck":
        worker.Engine = _Stuck  # type: ignore[misc,assignment]
        return
    around = {"errors": _failing, "slow": _slow}.get(fault)
    if around is None:
        raise ValueError(f"There is no fault {fault!r}.")
    table = {
        path: replace(route, answer=around(route.answer)) if route.methods == routes.POST else route
        for path, route in routes.ROUTES.items()
    }
    app.ROUTES = MappingProxyType(table)  # type: ignore[misc]


class _Stuck:
    @staticmethod
    def open(_: object) -> Engine:
        while True:
            threading.Event().wait(3600)


def _failing(answer: Answer) -> Answer:
    asked = 0

    async def fail(serving: worker.Worker, request: Request) -> Reply:
        nonlocal asked
        asked += 1
        if asked % _EVERY == 0:
            raise RuntimeError("a fault of the scenario's making")
        return await answer(serving, request)

    return fail


def _slow(answer: Answer) -> Answer:
    async def wait(serving: worker.Worker, request: Request) -> Reply:
        await asyncio.sleep(_SLOW_S)
        return await answer(serving, request)

    return wait
