"""Then …: what must be so. Each word is one claim; what it measures on the way is written down."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from tests.e2e.scenario import prometheus
from tests.e2e.scenario.diagnosis import analyses
from tests.e2e.scenario.kube import Object, is_ready, mebibytes, restarts, seconds_to_ready
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL
from tests.e2e.scenario.scene import SETTLED, Scene
from tests.e2e.scenario.tally import Tally, split_p_value
from tests.e2e.scenario.when import When

# A true split fails this test once in ten thousand scenarios.
_SPLIT_P = 1e-4


class Then:
    """Claims about a release."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def when(self) -> When:
        """Something else happens."""
        return When(self._scene)

    # --- how a version fares --------------------------------------------------------------------------------

    def promoted(self, version: int, seconds: float = 180) -> Then:
        """The version went through every weight in order and is stable."""
        scene = self._scene
        self._until_rollout(lambda r: _is_stable(r, version), seconds, f"version {version} to be stable")
        scene.figure("canary promoted after", time.monotonic() - scene.began, "s")
        weights = [weight for at, weight in scene.canary_weights() if at >= scene.began]
        assert weights[:3] == [10, 50, 100], f"weights were {weights}"
        return self

    def split_as_weighted(self, stable: int, canary: int) -> Then:
        """At each weight the requests were split as it says (χ²)."""
        scene = self._scene
        changes = [*scene.canary_weights(), (time.monotonic(), 0)]
        tested = 0
        for (start, weight), (end, _) in itertools.pairwise(changes):
            if weight == 0 or start < scene.began:
                continue
            versions = scene.tally.between(start + SETTLED, end).versions
            p = split_p_value(versions, {stable: 1 - weight / 100, canary: weight / 100})
            assert p > _SPLIT_P, f"at weight {weight} the split was {dict(versions)} (p = {p:.2g})"
            assert versions.total() >= 50, f"too few requests at weight {weight}: {dict(versions)}"
            scene.figure(
                f"canary share at weight {weight}", 100 * versions[str(canary)] / versions.total(), "%"
            )
            tested += 1
        assert tested == 3, f"{tested} weights were seen"
        return self

    def weights_only_grew(self) -> Then:
        """Nothing took the canary's share back before it was done."""
        scene = self._scene
        weights = [weight for at, weight in scene.canary_weights() if at >= scene.began]
        assert weights[:3] == [10, 50, 100], f"weights were {weights}"
        return self

    def weights_were(self, *weights: int) -> Then:
        """The canary has had these shares and no other."""
        seen = [weight for _, weight in self._scene.canary_weights() if weight > 0]
        assert seen == list(weights), f"weights were {seen}"
        return self

    def aborted(self, bad: int, seconds: float = 150) -> Then:
        """The version was sent back by itself, and from then on stable answers everything."""
        scene = self._scene
        self._until_rollout(_is_aborted, seconds, f"version {bad} to be sent back")
        wait_until(lambda: scene.canary_weights()[-1][1] == 0, seconds=30, what="weight 0")
        settled = time.monotonic() + SETTLED
        wait_until(lambda: len(scene.tally.between(settled, settled + 60).requests) >= 100, seconds=60)
        after = scene.tally.between(settled, time.monotonic())
        assert after.of_version(bad) == []
        assert after.failures == [], after.describe_failures()
        return self

    def bad_traffic_lasted(self, bad: int, at_most: float, what: str) -> Then:
        """Seconds from the first sample of a bad version to the last: measured, and bounded generously."""
        scene = self._scene
        touched = [r for r in scene.tally.requests if r.failed or r.model_version == str(bad)]
        assert touched, "no request met the bad version"
        lasted = max(r.ended for r in touched) - min(r.due for r in touched)
        scene.figure(f"first bad sample to all traffic stable: {what}", lasted, "s", at_most)
        scene.figure(f"failed requests by then: {what}", sum(r.failed for r in touched), "requests")
        # The goal is for an idle machine; this bound tells a rollback from none.
        assert lasted < 3 * at_most, f"the bad version answered for {lasted:.1f} s"
        return self

    def never_answered(self, version: int) -> Then:
        """Not one request met the version."""
        assert self._scene.tally.of_version(version) == []
        return self

    def reason_is_readable(self, pattern: str) -> Then:
        """`kubectl get rollout -o jsonpath={.status.message}` says why."""
        said = self._scene.kube.run("get", "rollout", FULL, "--output=jsonpath={.status.message}")
        assert re.search(pattern, said), f"the Rollout's message is {said!r}"
        return self

    def measured(self, metric: str) -> Then:
        """The analysis that sent the version back is this one, and its number can be read."""
        said = analyses(self._scene.kube)
        assert re.search(rf"{metric}: Failed", said), said
        return self

    def logs_say(self, version: int, pattern: str) -> Then:
        """`kubectl logs -l leadscore.dev/model-version=…` says why."""
        said = self._scene.kube.run(
            "logs", f"--selector=leadscore.dev/model-version={version}", "--container=scoring", "--tail=-1"
        )
        assert re.search(pattern, said), said[-2000:]
        return self

    # --- what callers saw -----------------------------------------------------------------------------------

    def no_request_failed(self) -> Then:
        """Since the scenario's load began, every single request had a 2xx reply."""
        tally = self._scene.tally
        assert len(tally.requests) > 100
        self._scene.figure("failed requests", len(tally.failures), "requests", 0)
        assert tally.failures == [], (
            f"{len(tally.failures)} of {len(tally.requests)}: {tally.describe_failures()}"
        )
        return self

    def few_requests_failed(self, at_most: int, what: str) -> Then:
        """An accident may cost what was under way in one process, and no more."""
        tally = self._scene.tally
        self._scene.figure(f"failed requests: {what}", len(tally.failures), "requests")
        assert len(tally.failures) <= at_most, tally.describe_failures()
        return self

    def p95_is_noted(self, what: str, at_most: float, *, since_load: bool = False) -> Then:
        """Write down the P95 of single leads since the last thing was done.

        CPU contention forbids a verdict here.
        """
        scene = self._scene
        start = 0.0 if since_load else scene.began
        scene.figure(
            f"P95 {what}", scene.tally.between(start, time.monotonic()).quantile_ms(0.95), "ms", at_most
        )
        return self

    def rolled_out(self, version: int, seconds: float = 180) -> Then:
        """What was changed is in every pod, and the pods serve this version."""
        # What was seen before Helm had written is about the pods before.
        before: int = self._scene.notes["generation"]
        self._until_rollout(
            lambda r: r["metadata"]["generation"] > before and _is_stable(r, version),
            seconds,
            f"version {version} in new pods",
        )
        return self

    def runs(self, image: Mapping[str, str]) -> Then:
        """Every scoring pod that takes requests runs this image."""
        release = self._scene.release
        wanted = f"{image['repository']}:{image['tag']}"

        def found() -> set[str]:
            return {pod["spec"]["containers"][0]["image"] for pod in release.pods() if is_ready(pod)}

        wait_until(lambda: found() == {wanted}, seconds=120, what=f"pods of {wanted}")
        return self

    def settled(self, version: int, seconds: float = 120) -> Then:
        """Argo holds this version for stable.

        Until then a changed template sends the traffic to the one before.
        """
        self._until_rollout(lambda r: _is_stable(r, version), seconds, f"version {version} to be stable")
        return self

    def answered_only(self, *versions: int) -> Then:
        """Since the last thing was done nobody was answered by another version."""
        scene = self._scene
        wait_until(
            lambda: len(scene.tally.between(scene.began, time.monotonic()).requests) >= 100, seconds=60
        )
        seen = scene.tally.between(scene.began, time.monotonic()).versions
        assert set(seen) <= {str(version) for version in versions}, seen
        return self

    def has_pods(self, count: int, requests: int = 100) -> Then:
        """So many pods are ready, and stay."""
        scene = self._scene
        start = len(scene.tally.requests)
        while len(scene.tally.requests) < start + requests:
            ready = scene.release.ready_pods()
            assert len(ready) >= count, ready
        return self

    def only(self, version: int, requests: int = 100) -> Then:
        """From now on this version answers every request."""
        scene = self._scene
        now = time.monotonic()
        wait_until(lambda: len(scene.tally.between(now, now + 90).requests) >= requests, seconds=90)
        assert set(scene.tally.between(now, now + 90).versions) == {str(version)}
        return self

    def all_traffic_on(self, version: int, within: float, what: str) -> Then:
        """Seconds from the command to the last reply of any other version."""
        scene = self._scene
        others: Callable[[Tally], bool] = lambda t: set(t.versions) == {str(version)}  # noqa: E731

        def settled() -> bool:
            now = time.monotonic()
            recent = scene.tally.between(now - 2.0, now)
            return len(recent.requests) >= 20 and others(recent)

        wait_until(settled, seconds=120, what=f"all traffic on version {version}")
        old = [
            r
            for r in scene.tally.between(scene.began, time.monotonic()).requests
            if r.model_version != str(version)
        ]
        lasted = max((r.ended for r in old), default=scene.began) - scene.began
        scene.figure(what, lasted, "s", within)
        assert lasted < 3 * within, f"{what}: {lasted:.1f} s"
        return self

    # --- pods -----------------------------------------------------------------------------------------------

    def pods_replaced(self, pods: int = 2, seconds: float = 120) -> Then:
        """None of the pods from before is left, and there are as many as there were."""
        scene = self._scene
        before: set[str] = scene.notes["pods before"]

        def replaced() -> bool:
            now = scene.release.pods()
            names = {pod["metadata"]["name"] for pod in now if is_ready(pod)}
            return len(names) == pods == len(now) and not before & names

        # Seldom: each look starts a kubectl beside the pods that start, and latency is measured meanwhile.
        wait_until(replaced, seconds=seconds, what="new pods in place of the old ones", every=2)
        return self

    def budget_said_no(self) -> Then:
        """The PodDisruptionBudget forbade the next eviction while a pod was missing."""
        assert self._scene.notes["refused evictions"] > 0
        return self

    def pod_recovered(self, *, container_restarts: int | None = None) -> Then:
        """The pod answers again."""
        scene = self._scene
        name = scene.notes["pod"]
        counter = f'leadscore_worker_starts_total{{pod="{name}"}}'
        wait_until(
            lambda: (prometheus.scalar(counter) or 0) >= 2 or restarts(scene.kube.get("pod", name)) > 0,
            seconds=60, what="a worker started anew",
        )  # fmt: skip
        wait_until(lambda: name in scene.release.ready_pods(), seconds=60, what=f"{name} ready")
        if container_restarts is not None:
            assert restarts(scene.kube.get("pod", name)) == container_restarts
        return self

    def started_within_is_noted(self, version: int, at_most: float) -> Then:
        """Write down the time from a pod's start to readiness, and the memory of a pod."""
        scene = self._scene
        for pod in scene.release.pods(version=version):
            scene.figure("pod start to ready (image present)", seconds_to_ready(pod), "s", at_most)
        return self

    def memory_is_noted(self, at_most: float) -> Then:
        """Write down the resident memory of every scoring pod, as the kubelet tells it (working set)."""
        scene = self._scene
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{scene.kube.namespace}/pods"
        pods = {pod["metadata"]["name"] for pod in scene.release.pods()}
        used: list[float] = []

        def known() -> bool:
            found = json.loads(scene.kube.run("get", "--raw", path))["items"]
            used[:] = [mebibytes(pod) for pod in found if pod["metadata"]["name"] in pods]
            return len(used) == len(pods)

        # metrics-server looks every 10 s.
        wait_until(known, seconds=60, what="memory of every scoring pod")
        for each in used:
            scene.figure("memory of a scoring pod, one worker", each, "MiB", at_most)
        return self

    # --- shadow ---------------------------------------------------------------------------------------------

    def shadow_got(self, share: float) -> Then:
        """The shadow has been sent this share of the requests (χ²), counted by itself."""
        scene = self._scene
        start = scene.notes["mirrored since"]

        def counted() -> tuple[int, int]:
            sent = len(scene.tally.between(start, time.monotonic()).requests)
            return sent, round(scene.release.requests_of("shadow") - scene.notes["mirrored before"])

        sent, mirrored = counted()
        # The two are counted at slightly different moments: some requests are under way.
        p = split_p_value(Counter({"1": mirrored, "0": max(sent - mirrored, 0)}), {1: share, 0: 1 - share})
        assert p > _SPLIT_P, f"{mirrored} of {sent} requests were mirrored (p = {p:.2g})"
        scene.figure("share of mirrored requests", 100 * mirrored / sent, "%")
        return self

    def shadow_predictions_are_stored(self, version: int) -> Then:
        """With role `shadow` and its version, and none of them was told to a caller."""
        scene = self._scene
        sql = f"SELECT prediction_id FROM predictions WHERE role = 'shadow' AND model_version = '{version}'"
        wait_until(
            lambda: len(scene.release.psql(sql).split()) >= 50, seconds=60, what="the shadow's predictions"
        )
        assert not scene.tally.acknowledged & set(scene.release.psql(sql).split())
        others = f"SELECT count(*) FROM predictions WHERE role = 'shadow' AND model_version <> '{version}'"
        assert scene.release.psql(others) == "0"
        return self

    def shadow_is_gone(self) -> Then:
        """No pod of it is left, and the stable version answers as before."""
        release = self._scene.release
        wait_until(lambda: release.pods("shadow") == [], seconds=90, what="the shadow's end")
        return self

    # --- metrics and records --------------------------------------------------------------------------------

    def metrics_tell_apart(self, *versions: int) -> Then:
        """Prometheus has the requests of each version, as many as callers were answered."""
        scene = self._scene

        def counted() -> Counter[str]:
            series = f'leadscore_http_requests_total{{namespace="{scene.kube.namespace}",status="200"}}'
            grouped = prometheus.by("model_version", f"sum by (model_version) ({series})")
            return Counter({version: int(value) for version, value in grouped.items()})

        wait_until(
            lambda: all(counted()[str(v)] > 0 for v in versions), seconds=30, what=f"metrics of {versions}"
        )
        return self

    def stored_is_acknowledged(self, seconds: float = 120, *, before: Collection[str] = ()) -> Then:
        """Every acknowledged prediction, also `before` the load, is in the store once the load has ended."""
        scene = self._scene
        assert scene.load is not None
        acknowledged = scene.load.stop().acknowledged | set(before)
        stored: set[str] = set()

        def complete() -> bool:
            nonlocal stored
            stored = set(
                scene.release.psql("SELECT prediction_id FROM predictions WHERE role <> 'shadow'").split()
            )
            return acknowledged <= stored

        try:
            wait_until(complete, seconds=seconds, what="every acknowledged prediction in the store")
        except AssertionError as error:
            raise AssertionError(
                f"{len(acknowledged - stored)} of {len(acknowledged)} are missing"
            ) from error
        scene.figure(
            "acknowledged predictions missing from the store", len(acknowledged - stored), "predictions", 0
        )
        return self

    def _until_rollout(self, condition: Callable[[Object], bool], seconds: float, what: str) -> None:
        self._scene.rollouts.until(condition, seconds=seconds, what=what, since=self._scene.began)


def _is_current(rollout: Object) -> bool:
    return str(rollout.get("status", {}).get("observedGeneration")) == str(rollout["metadata"]["generation"])


def _is_stable(rollout: Object, version: int) -> bool:
    status = rollout.get("status", {})
    labels = rollout["spec"]["template"]["metadata"]["labels"]
    return (
        _is_current(rollout)
        and status.get("phase") == "Healthy"
        and status.get("stableRS") == status.get("currentPodHash")
        and labels["leadscore.dev/model-version"] == str(version)
    )


def _is_aborted(rollout: Object) -> bool:
    status = rollout.get("status", {})
    return _is_current(rollout) and bool(status.get("abort"))
