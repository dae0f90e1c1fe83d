"""When …: what happens. Each word does one thing and notes the moment it began."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pytest
from tests.e2e.scenario.images import FAULTY
from tests.e2e.scenario.kube import MONITOR, WORKER, is_ready
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL, NAME, Values
from tests.e2e.scenario.scene import Scene, canary_weight
from tools.cluster.errors import ClusterError

from leadscore_operator.specs.rollouts import version_patch

if TYPE_CHECKING:
    from tests.e2e.scenario.then import Then

Fault = Literal["errors", "slow", "stuck"]

# Runs in the pod: finds the process that answers requests (the supervisor is process 1).
_FIND_WORKER = f"""
import os, pathlib, signal, time
def workers():
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"{WORKER}" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found
worker = workers()[0]
"""
_KILL = _FIND_WORKER + "os.kill(worker, signal.SIGKILL)"
# The kernel kills what weighs most: the worker says that it does, and processes that are small each use the
# memory up.
_EXHAUST = (
    _FIND_WORKER
    + """
pathlib.Path(f"/proc/{worker}/oom_score_adj").write_text("1000")
children = []
while worker in workers() and len(children) < 60:
    child = os.fork()
    if not child:
        kept = os.urandom(1) * (16 << 20)
        time.sleep(60)
        os._exit(0)
    children.append(child)
    time.sleep(0.1)
print("killed" if worker not in workers() else "survived")
for child in children:
    os.kill(child, signal.SIGKILL)
"""
)


class When:
    """Things that happen to a release."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    # --- versions -----------------------------------------------------------------------------------------

    def new_version(self, version: int, *, fault: Fault | None = None, **more: Any) -> When:
        """Ask for a model version, as `helm upgrade --set model.version=…` does.

        With a fault in the service.
        """
        changes: Values = {"model": {"version": version}, **more}
        if fault is not None:
            changes["image"] = {"repository": FAULTY, "tag": self._scene.faulty_tag}
            changes["scoring"] = {"extraEnv": [{"name": "LEADSCORE_FAULT", "value": fault}]}
        return self.chart_changed(changes)

    def released(self, version: int) -> When:
        """The operator's own patch brings a version; the chart's values know nothing of it."""
        self._now()
        patch = version_patch(self._scene.release.rollout(), "leads", version, "uid-of-a-release")
        # Argo's controller writes beside us; the operator would look again.
        del patch["metadata"]["resourceVersion"]
        self._scene.kube.run("patch", "rollout", FULL, "--type=merge", f"--patch={json.dumps(patch)}")
        return self

    def undone(self) -> When:
        """`kubectl argo rollouts undo`."""
        self._now()
        self._scene.kube.rollouts("undo", FULL)
        return self

    def canary_at(self, weight: int, seconds: float = 90) -> When:
        """Wait until the canary has this share, so that what comes next happens in mid-canary."""
        began = self._scene.began
        self._scene.weights.until(
            lambda service: canary_weight(service) == weight,
            seconds=seconds,
            what=f"weight {weight}",
            since=began,
        )
        return self

    # --- operations ---------------------------------------------------------------------------------------

    def chart_changed(self, values: Values) -> When:
        """`helm upgrade` with changed values."""
        self._scene.notes["generation"] = self._scene.release.rollout()["metadata"]["generation"]
        self._now()
        self._scene.release.upgrade(values)
        return self

    def upgraded_to(self, chart: Path, images: Values) -> When:
        """`helm upgrade` to another release of this project: its chart and its images."""
        scene = self._scene
        scene.notes["generation"] = scene.release.rollout()["metadata"]["generation"]
        self._now()
        scene.release.chart, scene.release.images = chart, images
        scene.release.upgrade()
        return self

    def rolled_back_to(self, revision: int) -> When:
        """`helm rollback`."""
        scene = self._scene
        scene.notes["generation"] = scene.release.rollout()["metadata"]["generation"]
        self._now()
        scene.kube.helm("rollback", NAME, str(revision))
        return self

    def refused(self, values: Values, sentence: str) -> When:
        """`helm upgrade` with values that it must refuse in these words; nothing is changed."""
        scene = self._scene
        self._now()
        before, kept = scene.release.rollout()["spec"], scene.release.values
        with pytest.raises(ClusterError, match=sentence):
            scene.release.upgrade(values)
        scene.release.values = kept
        assert scene.release.rollout()["spec"] == before
        return self

    def shadowed(self, version: int, percent: int) -> When:
        """A copy of this share of the requests goes to another version, from when its pod is ready."""
        scene = self._scene
        self.chart_changed({"shadow": {"enabled": True, "version": version, "percent": percent}})
        scene.kube.run("rollout", "status", f"deployment/{FULL}-shadow", "--timeout=120s", timeout=130)
        # Traefik hears of the ready pod, and what was under way is answered.
        self.time_passes(requests=60)
        scene.notes["mirrored before"] = scene.release.requests_of("shadow")
        scene.notes["mirrored since"] = time.monotonic()
        return self

    def chart_reapplied(self) -> When:
        """`helm upgrade` with the same values."""
        self._scene.release.upgrade({})
        return self

    def restarted(self) -> When:
        """`kubectl argo rollouts restart`: every pod is replaced, one after the other."""
        scene = self._scene
        self._now()
        scene.notes["pods before"] = set(scene.release.ready_pods())
        scene.kube.rollouts("restart", FULL)
        return self

    def scaled_to(self, pods: int) -> When:
        """As an autoscaler does it."""
        scene = self._scene
        self._now()
        patch = f'{{"spec":{{"replicas":{pods}}}}}'
        scene.kube.run("patch", "rollout", FULL, "--type=merge", f"--patch={patch}")
        wait_until(
            lambda: len(scene.release.ready_pods()) == pods == len(scene.release.pods()),
            seconds=120,
            what=f"{pods} pods",
        )
        return self

    def every_pod_evicted(self) -> When:
        """What a node drain does: evict each pod, and again as long as the budget forbids it."""
        scene = self._scene
        self._now()
        before = scene.release.ready_pods()
        scene.notes["pods before"] = set(before)
        scene.notes["refused evictions"] = 0

        def evicted(pod: str) -> bool:
            if scene.kube.evict(pod):
                return True
            scene.notes["refused evictions"] += 1
            return False

        for pod in before:
            wait_until(lambda pod=pod: evicted(pod), seconds=90, what=f"the eviction of {pod}")
        return self

    # --- accidents ----------------------------------------------------------------------------------------

    def worker_killed(self) -> When:
        """kill -9 of the process that answers, in one pod."""
        return self._in_a_pod(_KILL)

    def out_of_memory(self) -> When:
        """One pod's memory is used up, and the kernel kills its worker."""
        self._in_a_pod(_EXHAUST)
        assert "killed" in self._scene.notes["said"], self._scene.notes["said"]
        return self

    def stopped(self, kind: str, name: str) -> When:
        """A part is taken away: no pod of it is left."""
        scene = self._scene
        self._now()
        scene.kube.run("scale", f"{kind}/{FULL}-{name}", "--replicas=0")
        wait_until(lambda: scene.release.pods(name) == [], seconds=90, what=f"{name} to be gone")
        return self

    def started(self, kind: str, name: str) -> When:
        """It is brought back."""
        scene = self._scene
        scene.kube.run("scale", f"{kind}/{FULL}-{name}", "--replicas=1")
        scene.kube.run("rollout", "status", f"{kind}/{FULL}-{name}", "--timeout=120s", timeout=130)
        return self

    def controller_restarted(self) -> When:
        """Argo's controller is killed and comes back."""
        cluster = self._scene.kube.cluster
        cluster.run(
            "delete", "pods", "--namespace=argo-rollouts", "--selector=app.kubernetes.io/name=argo-rollouts",
            "--force", "--grace-period=0",
        )  # fmt: skip
        cluster.run(
            "rollout",
            "status",
            "deployment/argo-rollouts",
            "--namespace=argo-rollouts",
            "--timeout=90s",
            timeout=100,
        )
        return self

    def the_monitor_is_killed(self) -> Self:
        """Its pod is gone at once, whatever it was doing; another takes its place."""
        release = self._scene.release
        before = {pod["metadata"]["name"] for pod in release.pods("monitor")}
        release.kube.run("delete", "pods", f"--selector={MONITOR}", "--force", "--grace-period=0")
        wait_until(
            lambda: any(is_ready(p) and p["metadata"]["name"] not in before for p in release.pods("monitor")),
            seconds=90, what="another monitor",
        )  # fmt: skip
        return self

    def load_is(self, rate: float) -> When:
        """From now on callers send so many requests a second."""
        load = self._scene.load
        assert load is not None
        self._now()
        load.rate = rate
        return self

    def gate_waits(self, looks: int, seconds: float = 90) -> When:
        """Wait until the gate of a step has seen too little so many times."""
        kube = self._scene.kube

        def waited() -> bool:
            results = [
                result
                for run in kube.list("analysisruns")
                if run["status"].get("phase") == "Running"
                for result in run["status"].get("metricResults", [])
            ]
            return any(result.get("inconclusive", 0) >= looks for result in results)

        wait_until(waited, seconds=seconds, what="a gate that has seen too little")
        return self

    def time_passes(self, requests: int) -> When:
        """Until so many more requests are answered."""
        scene = self._scene
        wanted = len(scene.tally.requests) + requests
        wait_until(lambda: len(scene.tally.requests) >= wanted, seconds=120, what=f"{requests} requests")
        return self

    @property
    def then(self) -> Then:
        """What must be so afterwards."""
        from tests.e2e.scenario.then import Then

        return Then(self._scene)

    def _in_a_pod(self, code: str) -> When:
        scene = self._scene
        pod = scene.release.ready_pods()[0]
        scene.notes["pod"] = pod
        self._now()
        scene.notes["said"] = scene.kube.python(pod, code)
        return self

    def _now(self) -> None:
        self._scene.began = time.monotonic()
