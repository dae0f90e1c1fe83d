"""Two releases with operators in one namespace.

One serves it, the other says so and ends, and takes over when the first is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.operators import Program
from tests.faults.harness.scenario import World, telling
from tests.faults.operating import stage
from tests.faults.operating.scenarios import DriftScenario
from tests.support.waiting import wait_until

pytestmark = pytest.mark.xdist_group("faults")
DEPLOYMENTS = ("a", "b")


@dataclass(frozen=True)
class TwoReleases(DriftScenario):
    """Each operator is another Deployment's."""

    def program(self) -> Program:
        """The operator, told the name of its Deployment."""
        program = super().program()
        return replace(program, command=(*program.command, "--deployment", "{client}"))

    def begin(self, world: World) -> None:
        """Two installations, a detector and a policy."""
        super().begin(world)
        for name in DEPLOYMENTS:
            labels = {"app": name}
            containers = [{"name": "operator", "image": "none"}]
            template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
            spec = {"selector": {"matchLabels": labels}, "template": template}
            world.api.create(world.path("deployments", "apps"), {"metadata": {"name": name}, "spec": spec})


def test_a_second_releases_operator_refuses_and_takes_over_when_the_first_release_is_gone(
    plane: ControlPlane, tmp_path: Path
) -> None:
    with telling(plane, TwoReleases(operators=DEPLOYMENTS), tmp_path) as (world, proxy, operators):
        wait_until(lambda: bool(world.done("patch", "cronjobs")), seconds=60, what="a leader's work")
        lease = world.api.get(f"{world.path('leases', 'coordination.k8s.io')}/leadscore-operator")
        first = lease["metadata"]["annotations"]["leadscore.dev/deployment"]
        (second,) = set(DEPLOYMENTS) - {first}
        wait_until(lambda: operators.has_ended(second), seconds=60, what="the end of the second")
        said = (tmp_path / f"{second}.log").read_text()
        assert f"The operator of Deployment {first} serves this namespace" in said
        assert "operator.enabled=false" in said
        assert [e.call.signature for e in proxy.log if e.client == second and e.committed] == []

        # Stopped, drained or dead for longer than the Lease lasts: the namespace is still the first
        # release's.
        operators.terminate(first)
        wait_until(lambda: operators.has_ended(first), seconds=60, what="the end of the first")
        operators.restart(second)
        wait_until(lambda: operators.has_ended(second), seconds=60, what="the second's second refusal")

        world.api.delete(f"{world.path('deployments', 'apps')}/{first}")
        operators.restart(second)
        path = f"{world.path('leases', 'coordination.k8s.io')}/leadscore-operator"
        wait_until(lambda: _owner(world, path) == second, seconds=60, what="the second leads")


def _owner(world: World, path: str) -> str:
    found = stage.find(world, path)
    return (
        ""
        if found is None or not found["spec"].get("holderIdentity")
        else found["metadata"]["annotations"]["leadscore.dev/deployment"]
    )
