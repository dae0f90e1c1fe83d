"""The toy's scenario: two requests, two Jobs, each Job once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World
from tests.faults.harness.servers import Server

CONTROLLER = Path(__file__).parent / "controller.py"
NAMES = ("june", "july")


@dataclass(frozen=True)
class ToyScenario:
    """Two requests become two Jobs.

    Attributes:
        mode: The controller's (see `controller.py`).
    """

    mode: str = "right"
    operators: tuple[str, ...] = ("a",)
    # Only a replay that goes wrong takes so long; on a busy machine everything else must fit.
    seconds: float = 40.0
    rules = (
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "create", "delete"]},
    )

    @property
    def name(self) -> str:
        """For the table."""
        return f"toy {self.mode}{f', {len(self.operators)} at once' if len(self.operators) > 1 else ''}"

    def program(self) -> Program:
        """The controller's process."""
        return Program((sys.executable, str(CONTROLLER), self.mode), {"TOY_NAMESPACE": "{namespace}"})

    def servers(self, namespace: str) -> AbstractContextManager[Sequence[Server]]:  # noqa: ARG002
        """The API server is all that it asks."""
        return nullcontext(())

    def begin(self, world: World) -> None:
        """Ask for the first Job."""
        self._ask(world, NAMES[0])

    def act(self, world: World) -> None:
        """Ask for the next one when the one before is there: that one is seen by the watch."""
        for before, name in pairwise(NAMES):
            if name not in world.memory and self._job(world, before):
                self._ask(world, name)

    def ended(self, world: World) -> bool:
        """Every request says which Job it got."""
        return all(name in world.memory and self._job(world, name) for name in NAMES)

    @staticmethod
    def _ask(world: World, name: str) -> None:
        body = {"metadata": {"name": name, "labels": {"toy": "request"}}}
        world.api.create(world.path("configmaps"), body)
        world.memory[name] = "asked"

    def state(self, world: World) -> object:
        """Jobs per request, and whether the request names one of them."""
        jobs = world.api.items(world.path("jobs", "batch"))
        found = {}
        for name in NAMES:
            own = [j["metadata"]["name"] for j in jobs if j["metadata"]["labels"]["toy-request"] == name]
            found[name] = (len(own), name in world.memory and self._job(world, name) in own)
        return found

    def problems(self, world: World) -> list[str]:
        """No Job twice, not even one that is gone again."""
        made = len(world.done("create", "jobs"))
        gone = len(world.done("delete", "jobs"))
        found = [f"{made} Jobs were made for {len(NAMES)} requests"] if made > len(NAMES) else []
        return [*found, *([f"{gone} Jobs were deleted whose request is there"] if gone else [])]

    @staticmethod
    def _job(world: World, name: str) -> str:
        request = world.api.get(f"{world.path('configmaps')}/{name}")
        return str(request["metadata"].get("annotations", {}).get("toy/job", ""))
