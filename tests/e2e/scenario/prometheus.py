"""Questions to the cluster's Prometheus."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request

from tools.cluster.up import PROMETHEUS_PORT


def query(promql: str) -> dict[frozenset[tuple[str, str]], float]:
    """An instant vector: value by labels (without the metric's name)."""
    url = f"http://127.0.0.1:{PROMETHEUS_PORT}/api/v1/query?" + urllib.parse.urlencode({"query": promql})
    with urllib.request.urlopen(url, timeout=10) as reply:
        document = json.load(reply)
    assert document["status"] == "success", document
    return {
        frozenset((k, v) for k, v in series["metric"].items() if k != "__name__"): float(series["value"][1])
        for series in document["data"]["result"]
    }


def by(label: str, promql: str) -> dict[str, float]:
    """An instant vector by one of its labels."""
    return {dict(labels).get(label, ""): value for labels, value in query(promql).items()}


def scalar(promql: str) -> float | None:
    """The only value of a vector; None if it is empty."""
    values = list(query(promql).values())
    assert len(values) <= 1, f"{promql} has {len(values)} values"
    return values[0] if values else None
