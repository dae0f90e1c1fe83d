"""ModelReleases of candidates that passed the gate."""

from __future__ import annotations

from typing import Any

from leadscore_operator.kube.resources import MANAGED_LABEL, MANAGER, Manifest
from leadscore_operator.specs.names import release_name


def model_release(model: str, candidate: Manifest, template: dict[str, Any], run: Manifest) -> Manifest:
    """The release of a candidate. It has no owner: deleting the run must not stop a canary."""
    version = int(candidate["version"])
    return {
        "metadata": {
            "name": release_name(model, version),
            "labels": {MANAGED_LABEL: MANAGER},
            "annotations": {"leadscore.dev/run": run["metadata"]["name"]},
        },
        "spec": {**template, "model": model, "version": version},
    }
