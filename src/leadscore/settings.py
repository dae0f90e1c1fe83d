"""Where the embedded stores live and which environment variables move them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Folder of everything one machine keeps when no external store is configured.

    `LEADSCORE_HOME` (default `./.leadscore`) names it. `LEADSCORE_TRACKING_URI` (MLflow),
    `LEADSCORE_EVENTS_URL` (SQLAlchemy) and `LEADSCORE_LAKE` (a folder or URL of Delta tables) replace the
    embedded registry, event store and lake.
    """

    root: Path
    tracking_uri: str
    events_url: str
    lake: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """Read the variables; relative paths are taken from the working directory."""
        root = Path(environ.get("LEADSCORE_HOME") or ".leadscore").absolute()
        return cls(
            root=root,
            tracking_uri=environ.get("LEADSCORE_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}",
            events_url=environ.get("LEADSCORE_EVENTS_URL") or f"sqlite:///{root / 'events.db'}",
            lake=environ.get("LEADSCORE_LAKE") or str(root / "lake"),
        )

    @property
    def artefacts(self) -> Path:
        """Where the embedded MLflow keeps artefact files."""
        return self.root / "artefacts"

    @property
    def models(self) -> Path:
        """Cache of verified model artefacts, one folder per name and version."""
        return self.root / "models"

    @property
    def spool(self) -> Path:
        """Predictions and outcomes that are acknowledged but not yet in the event store."""
        return self.root / "spool"

    @property
    def studies(self) -> str:
        """SQLAlchemy URL of the resumable Optuna studies."""
        return f"sqlite:///{self.root / 'studies.db'}"

    @property
    def api_keys(self) -> Path:
        """API keys as digests with scopes."""
        return self.root / "api-keys.yaml"
