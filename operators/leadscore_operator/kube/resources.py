"""The kinds the operator deals with, and where the API server keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

# An object as the API server speaks it. Kinds of ours are decoded into structs; the others are read field by
# field.
Manifest = dict[str, Any]

GROUP: Final = "leadscore.dev"
VERSION: Final = "v1alpha1"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind: API version, plural name."""

    api: str
    kind: str
    plural: str

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Path of the collection, of one object, or of its subresource."""
        root = f"/api/{self.api}" if "/" not in self.api else f"/apis/{self.api}"
        parts = (f"{root}/namespaces/{namespace}/{self.plural}", name, subresource)
        return "/".join(part for part in parts if part)

    def full(self, body: Manifest) -> Manifest:
        """The object with its API version and kind."""
        return {"apiVersion": self.api, "kind": self.kind, **body}


DETECTORS: Final = Resource(f"{GROUP}/{VERSION}", "DriftDetector", "driftdetectors")
POLICIES: Final = Resource(f"{GROUP}/{VERSION}", "RetrainPolicy", "retrainpolicies")
RUNS: Final = Resource(f"{GROUP}/{VERSION}", "RetrainRun", "retrainruns")
RELEASES: Final = Resource(f"{GROUP}/{VERSION}", "ModelRelease", "modelreleases")
CRONJOBS: Final = Resource("batch/v1", "CronJob", "cronjobs")
JOBS: Final = Resource("batch/v1", "Job", "jobs")
PODS: Final = Resource("v1", "Pod", "pods")
EVENTS: Final = Resource("v1", "Event", "events")
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases")
ROLLOUTS: Final = Resource("argoproj.io/v1alpha1", "Rollout", "rollouts")

REPLICA_SETS: Final = Resource("apps/v1", "ReplicaSet", "replicasets")
DEPLOYMENTS: Final = Resource("apps/v1", "Deployment", "deployments")
SERVICES: Final = Resource("v1", "Service", "services")

# Label of every child: the uid of the object it belongs to.
OWNER_LABEL: Final = f"{GROUP}/owner-uid"
MANAGED_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "leadscore-operator"
