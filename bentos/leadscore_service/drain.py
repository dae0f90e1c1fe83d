"""Stop a worker under load without losing a request: in three steps, before uvicorn's own shutdown.

uvicorn's shutdown closes its listener and, at once, each connection without a request in progress.
Three kinds of callers lose a request by that: one whose request lies in the socket's buffer unread,
one whose new connection was accepted and whose request is on its way, and one whose connection waits
in the listener's queue. So, after the drain:

1. The listener closes, and what waits in its queue is taken first.
2. Connections stay open until none of them has had anything to do for `_QUIET_S`; every reply says
   `Connection: close`.
3. What is still open then has been silent for that long: uvicorn closes it and ends.

What remains is what HTTP/1.1 cannot avoid: a request that is written in the very moment
in which its idle connection is closed (RFC 9112, 9.5). In a cluster no request has been routed here since
preStop began.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING, Final

from leadscore_service.lifecycle import LISTENER, Lifecycle
from leadscore_service.server_adapter import activity, close_listeners, server_of
from leadscore_service.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Server

_log = logging.getLogger(__name__)

_QUIET_S: Final = 0.5
_STEP_S: Final = 0.02
# Of the bound on everything after the drain: the rest is for what is in progress, the spool and the shipper.
_QUIET_SHARE: Final = 0.25


def drain_on_sigterm(lifecycle: Lifecycle, settings: Settings) -> None:
    """Put the drain before the server's own reaction to SIGTERM, and a bound behind it.

    Readiness fails first and the listener stays open for `drain_s`, so that a proxy that has not
    noticed yet still gets answers. The bound is ours because neither uvicorn's shutdown nor
    BentoML's process manager (86,400 s) has one.
    """
    loop = asyncio.get_running_loop()
    # Another server's handler is only called.
    before = signal.getsignal(signal.SIGTERM)
    server = server_of(before)
    tasks: set[asyncio.Task[None]] = set()

    async def finish(number: int) -> None:
        await asyncio.sleep(settings.drain_s)
        try:
            if server is not None:
                await _quieten(server, settings.shutdown_s * _QUIET_SHARE)
        finally:
            if callable(before):
                before(number, None)

    def begin(number: int) -> None:
        tasks.add(loop.create_task(finish(number)))

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        del frame
        if lifecycle.phase == "draining":
            return
        lifecycle.drain()
        threading.Thread(target=_cut_off, args=(settings,), name="cut-off", daemon=True).start()
        if server is not None and not server.started:
            _forget_listener()
        else:
            loop.call_soon_threadsafe(begin, number)

    signal.signal(signal.SIGTERM, on_sigterm)
    if server is not None and server.should_exit:
        # Told to stop when uvicorn listened to signals and we did not yet.
        on_sigterm(signal.SIGTERM, None)


def _forget_listener() -> None:
    """Close the inherited socket of a service that will not begin.

    While this process has it, connections would wait in its queue in vain.
    """
    descriptor = os.environ.get(LISTENER)
    if descriptor is not None:
        os.close(int(descriptor))


async def _quieten(server: Server, bound_s: float) -> None:
    """Take no more connections, and serve the open ones until they are idle."""
    loop = asyncio.get_running_loop()
    await close_listeners(server, _STEP_S)
    quiet_since = loop.time()
    until = quiet_since + bound_s
    seen = activity(server)
    while seen.connections and loop.time() < min(until, quiet_since + _QUIET_S):
        await asyncio.sleep(_STEP_S)
        before, seen = seen, activity(server)
        if seen.busy or seen.answered != before.answered:
            quiet_since = loop.time()


def _cut_off(settings: Settings) -> None:
    """End the process when it has not stopped in time; what was acknowledged is on the spool."""
    threading.Event().wait(settings.drain_s + settings.shutdown_s)
    _log.error("cut off", extra={"fields": {"after_s": settings.drain_s + settings.shutdown_s}})
    os._exit(1)
