"""Server-side apply of CronJobs, asked of a real API server.

What is ours is set back, what is others' stays, nothing is taken.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import httpx
import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.faults.harness.api import Api
from tests.faults.harness.controlplane import ADMIN, ControlPlane
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector

from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.errors import KubeConflictError, KubeRefusedError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import CRONJOBS

pytestmark = pytest.mark.xdist_group("faults")
NAMESPACE = "applied"
T = TypeVar("T")


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Generator[Api]:
    api = Api(plane)
    api.create("api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    yield api
    api.close()


class Cluster:
    """One detector's CronJobs on the real server, as the operator sees and changes them."""

    def __init__(self, plane: ControlPlane, api: Api, name: str) -> None:
        self.plane, self.api, self.name = plane, api, name

    def detector(self, **spec: Any) -> Manifest:
        item = detector(**spec)
        meta = item["metadata"] | {"name": self.name, "uid": f"uid-{self.name}"}
        return item | {"metadata": meta}

    def talk(self, act: Callable[[Kube], Awaitable[T]]) -> T:
        async def run() -> T:
            there = Configuration(host=self.plane.address)
            there.verify_ssl = False  # the certificate is for the host's name
            there.api_key["BearerToken"] = f"Bearer {ADMIN}"
            async with Kube(there, NAMESPACE) as kube:
                return await act(kube)

        return asyncio.run(run())

    @property
    def path(self) -> str:
        return CRONJOBS.path(NAMESPACE).lstrip("/")

    def stored(self) -> list[Manifest]:
        return [c for c in self.api.items(self.path) if c["metadata"]["name"].startswith(f"{self.name}-")]

    def serve(self, item: Manifest, seen: list[Manifest] | None = None) -> None:
        """Do what is planned for the detector after these CronJobs were read (by default all that exist)."""
        crons = self.stored() if seen is None else seen
        plan = plan_detector(DetectorObservation(item, crons, [], {}), WORKLOAD, NOW)

        async def act(kube: Kube) -> None:
            applier = Applier(kube, None, Clock(), int, "me")
            for change in plan.changes:
                await applier.change(change)

        self.talk(act)


@pytest.fixture
def cluster(plane: ControlPlane, api: Api, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(plane, api, f"d{abs(hash(request.node.name)) % 10**6}")


def only(found: list[Manifest]) -> Manifest:
    (one,) = found
    return one


def container(cron: Manifest) -> Manifest:
    return cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def test_applying_again_writes_nothing_even_where_the_server_spells_a_quantity_in_its_own_way(
    cluster: Cluster,
) -> None:
    item = cluster.detector(job={"resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}})
    cluster.serve(item)
    first = only(cluster.stored())
    assert container(first)["resources"]["requests"]["cpu"] == "1"
    cluster.serve(item)
    assert only(cluster.stored())["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_what_somebody_changed_is_set_back_and_what_somebody_added_stays(cluster: Cluster) -> None:
    cluster.serve(cluster.detector())
    path = f"{cluster.path}/{only(cluster.stored())['metadata']['name']}"
    bent = {
        "metadata": {"labels": {"team": "crm"}},
        "spec": {"schedule": "0 1 * * *", "failedJobsHistoryLimit": 9},
    }
    cluster.api.merge(path, bent)
    cluster.serve(cluster.detector())
    found = only(cluster.stored())
    assert (found["spec"]["schedule"], found["spec"]["failedJobsHistoryLimit"]) == ("@daily", 2)
    assert found["metadata"]["labels"]["team"] == "crm"


def test_what_the_detector_does_not_ask_for_any_more_goes(cluster: Cluster) -> None:
    cluster.serve(cluster.detector(job={"resources": {"limits": {"memory": "1Gi"}}}))
    assert container(only(cluster.stored()))["resources"] == {"limits": {"memory": "1Gi"}}
    cluster.serve(cluster.detector())
    assert container(only(cluster.stored()))["resources"] == {}


def test_a_cron_job_of_another_that_has_the_name_is_left_alone_and_named(cluster: Cluster) -> None:
    cluster.serve(cluster.detector())
    mine = only(cluster.stored())
    cluster.api.delete(f"{cluster.path}/{mine['metadata']['name']}")
    theirs = copy.deepcopy(mine["spec"]) | {"schedule": "0 5 * * *"}
    body = {"metadata": {"name": mine["metadata"]["name"]}, "spec": theirs}
    before = cluster.api.create(cluster.path, body)
    with pytest.raises(KubeRefusedError, match=r"python-httpx.*\n?.*spec\.schedule"):
        cluster.serve(cluster.detector(), seen=[])
    after = cluster.api.get(f"{cluster.path}/{mine['metadata']['name']}")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "gone"])
def test_an_object_that_is_not_the_one_that_was_read_is_not_written(cluster: Cluster, gone: bool) -> None:
    cluster.serve(cluster.detector())
    read = only(cluster.stored())
    path = f"{cluster.path}/{read['metadata']['name']}"
    if gone:
        cluster.api.delete(path)
    else:
        cluster.api.merge(path, {"spec": {"schedule": "0 1 * * *"}})
    with pytest.raises(KubeConflictError):
        cluster.serve(cluster.detector(), seen=[read])
    assert [c["spec"]["schedule"] for c in cluster.stored()] == ([] if gone else ["0 1 * * *"])


def test_a_cron_job_of_an_operator_before_server_side_apply_becomes_wholly_ours(cluster: Cluster) -> None:
    item = cluster.detector(job={"resources": {"limits": {"memory": "1Gi"}}})
    (apply,) = plan_detector(DetectorObservation(item, [], [], {}), WORKLOAD, NOW).changes
    headers = {"Authorization": f"Bearer {ADMIN}", "User-Agent": "Python/3.11 aiohttp/3.14.5"}
    body = CRONJOBS.full(apply.body)  # type: ignore[union-attr]
    with httpx.Client(base_url=cluster.plane.address, verify=cluster.plane.tls(), headers=headers) as former:
        former.post(cluster.path, json=body).raise_for_status()
    assert [e["operation"] for e in only(cluster.stored())["metadata"]["managedFields"]] == ["Update"]
    cluster.serve(cluster.detector())
    found = only(cluster.stored())
    assert container(found)["resources"] == {}, (
        "what the former operator wrote and nobody wants any more goes"
    )
    owners = [(e["manager"], e["operation"]) for e in found["metadata"]["managedFields"]]
    assert owners == [("leadscore-operator", "Apply")]
