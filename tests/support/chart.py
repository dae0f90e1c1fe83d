"""The chart as Helm renders it, and ways to look at it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "lead-scoring"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
Manifest = dict[str, Any]


class Chart:
    """Runs Helm on the chart; answers are kept, because a template is a function of its values."""

    def __init__(self, helm: str) -> None:
        self._helm = helm
        self._render = cache(self._template)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Helm, as a person would run it."""
        # Helm built from its module knows no Kubernetes version of its own.
        return subprocess.run(
            [self._helm, *arguments, "--kube-version", "1.36.0"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def render(self, *settings: str, values: str = "") -> tuple[Manifest, ...]:
        """Objects of the chart with `--set` settings over a file of `ci/` (its name without `-values.yaml`)."""
        return self._render(settings, values)

    def refusal(self, *settings: str, values: str = "") -> str:
        """What Helm says when it refuses these settings."""
        done = self.run(
            "template", "leads", str(CHART), "--namespace", "scoring", *_options(settings, values)
        )
        assert done.returncode != 0, "these values were not refused"
        return done.stderr

    def _template(self, settings: tuple[str, ...], values: str) -> tuple[Manifest, ...]:
        done = self.run(
            "template", "leads", str(CHART), "--namespace", "scoring", *_options(settings, values)
        )
        assert done.returncode == 0, done.stderr
        return tuple(document for document in yaml.safe_load_all(done.stdout) if document)


def _options(settings: tuple[str, ...], values: str) -> list[str]:
    file = ["--values", str(CHART / "ci" / f"{values}-values.yaml")] if values else []
    return [
        *file,
        *(
            part
            for setting in settings
            for part in ("--set-json" if "=[" in setting or "={" in setting else "--set", setting)
        ),
    ]


def pod_specs(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, Manifest]]:
    """Every pod spec, claims of a StatefulSet among its volumes, with the name of what makes the pods."""
    for manifest in manifests:
        owner = f"{manifest['kind']}/{manifest['metadata']['name']}"
        spec = manifest.get("spec", {})
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if manifest["kind"] == "Pod":
            yield owner, {"volumes": [], **spec}
        elif isinstance(spec.get("template"), dict) and "spec" in spec["template"]:
            claims = [
                {"name": c["metadata"]["name"], "ephemeral": {}} for c in spec.get("volumeClaimTemplates", [])
            ]
            pod = spec["template"]["spec"]
            yield owner, {**pod, "volumes": [*pod.get("volumes", []), *claims]}


def containers(spec: Manifest) -> list[Manifest]:
    """Init containers and containers."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def queries(manifests: tuple[Manifest, ...]) -> list[str]:
    """Every PromQL query of analyses and alerts."""
    found: list[str] = []
    for manifest in manifests:
        if manifest["kind"] == "AnalysisTemplate":
            found += [metric["provider"]["prometheus"]["query"] for metric in manifest["spec"]["metrics"]]
        elif manifest["kind"] == "PrometheusRule":
            found += [rule["expr"] for group in manifest["spec"]["groups"] for rule in group["rules"]]
    return found
