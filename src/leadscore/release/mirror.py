"""The shadow as it is seen: who gets a copy of the traffic, and whether requests are copied at all.

Only data.
"""

from __future__ import annotations

from datetime import datetime

import msgspec


class ShadowObservation(msgspec.Struct, frozen=True, kw_only=True):
    """The shadow workload: which version gets a copy of the traffic.

    Attributes:
        version: The version; None: it does not say.
        ready_since: Since when all its pods are ready; None: they are not.
        release: Release that started it; "": none did.
        trouble: Why it does not become ready, in Kubernetes' words; "": it may yet.
    """

    version: int | None
    ready_since: datetime | None
    release: str = ""
    trouble: str = ""


class MirrorObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What copies requests to the shadow.

    Attributes:
        percent: Share of the requests that is copied; None: unknown.
        lacks: What a person has to set before anything is copied; a sentence. "": nothing.
    """

    percent: float | None = None
    lacks: str = ""
