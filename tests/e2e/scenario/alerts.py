"""The chart's alerts in the cluster's Prometheus, for as long as a release is there.

The local cluster has no Prometheus Operator that would read the chart's PrometheusRule: the same groups are
put into the ConfigMap that its Prometheus takes rules from.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from tests.e2e.scenario.kube import Kube, Object
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import Release
from tools.cluster.up import PROMETHEUS_PORT

PROMETHEUS = "app.kubernetes.io/name=prometheus"
RULES = "prometheus-rules"


@contextmanager
def evaluated(release: Release, change: Callable[[Object], Object] = lambda rule: rule) -> Iterator[None]:
    """Prometheus evaluates this release's alerts, under the name of its namespace.

    Args:
        release: Whose.
        change: Makes of a rule what is evaluated; times short enough to be watched.
    """
    (rule,) = (
        each
        for each in release.template({"monitoring": {"alerts": {"enabled": True}}})
        if each["kind"] == "PrometheusRule"
    )
    namespace = release.kube.namespace
    groups = [
        {"name": namespace, "rules": [change(_in_namespace(each, namespace)) for each in group["rules"]]}
        for group in rule["spec"]["groups"]
    ]
    monitoring = Kube(release.kube.cluster, "monitoring")
    _put(monitoring, namespace, yaml.safe_dump({"groups": groups}))
    try:
        wait_until(lambda: _reloaded(namespace), seconds=60, what=f"the rules of {namespace}")
        yield
    finally:
        _put(monitoring, namespace, None)


def _in_namespace(rule: Object, namespace: str) -> Object:
    """As a Prometheus Operator that enforces namespaces writes a rule: its alerts say whose they are."""
    return {**rule, "labels": {**rule["labels"], "namespace": namespace}}


def firing(namespace: str, among: Collection[str]) -> list[Object]:
    """The alerts of a release that fire now and have one of these names."""
    alerts = [alert for rule in _rules(namespace) for alert in rule["alerts"]]
    return [a for a in alerts if a["state"] == "firing" and a["labels"]["alertname"] in among]


def _put(monitoring: Kube, namespace: str, text: str | None) -> None:
    """Write or take away a file of rules.

    The kubelet brings it to the pod when the pod is looked at, so it is touched.
    """
    made = monitoring.run("get", "configmaps", f"--field-selector=metadata.name={RULES}", "--output=name")
    if not made:
        monitoring.run("create", "configmap", RULES)
    change = json.dumps({"data": {f"{namespace}.yaml": text}})
    monitoring.run("patch", "configmap", RULES, "--type=merge", f"--patch={change}")
    note = f"leadscore.dev/rules={namespace}-{'in' if text else 'out'}"
    monitoring.run("annotate", "pods", f"--selector={PROMETHEUS}", "--overwrite", note)


def _reloaded(namespace: str) -> bool:
    request = urllib.request.Request(f"http://127.0.0.1:{PROMETHEUS_PORT}/-/reload", method="POST")
    with urllib.request.urlopen(request, timeout=10):
        return bool(_rules(namespace))


def _rules(namespace: str) -> list[dict[str, Any]]:
    asked = urllib.parse.urlencode({"type": "alert", "rule_group[]": namespace})
    with urllib.request.urlopen(
        f"http://127.0.0.1:{PROMETHEUS_PORT}/api/v1/rules?{asked}", timeout=10
    ) as reply:
        document = json.load(reply)
    assert document["status"] == "success", document
    return [rule for group in document["data"]["groups"] for rule in group["rules"]]
