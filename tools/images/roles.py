"""The images there are. A new role is one entry here and one folder with a Dockerfile below images/."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tools.images.errors import ImageError
from tools.images.paths import RECIPES


class Base(Enum):
    """What an image starts from.

    A public image, or the same in small made from the distribution's packages.
    """

    PYTHON = "docker.io/library/python:3.11-slim-bookworm"
    BUSYBOX = "docker.io/library/busybox:1.37-musl"
    # Only made here; where a registry answers, its PostgreSQL is used as it is.
    POSTGRESQL = ""


class Code(Enum):
    """Which form of our own code an image carries."""

    NONE = "none"
    WHEEL = "wheel"
    BENTO = "bento"


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of image.

    Attributes:
        name: What people type; also the folder below images/.
        repository: Last part of the image's name.
        base: What it starts from.
        code: Our own code in it.
        extras: Extras of pyproject.toml whose packages, as uv.lock pins them, are in it.
        groups: Dependency groups likewise.
        environment: Folder below envs/ whose locked packages cannot live with ours;
            they are in a folder of their own.
        commands: Executables of those packages that stay in the image.
        files: Further files and folders of the project, at the same place below /opt/leadscore/app.
        chart_value: Where the chart names the image.
    """

    name: str
    repository: str
    base: Base
    code: Code = Code.NONE
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    environment: str = ""
    commands: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    chart_value: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The Dockerfile's folder."""
        return RECIPES / self.name


ROLES = (
    Role(
        "service",
        "lead-scoring",
        Base.PYTHON,
        Code.BENTO,
        extras=("serve",),
        chart_value=("image",),
    ),
    Role(
        "jobs",
        "jobs",
        Base.PYTHON,
        Code.WHEEL,
        extras=("train",),
        commands=("leadscore", "mlflow"),
        chart_value=("jobsImage",),
    ),
    Role(
        "drift-alibi",
        "drift-alibi",
        Base.PYTHON,
        Code.WHEEL,
        extras=("train",),
        environment="alibi-detect",
        commands=("leadscore",),
        chart_value=("driftAlibiImage",),
    ),
    Role(
        "operator",
        "operator",
        Base.PYTHON,
        Code.WHEEL,
        extras=("operator",),
        commands=("leadscore",),
        chart_value=("operator", "image"),
    ),
    Role(
        "console",
        "console",
        Base.PYTHON,
        Code.WHEEL,
        extras=("console",),
        commands=("leadscore",),
        chart_value=("consoleImage",),
    ),
    Role(
        "loadtest",
        "loadtest",
        Base.PYTHON,
        Code.WHEEL,
        groups=("loadtest",),
        commands=("leadscore", "locust"),
        files=("loadtests",),
        chart_value=("loadTest", "image"),
    ),
    Role("postgresql", "postgresql", Base.POSTGRESQL, chart_value=("postgresql", "image")),
)
# Made by `python -m tools.images model` from an artefact, not from the project.
MODEL = Role("model", "model", Base.BUSYBOX)


def find(name: str) -> Role:
    """The role of this name; ImageError if there is none."""
    for role in ROLES:
        if role.name == name:
            return role
    raise ImageError(f"There is no role {name!r}.", hint=f"Roles: {', '.join(role.name for role in ROLES)}.")
