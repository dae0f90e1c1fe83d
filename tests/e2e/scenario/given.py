"""Given …: what is so before something happens."""

from __future__ import annotations

from tests.e2e.scenario.images import GOOD
from tests.e2e.scenario.kube import Object
from tests.e2e.scenario.patience import wait_until
from tests.e2e.scenario.release import FULL, Values
from tests.e2e.scenario.scene import Scene
from tests.e2e.scenario.when import When
from tools.deploy.flow import RENDERED, steps_to
from tools.deploy.verdict import VERSION_LABEL


class Given:
    """The first words of a scenario."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def stable(self, version: int) -> Given:
        """A healthy release that serves this version alone, however the scenario before has left it."""
        assert version in GOOD
        release = self._scene.release
        rollout = release.rollout()
        if _has_all_traffic(rollout["status"]):
            # An upgrade that changes pods now would be refused: it would send the traffic back.
            wait_until(self._promoted, seconds=60, what="the end of the canary before")
            rollout = release.rollout()
        live = rollout["spec"]["template"]["metadata"]["labels"].get(VERSION_LABEL, "")
        rendered = rollout["metadata"].get("annotations", {}).get(RENDERED, "")
        # Whatever version is live: this one is meant.
        for step in steps_to(version, live, rendered):
            usual: Values = {"model": {"version": step, "keepLive": False}, "image": release.images["image"]}
            usual |= {"workload": {"replicas": 2}, "autoscaling": {"enabled": False}}
            release.upgrade(usual | {"scoring": {"extraEnv": [], "args": []}})
        release.values["model"]["keepLive"] = True
        # Past steps and analyses: they are another scenario's.
        wait_until(self._promoted, seconds=150, what=f"a healthy release of version {version}")
        wait_until(
            lambda: len(release.ready_pods(version=version)) >= 2,
            seconds=60,
            what=f"pods of version {version}",
        )
        return self

    def _promoted(self) -> bool:
        scene = self._scene
        rollout = scene.release.rollout()
        status = rollout["status"]
        current = str(status.get("observedGeneration")) == str(rollout["metadata"]["generation"])
        if (
            current
            and status.get("phase") == "Healthy"
            and status.get("stableRS") == status.get("currentPodHash")
        ):
            return True
        if current and not status.get("promoteFull"):
            scene.kube.rollouts("promote", FULL, "--full")
        return False

    def load(self, rate: float = 25, *, bulk_share: float = 0.3) -> Given:
        """A constant rate from outside, until the scenario ends; a share of the requests brings 150 leads."""
        scene = self._scene
        scene.start_load(rate, bulk_share)
        wait_until(lambda: len(scene.tally.requests) >= rate, seconds=30, what="the first replies")
        # Counting begins with a service that answers: what was before is not this scenario's.
        assert scene.tally.failures == [], scene.tally.describe_failures()
        return self

    @property
    def when(self) -> When:
        """Something happens."""
        return When(self._scene)


def _has_all_traffic(status: Object) -> bool:
    """Whether a canary has all requests and is not stable yet."""
    weight = status.get("canary", {}).get("weights", {}).get("canary", {}).get("weight", 0)
    return (
        weight == 100 and not status.get("abort") and status.get("stableRS") != status.get("currentPodHash")
    )
