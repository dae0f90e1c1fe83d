"""Pods that the operator starts.

The installation's image and environment, no rights in the cluster, restricted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.errors import BadInputError
from leadscore.files import read_file
from leadscore_operator.kube.resources import MANAGED_LABEL, MANAGER, OWNER_LABEL, Manifest, Resource

CONTAINER = "leadscore"
MESSAGE_PATH = "/dev/termination-log"
# What a child is for, and the name of the object that it belongs to.
PART_LABEL = "leadscore.dev/part"
NAME_LABEL = "leadscore.dev/owner"


class Workload(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the installation runs pods of the jobs image: a file that the chart writes.

    Attributes:
        image: Jobs image.
        image_pull_policy: When to pull it.
        alibi_image: Jobs image with alibi-detect beside it; "": the jobs image has it.
        alibi_image_pull_policy: When to pull that one.
        image_pull_secrets: Secrets to pull it with.
        env: Environment (event store, registry), as container `env` entries.
        env_from: Secrets and ConfigMaps of the environment.
        volumes: More volumes.
        volume_mounts: Where they are mounted.
        resources: Requests and limits where the custom resource says nothing.
        labels: Labels of the pods, such as NetworkPolicies select by.
        annotations: Annotations of the pods.
        run_as_user: User and group id; None leaves them to the platform.
        service_account_name: Of the pods; it needs no rights.
        affinity: Affinity.
        node_selector: Node labels.
        priority_class_name: PriorityClass.
        tolerations: Tolerations.
        topology_spread_constraints: Topology spread constraints.
        home_size: Bound of the scratch volume.
        installation: Deployment of the operator itself, which goes when the release is uninstalled; ""
            without one.
    """

    image: str
    image_pull_policy: str = "IfNotPresent"
    alibi_image: str = ""
    alibi_image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: list[dict[str, Any]] = []
    env: list[dict[str, Any]] = []
    env_from: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    volume_mounts: list[dict[str, Any]] = []
    resources: dict[str, Any] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    run_as_user: int | None = 10001
    service_account_name: str = "default"
    affinity: dict[str, Any] = {}
    node_selector: dict[str, str] = {}
    priority_class_name: str = ""
    tolerations: list[dict[str, Any]] = []
    topology_spread_constraints: list[dict[str, Any]] = []
    home_size: str = "4Gi"
    installation: str = ""

    def for_alibi(self) -> Workload:
        """Return the same with the image that has alibi-detect."""
        if not self.alibi_image:
            return self
        return msgspec.structs.replace(
            self, image=self.alibi_image, image_pull_policy=self.alibi_image_pull_policy
        )

    @classmethod
    def read(cls, path: Path) -> Workload:
        """Read the file.

        Raises:
            BadInputError: It is not there, or not of this form.
        """
        try:
            return msgspec.convert(read_yaml(read_file(path, MAX_BYTES), str(path)), cls)
        except (OSError, msgspec.ValidationError) as error:
            raise BadInputError(
                f"The workload file {path} cannot be used: {error}.", hint="The chart writes it."
            ) from error


def object_metadata(
    name: str, owner: Manifest, resource: Resource, *, part: str, labels: dict[str, str] | None = None
) -> Manifest:
    """Name, labels and owner of a child. The owner's deletion deletes it; no finalizer is involved."""
    return {
        "name": name,
        "labels": {
            MANAGED_LABEL: MANAGER,
            OWNER_LABEL: owner["metadata"]["uid"],
            PART_LABEL: part,
            NAME_LABEL: owner["metadata"]["name"],
            **(labels or {}),
        },
        "ownerReferences": [owner_reference(owner, resource)],
    }


def owner_reference(owner: Manifest, resource: Resource) -> Manifest:
    """What makes the garbage collector delete a child when its owner is gone."""
    return {
        "apiVersion": resource.api,
        "kind": resource.kind,
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def pod_template(
    workload: Workload, command: list[str], labels: dict[str, str], *, resources: dict[str, Any]
) -> Manifest:
    """One container, restricted, without a token; its last words are read from the termination message."""
    env = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 (the pod's own volume)
        {"name": "LEADSCORE_HOME", "value": "/var/lib/leadscore"},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        *workload.env,
    ]
    container: Manifest = {
        "name": CONTAINER,
        "image": workload.image,
        "imagePullPolicy": workload.image_pull_policy,
        "command": command,
        # The last of one name counts, as Kubernetes has it; an apply takes each name once.
        "env": list({entry["name"]: entry for entry in env}.values()),
        "resources": resources or workload.resources,
        "terminationMessagePath": MESSAGE_PATH,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": "/var/lib/leadscore"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
            *workload.volume_mounts,
        ],
    }
    if workload.env_from:
        container["envFrom"] = workload.env_from
    spec: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "serviceAccountName": workload.service_account_name,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [
            {"name": "home", "emptyDir": {"sizeLimit": workload.home_size}},
            {"name": "tmp", "emptyDir": {}},
            *workload.volumes,
        ],
    }
    if workload.run_as_user is not None:
        spec["securityContext"] |= dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), workload.run_as_user)
    for key, value in (
        ("imagePullSecrets", workload.image_pull_secrets),
        ("affinity", workload.affinity),
        ("nodeSelector", workload.node_selector),
        ("priorityClassName", workload.priority_class_name),
        ("tolerations", workload.tolerations),
        ("topologySpreadConstraints", workload.topology_spread_constraints),
    ):
        if value:
            spec[key] = value
    meta: Manifest = {"labels": {**workload.labels, **labels}}
    if workload.annotations:
        meta["annotations"] = workload.annotations
    return {"metadata": meta, "spec": spec}
