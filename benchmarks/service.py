"""How the bench starts the service under measurement: by the product's own commands, as a user would."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.processes import Plan
from leadscore.identity.apikeys import create_key

COMMAND = str(Path(sys.executable).parent / "leadscore")


def service_plan(artefact: Path, folder: Path) -> Plan:
    """The service on one artefact, its spool, event store and keys under `folder`."""
    return Plan(
        name="leadscore",
        command=(COMMAND, "serve", "--port", "{port}"),
        ready="/readyz",
        folder=folder,
        environ={"LEADSCORE_MODEL_DIR": str(artefact), "LEADSCORE_THREADS": "1", **_home(folder)},
    )


def api_key(folder: Path) -> str:
    """A fresh key with the scopes that the bench uses, in the key file under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key, _ = create_key(_keys(folder), f"bench-{secrets.token_hex(4)}", ("score", "explain", "outcomes"))
    return key


def _home(folder: Path) -> Mapping[str, str]:
    """Everything the service keeps stays under `folder`, whatever the caller's own settings are."""
    events = f"sqlite:///{folder / 'events.db'}"
    return {
        "LEADSCORE_HOME": str(folder),
        "LEADSCORE_EVENTS_URL": events,
        "LEADSCORE_API_KEYS": str(_keys(folder)),
    }


def _keys(folder: Path) -> Path:
    return folder / "api-keys.yaml"
