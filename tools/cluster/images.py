"""Images of the add-ons: the public ones, and the same programs in archives of our own.

One place for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.cluster.build import built_folder
from tools.cluster.pins import ALERTMANAGER, ARGO_ROLLOUTS, METRICS_SERVER, PROMETHEUS, TRAEFIK, Program
from tools.offline.archive import Image

Manifest = dict[str, object]

# Images that kind's release notes list for this version of kind; other node images may not boot with it.
PUBLIC_NODE_IMAGE = (
    "docker.io/kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed"
)


@dataclass(frozen=True, slots=True)
class AddonImage:
    """One add-on's program as an image.

    Attributes:
        program: What is inside.
        path: Where the public image keeps its program; ours keeps it there too, so one manifest fits both.
        repository: The public image without its tag.
        user: The numeric user of the public image.
    """

    program: Program
    path: str
    repository: str
    user: str

    @property
    def public(self) -> str:
        """The published image of the pinned version."""
        version = self.program.version
        # The Go module of Prometheus numbers its 3.x releases v0.3xx.
        if self.program is PROMETHEUS:
            version = f"v3.{int(version.split('.')[1]) - 300}.{version.split('.')[2]}"
        return f"{self.repository}:{version}"

    @property
    def local(self) -> str:
        """The image that is made here."""
        return f"localhost/leadscore/{self.program.name}:{self.program.version}"

    def archive_image(self) -> Image:
        """What `archive.write_archive` needs to make it."""
        binary = built_folder(self.program) / self.program.binaries[0]
        return Image(
            self.local,
            files=[(binary, self.path)],
            directories=["/tmp"],
            entrypoint=[self.path],
            user=self.user,
        )


ADDON_IMAGES = (
    AddonImage(ARGO_ROLLOUTS, "/bin/rollouts-controller", "quay.io/argoproj/argo-rollouts", "999"),
    AddonImage(TRAEFIK, "/usr/local/bin/traefik", "docker.io/library/traefik", "65532"),
    AddonImage(PROMETHEUS, "/bin/prometheus", "quay.io/prometheus/prometheus", "65534"),
    # Not an add-on: whoever wants alerts delivered runs one (manifests/local-cluster/alertmanager.yaml).
    AddonImage(ALERTMANAGER, "/bin/alertmanager", "quay.io/prometheus/alertmanager", "65534"),
    AddonImage(METRICS_SERVER, "/metrics-server", "registry.k8s.io/metrics-server/metrics-server", "1000"),
)


def image_map(*, local: bool) -> Mapping[str, str]:
    """Public repository → the reference to use on this cluster."""
    return {image.repository: image.local if local else image.public for image in ADDON_IMAGES}


def with_images(manifests: Sequence[Manifest], references: Mapping[str, str]) -> list[Manifest]:
    """The manifests with every container image replaced by its pinned reference; pure.

    Raises:
        LookupError: A manifest names an image that is not pinned here.
    """
    return [_replaced(manifest, references) for manifest in manifests]


def _replaced(manifest: Manifest, references: Mapping[str, str]) -> Manifest:
    if manifest["kind"] != "Deployment":
        return manifest
    spec: dict = manifest["spec"]["template"]["spec"]  # type: ignore[index]
    containers = [_with_image(container, references) for container in spec["containers"]]
    template = {**manifest["spec"]["template"], "spec": {**spec, "containers": containers}}  # type: ignore[index]
    return {**manifest, "spec": {**manifest["spec"], "template": template}}  # type: ignore[dict-item]


def _with_image(container: dict[str, object], references: Mapping[str, str]) -> dict[str, object]:
    repository = str(container["image"]).rsplit(":", 1)[0]
    if repository not in references:
        raise LookupError(f"The image {container['image']} is not pinned in tools/cluster/images.py.")
    return {**container, "image": references[repository], "imagePullPolicy": "IfNotPresent"}
