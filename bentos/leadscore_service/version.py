"""Check that a pod's label, settings and artefact name the same model version.

An upgrade can change one of them and leave the others (Helm merges a list as a whole and a map by its keys),
and replies, metrics, records and verdicts would then name the wrong version.
"""

from __future__ import annotations

from pathlib import Path

from leadscore_service.errors import SettingsError
from leadscore_service.settings import Settings

LABEL = "leadscore.dev/model-version"


def served_version(settings: Settings, directory: Path) -> str:
    """Return the version that label, settings and artefact agree on; "" if none of them says one.

    Args:
        settings: Of this worker.
        directory: Where its artefact is.

    Raises:
        SettingsError: Two of them differ, or the pod has no label although it is told to read one.
    """
    if settings.version_label == "":
        raise SettingsError(
            f"This pod has no label {LABEL}: nobody has said yet which version it serves.",
            hint=f"Set the label {LABEL} in the pod template (docs/gitops.md).",
        )
    said = {
        f"the pod's label {LABEL}": settings.version_label or "",
        "LEADSCORE_MODEL_VERSION": settings.model_version,
        "LEADSCORE_MODEL": _pinned(settings),
        f"the artefact in {directory}": _artefact_version(settings, directory),
    }
    known = {where: version for where, version in said.items() if version}
    if len(set(known.values())) > 1:
        names = ", ".join(f"{where} says {version}" for where, version in known.items())
        raise SettingsError(
            f"It is not sure which version this pod serves: {names}.",
            hint=(
                "Nothing is served under a wrong version. Bring the version again, by the "
                "operator or by `helm upgrade`."
            ),
        )
    return next(iter(known.values()), "")


def _pinned(settings: Settings) -> str:
    """The version of `NAME/7`; an alias names none, and a folder wins over the reference."""
    if settings.model_dir is not None:
        return ""
    _, slash, version = settings.model_ref.rpartition("/")
    return version if slash and version.isdigit() else ""


def _artefact_version(settings: Settings, directory: Path) -> str:
    """Return the version noted by the init container, or that of the cache folder of a registered model."""
    if settings.artefact_version_file is not None:
        try:
            return settings.artefact_version_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{settings.artefact_version_file} cannot be read: which version the "
                "artefact is, is not known.",
                hint=(
                    "The init container that copies the artefact writes it; unset "
                    "LEADSCORE_ARTEFACT_VERSION_FILE without one."
                ),
            ) from error
    cached = directory.parent.parent == settings.home.models
    return directory.name if cached and directory.name.isdigit() else ""
