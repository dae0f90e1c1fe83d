"""How the bench starts the service under measurement: from an artefact folder, with keys, one worker."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.processes import Plan


def service_plan(artefact: Path, folder: Path) -> Plan:
    """The service as it is deployed, its stores under `folder`."""
    return Plan(
        name="leadscore",
        command=(sys.executable, "-m", "leadscore.cli", "serve"),
        ready="/readyz",
        folder=folder,
        environ={"LEADSCORE_HOME": str(folder), "LEADSCORE_MODEL_DIR": str(artefact)},
    )


def api_key(folder: Path) -> str:
    """A fresh key with every scope in the service's key file."""
    raise NotImplementedError(folder)
