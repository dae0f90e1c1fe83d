"""What a person types against the cluster (kubectl, helm, Rollouts plugin), under one folder for `PATH`."""

from __future__ import annotations

import os
from pathlib import Path

from tools.cluster.build import built_folder, cache_root
from tools.cluster.pins import ARGO_ROLLOUTS, HELM, KUBERNETES

COMMANDS = ((KUBERNETES, "kubectl"), (HELM, "helm"), (ARGO_ROLLOUTS, "kubectl-argo-rollouts"))


def folder() -> Path:
    """The same for every version, so that a shell's `PATH` outlives an upgrade."""
    return cache_root() / "commands"


def link() -> Path | None:
    """Make the folder's links those of the pinned versions that were built here; None if none was.

    A link is replaced in one step: a command that is typed meanwhile finds the old one or the new one.
    """
    sources = {name: built_folder(program) / name for program, name in COMMANDS}
    present = {name: source for name, source in sources.items() if source.is_file()}
    if not present:
        return None
    folder().mkdir(parents=True, exist_ok=True)
    for name, source in present.items():
        beside = folder() / f".{name}.{os.getpid()}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(source)
        beside.replace(folder() / name)
    return folder()
