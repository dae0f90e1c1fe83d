"""Run one worker process: start, load in the background, do chores, drain, stop within a bound."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from leadscore.errors import LeadScoreError
from leadscore_service.auth import KeyRing
from leadscore_service.background import repeat
from leadscore_service.engine import Engine
from leadscore_service.lifecycle import Lifecycle
from leadscore_service.logs import RefusalLog, configure_logging
from leadscore_service.openapi import openapi_document
from leadscore_service.settings import Settings
from leadscore_service.shipper import ShipperProcess

if TYPE_CHECKING:
    from leadscore_service.tokens import Tokens

_log = logging.getLogger(__name__)

_HOUSEKEEPING_S: Final = 1.0
# The default of 5 ms is how long a bulk request's thread may keep the event loop waiting.
_SWITCH_INTERVAL_S: Final = 0.0005
_SHIPPER_SHARE: Final = 0.4


class Worker:
    """Resources of the application, opened and closed in the right order.

    Attributes:
        settings: Read at start.
        lifecycle: Where we are.
        engine: None until the model is loaded.
        openapi: The OpenAPI document; empty until then.
        keys: None when authentication is off.
        refusals: The log of callers who were not let in.
    """

    def __init__(self, settings: Settings, *, first: bool) -> None:
        self.settings = settings
        self.lifecycle = Lifecycle()
        self.engine: Engine | None = None
        self.openapi = b""
        self._sync_errors = 0
        self.refusals = RefusalLog()
        self._tokens = _tokens(settings)
        self.keys = None if settings.auth == "off" else KeyRing(settings.api_keys, self._tokens)
        self._shipper = (
            ShipperProcess(settings.spool_dir, settings.home.events_url)
            if first and settings.shipper
            else None
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._supervised = os.environ.get("LEADSCORE_SUPERVISED", "")

    async def start(self) -> None:
        """Begin; the server takes connections from the socket when this returns.

        A worker that is alone answers at once, with 503 and the reason, until the model is there. One that
        shares the socket with others, or that replaces one that died, stays away from it until then: its
        siblings answer, or the socket's backlog keeps the requests for the second that loading takes.
        """
        configure_logging()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        if self.keys is None:
            _log.warning("authentication is off", extra={"fields": {"setting": "LEADSCORE_AUTH=off"}})
        else:
            await self._reload_keys()
            if not self.keys:
                _log.warning("there is no API key", extra={"fields": {"hint": "leadscore keys create NAME"}})
        loading = asyncio.create_task(self._load())
        chores = (
            repeat(name, chore, every=_HOUSEKEEPING_S, on_error=self._failed)
            for name, chore in self._chores()
        )
        self._tasks = [loading, *map(asyncio.create_task, chores)]
        if self._supervised == "loaded":
            await asyncio.wait({loading})

    def loaded(self) -> Engine:
        """The engine; NotReadyError until the model is loaded, and if it cannot be."""
        if self.engine is None:
            raise self.lifecycle.refusal()
        return self.engine

    async def _load(self) -> None:
        try:
            engine = await asyncio.get_running_loop().run_in_executor(None, Engine.open, self.settings)
        except LeadScoreError as error:
            self.lifecycle.fail(error.message)
            _log.error(
                "model not loaded",
                extra={"fields": {"error": error.message, "hint": error.hint, "code": error.code}},
            )
            return
        except Exception:
            # An exception would end the thread unnoticed: the worker must say why it never gets ready.
            self.lifecycle.fail("The model cannot be loaded; the log has the exception.")
            _log.exception("model not loaded")
            raise
        self.openapi = openapi_document(engine.model.contract, engine.about, self.settings)
        # Objects of now stay for good: the garbage collector need not traverse them.
        gc.collect()
        gc.freeze()
        self.engine = engine
        self.lifecycle.ready()
        about = engine.about
        _log.info(
            "ready",
            extra={"fields": {"model": about.name, "version": about.version, "kernel": about.backend}},
        )

    def _chores(self) -> list[tuple[str, Callable[[], Awaitable[object]]]]:
        """Start the background chores, each a task of its own, so that none stops another."""
        chores: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("metrics", self._flush_bins),
            ("spool", self._look_at_spool),
        ]
        if self._shipper is not None:
            chores.append(("shipper", self._keep_shipper))
        if self.keys is not None:
            chores.append(("api keys", self._reload_keys))
        if self._tokens is not None:
            chores.append(("oidc keys", self._refresh_tokens))
        return chores

    async def _keep_shipper(self) -> None:
        if self._shipper is None:
            return
        # Off the loop: fork and exec of a process this size take milliseconds.
        started = await asyncio.get_running_loop().run_in_executor(None, self._shipper.keep)
        if started and self.engine is not None:
            self.engine.counters.add("shipper_starts")

    async def _reload_keys(self) -> None:
        if self.keys is not None:
            # Off the loop: ten thousand keys take a second, and a file system may hang.
            await asyncio.get_running_loop().run_in_executor(None, self.keys.reload)

    async def _refresh_tokens(self) -> None:
        if self._tokens is not None:
            # Off the loop: an issuer that does not answer takes seconds.
            await asyncio.get_running_loop().run_in_executor(None, self._tokens.refresh)

    async def _flush_bins(self) -> None:
        if self.engine is not None:
            self.engine.bins.flush()

    async def _look_at_spool(self) -> None:
        """Count what the thread that flushes the spool could not do; it has logged it."""
        if self.engine is not None:
            known, self._sync_errors = self._sync_errors, self.engine.spool.sync_errors
            self.engine.counters.add("background_errors", self._sync_errors - known)

    def _failed(self) -> None:
        if self.engine is not None:
            self.engine.counters.add("background_errors")

    async def stop(self) -> None:
        """Finish everything, after the server has answered its last request."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        if self.engine is not None:
            await loop.run_in_executor(None, self.engine.close)
        if self._shipper is not None:
            await loop.run_in_executor(None, self._shipper.stop, _SHIPPER_SHARE * self.settings.shutdown_s)
        _log.info("stopped")


def _tokens(settings: Settings) -> Tokens | None:
    if settings.oidc is None or settings.auth == "off":
        return None
    from leadscore_service.tokens import Tokens  # noqa: PLC0415 (heavy, and few need it)

    return Tokens(settings.oidc)
