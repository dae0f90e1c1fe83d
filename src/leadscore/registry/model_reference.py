"""Which version a person means by NAME, NAME@alias, NAME/7 or an artefact folder."""

from __future__ import annotations

from pathlib import Path

from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import ModelRef
from leadscore.scoring import artefact
from leadscore.settings import Home


def find_version(ref: str, home: Home) -> tuple[str, str]:
    """Return name and version; an artefact folder is verified, and an alias resolved now.

    Raises:
        ArtefactError: The folder is damaged.
        NotFoundError: The registry has no such alias.
        UnavailableError: An alias was named, and the registry does not answer.
    """
    folder = Path(ref)
    if (folder / artefact.MANIFEST).is_file():
        return artefact.verify_artefact(folder).name, folder.resolve().name
    parsed = ModelRef.parse(ref)
    # Resolved once: the alias may move while the artefact is fetched.
    version = parsed.version if parsed.alias is None else ModelRegistry(home).resolve(ref).version
    return parsed.name, str(version)


def fetch_model(ref: str, home: Home) -> tuple[str, str, Path]:
    """Return name, version and verified folder of a model.

    A folder is taken as it is, a registered model fetched.

    Raises:
        As `find_version`.
    """
    name, version = find_version(ref, home)
    if (Path(ref) / artefact.MANIFEST).is_file():
        return name, version, Path(ref)
    return name, version, ModelRegistry(home).fetch(f"{name}/{version}")


def model_name(ref: str) -> str:
    """Return the name of a model, whatever version is meant, without asking the registry.

    Raises:
        BadInputError: It is no reference.
        ArtefactError: The folder is damaged.
    """
    folder = Path(ref)
    if (folder / artefact.MANIFEST).is_file():
        return artefact.verify_artefact(folder).name
    return ModelRef.parse(ref).name
