"""What the words of a scenario share.

The release, the load, what was watched, and when the last thing was done.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from tests.e2e import measurements
from tests.e2e.scenario.inquiry import Inquiry
from tests.e2e.scenario.kube import Kube, Object
from tests.e2e.scenario.load import Load, bodies_of
from tests.e2e.scenario.release import FULL, Release
from tests.e2e.scenario.tally import Tally
from tests.e2e.scenario.watch import Watch

# What Traefik may need to hear of a new weight: it gathers changes for half a second.
SETTLED = 1.5


@dataclass
class Scene:
    """One scenario in progress.

    Attributes:
        name: Of the test, for figures.
        release: Where it happens.
        faulty_tag: Tag of the misbehaving service.
        load: Requests under way; None until the scenario has some.
        began: When the last thing was done, monotonic.
        notes: What a word leaves for a later one.
    """

    name: str
    release: Release
    faulty_tag: str
    load: Load | None = None
    began: float = field(default_factory=time.monotonic)
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.rollouts = Watch(self.kube, "rollout", FULL)
        self.weights = Watch(self.kube, "traefikservice", FULL)
        self._watches: dict[str, Watch] = {}
        self.inquiry = Inquiry(self.kube)

    @property
    def kube(self) -> Kube:
        """The release's namespace."""
        return self.release.kube

    def close(self) -> None:
        """End load and watches."""
        try:
            if self.load is not None:
                self.load.stop()
        finally:
            self.rollouts.__exit__(None, None, None)
            self.weights.__exit__(None, None, None)
            for watch in self._watches.values():
                watch.__exit__(None, None, None)

    def watch(self, what: str, name: str) -> Watch:
        """An object (or those with these labels), watched from the first time that a scenario asks for it."""
        key = f"{what}/{name}"
        if key not in self._watches:
            self._watches[key] = Watch(self.kube, what, name)
        return self._watches[key]

    def start_load(self, rate: float, bulk_share: float) -> None:
        """Begin a constant rate, and wait for its first replies."""
        leads = self.release.leads()
        self.load = Load(
            self.release.endpoint(),
            bodies_of(lambda: next(leads), bulk_share=bulk_share),
            rate,
            self.inquiry.about,
        ).__enter__()

    @property
    def tally(self) -> Tally:
        """What the load has seen so far."""
        assert self.load is not None, "the scenario has no load: given.load(…)"
        return self.load.tally

    def canary_weights(self) -> list[tuple[float, int]]:
        """(when, percent of the canary), each change once, in order."""
        changes: list[tuple[float, int]] = []
        for seen in list(self.weights.seen):
            weight = canary_weight(seen.object)
            if not changes or changes[-1][1] != weight:
                changes.append((seen.at, weight))
        return changes

    def figure(self, what: str, value: float, unit: str, at_most: float | None = None) -> None:
        """Write a measurement down; NaN (nothing measured) is a defect of the scenario."""
        assert not math.isnan(value), f"{what} was not measured"
        measurements.record(measurements.Figure(what, round(value, 3), unit, at_most, self.name))


def canary_weight(service: Object) -> int:
    """Percent of the canary in a TraefikService; 0 before Argo has written any."""
    for backend in service["spec"]["weighted"]["services"]:
        if backend["name"].endswith("-canary"):
            return int(backend.get("weight", 0))
    raise AssertionError("the TraefikService has no canary")
