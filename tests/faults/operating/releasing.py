"""The world around a release: a real MLflow server and event store.

The parts of Argo, the Jobs and the person are played.
"""

from __future__ import annotations

import atexit
import functools
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from tests.faults.harness.scenario import World
from tests.faults.operating import stage
from tests.support.approvers import KeyHolders
from tests.support.mlflow_server import MlflowServer

from leadscore.errors import UnavailableError
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.release import evidence
from leadscore.release.approval import ApprovalVerdict, requests_of
from leadscore.release.evidence import GATE, KPI, REPLAY, ReportHeader, report_id
from leadscore.settings import Home
from leadscore_operator.specs.releases import STEP_LABEL
from leadscore_operator.specs.rollouts import VERSION_LABEL
from leadscore_operator.specs.shadows import PERCENT

OLD, NEW = 1, 2
DIGESTS = {OLD: "c" * 64, NEW: "d" * 64}
RELEASE = "leads-2"
WATCHED = timedelta(hours=48)
SHADOWED = timedelta(hours=24)
SHADOW = "leads-shadow"
COMPONENT = "app.kubernetes.io/component"
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry of all replays; each has a model of its own."""

    uri: str
    models: ModelRegistry

    def publish(self, model: str) -> None:
        """Two versions, the old one champion. Their artefacts are never read here, so there are none."""
        stages = {OLD: "Production", NEW: "None"}
        with httpx.Client(base_url=f"{self.uri}/api/2.0/mlflow", timeout=60) as client:
            _told(client.post("/registered-models/create", json={"name": model}))
            for version, digest in DIGESTS.items():
                tags = [{"key": "digest", "value": digest}, {"key": "stage", "value": stages[version]}]
                body = {"name": model, "source": f"s3://models/{model}/{version}", "tags": tags}
                _told(client.post("/model-versions/create", json=body))
            alias = {"name": model, "alias": "champion", "version": str(OLD)}
            _told(client.post("/registered-models/alias", json=alias))


def _told(reply: httpx.Response) -> None:
    assert reply.is_success, reply.text[:500]


_starting = threading.Lock()


def registry() -> Registry:
    """The one of this process; starting it takes some ten seconds."""
    with _starting:
        return _registry()


@functools.cache
def _registry() -> Registry:
    folder = tempfile.TemporaryDirectory(prefix="faults-mlflow-")
    server = MlflowServer(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(server.kill)
    server.start()
    home = {"LEADSCORE_HOME": f"{folder.name}/home", "LEADSCORE_TRACKING_URI": server.uri}
    return Registry(server.uri, ModelRegistry(Home.from_environment(home)))


@functools.cache
def people() -> KeyHolders:
    """Who may approve, for every replay of this process."""
    folder = tempfile.TemporaryDirectory(prefix="faults-people-")
    atexit.register(folder.cleanup)
    holders = KeyHolders(Path(folder.name))
    holders.credential("ada.lovelace")
    return holders


def model_of(world: World) -> str:
    """The replay's own model."""
    return f"leads-{world.namespace}"


@contextmanager
def events(world: World) -> Generator[EventStore]:
    """The event store that the operators use."""
    store = EventStore(stage.events_url(world))
    try:
        yield store
    finally:
        store.close()


def prepare(world: World) -> None:
    """Published and judged.

    Two versions, the gate's verdict, a Rollout that serves the old one, its ReplicaSet.
    """
    model = model_of(world)
    registry().publish(model)
    verdict = {
        "passed": True,
        "summary": "Passed: AUC.",
        "challenger": DIGESTS[NEW],
        "champion": DIGESTS[OLD],
    }
    _record(world, f"gate-{model}", GATE, verdict)
    environment = {"LEADSCORE_MODEL": f"{model}/$(LEADSCORE_MODEL_VERSION)", "LEADSCORE_ROLE": "champion"}
    reads = {"valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{VERSION_LABEL}']"}}}
    env = [{"name": "LEADSCORE_MODEL_VERSION", **reads}]
    env += [{"name": name, "value": value} for name, value in environment.items()]
    template = {
        "metadata": {"labels": {VERSION_LABEL: str(OLD), COMPONENT: "scoring"}},
        "spec": {"containers": [{"name": "scoring", "image": "none", "env": env}]},
    }
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "leads"}}
    world.api.create(rollouts(world), body | {"spec": {"template": template}})
    _replica_set(world, OLD)
    _argo_says(world, OLD, OLD, "Healthy")


def mirror(world: World) -> None:
    """The chart's Service that copies of requests go to; there is no pod behind it."""
    spec = {"selector": {COMPONENT: "shadow"}, "ports": [{"port": 80}]}
    annotations = {PERCENT: "10"}
    world.api.create(
        world.path("services"), {"metadata": {"name": SHADOW, "annotations": annotations}, "spec": spec}
    )


def shadow(world: World) -> Object | None:
    """The Deployment of the shadow, if it is there."""
    return stage.find(world, f"{world.path('deployments', 'apps')}/{SHADOW}")


def run_shadow(world: World) -> None:
    """The Deployment controller: the shadow's pods are ready soon after it is there."""
    found = shadow(world)
    if found is None or found.get("status", {}).get("conditions"):
        return
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Available", "status": "True", "lastTransitionTime": moment, "lastUpdateTime": moment}
    status = {"observedGeneration": found["metadata"]["generation"], "conditions": [ready]}
    world.api.merge(f"{world.path('deployments', 'apps')}/{SHADOW}/status", {"status": status})
    nudge(world)


def let_the_shadow_s_day_pass(world: World) -> None:
    """Once the shadow is known to be ready: a day and a bit, by the operators' clock."""
    status = release(world).get("status", {})
    if "shadowed" in world.memory or status.get("phase") != "Shadow" or not status.get("shadowSince"):
        return
    assert world.clock is not None
    # More than an hour to spare: a fault may set the clock back by one.
    world.clock.step(int((SHADOWED + timedelta(hours=2)).total_seconds()))
    world.memory["shadowed"] = True
    nudge(world)


def stop_in_the_shadow(world: World) -> None:
    """A person stops the release, once, while its shadow runs."""
    if "stopped" in world.memory or not release(world).get("status", {}).get("shadowSince"):
        return
    world.api.merge(f"{stage.custom(world, 'modelreleases')}/{RELEASE}", {"spec": {"abort": True}})
    world.memory["stopped"] = True


def rollouts(world: World) -> str:
    """Path of the collection."""
    return world.path("rollouts", "argoproj.io", "v1alpha1")


def desired(world: World) -> int:
    """Version in the Rollout's pod template."""
    template = world.api.get(f"{rollouts(world)}/leads")["spec"]["template"]
    return int(template["metadata"]["labels"][VERSION_LABEL])


def release(world: World) -> Object:
    """The ModelRelease."""
    return world.api.get(f"{stage.custom(world, 'modelreleases')}/{RELEASE}")


def jobs(world: World) -> list[Object]:
    """Jobs of releases."""
    found = world.api.items(world.path("jobs", "batch"))
    return [j for j in found if j["metadata"].get("labels", {}).get("leadscore.dev/part") == "release"]


def step_of(job: Object) -> str:
    """`nominate`, `replay`, `promote`, `kpi-3` …"""
    return str(job["metadata"]["labels"][STEP_LABEL])


def nudge(world: World) -> None:
    """Touch the release: the operator looks at once and not at its next poll (replays would take longer)."""
    count = world.memory["nudges"] = world.memory.get("nudges", 0) + 1
    path = f"{stage.custom(world, 'modelreleases')}/{RELEASE}"
    world.api.merge(path, {"metadata": {"annotations": {"scenario/nudge": str(count)}}})


def run_jobs(world: World, *, kpi_falls: bool) -> None:
    """What the Jobs of a release do, with the code that does it.

    One whose registry is busy is tried again.
    """
    for job in jobs(world):
        if stage.ended(job):
            continue
        try:
            _do(world, job, kpi_falls)
        except UnavailableError:
            continue
        stage.finish(world, job["metadata"]["name"], "")


def _do(world: World, job: Object, kpi_falls: bool) -> None:
    container = job["spec"]["template"]["spec"]["containers"][0]
    words = [*container.get("command", []), *container.get("args", [])]
    options = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
    model, step = model_of(world), step_of(job)
    if step == "nominate":
        registry().models.nominate(model, NEW, reason=options["reason"], by="scenario")
    elif step == "promote":
        expected = int(options["expect-champion"])
        registry().models.promote(
            model, NEW, reason=options["reason"], by="scenario", expected_champion=expected
        )
    elif step in {REPLAY, evidence.SHADOW}:
        _report(world, step, options["release"], 1)
    else:
        _report(world, KPI, options["release"], int(options["number"]), falls=kpi_falls)


def _report(world: World, kind: str, release: str, number: int, *, falls: bool = False) -> None:
    assert world.clock is not None
    head = ReportHeader(
        release=release, number=number, model=model_of(world), version=NEW, digest=DIGESTS[NEW],
        passed=not falls, summary="Fewer leads converted." if falls else "Nothing speaks against it.",
        until=world.clock.now(), leads=1_000, judged=True,
    )  # fmt: skip
    _record(world, report_id(kind, release, number), kind, msgspec.to_builtins(head))


def _record(world: World, name: str, kind: str, document: Object) -> None:
    with events(world) as store:
        known = {record.evidence_id for record in store.evidence(kind=kind)}
        if name not in known:
            text = msgspec.json.encode(document).decode()
            store.record(Evidence(name, kind, f"{model_of(world)}/{NEW}", time.time_ns() // 1000, text))


def decide(world: World, verdict: ApprovalVerdict) -> None:
    """A person answers the release's question, once, when it is asked."""
    if "answered" in world.memory or release(world).get("status", {}).get("phase") != "AwaitingApproval":
        return
    with events(world) as store:
        asked = [binding for _, binding in requests_of(store, f"{model_of(world)}/{NEW}")]
        if not asked:
            return
        people().answer(store, asked[0], verdict, by="ada.lovelace", reason="The replay shows it.")
    world.memory["answered"] = True
    nudge(world)


def let_days_pass(world: World) -> None:
    """Once the candidate has all traffic: two days and a bit, by the operators' clock."""
    if "watched" in world.memory or release(world).get("status", {}).get("phase") != "Watching":
        return
    assert world.clock is not None
    # More than an hour to spare: a fault may set the clock back by one.
    world.clock.step(int((WATCHED + timedelta(hours=2)).total_seconds()))
    world.memory["watched"] = True
    nudge(world)


def move_traffic(world: World, *, aborts: bool) -> None:
    """Argo: a new template gets 10 %, and all of it the next time, or none.

    One that is stable's has it all at once.
    """
    rollout = world.api.get(f"{rollouts(world)}/leads")
    wanted, status = desired(world), rollout["status"]
    seen = status["observedGeneration"] == str(rollout["metadata"]["generation"])
    if seen and status["phase"] in {"Healthy", "Degraded"}:
        return
    stable = next(version for version in DIGESTS if _hash(version) == status["stableRS"])
    if stable == wanted:
        _argo_says(world, wanted, wanted, "Healthy")
    elif status["currentPodHash"] != _hash(wanted):
        _replica_set(world, wanted)
        _argo_says(world, stable, wanted, "Paused")
    elif aborts:
        _argo_says(world, stable, wanted, "Degraded")
    else:
        _argo_says(world, wanted, wanted, "Healthy")
    nudge(world)


def _hash(version: int) -> str:
    return f"hash{version}"


def _argo_says(world: World, stable: int, current: int, phase: str) -> None:
    path = f"{rollouts(world)}/leads"
    generation = world.api.get(path)["metadata"]["generation"]
    weight = 10 if phase == "Paused" else 0
    aborted = phase == "Degraded"
    status = {
        "observedGeneration": str(generation), "phase": phase, "stableRS": _hash(stable),
        "currentPodHash": _hash(current), "canary": {"weights": {"canary": {"weight": weight}}},
        "abort": aborted, "message": "RolloutAborted: the error rate failed." if aborted else "",
    }  # fmt: skip
    world.api.merge(f"{path}/status", {"status": status})


def _replica_set(world: World, version: int) -> None:
    """Of a version, unless it has been there before."""
    name = f"leads-{_hash(version)}"
    if stage.find(world, f"{world.path('replicasets', 'apps')}/{name}") is not None:
        return
    owner = world.api.get(f"{rollouts(world)}/leads")
    labels = {"rollouts-pod-template-hash": _hash(version), VERSION_LABEL: str(version)}
    reference = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "leads", "controller": True}
    containers = [{"name": "scoring", "image": "none"}]
    body = {
        "metadata": {
            "name": name,
            "labels": labels,
            "ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}],
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }
    world.api.create(world.path("replicasets", "apps"), body)
