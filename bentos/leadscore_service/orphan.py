"""End a worker whose supervisor is gone, as it would keep the port.

A thread of its own checks, from before the model is loaded, because everything else may be stuck: imports, a
registry that does not answer, the event loop. The supervisor passes its process id: the parent's id would be
that of init if the supervisor were dead already.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Final

from leadscore_service.settings import Settings

SUPERVISOR: Final = "LEADSCORE_SUPERVISOR"
_LOOK_S: Final = 0.5

_log = logging.getLogger(__name__)


def end_with_supervisor() -> None:
    """Watch the process that `LEADSCORE_SUPERVISOR` names, if it does.

    Without it, stop as on SIGTERM, in bounded time.
    """
    supervisor = os.environ.get(SUPERVISOR, "")
    if not supervisor.isdecimal():
        return
    settings = Settings.from_environment()
    bound = settings.drain_s + settings.shutdown_s + 1.0
    threading.Thread(target=_watch, args=(int(supervisor), bound), name="orphan", daemon=True).start()


def _watch(supervisor: int, bound: float) -> None:
    pause = threading.Event()
    while os.getppid() == supervisor:
        pause.wait(_LOOK_S)
    _log.error("the supervisor is gone")
    os.kill(os.getpid(), signal.SIGTERM)
    # A worker that is starting or stuck does not handle the signal.
    pause.wait(bound)
    _log.error("cut off", extra={"fields": {"after_s": bound}})
    os._exit(1)
