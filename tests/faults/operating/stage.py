"""What the operator's scenarios share.

The process, its rights and stores, and the parts of the Job controller and the kubelet.
"""

from __future__ import annotations

import json
import sys
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World
from tests.faults.harness.servers import STORE
from tests.faults.operating import databases
from tests.support.waiting import wait_until

from leadscore.drift.verdict import DriftVerdict, FeatureVerdict

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "lead-scoring" / "files"
RULES = tuple(yaml.safe_load((CHART / "operator" / "rules.yaml").read_text()))
WORKLOAD = Path(__file__).parent / "workload.yaml"
GROUP, VERSION = "leadscore.dev", "v1alpha1"
Object = dict[str, Any]
_installed: set[str] = set()
_installing = threading.Lock()


def operator(**environment: str) -> Program:
    """The operator as a process, quick to take over and to look again; `environment` is added to its own."""
    return Program(
        (
            sys.executable, "-m", "leadscore_operator", "--namespace", "{namespace}", "--workload",
            str(WORKLOAD), "--identity", "{client}", "--lease-duration", "{lease}", "--resync", "{resync}",
            "--port", "0", "--clock-offset-file", "{clock}",
        ),
        {"LEADSCORE_EVENTS_URL": databases.url(f"{{{STORE}}}", "{namespace}"), **environment},
        modules=(
            "leadscore_operator", "leadscore_operator.run", "typer", "sqlalchemy.dialects.postgresql.psycopg",
            "psycopg", "pydantic.type_adapter",
        ),
    )  # fmt: skip


def events_url(world: World) -> str:
    """The event store of a replay, past the proxy."""
    return databases.url(f"127.0.0.1:{databases.server().port}", world.namespace)


def install(world: World) -> None:
    """The custom resources' definitions, ours and Argo's Rollouts, once per API server."""
    with _installing:
        if world.api.address in _installed:
            return
        _define(world)
        _installed.add(world.api.address)


def _define(world: World) -> None:
    base = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for file in (*sorted((CHART / "crds").glob("*.yaml")), Path(__file__).parent / "rollouts.yaml"):
        crd = yaml.safe_load(file.read_text())
        name = crd["metadata"]["name"]
        world.api.apply(f"{base}/{name}", crd)
    # Established comes a little before the server answers.
    ours = [custom(world, p) for p in ("driftdetectors", "retrainpolicies", "retrainruns", "modelreleases")]
    for path in (*ours, world.path("rollouts", "argoproj.io", "v1alpha1")):
        wait_until(partial(_answers, world, path), seconds=20, what=path)


def _answers(world: World, path: str) -> bool:
    return world.api.status("GET", path) == 200


def custom(world: World, plural: str) -> str:
    """Path of a collection of ours."""
    return world.path(plural, GROUP, VERSION)


def find(world: World, path: str) -> Object | None:
    """An object, or None."""
    try:
        return world.api.get(path)
    except (AssertionError, httpx.HTTPStatusError):
        return None


def create(world: World, plural: str, kind: str, name: str, spec: Object) -> None:
    """A person creates a custom resource."""
    body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": name}, "spec": spec}
    world.api.create(custom(world, plural), body)


def start_check(world: World, schedule: str, number: int) -> str | None:
    """The CronJob controller: make the Job of a schedule; its name, or None while there is no CronJob."""
    crons = [
        c
        for c in world.api.items(world.path("cronjobs", "batch"))
        if f"-{schedule}-" in c["metadata"]["name"]
    ]
    if not crons:
        return None
    cron = crons[0]
    name = f"{cron['metadata']['name']}-{number}"
    template = cron["spec"]["jobTemplate"]
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cron["metadata"]["name"]}
    owner |= {"uid": cron["metadata"]["uid"], "controller": True}
    body = {
        "metadata": {"name": name, "labels": template["metadata"]["labels"], "ownerReferences": [owner]},
        "spec": template["spec"],
    }
    world.api.create(world.path("jobs", "batch"), body)
    return name


def finish(world: World, job: str, message: str, *, code: int = 0) -> None:
    """The kubelet and the Job controller: the Job's pod ends with these words."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    pod = f"{job}-pod"
    spec = {"containers": [{"name": "leadscore", "image": "none"}]}
    labels = {"batch.kubernetes.io/job-name": job}
    world.api.create(world.path("pods"), {"metadata": {"name": pod, "labels": labels}, "spec": spec})
    ended = {"exitCode": code, "message": message, "reason": "Completed", "startedAt": now, "finishedAt": now}
    status: Object = {
        "phase": "Succeeded" if code == 0 else "Failed",
        "containerStatuses": [
            {
                "name": "leadscore", "image": "none", "imageID": "", "ready": False, "restartCount": 0,
                "state": {"terminated": ended},
            }
        ],
    }  # fmt: skip
    world.api.merge(f"{world.path('pods')}/{pod}/status", {"status": status})
    world.api.merge(f"{world.path('jobs', 'batch')}/{job}/status", {"status": _job_status(now, code)})


def _job_status(now: str, code: int) -> Object:
    def condition(kind: str) -> Object:
        return {
            "type": kind,
            "status": "True",
            "lastTransitionTime": now,
            "lastProbeTime": now,
            "reason": "Scenario",
        }

    if code == 0:
        conditions = [condition("SuccessCriteriaMet"), condition("Complete")]
        return {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}
    return {"startTime": now, "failed": 1, "conditions": [condition("FailureTarget"), condition("Failed")]}


def verdict(severity: str, triage: str, *, hours_ago: int = 0) -> str:
    """What a check says."""
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours_ago)
    worst = () if severity == "none" else (FeatureVerdict(feature="budget", statistic="psi", value=0.4),)
    said = DriftVerdict(
        detector="univariate", model_name="leads", model_version="3", window_start=end - timedelta(days=1),
        window_end=end, rows=5000, severity=severity, drifted=severity != "none", worst=worst,
        triage=triage, reasons=("The budgets have moved.",), confidence=0.99,
    )  # fmt: skip  # pyright: ignore[reportArgumentType]
    return said.to_termination_message().decode()


def report(version: int, *, passed: bool = True) -> str:
    """What a training says."""
    gate = {"passed": passed, "summary": "Passed: AUC." if passed else "Refused: AUC."}
    return json.dumps(
        {"model": "leads", "version": version, "digest": "f" * 64, "champion": 3, "metrics": {"auc": 0.8}}
        | gate
    )


def trainings(world: World) -> list[Object]:
    """Jobs that train."""
    jobs = world.api.items(world.path("jobs", "batch"))
    return [j for j in jobs if j["metadata"].get("labels", {}).get("leadscore.dev/part") == "retrain"]


def ended(job: Object) -> bool:
    """Whether a Job has ended."""
    return bool(job.get("status", {}).get("conditions"))


def doubles(world: World) -> list[str]:
    """What must never be there twice, whatever the end looks like."""
    found: list[str] = []
    runs = world.api.items(custom(world, "retrainruns"))
    keys = [r["spec"]["key"] for r in runs if r["spec"]["key"]]
    found += [f"{keys.count(k)} runs for {k.split('-')[0]}" for k in {*keys} if keys.count(k) > 1]
    uids = {r["metadata"]["uid"] for r in runs}
    for job in trainings(world):
        owner = job["metadata"]["ownerReferences"][0]["uid"]
        if owner not in uids:
            found.append(f"the Job {job['metadata']['name']} is an orphan")
    live: dict[str, int] = {}
    for job in trainings(world):
        if not ended(job):
            owner = job["metadata"]["labels"]["leadscore.dev/owner"]
            live[owner] = live.get(owner, 0) + 1
    found += [f"{n} live Jobs of one run" for n in live.values() if n > 1]
    made, there = len(world.done("create", "jobs")), len(trainings(world))
    if made != there:
        found.append(f"{made} training Jobs were made and {there} are there")
    return found
