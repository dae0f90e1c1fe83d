"""Images that scenarios need.

The project's own, versions of a model, and a service that misbehaves on request.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from tests.support.artefacts import build_artefact
from tools.cluster.shell import run, succeeds
from tools.images import build, load, model
from tools.images.__main__ import registry_answers
from tools.images.normalise import normalise
from tools.images.paths import cache_root, only_one
from tools.images.roles import find
from tools.images.values import helm_values

from leadscore.scoring.calibration import Calibration

ROOT = Path(__file__).parents[3]
FAULTS = Path(__file__).parent / "faults"
FAULTY = f"{build.REGISTRY}/e2e-faulty"

# Versions of the scenarios' model. GOOD ones rank and calibrate alike; what is served is told by the version
# alone.
MODEL = "e2e"
GOOD = (1, 2, 3)
SHIFTED = 7
TAMPERED = 8


def project_values(*roles: str) -> dict[str, Any]:
    """Helm values that name images of the project (the service's, PostgreSQL's), built and loaded if need be.

    `$LEADSCORE_E2E_IMAGES` may name a file that `python -m tools.images build --values FILE` wrote: then
    these.
    """
    if given := os.environ.get("LEADSCORE_E2E_IMAGES"):
        values: dict[str, Any] = yaml.safe_load(Path(given).read_text(encoding="utf-8"))
        return values
    # Where a registry answers, PostgreSQL's official image is pulled.
    wanted = roles or (("service",) if registry_answers() else ("service", "postgresql"))
    made = [build.Built(**each) for each in json.loads(_tool("build", *wanted, "--json"))]
    return helm_values([(find(each.role), each) for each in made])


def jobs_values() -> dict[str, Any]:
    """Helm values that name the jobs image (MLflow, `leadscore models fetch`)."""
    return project_values("jobs")


def artefacts(folder: Path) -> dict[int, Path]:
    """One artefact per version, below a folder."""
    made = {
        version: build_artefact(folder / str(version), name=MODEL, seed=0, trees=18 + version)
        for version in GOOD
    }
    made[SHIFTED] = build_artefact(
        folder / str(SHIFTED), name=MODEL, seed=0, trees=20, calibration=Calibration.platt(0.9, 2.5)
    )
    made[TAMPERED] = tampered(build_artefact(folder / str(TAMPERED), name=MODEL, seed=0, trees=21))
    return made


def tampered(folder: Path) -> Path:
    """Change one byte in the middle of the trees; the manifest still tells the old digest."""
    trees = folder / "model.ubj"
    content = bytearray(trees.read_bytes())
    content[len(content) // 2] ^= 1
    trees.chmod(0o644)
    trees.write_bytes(content)
    return folder


def load_models() -> str:
    """Every version as an image on the node; returns the repository, tags are the versions."""
    registry, present = registry_answers(), load.loaded()
    repository = ""
    with tempfile.TemporaryDirectory(prefix="leadscore-e2e-") as scratch:
        for version, folder in artefacts(Path(scratch)).items():
            planned = model.plan_model(folder, MODEL, version, registry=registry)
            built = model.build_model(
                planned, folder, registry=registry, verify=version != TAMPERED, on_step=lambda _: None
            )
            load.load(built, present)
            repository = built.repository
    return repository


def load_faulty(service: str) -> str:
    """The misbehaving service, made from the service's image and loaded; returns its tag."""
    digest = hashlib.sha256(service.encode())
    for source in sorted(FAULTS.glob("[!_]*")):
        if source.is_file():
            digest.update(source.read_bytes())
    tag = digest.hexdigest()[:12]
    reference = f"{FAULTY}:{tag}"
    with only_one("e2e-faulty"):
        if reference in load.loaded():
            return tag
        _into_docker(service)
        parts = [(source, source.name) for source in sorted(FAULTS.iterdir()) if source.is_file()]
        build.docker_build(reference, service, parts, 0)
        with tempfile.TemporaryDirectory(prefix="leadscore-e2e-") as scratch:
            saved, archive = Path(scratch) / "saved.tar", Path(scratch) / "image.tar"
            run(["docker", "save", "--output", saved, reference], timeout=300)
            found = normalise(saved, archive, name=reference, epoch=0, labels={})
            load.load(build.Built("e2e-faulty", reference, found, service, 0, str(archive)), {})
    return tag


def _into_docker(reference: str) -> None:
    if succeeds(["docker", "image", "inspect", reference]):
        return
    for note in (cache_root() / "archives").glob("service-*.json"):
        # Its bill of materials lies beside it.
        if note.name.endswith(".cdx.json"):
            continue
        built = build.Built(**json.loads(note.read_text()))
        if built.reference == reference:
            load.load_into_docker(built)
            return
    raise LookupError(f"{reference} is not in the cache of images")


def _tool(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tools.images", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"tools.images {' '.join(words)}:\n{done.stderr[-3000:]}"
    return done.stdout
