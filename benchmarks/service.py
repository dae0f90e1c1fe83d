"""How the bench starts the service under measurement: by the product's own commands, as a user would."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.processes import Plan

_COMMAND = str(Path(sys.executable).parent / "leadscore")
_SCOPES = ("score", "explain", "outcomes")
_KEY_SECONDS = 60


class _CreatedKey(msgspec.Struct, frozen=True):
    key: str


def service_plan(artefact: Path, folder: Path) -> Plan:
    """The service on one artefact, its spool, event store and keys under `folder`."""
    return Plan(
        name="leadscore",
        command=(_COMMAND, "serve", "--port", "{port}"),
        ready="/readyz",
        folder=folder,
        environ={"LEADSCORE_MODEL_DIR": str(artefact), "LEADSCORE_THREADS": "1", **_home(folder)},
    )


def api_key(folder: Path) -> str:
    """A fresh key with the scopes that the bench uses, in the key file under `folder`.

    Raises:
        BenchError: `leadscore keys create` failed, or printed no key.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scopes = [part for scope in _SCOPES for part in ("--scope", scope)]
    done = subprocess.run(
        [_COMMAND, "keys", "create", f"bench-{secrets.token_hex(4)}", *scopes, "--json"],
        env={**os.environ, **_home(folder)},
        capture_output=True,
        text=True,
        timeout=_KEY_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"`leadscore keys create` failed: {done.stderr.strip()[-300:]}")
    try:
        return msgspec.json.decode(done.stdout, type=_CreatedKey).key
    except msgspec.DecodeError as error:
        raise BenchError(f"`leadscore keys create` printed no key: {error}.") from error


def _home(folder: Path) -> Mapping[str, str]:
    """Everything the service keeps stays under `folder`, whatever the caller's own settings are."""
    events = f"sqlite:///{folder / 'events.db'}"
    return {
        "LEADSCORE_HOME": str(folder),
        "LEADSCORE_EVENTS_URL": events,
        "LEADSCORE_API_KEYS": str(folder / "api-keys.yaml"),
    }
