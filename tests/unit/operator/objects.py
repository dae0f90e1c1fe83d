"""Objects as the API server would give them, with the interesting fields as arguments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from leadscore.drift.verdict import DriftVerdict, FeatureVerdict
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.specs.workload import Workload

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
WORKLOAD = Workload(image="registry/jobs:1", labels={"app": "jobs"})
Manifest = dict[str, Any]


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def thing(name: str, spec: Manifest, status: Manifest | None = None, **meta: Any) -> Manifest:
    about = {
        "name": name,
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": stamp(NOW - timedelta(days=2)),
    }
    return {"metadata": about | meta, "spec": spec, **({"status": status} if status is not None else {})}


def detector(status: Manifest | None = None, **spec: Any) -> Manifest:
    basis = {"model": "leads@champion", "schedules": [{"name": "daily", "cron": "@daily", "window": "1d"}]}
    return thing("leads", basis | spec, status)


def policy(
    status: Manifest | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> Manifest:
    return thing(
        "leads", {"model": "leads", "triggers": {"drift": {}}} | spec, status, annotations=annotations or {}
    )


def run(status: Manifest | None = None, name: str = "leads-1", **spec: Any) -> Manifest:
    return thing(name, {"policy": "leads", "trigger": "drift", "key": "k"} | spec, status)


def job(name: str, *, ended: str = "", minutes_ago: float = 1, **labels: str) -> Manifest:
    condition = {
        "type": ended,
        "status": "True",
        "lastTransitionTime": stamp(NOW - timedelta(minutes=minutes_ago)),
    }
    status = {"conditions": [condition | {"message": "because"}]} if ended else {"active": 1}
    return thing(name, {}, status, labels={"leadscore.dev/schedule": "daily"} | labels)


def verdict(
    severity: str = "significant",
    triage: str = "market_moved",
    *,
    days_ago: float = 0.1,
    state: str = "judged",
) -> TerminationMessage:
    end = NOW - timedelta(days=days_ago)
    worst = () if severity == "none" else (FeatureVerdict(feature="budget", statistic="psi", value=0.4),)
    said = DriftVerdict(
        detector="univariate", model_name="leads", model_version="3", window_start=end - timedelta(days=1),
        window_end=end, rows=900, severity=severity, drifted=severity != "none", worst=worst, triage=triage,
        since=end - timedelta(days=1) if worst else None, reasons=("Budgets moved.",), state=state,
    )  # fmt: skip  # type: ignore[arg-type]
    return TerminationMessage(said.to_termination_message().decode(), 0)


def report(*, passed: bool = True) -> TerminationMessage:
    text = {
        "model": "leads",
        "version": 7,
        "digest": "d" * 64,
        "passed": passed,
        "summary": "AUC.",
        "champion": 3,
    }
    return TerminationMessage(json.dumps(text | {"metrics": {"auc": 0.8}}), 0)
