"""The service's OpenAPI document: what a lead is, and the sign that the service is ready to be loaded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import cast
from urllib.request import urlopen

from loadtests.leads import Lead

_PAUSE_S = 0.5


def read_document(url: str) -> Lead:
    """The document at a URL (`http:`, or `file:` for one that was saved).

    OSError or ValueError if it cannot be read.
    """
    with urlopen(url, timeout=10) as reply:
        return cast("Lead", json.load(reply))


def wait_for_document(url: str, seconds: float, sleep: Callable[[float], object]) -> bool:
    """Whether the document could be read within so many seconds.

    A service behind Services answers when a pod is ready.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            read_document(url)
        except (OSError, ValueError):
            if time.monotonic() >= deadline:
                return False
            sleep(_PAUSE_S)
        else:
            return True
