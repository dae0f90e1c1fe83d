"""A release whose models come from its own MLflow.

The claims and values that the tutorial installs, and its first hours.
"""

from __future__ import annotations

from typing import Any

import yaml
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.release import FULL, ROOT, Release, Values, merged

FOLDER = ROOT / "manifests" / "local-cluster"


def claims() -> list[Object]:
    """Where MLflow keeps artefacts, and pods what they have fetched."""
    return list(yaml.safe_load_all((FOLDER / "claims.yaml").read_text(encoding="utf-8")))


def loop_values() -> Values:
    """The whole loop: MLflow and the operator, over the values of the local cluster."""
    values: Values = yaml.safe_load((FOLDER / "loop.yaml").read_text(encoding="utf-8"))
    return values


def registry_values(**model: Any) -> Values:
    """The part of the loop that serves models from MLflow, without an operator."""
    loop = loop_values()
    return merged({part: loop[part] for part in ("model", "mlflow", "workload")}, {"model": model})


def wait_for_mlflow(release: Release) -> None:
    """Wait until somebody could publish a model."""
    release.kube.run("rollout", "status", f"deployment/{FULL}-mlflow", "--timeout=240s", timeout=250)


def ask_again(release: Release) -> None:
    """Replace the scoring pods.

    Those that have asked for a model already would wait before they ask again.
    """
    release.kube.run("delete", "pods", "--selector=app.kubernetes.io/component=scoring", timeout=120)
