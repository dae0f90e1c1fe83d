"""Where an environment is: `manifests/environments/NAME/target.yaml`, strictly typed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from leadscore.documents import read_yaml
from leadscore.errors import BadInputError

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "manifests" / "environments"
CHART = ROOT / "charts" / "lead-scoring"


class Registry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How this machine reaches MLflow.

    Attributes:
        tracking_uri: Its address, if it can be reached directly.
        service: Otherwise the Service in the environment's namespace that is
            port-forwarded while it is asked.
        port: Port of that Service.
    """

    tracking_uri: str = ""
    service: str = ""
    port: int = 5000


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One environment.

    Attributes:
        namespace: Kubernetes namespace; it has to exist.
        release: Helm release.
        model: Model in the registry; empty: the environment's versions are not in a registry.
        wait_minutes: How long `deploy` watches.
        when_not_done: At the end of the wait: `fail`, or `follow` (a canary of days is judged later, by
            `make deploy-verdict`).
        registry: Where the champion's alias lives.
    """

    namespace: str
    release: str
    model: str = ""
    wait_minutes: float = 30
    when_not_done: Literal["fail", "follow"] = "fail"
    registry: Registry = Registry()


def names(folder: Path = ENVIRONMENTS) -> list[str]:
    """Environments that have a folder."""
    return sorted(path.parent.name for path in folder.glob("*/target.yaml"))


def read_target(environment: str, folder: Path = ENVIRONMENTS) -> Target:
    """The environment's target.

    Args:
        environment: Its name.
        folder: Where the environments are, each a folder with `target.yaml` and `values.yaml`.

    Raises:
        BadInputError: There is no such environment, or its file is wrong.
    """
    if environment not in names(folder):
        raise BadInputError(
            f"{environment!r} is not an environment.", hint=f"There are: {', '.join(names(folder))} (ENV=…)."
        )
    return parse_target((folder / environment / "target.yaml").read_text(), environment)


def parse_target(text: str, environment: str) -> Target:
    """Read a target's YAML; BadInputError names what is wrong with it."""
    try:
        target = msgspec.convert(read_yaml(text, f"target.yaml of {environment}"), Target)
    except msgspec.ValidationError as error:
        raise BadInputError(f"target.yaml of {environment}: {error}", hint="See docs/ci-cd.md.") from error
    if target.model and not (target.registry.tracking_uri or target.registry.service):
        raise BadInputError(
            f"target.yaml of {environment} names model {target.model} and no registry.",
            hint="Set registry.trackingUri or registry.service, or leave model empty.",
        )
    return target


def upgrade_arguments(
    target: Target, values: Path, version: int, *, chart: Path = CHART, images: Path | None = None
) -> list[str]:
    """Arguments of Helm that bring a version to an environment.

    Values come from files alone (never from the release before), so the same commit gives the same release.

    Args:
        target: The environment.
        values: Its values file.
        version: Model version.
        chart: Chart folder or package.
        images: Values that name the images, usually by digest.
    """
    files = [values, *([images] if images else [])]
    return [
        "upgrade", "--install", target.release, str(chart),
        "--namespace", target.namespace, "--reset-values",
        *(part for file in files for part in ("--values", str(file))),
        # This version is meant, whichever one the operator or an undo has brought since the last upgrade.
        "--set", f"model.version={version}", "--set", "model.keepLive=false",
        "--description", f"model version {version}",
        "--timeout", "10m",
    ]  # fmt: skip
