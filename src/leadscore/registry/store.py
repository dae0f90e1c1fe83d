"""The model registry: publish, find, promote, roll back, archive, fetch, compare."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from msgspec import UNSET, UnsetType

from leadscore.errors import ArtefactError, NotFoundError, UnavailableError
from leadscore.registry import records
from leadscore.registry.backend import Backend, registry_id
from leadscore.registry.cache import ModelCache
from leadscore.registry.changes import Author, Changes
from leadscore.registry.compare import VersionComparison, compare_artefacts
from leadscore.registry.locks import locked
from leadscore.registry.metrics import read_metrics
from leadscore.registry.transitions import Repairs
from leadscore.registry.versions import ModelRef, ModelVersion, VersionDecision, age, check_name
from leadscore.scoring.artefact import artefact_digest, verify_artefact
from leadscore.settings import Home

_log = logging.getLogger(__name__)


class ModelRegistry:
    """Model versions in the registry of one home folder. MLflow is imported by the first call that needs it.

    Every method raises UnavailableError when the registry cannot be asked (never "nothing there"), and
    NotFoundError for a model, version or alias that it does not have.

    Args:
        home: Where it is.
        with_mlflow: False: only look and fetch, without MLflow, and make nothing that is not there.
    """

    def __init__(self, home: Home, *, with_mlflow: bool = True) -> None:
        self._home = home
        self._with_mlflow = with_mlflow
        self._cache = ModelCache(home.models, registry_id(home.tracking_uri))

    @cached_property
    def _backend(self) -> Backend:
        return Backend.open(self._home, with_mlflow=self._with_mlflow)

    @property
    def _changes(self) -> Changes:
        return Changes(self._backend, self._home.root / "registry.lock")

    # --- Looking ----------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """All models, sorted."""
        return self._backend.names()

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions of a model, newest first."""
        model = self._backend.model(check_name(name))
        stored = reversed(self._backend.versions(name))
        return [records.model_version(name, version, model.aliases) for version in stored]

    def get(self, name: str, version: int) -> ModelVersion:
        """One version."""
        return self.resolve(f"{check_name(name)}/{version}")

    def resolve(self, ref: str) -> ModelVersion:
        """Return the version that `NAME@alias`, `NAME/7` or `NAME` (its champion) means now."""
        parsed = ModelRef.parse(ref)
        model = self._backend.model(parsed.name)
        version = parsed.version if parsed.alias is None else model.aliases.get(parsed.alias)
        if version is None:
            raise NotFoundError(
                f"{parsed.name} has no {parsed.alias}.",
                hint=f"`leadscore models list {parsed.name}` shows what it has.",
            )
        return records.model_version(parsed.name, self._backend.version(parsed.name, version), model.aliases)

    def compare(self, name: str, a: int, b: int) -> VersionComparison:
        """Two versions side by side; both are fetched and verified."""
        folder_a, folder_b = (self.fetch(f"{check_name(name)}/{version}") for version in (a, b))
        return compare_artefacts(name, (a, folder_a), (b, folder_b))

    # --- Changing ---------------------------------------------------------------------------------------

    def publish(
        self,
        directory: Path,
        name: str,
        *,
        alias: Literal["champion", "challenger"] | None = None,
        reason: str = "",
        by: str | None = None,
    ) -> ModelVersion:
        """Verify an artefact folder and make it the model's next version.

        Publishing the same artefact again returns the version it already is, so a killed publication can
        simply be repeated.

        Args:
            directory: The artefact folder; stays as it is.
            name: Model to publish it under.
            alias: Also nominate (`challenger`) or promote (`champion`) it.
            reason: Noted with the alias.
            by: Who publishes; the login name if not given.

        Raises:
            ArtefactError: The folder does not verify.
        """
        author = Author.of(by, reason)
        manifest = verify_artefact(directory)
        digest = artefact_digest(manifest)
        metrics = read_metrics(directory, manifest)
        with locked(self._home.root / "registry.lock"):
            known = {records.digest_of(v): v.version for v in self._backend.versions(check_name(name))}
            version = known.get(digest) or self._backend.add_version(
                name,
                directory,
                {metric: figure.value for metric, figure in metrics.items()},
                records.publication_tags(manifest, digest, metrics, author.by),
            )
        if alias == "champion":
            self._changes.promote(name, version, author)
        elif alias == "challenger":
            self._changes.nominate(name, version, author)
        return self.get(name, version)

    def nominate(
        self, name: str, version: int, *, reason: str = "", by: str | None = None
    ) -> VersionDecision:
        """Make a version the challenger (stage Staging).

        Raises:
            RefusedError: It is the champion, or archived.
        """
        return self._changes.nominate(check_name(name), version, Author.of(by, reason))

    def promote(
        self,
        name: str,
        version: int,
        *,
        reason: str = "",
        by: str | None = None,
        expected_champion: int | UnsetType | None = UNSET,
    ) -> VersionDecision:
        """Make a version the champion (stage Production); the old champion becomes `previous`.

        Promoting the champion again changes nothing.

        Args:
            name: Model.
            version: New champion.
            reason: Recorded.
            by: Recorded; the login name if not given.
            expected_champion: The champion that the decision was made against (None: none yet).

        Raises:
            ConflictError: The champion is another one than expected, or somebody is changing it right now.
            RefusedError: The version is archived.
        """
        return self._changes.promote(check_name(name), version, Author.of(by, reason), expected_champion)

    def rollback(
        self,
        name: str,
        *,
        reason: str = "",
        by: str | None = None,
        expected_champion: int | UnsetType | None = UNSET,
    ) -> VersionDecision:
        """Return to the champion before the present one.

        Each rollback goes further back. To go forward again, promote the version.

        Args:
            name: Model.
            reason: Recorded.
            by: Recorded; the login name if not given.
            expected_champion: The champion that is to be left: two people who leave it at once go back once.

        Raises:
            ConflictError: The champion is another one than expected, or somebody is changing it right now.
            RefusedError: There is none before.
        """
        return self._changes.rollback(check_name(name), Author.of(by, reason), expected_champion)

    def archive(self, name: str, version: int, *, reason: str = "", by: str | None = None) -> VersionDecision:
        """Retire a version for good; RefusedError for the champion and the challenger."""
        return self._changes.archive(check_name(name), version, Author.of(by, reason))

    def repair(self, name: str) -> Repairs:
        """Complete what a killed process left half done (every change does it first).

        Returns what it wrote.
        """
        return self._changes.repair(check_name(name))

    # --- Fetching ---------------------------------------------------------------------------------------

    def fetch(self, ref: str) -> Path:
        """A verified local copy of a model.

        A pinned version (`NAME/7`) that is cached needs no registry, nor MLflow installed. An alias is
        resolved anew each time; while the registry is down, what it meant when last seen is used, and a
        warning says how long ago that was.

        Raises:
            ArtefactError: The registry's artefact is not what was published; nothing is cached.
        """
        parsed = ModelRef.parse(ref)
        cached = None if parsed.version is None else self._cache.find(parsed.name, parsed.version)
        if cached is not None and cached.same_registry:
            return cached.path
        try:
            return self._download(self.resolve(ref))
        except UnavailableError as error:
            if cached is not None:
                _log.warning("%s comes from another registry; the configured one: %s", ref, error.message)
                return cached.path
            return self._last_seen(parsed, error)

    def _download(self, version: ModelVersion) -> Path:
        if not version.digest:
            raise ArtefactError(
                f"{version.ref} has no digest: it was not published by leadscore.",
                hint="Publish an artefact folder with `leadscore train`.",
            )
        source = self._backend.version(version.name, version.version).source
        path = self._cache.install(
            version.name,
            version.version,
            version.digest,
            lambda target: self._backend.download(source, target, version.ref, version.digest),
        )
        aliases = self._backend.model(version.name).aliases
        self._cache.remember(version.name, aliases, {version.version: version.digest})
        return path

    def _last_seen(self, ref: ModelRef, error: UnavailableError) -> Path:
        found = None if ref.alias is None else self._cache.last_seen(ref.name, ref.alias)
        if found is None:
            raise error
        _log.warning(
            "THE REGISTRY DOES NOT ANSWER: using %s/%d, which %s meant %s ago; it may have moved since. %s",
            ref.name,
            found.version,
            ref,
            age(datetime.now(UTC) - found.seen_at),
            error.message,
        )
        return found.path
