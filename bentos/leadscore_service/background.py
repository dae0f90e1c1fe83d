"""Repeat background work for as long as the worker lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


async def repeat(
    name: str, chore: Callable[[], Awaitable[object]], *, every: float, on_error: Callable[[], object]
) -> None:
    """Do a chore again and again until cancelled; no exception ends it.

    Args:
        name: What the log calls it.
        chore: One round of it.
        every: Seconds between two rounds.
        on_error: Called once for each round that failed: who counts them.
    """
    said = ""
    while True:
        try:
            await chore()
            said = ""
        except Exception as error:  # noqa: BLE001 - the end of the chore would go unnoticed, and it is needed
            on_error()
            reason = f"{type(error).__name__}: {error}"
            # Logged once, not every second.
            if reason != said:
                _log.error("background chore failed", exc_info=error, extra={"fields": {"chore": name}})
            said = reason
        await asyncio.sleep(every)
