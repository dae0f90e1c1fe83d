"""The console under gunicorn: one process of several threads, so that what it remembers is one thing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

_THREADS: Final = 16
_PARENT_SECONDS: Final = 1.0


class ConsoleServer(BaseApplication):
    """Serves the console until it is told to stop.

    Args:
        make: Makes the app, in the worker.
        host: Address to listen on.
        port: Its port.
        parent: Process without which it ends; None: it stays.
    """

    def __init__(self, make: Callable[[], Flask], host: str, port: int, parent: int | None = None) -> None:
        self._make = make
        self._options: Mapping[str, object] = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": 1,
            "threads": _THREADS,
            "worker_class": "gthread",
            "timeout": 60,
            "graceful_timeout": 5,
            "keepalive": 95,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108
        }
        self._parent = parent
        super().__init__()

    def load_config(self) -> None:
        """Take our options, and nothing from the command line."""
        for name, value in self._options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Any:
        """Make the app."""
        if self._parent is not None:
            threading.Thread(target=_end_with, args=(self._parent,), daemon=True).start()
        return self._make()


def _end_with(parent: int) -> None:
    """End this worker's master when its parent is gone: who started it can stop it no more."""
    master = os.getppid()
    while True:
        time.sleep(_PARENT_SECONDS)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os.kill(master, 15)
            return
