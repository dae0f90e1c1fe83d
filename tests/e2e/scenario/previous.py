"""The release before this one.

Its tree, its images and its models, made by its own tools and kept by commit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.e2e.scenario.images import ROOT
from tools.cluster.shell import run
from tools.images import load
from tools.images.__main__ import registry_answers
from tools.images.built import Built
from tools.images.paths import cache_root, only_one
from tools.images.roles import find
from tools.images.values import helm_values

COMMIT = "041ba94"
MODEL = "upgrade"
# Its folder of scenarios had another name.
_MODELS = f"""
from tests.e2e.story import images
images.MODEL = {MODEL!r}
images.GOOD = (1,)
print(images.load_models())
"""


def tree() -> Path:
    """A checkout of the commit; the history of this clone has it."""
    folder = _folder() / "tree"
    with only_one("previous-tree"):
        if not (folder / "pyproject.toml").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            run(["git", "clone", "--quiet", "--no-checkout", ROOT, folder], timeout=300)
            run(["git", "-C", folder, "checkout", "--quiet", COMMIT])
    return folder


def values() -> dict[str, Any]:
    """Helm values that name its images and its model, which are on the node afterwards."""
    # Where a registry answers, PostgreSQL's official image is pulled.
    roles = ("service",) if registry_answers() else ("service", "postgresql")
    with only_one("previous-images"):
        made = [_image(role) for role in roles]
    present = load.loaded()
    for each in made:
        load.load(each, present)
    repository = _by_its_own("-c", _MODELS).split()[-1]
    return helm_values([(find(each.role), each) for each in made]) | {
        "model": {"image": {"repository": repository}}
    }


def _image(role: str) -> Built:
    """Built once; kept apart from the cache of images, where newer ones push it out."""
    note = _folder() / f"{role}.json"
    if not note.exists():
        (said,) = json.loads(_by_its_own("-m", "tools.images", "build", role, "--no-load", "--json"))
        built = Built(**said)
        kept = shutil.copy2(built.archive, _folder() / f"{role}.tar")
        note.write_text(json.dumps(asdict(replace(built, archive=str(kept)))))
    return Built(**json.loads(note.read_text()))


def _by_its_own(*words: str) -> str:
    """Run Python on the modules of that tree, with the packages of this one's environment."""
    folder = tree()
    sources = (folder, folder / "src", folder / "bentos", folder / "operators")
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{COMMIT}: {words}:\n{done.stderr[-3000:]}"
    return done.stdout


def _folder() -> Path:
    return cache_root() / "previous" / COMMIT
