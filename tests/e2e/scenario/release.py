"""The chart, installed once per module of scenarios: its values, its names, its key."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from loadtests.leads import Lead, generated, lead_schema
from tests.e2e.scenario.kube import Kube, Object, is_ready
from tests.e2e.scenario.load import Endpoint
from tests.e2e.scenario.patience import wait_until
from tools.cluster.up import INGRESS_PORT

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "lead-scoring"
LOCAL_VALUES = ROOT / "manifests" / "local-cluster" / "values.yaml"
NAME = "leads"
# As the chart names its objects for this release.
FULL = f"{NAME}-lead-scoring"

Values = dict[str, Any]


def scenario_values(steps_seconds: int) -> Values:
    """What scenarios set beside the values of the local cluster: times short enough to be watched."""
    return {
        "rollout": {
            "steps": [{"weight": weight, "duration": f"{steps_seconds}s"} for weight in (10, 50, 100)],
            # Argo's least; a scenario need not wait for old pods.
            "scaleDownDelaySeconds": 30,
            "abortScaleDownDelaySeconds": 5,
        },
        "workload": {"replicas": 2, "progressDeadlineSeconds": 45},
        "analysis": {
            "guard": {"interval": "5s", "window": "15s", "minimumRequests": 10, "consecutiveErrorLimit": 10},
            "gate": {
                "interval": "3s",
                "inconclusiveLimit": 1000,
                "minimumRequests": 12,
                "minimumScores": 250,
            },
            # By chance alone the PSI of 250 scores in 20 bins is about 0.1.
            "maxPsi": 0.5,
            # A shared test machine stutters: what is judged is the fault of 0.7 s.
            "p95FloorSeconds": 0.2,
        },
        # Two cores hold everything here, two releases and their canaries: what is asked for is a floor, not
        # what is used.
        "scoring": {"resources": {"requests": {"cpu": "25m", "memory": "128Mi"}}},
    }


@dataclass
class Release:
    """One installation of the chart in a namespace.

    Attributes:
        kube: The namespace.
        values: What it was installed or upgraded with last.
        images: What names the images.
        chart: The chart's folder, in the tree of the project that it belongs to.
    """

    kube: Kube
    values: Values
    images: Values = field(default_factory=dict[str, Any])
    chart: Path = CHART

    @property
    def host(self) -> str:
        """Host name of this release at the ingress."""
        return f"{self.kube.namespace}.example.test"

    def install(self, objects: Sequence[Object] = ()) -> None:
        """A namespace, what has to be there before, and `helm install`."""
        self.kube.cluster.run("create", "namespace", self.kube.namespace)
        for each in objects:
            self.kube.run("create", "--filename=-", stdin=json.dumps(each))
        self._helm("install")

    def upgrade(self, changes: Mapping[str, Any] | None = None) -> float:
        """`helm upgrade` with changed values; returns when (monotonic seconds) it was begun."""
        self.values = merged(self.values, changes or {})
        began = time.monotonic()
        self._helm("upgrade")
        return began

    def uninstall(self) -> None:
        """Give the namespace back."""
        self.kube.cluster.run("delete", "namespace", self.kube.namespace, "--wait=false")

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Wait until a person's first request would be answered."""
        self.kube.run(
            "wait",
            f"rollout/{FULL}",
            "--for=condition=Available",
            f"--timeout={seconds:.0f}s",
            timeout=seconds + 10,
        )
        wait_until(
            lambda: self.rollout()["status"].get("phase") == "Healthy",
            seconds=seconds,
            what="a healthy rollout",
        )
        # Until Argo has written weights Traefik takes stable and canary in turn, and it may know the pods of
        # one only.
        wait_until(
            lambda: all(self._is_answered() for _ in range(4)),
            seconds=seconds,
            what="answers from both services",
        )

    def _is_answered(self) -> bool:
        """Whether the ingress has a pod for a request.

        One without a key is refused there, and by nobody before.
        """
        address = f"http://127.0.0.1:{INGRESS_PORT}/score-lead"
        return httpx.post(address, headers={"Host": self.host}, json={}, timeout=15).status_code == 401

    def rollout(self) -> Object:
        """The Rollout as it is now."""
        return self.kube.get("rollout", FULL)

    def pods(self, component: str = "scoring", *, version: int | None = None) -> list[Object]:
        """Pods of a component, ready or not, optionally of one model version."""
        selector = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}"
        if version is not None:
            selector += f",leadscore.dev/model-version={version}"
        return self.kube.list("pods", selector)

    def ready_pods(self, *, version: int | None = None) -> list[str]:
        """Names of the scoring pods that take traffic."""
        return [pod["metadata"]["name"] for pod in self.pods(version=version) if is_ready(pod)]

    def secret(self, name: str, entry: str) -> str:
        """An entry of a Secret."""
        return base64.b64decode(self.kube.get("secret", name)["data"][entry]).decode()

    def endpoint(self, *, key: str | None = None) -> Endpoint:
        """The ingress, with the key that the chart made (or another)."""
        known = self.secret(f"{FULL}-first-key", "key") if key is None else key
        return Endpoint("127.0.0.1", INGRESS_PORT, known, self.host)

    def leads(self, seed: int = 7) -> Iterator[Lead]:
        """Leads of the served contract, from its schema, which the ingress does not route."""
        return generated(
            lead_schema(json.loads(self.kube.service_get(f"{FULL}-stable", "/openapi.json"))), seed
        )

    def psql(self, sql: str) -> str:
        """The answer of the bundled PostgreSQL, unadorned."""
        return self.kube.run(
            "exec", f"{FULL}-postgresql-0", "--",
            "psql", "--username=leadscore", "--dbname=leadscore", "--no-align", "--tuples-only",
            f"--command={sql}",
        ).strip()  # fmt: skip

    def requests_of(self, component: str) -> float:
        """Scoring requests that the pods of a component say they have answered.

        Asked of the pods themselves.
        """
        total = 0.0
        for pod in self.pods(component):
            for line in self.kube.pod_get(pod["metadata"]["name"], "/metrics").splitlines():
                if line.startswith("leadscore_http_requests_total{") and 'endpoint="/score-' in line:
                    total += float(line.rpartition(" ")[2])
        return total

    def template(self, changes: Mapping[str, Any]) -> list[Object]:
        """What the chart would make with these values over the present ones."""
        with self._values(merged(self.values, changes)) as files:
            said = self.kube.helm("template", NAME, str(self.chart), *files)
        return [each for each in yaml.safe_load_all(said) if each]

    def _helm(self, verb: str) -> None:
        with self._values(self.values) as files:
            self.kube.helm(verb, NAME, str(self.chart), *files)

    @contextmanager
    def _values(self, changed: Values) -> Iterator[list[str]]:
        values = merged(merged(self.images, changed), {"trafficRouting": {"host": self.host}})
        with tempfile.NamedTemporaryFile("w", prefix=f"{self.kube.namespace}-", suffix=".yaml") as file:
            yaml.safe_dump(values, file)
            file.flush()
            # Those of the chart's own tree.
            local = self.chart.parents[1] / LOCAL_VALUES.relative_to(ROOT)
            yield [f"--values={each}" for each in (local, file.name)]


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """Values with others over them, as Helm merges files: objects by key, everything else replaced; pure."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result
