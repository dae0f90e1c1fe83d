"""Verified copies of model artefacts on this machine: a cached version starts while MLflow is down.

Layout under `home.models`: `NAME/7/` (an artefact), `NAME/aliases.json` (where aliases pointed when last
seen, and the digests of the cached versions). No MLflow in here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import ArtefactError, UnavailableError
from leadscore.files import replace_file, temporary_folder
from leadscore.registry.locks import locked
from leadscore.scoring.artefact import TEMPORARY, artefact_digest, verify_artefact

_log = logging.getLogger(__name__)


class AliasesSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry said when it last answered (`aliases.json`).

    Attributes:
        registry: `registry_id` of the one that said it.
        seen_at: When, UTC.
        aliases: Alias to version.
        digests: Version (as text, a JSON key) to artefact digest.
    """

    registry: str
    seen_at: datetime
    aliases: dict[str, int]
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class CachedVersion:
    """A cached artefact that verified just now.

    Attributes:
        path: Its folder.
        same_registry: False if it is known to come from another registry than the one configured.
    """

    path: Path
    same_registry: bool


@dataclass(frozen=True, slots=True)
class LastSeen:
    """What an alias meant when the registry last answered, in the cache and verified just now."""

    version: int
    path: Path
    seen_at: datetime


class ModelCache:
    """The cache of one home folder, for one registry."""

    def __init__(self, root: Path, registry: str) -> None:
        self._root = root
        self._registry = registry

    def seen(self, name: str) -> AliasesSnapshot | None:
        """What was last seen of a model; None if nothing or not readable."""
        try:
            return msgspec.json.decode(
                (self._root / name / "aliases.json").read_bytes(), type=AliasesSnapshot
            )
        except FileNotFoundError:
            return None
        except (OSError, *DECODE_ERRORS) as error:
            _log.warning("ignoring the unreadable %s of model %s: %s", "aliases.json", name, error)
            return None

    def remember(self, name: str, aliases: Mapping[str, int], digests: Mapping[int, str]) -> None:
        """Note what the registry says now; a cache that cannot be written is only a warning."""
        before = self.seen(name)
        kept = before.digests if before is not None and before.registry == self._registry else {}
        seen = AliasesSnapshot(
            registry=self._registry,
            seen_at=datetime.now(UTC),
            aliases=dict(aliases),
            digests={**kept, **{str(version): digest for version, digest in digests.items()}},
        )
        folder = self._root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(folder / "aliases.json", msgspec.json.encode(seen))
        except OSError as error:
            _log.warning("cannot remember the aliases of model %s: %s", name, error.strerror or error)

    def find(self, name: str, version: int, digest: str | None = None) -> CachedVersion | None:
        """A cached version whose every file verifies; None if absent or damaged (then a warning says so).

        Args:
            name: Model.
            version: Version.
            digest: What the registry says it must be; None: whatever was noted when it was fetched.
        """
        path = self._root / name / str(version)
        if not path.is_dir():
            return None
        seen = self.seen(name)
        same = seen is None or seen.registry == self._registry
        expected = digest or (seen.digests.get(str(version)) if seen is not None else None)
        try:
            found = artefact_digest(verify_artefact(path))
        except ArtefactError as error:
            _log.warning("the cached %s/%s is damaged: %s", name, version, error.message)
            return None
        if expected is not None and found != expected:
            _log.warning("the cached %s/%s is not the artefact that was published", name, version)
            return None
        return CachedVersion(path, same)

    def last_seen(self, name: str, alias: str) -> LastSeen | None:
        """The cached version that an alias of this registry meant; None if not known or not cached."""
        seen = self.seen(name)
        if seen is None or seen.registry != self._registry or alias not in seen.aliases:
            return None
        version = seen.aliases[alias]
        cached = self.find(name, version)
        return None if cached is None else LastSeen(version, cached.path, seen.seen_at)

    def install(self, name: str, version: int, digest: str, download: Callable[[Path], object]) -> Path:
        """Fetch one version into the cache, unless another process just did.

        Args:
            name: Model.
            version: Version.
            digest: Artefact digest that the registry recorded at publication.
            download: Fills the empty folder it is given with the artefact.

        Raises:
            ArtefactError: What came is not what was published; nothing is cached.
            UnavailableError: The registry or the disk failed; nothing is cached.
        """
        folder = self._root / name
        with locked(folder / ".lock"):
            cached = self.find(name, version, digest)
            if cached is not None:
                return cached.path
            try:
                return _install(folder, f"{name}/{version}", str(version), digest, download)
            except OSError as error:
                raise UnavailableError(
                    f"Cannot write {name}/{version} into {folder}: {error.strerror or error}.",
                    hint="Check LEADSCORE_HOME, its permissions and space.",
                ) from error


def _install(folder: Path, ref: str, entry: str, digest: str, download: Callable[[Path], object]) -> Path:
    # A killed fetch leaves only what the next one sweeps away.
    with temporary_folder(folder, TEMPORARY) as scratch:
        incoming = scratch / "incoming"
        incoming.mkdir()
        download(incoming)
        found = artefact_digest(verify_artefact(incoming))
        if found != digest:
            raise ArtefactError(
                f"manifest.json of {ref} is not the one that was published: digest {found[:12]}…,"
                f" recorded {digest[:12]}….",
                hint="The registry's artefact was changed. Do not serve it; roll back or train again.",
            )
        target = folder / entry
        if target.exists():
            target.rename(scratch / "damaged")
        incoming.rename(target)
        return target
