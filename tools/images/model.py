"""A version of a model as an image: the artefact verified, then copied."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from leadscore.scoring.model import ScoringModel
from tools.images import bases
from tools.images.build import REGISTRY, OnStep, Plan, assemble, find
from tools.images.built import Built
from tools.images.code import source_epoch
from tools.images.errors import ImageError
from tools.images.paths import RECIPE_MODULES, only_one
from tools.images.roles import MODEL

NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


def plan_model(
    artefact: Path,
    name: str,
    version: int,
    *,
    registry: bool,
    prefix: str = REGISTRY,
    epoch: int | None = None,
) -> Plan:
    """What the image of an artefact is made of.

    Raises:
        ImageError: The name cannot be part of an image's, or there is no artefact.
    """
    if not NAME.match(name):
        raise ImageError(
            f"{name!r} cannot be part of an image's name.", hint="Small letters, digits, . _ and -."
        )
    if not (artefact / "manifest.json").is_file():
        raise ImageError(
            f"{artefact} is no artefact: it has no manifest.json.", hint="`leadscore train` writes one."
        )
    base = bases.reference(MODEL.base, registry=registry)
    reference = f"{prefix}/model-{name}:{version}"
    time = source_epoch([str(MODEL.folder)]) if epoch is None else epoch
    digest = hashlib.sha256(repr((base, reference, time)).encode())
    files = [path for path in sorted(artefact.rglob("*")) if path.is_file()]
    recipe = [Path(__file__).with_name(each) for each in RECIPE_MODULES]
    for path in (*files, *sorted(MODEL.folder.iterdir()), *recipe):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return Plan(MODEL, base, "", "", time, f"{name}-{version}-{digest.hexdigest()[:12]}", reference)


def build_model(planned: Plan, artefact: Path, *, registry: bool, verify: bool, on_step: OnStep) -> Built:
    """The image; made first if it is not in the cache.

    Args:
        planned: From `plan_model`.
        artefact: The folder.
        registry: Whether public images can be pulled.
        verify: Load the model before (digests, golden rows); off for tests of what a tampered one does.
        on_step: Told what is being done.

    Raises:
        LeadScoreError: The artefact does not verify.
    """
    if verify:
        on_step("verifying the artefact")
        ScoringModel.load(artefact)
    with only_one(MODEL.name):
        found = find(planned)
        if found is not None:
            return found
        on_step("base")
        planned = replace(planned, base=bases.ensure(MODEL.base, registry=registry))
        parts = [(MODEL.folder / "Dockerfile", "Dockerfile"), (artefact, "model")]
        return assemble(planned, parts, on_step, registry=registry)
