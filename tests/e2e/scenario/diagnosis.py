"""What the cluster looked like when a scenario failed: enough to know why without having been there."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.scenario.kube import Kube, Object
from tools.cluster.errors import ClusterError


def diagnose(kube: Kube) -> str:
    """Rollout, analyses, pods, events and the ends of logs; a part that cannot be read says so."""
    parts: list[tuple[str, Callable[[], str]]] = [
        ("pods", lambda: kube.run("get", "pods", "--output=wide")),
        ("rollouts", lambda: _rollouts(kube)),
        ("analyses", lambda: analyses(kube)),
        ("loop", lambda: kube.run("get", "leadscore,jobs", "--output=wide")),
        ("events", lambda: _tail(kube.run("get", "events", "--sort-by=.lastTimestamp"), 30)),
        ("logs", lambda: _logs(kube)),
    ]
    return "\n".join(f"--- {title}\n{_attempt(part)}" for title, part in parts)


def analyses(kube: Kube) -> str:
    """Every metric of every AnalysisRun: phase, message and its last measurements."""
    lines: list[str] = []
    for analysis in kube.list("analysisruns"):
        status = analysis.get("status", {})
        lines.append(
            f"{analysis['metadata']['name']}: {status.get('phase')} {status.get('message', '')}".rstrip()
        )
        lines += [f"  {_metric(result)}" for result in status.get("metricResults", [])]
    return "\n".join(lines) or "none"


def _metric(result: Object) -> str:
    values = [m.get("value", m.get("message", "")) for m in result.get("measurements", [])[-4:]]
    return f"{result['name']}: {result['phase']} {result.get('message', '')} last {values}"


def _rollouts(kube: Kube) -> str:
    names = [rollout["metadata"]["name"] for rollout in kube.list("rollouts")]
    return "\n".join(kube.rollouts("get", "rollout", name) for name in names)


def _logs(kube: Kube) -> str:
    names = [pod["metadata"]["name"] for pod in kube.list("pods")]
    return "\n".join(
        f"[{name}]\n" + _attempt(lambda name=name: kube.run("logs", name, "--all-containers", "--tail=12"))
        for name in names
    )


def _tail(text: str, lines: int) -> str:
    return "\n".join(text.splitlines()[-lines:])


def _attempt(read: Callable[[], str]) -> str:
    try:
        return read()
    except ClusterError as error:
        return f"cannot be read: {error.message}"
