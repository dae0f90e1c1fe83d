"""The cluster that `make cluster-up` has made, asked what a chart will ask of it."""

import json
import time
import urllib.error
import urllib.request

import pytest
from tests.e2e.scenario.patience import wait_until
from tools.cluster.addons.install import status
from tools.cluster.up import INGRESS_PORT, PROMETHEUS_PORT, target

pytestmark = pytest.mark.e2e

ANALYSIS = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisRun",
    "metadata": {"name": "dns-and-prometheus"},
    "spec": {
        "metrics": [
            {
                "name": "one",
                "successCondition": "result[0] == 1",
                "provider": {
                    "prometheus": {
                        "address": "http://prometheus.monitoring.svc.cluster.local:9090",
                        "query": "vector(1)",
                    }
                },
            }
        ]
    },
}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "writable"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
}


@pytest.fixture(scope="module")
def cluster():
    chosen = target().cluster
    if not chosen.succeeds("get", "--raw", "/readyz"):
        pytest.fail("No cluster answers: run `make cluster-up` first.")
    return chosen


@pytest.fixture
def namespace(cluster):
    name = f"cluster-test-{time.time_ns()}"
    cluster.run("create", "namespace", name)
    yield name
    cluster.run("delete", "namespace", name, "--wait=false")


def fetch(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.read()


def test_every_node_is_ready(cluster):
    nodes = json.loads(cluster.run("get", "nodes", "-o", "json"))["items"]
    ready = [c["status"] for node in nodes for c in node["status"]["conditions"] if c["type"] == "Ready"]
    assert ready
    assert set(ready) == {"True"}


def test_every_addon_is_available(cluster):
    assert {addon.name for addon in status(cluster) if not addon.available} == set()


def test_no_pod_of_the_cluster_is_restarting(cluster):
    """Those of scenarios that run beside this one begin, wait and are killed on purpose."""
    pods = json.loads(cluster.run("get", "pods", "--all-namespaces", "-o", "json"))["items"]
    waiting = [
        (pod["metadata"]["name"], state["state"]["waiting"]["reason"])
        for pod in pods
        if not pod["metadata"]["namespace"].startswith("scenario-")
        for state in pod["status"].get("containerStatuses", [])
        if "waiting" in state["state"]
    ]
    assert waiting == []


def test_traefik_answers_on_the_host_port():
    status_code, _ = fetch(f"http://127.0.0.1:{INGRESS_PORT}/nothing-here")
    assert status_code == 404


def test_the_metrics_api_knows_the_node(cluster):
    def usage():
        return json.loads(cluster.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))["items"]

    wait_until(lambda: any("cpu" in node["usage"] for node in usage()), seconds=60, what="the node's figures")


def test_a_pod_resolves_a_service_and_an_analysis_reads_prometheus(cluster, namespace):
    cluster.run("apply", "--namespace", namespace, "--filename=-", stdin=json.dumps(ANALYSIS))
    phase = "--for=jsonpath={.status.phase}=Successful"
    cluster.run(
        "wait", "--namespace", namespace, "analysisrun/dns-and-prometheus", phase, "--timeout=60s", timeout=70
    )


def test_prometheus_scrapes_traefik():
    def up():
        _, body = fetch(
            f"http://127.0.0.1:{PROMETHEUS_PORT}/api/v1/query?query=up%7Bnamespace%3D%22traefik%22%7D"
        )
        return [series["value"][1] for series in json.loads(body)["data"]["result"]]

    wait_until(lambda: "1" in up(), seconds=60, what="a scrape of Traefik")


def test_a_claim_without_a_class_is_bound_and_writable_for_a_user_without_rights(cluster, namespace):
    prometheus = json.loads(
        cluster.run("get", "deployment/prometheus", "--namespace=monitoring", "-o", "json")
    )
    image = prometheus["spec"]["template"]["spec"]["containers"][0]["image"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "securityContext": {"runAsUser": 65534, "fsGroup": 65534},
            "containers": [
                {
                    "name": "writer",
                    "image": image,
                    "args": ["--config.file=/configuration/prometheus.yml", "--storage.tsdb.path=/data"],
                    "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "configuration", "mountPath": "/configuration"},
                    ],
                }
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "writable"}},
                {"name": "configuration", "configMap": {"name": "configuration"}},
            ],
        },
    }
    cluster.run(
        "create", "configmap", "configuration", "--namespace", namespace, "--from-literal=prometheus.yml="
    )
    for document in (CLAIM, pod):
        cluster.run("apply", "--namespace", namespace, "--filename=-", stdin=json.dumps(document))
    cluster.run(
        "wait", "--namespace", namespace, "pod/writer", "--for=condition=Ready", "--timeout=60s", timeout=70
    )
