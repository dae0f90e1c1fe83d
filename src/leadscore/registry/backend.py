"""MLflow behind a small typed interface: quiet, bounded in time, its failures as LeadScoreErrors."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
import stat
import sys
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Self, cast
from urllib.parse import unquote, urlsplit

from leadscore.errors import (
    ArtefactError,
    BadInputError,
    ConflictError,
    ForbiddenError,
    LeadScoreError,
    NotFoundError,
    UnavailableError,
)
from leadscore.registry.download import check_source, fetch_artefact
from leadscore.registry.light import light_client
from leadscore.registry.locks import locked
from leadscore.registry.mlflow_client import Client, RegistryClient, Store, Version
from leadscore.settings import Home

MLFLOW_EXPERIMENT = "leadscore"
CONNECT_SECONDS = 5.0

# Set only where the user did not: with MLflow's own values a dead server is noticed after many minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
_PAGE = 200


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A registered model as MLflow has it."""

    name: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A model version as MLflow has it."""

    version: int
    tags: Mapping[str, str]
    created_at: datetime
    source: str


def registry_id(tracking_uri: str) -> str:
    """A short name of the registry behind a URI, independent of the login and without secrets."""
    parts = urlsplit(tracking_uri)
    place = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"
    return hashlib.sha256(place.encode()).hexdigest()[:16]


class Backend:
    """One MLflow tracking and registry server or database. All errors are LeadScoreErrors."""

    def __init__(self, client: RegistryClient, home: Home, *, with_mlflow: bool = True) -> None:
        self._client = client
        self._with_mlflow = with_mlflow
        self._home = home
        self._uri = home.tracking_uri
        self._artefacts = home.artefacts

    @classmethod
    def open(cls, home: Home, *, with_mlflow: bool = True) -> Self:
        """Connect; an embedded database is made on first use, by one process at a time.

        Args:
            home: Whose registry.
            with_mlflow: Whether MLflow's own client may be used, and the database made; otherwise what is not
                surely understood without it is unavailable.

        Raises:
            UnavailableError: Nobody answers at the tracking URI, or MLflow is needed and not installed here.
        """
        _probe(home.tracking_uri)
        for variable, value in _ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        with _in_our_words("open the registry"):
            client = light_client(home.tracking_uri)
            if client is None and not with_mlflow:
                raise UnavailableError(
                    "There is no model registry that can be read here without MLflow.",
                    hint="Check LEADSCORE_TRACKING_URI, or mount the cache of models.",
                )
            return cls(client or _open_mlflow(home), home, with_mlflow=with_mlflow)

    @cached_property
    def _mlflow(self) -> Client:
        """MLflow's own client, for runs and artefacts."""
        return _open_mlflow(self._home)

    def names(self) -> list[str]:
        """Names of all registered models, sorted."""
        found: list[str] = []
        token: str | None = None
        with _in_our_words("list the models"):
            while True:
                page = self._client.search_registered_models(max_results=_PAGE, page_token=token)
                found.extend(str(model.name) for model in page)
                token = page.token
                if not token:
                    return sorted(found)

    def model(self, name: str) -> StoredModel:
        """Aliases and tags of one model; NotFoundError if it is not registered."""
        with _in_our_words(f"read the model {name}"):
            model = self._client.get_registered_model(name)
            aliases = {str(alias): int(version) for alias, version in model.aliases.items()}
            return StoredModel(name, aliases, dict(model.tags))

    def versions(self, name: str) -> list[StoredVersion]:
        """All versions of one model, oldest first; empty also if the model is not registered."""
        found: list[StoredVersion] = []
        token: str | None = None
        with _in_our_words(f"list the versions of {name}"):
            while True:
                page = self._client.search_model_versions(
                    f"name='{name}'", max_results=_PAGE, page_token=token
                )
                found.extend(_stored(version) for version in page)
                token = page.token
                if not token:
                    return sorted(found, key=lambda version: version.version)

    def version(self, name: str, version: int) -> StoredVersion:
        """One version; NotFoundError if there is none."""
        with _in_our_words(f"read {name}/{version}"):
            return _stored(self._client.get_model_version(name, str(version)))

    def set_alias(self, name: str, alias: str, version: int | None) -> None:
        """Move an alias to a version; None drops it."""
        with _in_our_words(f"move {name}@{alias}"):
            if version is None:
                self._client.delete_registered_model_alias(name, alias)
            else:
                self._client.set_registered_model_alias(name, alias, str(version))

    def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Write a tag of a version."""
        with _in_our_words(f"tag {name}/{version}"):
            self._client.set_model_version_tag(name, str(version), key, value)

    def set_model_tag(self, name: str, key: str, value: str | None) -> None:
        """Write a tag of a model; None drops it."""
        with _in_our_words(f"tag {name}"):
            if value is None:
                self._client.delete_registered_model_tag(name, key)
            else:
                self._client.set_registered_model_tag(name, key, value)

    def add_version(
        self, name: str, directory: Path, metrics: Mapping[str, float], tags: Mapping[str, str]
    ) -> int:
        """Upload a folder as artefacts of a new run and register it as the next version."""
        with _in_our_words(f"publish {name}"):
            run = self._mlflow.create_run(self._experiment(), run_name=name)
            run_id = run.info.run_id
            self._mlflow.log_artifacts(run_id, str(directory), "model")
            for metric, value in metrics.items():
                self._mlflow.log_metric(run_id, metric, value)
            self._mlflow.set_terminated(run_id)
            self._register(name)
            version = self._mlflow.create_model_version(
                name, source=f"{run.info.artifact_uri}/model", run_id=run_id, tags=dict(tags)
            )
            return int(version.version)

    def download(self, source: str, target: Path, ref: str, digest: str) -> None:
        """Fetch the artefact at `source` into the empty folder `target` (see `fetch_artefact`).

        Raises:
            ArtefactError: It lies where this registry keeps nothing, or is not what was published.
        """
        with _in_our_words("download the model"):
            experiment = self._client.get_experiment_by_name(MLFLOW_EXPERIMENT)
            location = "" if experiment is None else experiment.artifact_location
            check_source(source, location, self._uri)
            if urlsplit(source).scheme in ("", "file"):
                folder = Path(unquote(urlsplit(source).path))
                fetch_artefact(lambda name, path: _copy_file(folder / name, path), target, ref, digest)
            elif not self._with_mlflow:
                raise UnavailableError(
                    f"{ref} lies in an object store, which is not read here without MLflow.",
                    hint="Mount the cache of models that the scoring pods use.",
                )
            else:
                from mlflow.store.artifact.artifact_repository_registry import (  # noqa: PLC0415 - see `open`
                    get_artifact_repository,
                )

                store = cast("Store", get_artifact_repository(source, self._uri, self._uri))
                fetch_artefact(store._download_file, target, ref, digest)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

    def _experiment(self) -> str:
        experiment = self._mlflow.get_experiment_by_name(MLFLOW_EXPERIMENT)
        if experiment is not None:
            return str(experiment.experiment_id)
        # A server knows where its artefacts go; with a bare database it would be the working directory.
        server = self._uri.startswith(("http://", "https://", "databricks"))
        location = None if server else self._artefacts.as_uri()
        return str(self._mlflow.create_experiment(MLFLOW_EXPERIMENT, artifact_location=location))

    def _register(self, name: str) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - see `open`

        try:
            self._mlflow.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _copy_file(source: Path, target: str) -> None:
    """Copy a regular file: never a link, and never wait for a pipe."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file, Path(target).open("wb") as out:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtefactError(f"{source.name} in the registry's store is not a regular file.")
        shutil.copyfileobj(file, out)


def _open_mlflow(home: Home) -> Client:
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    # MLflow's migrations may not run twice at the same time on one database.
    with locked(home.root / "registry-open.lock"):
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 - seconds, and absent where models serve

        # Importing MLflow configures its loggers anew.
        for logger in ("mlflow", "alembic"):
            logging.getLogger(logger).setLevel(logging.WARNING)
        client = MlflowClient(tracking_uri=home.tracking_uri, registry_uri=home.tracking_uri)
        return cast("Client", client)


def _stored(version: Version) -> StoredVersion:
    return StoredVersion(
        version=int(version.version),
        tags=dict(version.tags),
        created_at=datetime.fromtimestamp(version.creation_timestamp / 1000, tz=UTC),
        source=str(version.source),
    )


def _probe(tracking_uri: str) -> None:
    """Connect before the seconds-long import and MLflow's own retries; UnavailableError if none answers."""
    parts = urlsplit(tracking_uri)
    scheme = parts.scheme.partition("+")[0]
    if parts.hostname is None or scheme not in _PORTS:
        return
    if scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname):
        return
    try:
        socket.create_connection((parts.hostname, parts.port or _PORTS[scheme]), CONNECT_SECONDS).close()
    except OSError as error:
        raise UnavailableError(
            f"The model registry at {scheme}://{parts.hostname}:{parts.port or _PORTS[scheme]}"
            f" does not answer: {error.strerror or error}.",
            hint=(
                "Check LEADSCORE_TRACKING_URI and that MLflow runs; pinned versions in the cache still load."
            ),
        ) from error


@contextmanager
def _in_our_words(doing: str) -> Generator[None]:
    """Translate what MLflow, its database driver and its HTTP client raise."""
    try:
        yield
    except LeadScoreError:
        raise
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"Cannot {doing}: {error.name} is not installed here.",
            hint="Use a model from the cache, a model folder, or install leadscore[train].",
        ) from error
    except OSError as error:  # requests' exceptions are OSErrors too
        raise UnavailableError(f"Cannot {doing}: {error.strerror or error}.") from error
    # The types meant here can only be named after importing packages that may be absent.
    except Exception as error:
        if _is(error, "mlflow.exceptions", "MlflowException") or _is(
            error, "leadscore.registry.rest", "RegistryAnswerError"
        ):
            raise _translated(doing, error) from error
        if _is(error, "sqlalchemy.exc", "SQLAlchemyError"):
            raise UnavailableError(f"Cannot {doing}: the registry's database failed ({error}).") from error
        raise


def _is(error: Exception, module: str, name: str) -> bool:
    """Whether it is of that type, without importing the type's module: it is loaded if it raised."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(error, kind)


def _translated(doing: str, error: Exception) -> LeadScoreError:
    text = f"Cannot {doing}: {str(getattr(error, 'message', error))[:500]}"
    match getattr(error, "error_code", ""):
        case "RESOURCE_DOES_NOT_EXIST":
            return NotFoundError(text, hint="`leadscore models list` shows what there is.")
        case "RESOURCE_ALREADY_EXISTS" | "RESOURCE_CONFLICT":
            return ConflictError(text, hint="Try again.")
        case "INVALID_PARAMETER_VALUE" | "BAD_REQUEST":
            return BadInputError(text)
        case "PERMISSION_DENIED" | "UNAUTHENTICATED":
            return ForbiddenError(text, hint="Check the registry's credentials.")
        case _:
            return UnavailableError(text, hint="Check LEADSCORE_TRACKING_URI and that MLflow runs.")
