"""Settings of one operator process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorOptions:
    """Options of the process.

    Attributes:
        namespace: The one namespace it serves.
        workload: File that says how pods of the jobs image run.
        identity: Name of this process in the Lease; unique among processes.
        events_url: Event store for decision records; None records none.
        tracking_uri: MLflow, for releases; None: releases wait.
        lease: Name of the Lease; the same for all installations in a namespace, for they share its objects.
        deployment: Deployment that runs this process; empty: none.
        lease_seconds: Time after which a silent leader is replaced.
        resync_seconds: Time between looks at everything.
        workers: Objects that are worked on at once.
        port: Of probes and metrics; 0 for none.
        clock_offset_file: Moves the clock (for fault stories).
    """

    namespace: str
    workload: Path
    identity: str
    events_url: str | None = None
    tracking_uri: str | None = None
    lease: str = "leadscore-operator"
    deployment: str = ""
    lease_seconds: float = 15.0
    resync_seconds: float = 120.0
    workers: int = 4
    port: int = 8080
    clock_offset_file: Path | None = None
