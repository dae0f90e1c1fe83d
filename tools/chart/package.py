"""Lint the chart with every values file that there is, and package it: `python -m tools.chart.package`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tools.chart.__main__ import CHART
from tools.cluster.build import build, built_folder, is_built
from tools.cluster.errors import ClusterError
from tools.cluster.pins import HELM
from tools.cluster.shell import run, succeeds

ROOT = CHART.parents[1]


def values_files(root: Path = ROOT) -> list[Path]:
    """Every values file a person may install with: the chart's examples and the environments'."""
    return sorted(
        [
            *(root / "charts" / "lead-scoring" / "ci").glob("*-values.yaml"),
            *(root / "manifests").glob("**/values.yaml"),
        ]
    )


def package(helm: str, destination: Path, files: Sequence[Path]) -> Path:
    """Lint strictly with each file, then package.

    Returns:
        The package.

    Raises:
        ClusterError: Helm refused.
    """
    for file in files:
        run([helm, "lint", "--strict", CHART, "--values", file])
    destination.mkdir(parents=True, exist_ok=True)
    said = run([helm, "package", CHART, "--destination", destination])
    return Path(said.strip().rsplit(": ", 1)[1])


def find_helm() -> str:
    """The pinned Helm if it was built, else Helm 3 on PATH, else the pinned one is built now."""
    if is_built(HELM):
        return str(built_folder(HELM) / "helm")
    if succeeds(["helm", "version"]):
        return "helm"
    return str(build(HELM, lambda part: print(part, file=sys.stderr)) / "helm")


def main() -> int:
    """Say where the package is; 1 if Helm refused something."""
    try:
        print(package(find_helm(), ROOT / "dist", values_files()))
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
