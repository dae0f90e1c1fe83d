"""Reads and small writes of the registry without importing MLflow, which takes seconds of CPU.

MLflow's package always imports pandas, FastAPI and OpenTelemetry. Looking at models, moving aliases and
writing tags are a few calls of its REST API (`rest`), or a few rows of its database (`tables`), whose schema
is known for the version that we pin. Everything else, and every place that is not surely understood (another
schema, another database, settings of MLflow's own for TLS, authentication or workspaces), is left to MLflow's
client.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from leadscore.registry.mlflow_client import RegistryClient

# MLflow's settings that are not read here: with any of them its own client is used.
_UNREAD: Final = (
    "MLFLOW_ENABLE_WORKSPACES", "MLFLOW_WORKSPACE", "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)  # fmt: skip
_UNREAD_FILES: Final = (".mlflow/credentials", ".netrc", "_netrc")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class LightModel:
    """A registered model, as `mlflow_client.Model` asks."""

    name: str
    aliases: Mapping[str, int | str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LightVersion:
    """A model version, as `mlflow_client.Version` asks."""

    version: int | str
    tags: Mapping[str, str]
    creation_timestamp: int
    source: str


@dataclass(frozen=True, slots=True)
class LightExperiment:
    """An experiment, as `mlflow_client.MlflowExperiment` asks."""

    experiment_id: str
    artifact_location: str


class LightPage(Generic[Item]):
    """A page of a search; `token` asks for the next one."""

    def __init__(self, items: list[Item], token: str | None = None) -> None:
        self._items = items
        self.token = token

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)


def light_client(tracking_uri: str, environ: Mapping[str, str] = os.environ) -> RegistryClient | None:
    """A client without MLflow; None where only MLflow's own surely does what is meant.

    Raises:
        SQLAlchemyError: The database does not answer.
    """
    if any(environ.get(name) for name in _UNREAD):
        return None
    parts = urlsplit(tracking_uri)
    if parts.scheme in ("http", "https"):
        home = Path(environ.get("HOME") or "/")
        if parts.username or environ.get("NETRC") or any((home / name).exists() for name in _UNREAD_FILES):
            return None
        from leadscore.registry.rest import RestClient  # noqa: PLC0415 (each place needs one of the two)

        return RestClient(tracking_uri, environ)
    if parts.scheme.partition("+")[0] in {"sqlite", "postgresql"}:
        from leadscore.registry.tables import TablesClient  # noqa: PLC0415 (a third of a second)

        return TablesClient.open(tracking_uri)
    return None
