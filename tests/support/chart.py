"""The chart as Helm renders it, and ways to look at it."""

from __future__ import annotations

import re
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
        return subprocess.run(
            [self._helm, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def render(self, *settings: str, values: str = "") -> tuple[Manifest, ...]:
        """Objects of the chart with `--set` settings over a file of `ci/` (named without `-values.yaml`)."""
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


def environment(template: Manifest, container: Manifest | None = None) -> dict[str, str]:
    """What a container is told, as the kubelet works it out.

    Labels by `fieldRef`, `$(NAME)` of variables before; secrets are "".

    Args:
        template: Pod template.
        container: One of its containers; the first if None.
    """
    known: dict[str, str] = {}
    for entry in (container or template["spec"]["containers"][0]).get("env", []):
        path = entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        label = re.fullmatch(r"metadata\.labels\['(.+)'\]", path)
        value = template["metadata"]["labels"].get(label.group(1), "") if label else entry.get("value", "")
        known[entry["name"]] = expanded(value, known)
    return known


def expanded(text: str, known: dict[str, str]) -> str:
    """`$(NAME)` replaced as the kubelet does; a name that is not known stays as it is."""
    return re.sub(r"\$\((\w+)\)", lambda found: known.get(found.group(1), found.group(0)), text)


def queries(manifests: tuple[Manifest, ...]) -> list[str]:
    """Every PromQL query of analyses and alerts."""
    found: list[str] = []
    for manifest in manifests:
        if manifest["kind"] == "AnalysisTemplate":
            found += [metric["provider"]["prometheus"]["query"] for metric in manifest["spec"]["metrics"]]
        elif manifest["kind"] == "PrometheusRule":
            found += [rule["expr"] for group in manifest["spec"]["groups"] for rule in group["rules"]]
    return found
