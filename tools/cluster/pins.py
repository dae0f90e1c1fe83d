"""What the local cluster is made of: every program, its Go module and its version.

Versions are pinned by the committed go.mod/go.sum beside this file (`modules/`), so a build is the same
everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True, slots=True)
class Program:
    """One Go module that yields one or more binaries.

    Attributes:
        name: Folder below `modules/`.
        packages: Import paths of the main packages, in build order.
        module: The module whose version is the program's version.
        binaries: File names that the build leaves, in the order of `packages`.
        stamp: Linker variables to set (`-X`), `{version}` is replaced.
        tags: Go build tags.
        own_version: Version of a program whose source is beside its go.mod; empty for others.
    """

    name: str
    packages: tuple[str, ...]
    module: str
    binaries: tuple[str, ...]
    stamp: tuple[str, ...] = ()
    tags: str = ""
    own_version: str = ""

    @property
    def version(self) -> str:
        """The pinned version, as go.mod says it (`v1.36.3`)."""
        if self.own_version:
            return self.own_version
        text = (MODULES / self.name / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise LookupError(f"{self.module} is not required by modules/{self.name}/go.mod")
        return found.group(1)

    def linker_flags(self) -> str:
        """Flags for `go build -ldflags`: stripped, with the version stamped where the program reports it."""
        return " ".join(
            ["-s", "-w", *(f"-X {variable.format(version=self.version)}" for variable in self.stamp)]
        )


def _kubernetes_stamp() -> tuple[str, ...]:
    # kubeadm and the API server refuse to talk when the binary does not know its own version.
    places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    values = (
        "gitVersion={version}",
        "gitMajor=1",
        "gitMinor=36",
        "gitTreeState=clean",
        "buildDate=2026-01-01T00:00:00Z",
    )
    return tuple(f"{place}.{value}" for place in places for value in values)


_COMPONENTS = (
    "kube-apiserver",
    "kubelet",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubectl",
    "kubeadm",
)
KUBERNETES = Program(
    name="k8s",
    packages=tuple(f"k8s.io/kubernetes/cmd/{component}" for component in _COMPONENTS),
    module="k8s.io/kubernetes",
    binaries=_COMPONENTS,
    stamp=_kubernetes_stamp(),
)
ETCD = Program("etcd", ("go.etcd.io/etcd/server/v3",), "go.etcd.io/etcd/server/v3", ("etcd",))
COREDNS = Program("coredns", ("github.com/coredns/coredns",), "github.com/coredns/coredns", ("coredns",))
KIND = Program("kind", ("sigs.k8s.io/kind",), "sigs.k8s.io/kind", ("kind",))


def _helm_stamp() -> tuple[str, ...]:
    # Unstamped, `helm template` takes the cluster for Kubernetes 1.20 and refuses a chart that needs a newer
    # one. Helm's own releases are stamped by its Makefile in the same places.
    major, minor = KUBERNETES.version.removeprefix("v").split(".")[:2]
    places = ("helm.sh/helm/v3/pkg/chartutil", "helm.sh/helm/v3/pkg/lint/rules")
    stamps = [
        f"{place}.{name}={value}"
        for place in places
        for name, value in (("k8sVersionMajor", major), ("k8sVersionMinor", minor))
    ]
    return ("helm.sh/helm/v3/internal/version.version={version}", *stamps)


HELM = Program("helm", ("helm.sh/helm/v3/cmd/helm",), "helm.sh/helm/v3", ("helm",), stamp=_helm_stamp())
ARGO_ROLLOUTS = Program(
    name="argo-rollouts",
    packages=(
        "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
        "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts",
    ),
    module="github.com/argoproj/argo-rollouts",
    binaries=("rollouts-controller", "kubectl-argo-rollouts"),
)
TRAEFIK = Program(
    "traefik", ("github.com/traefik/traefik/v3/cmd/traefik",), "github.com/traefik/traefik/v3", ("traefik",)
)

PROMETHEUS = Program(
    name="prometheus",
    packages=("github.com/prometheus/prometheus/cmd/prometheus",),
    module="github.com/prometheus/prometheus",
    binaries=("prometheus",),
    # Of its thirty discovery mechanisms a cluster needs one; the others are most of the compile time.
    tags="remove_all_sd,enable_kubernetes_sd",
)
# The newest whose module holds its web page, without which it does not compile.
ALERTMANAGER = Program(
    "alertmanager",
    ("github.com/prometheus/alertmanager/cmd/alertmanager",),
    "github.com/prometheus/alertmanager",
    ("alertmanager",),
)
METRICS_SERVER = Program(
    "metrics-server",
    ("sigs.k8s.io/metrics-server/cmd/metrics-server",),
    "sigs.k8s.io/metrics-server",
    ("metrics-server",),
)
# Enforces NetworkPolicies with iptables and ipset alone, which every kernel has; kindnetd is no module, and
# kube-network-policies wants `nft queue`.
KUBE_ROUTER = Program(
    "kube-router",
    ("github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",),
    "github.com/cloudnativelabs/kube-router/v2",
    ("kube-router",),
)
PAUSE = Program("pause", (".",), "", ("pause",), own_version="v1")

# Not part of a cluster: it reads the CI workflows (`python -m tools.workflows`).
ACTIONLINT = Program(
    "actionlint",
    ("github.com/rhysd/actionlint/cmd/actionlint",),
    "github.com/rhysd/actionlint",
    ("actionlint",),
)

# Longest first: what a person waits for is seen to move, and a failure shows early.
PROGRAMS = (
    *(
        KUBERNETES,
        TRAEFIK,
        ARGO_ROLLOUTS,
        KUBE_ROUTER,
        PROMETHEUS,
        COREDNS,
        HELM,
        METRICS_SERVER,
        ALERTMANAGER,
    ),
    *(ETCD, KIND, PAUSE),
)
