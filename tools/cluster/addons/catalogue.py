"""The add-ons: what the chart needs besides Kubernetes, the same on a local and on a given cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.cluster.images import Manifest, image_map, with_images
from tools.cluster.pins import ARGO_ROLLOUTS, MODULES, TRAEFIK, Program
from tools.cluster.shell import run

HERE = Path(__file__).parent
# The resource definitions are 40,000 lines: 1 s with libyaml, 10 s without.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Addon:
    """One add-on.

    Attributes:
        name: Name of its Deployment.
        namespace: Where the Deployment is.
        marker: A resource (`type/name`) that exists where somebody has installed it already.
        module: The program whose module zip holds further manifests, if any.
        module_file: Their path in the zip.
    """

    name: str
    namespace: str
    marker: str
    module: Program | None = None
    module_file: str = ""


ADDONS = (
    Addon("argo-rollouts", "argo-rollouts", "crd/rollouts.argoproj.io", ARGO_ROLLOUTS,
        "manifests/install.yaml"),
    Addon(
        "traefik", "traefik", "crd/ingressroutes.traefik.io", TRAEFIK,
        "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml",
    ),
    Addon("metrics-server", "kube-system", "apiservice/v1beta1.metrics.k8s.io"),
    Addon("prometheus", "monitoring", ""),
)  # fmt: skip


def manifests(addon: Addon, *, local: bool) -> list[Manifest]:
    """Everything that the add-on consists of, with its images pinned."""
    documents: list[Manifest] = []
    own = HERE / f"{addon.name}.yaml"
    if own.exists():
        documents += yaml.load_all(own.read_text(), _LOADER)
    if addon.module is not None:
        text = (_module_folder(addon.module) / addon.module_file).read_text()
        documents += yaml.load_all(text, _LOADER)
    documents = [document for document in documents if document]
    return with_images(documents, image_map(local=local))


def _module_folder(program: Program) -> Path:
    """The unpacked module zip; downloaded by Go if need be."""
    answer = run(
        ["go", "mod", "download", "-json", program.module], cwd=MODULES / program.name, timeout=300,
        hint="Go 1.26 or newer fetches the add-on's manifests from its module.",
    )  # fmt: skip
    return Path(json.loads(answer)["Dir"])
