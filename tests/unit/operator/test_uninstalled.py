"""After `helm uninstall` nothing is scheduled, and a detector that goes takes its schedules with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
import pytest
from kubernetes.aio.client.configuration import Configuration
from tests.support.kubeapi import KubeApi
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector, thing

from leadscore_operator.decide.detector import DetectorObservation, plan_detector
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.engine.health import Health, Key
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.engine.resync import Resync
from leadscore_operator.errors import KubeError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import CRONJOBS, DEPLOYMENTS, DETECTORS
from leadscore_operator.plan import Apply, Delete, Patch
from leadscore_operator.reconcile.base import ReconcileContext
from leadscore_operator.reconcile.detector import reconcile_detector
from leadscore_operator.reconcile.freshness import FreshnessReader

T = TypeVar("T")
HOME = "leads-lead-scoring-operator"


def home(**meta: Any) -> Manifest:
    """The operator's own Deployment."""
    item = thing(HOME, {})
    return item | {"metadata": item["metadata"] | meta}


def talk(api: KubeApi, act: Callable[[ReconcileContext], Awaitable[T]]) -> T:
    """Do something as an operator of an installation."""

    async def run() -> T:
        async with (
            api.serving() as address,
            Kube(Configuration(host=address), "ns") as kube,
        ):
            clock = Clock()
            workload = msgspec.structs.replace(WORKLOAD, installation=HOME)
            return await act(ReconcileContext(kube, Applier(kube, None, clock, int, "me"), clock, workload))

    return asyncio.run(run())


def stored(api: KubeApi) -> list[Manifest]:
    prefix = CRONJOBS.path("ns")
    return [item for path, item in api.objects.items() if path.startswith(prefix)]


def watched() -> Manifest:
    """A detector with one schedule."""
    item = detector()
    return item | {"metadata": item["metadata"] | {"name": "crm", "uid": "uid-crm"}}


async def look(context: ReconcileContext, item: Manifest) -> None:
    """One look at a detector."""
    await reconcile_detector(context, FreshnessReader(None), item["metadata"]["name"])


def looked(*, living: bool = True, **meta: Any) -> KubeApi:
    """A server after a look at a new detector."""
    api = KubeApi()
    api.objects[DEPLOYMENTS.path("ns", HOME)] = home(**meta)
    item = watched()
    api.objects[DETECTORS.path("ns", item["metadata"]["name"])] = item
    talk(api, lambda context: look(context, item))
    if not living:
        del api.objects[DETECTORS.path("ns", item["metadata"]["name"])]
    return api


def test_a_cron_job_belongs_to_the_operator_s_own_deployment() -> None:
    (found,) = stored(looked())
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Deployment", HOME, home()["metadata"]["uid"])
    assert owner["blockOwnerDeletion"] is False


def test_nothing_is_scheduled_once_the_deployment_is_gone_or_going() -> None:
    with pytest.raises(KubeError, match="nothing is scheduled for a release without it"):
        looked(deletionTimestamp="2026-03-10T12:00:00Z")


def test_a_cron_job_of_an_operator_before_is_given_to_the_installation() -> None:
    item = watched()
    (create,) = plan_detector(DetectorObservation(item, [], [], {}), WORKLOAD, NOW).changes
    assert isinstance(create, Apply)
    fields = [
        {"manager": "Python", "operation": "Update", "apiVersion": "batch/v1", "fieldsV1": {"f:spec": {}}}
    ]
    meta = {"uid": "u", "resourceVersion": "9", "managedFields": fields}
    old = create.body | {"metadata": create.body["metadata"] | meta}
    assert old["metadata"]["ownerReferences"][0]["kind"] == "DriftDetector"
    seen = DetectorObservation(item, [old], [], {}, installation=home())
    claim, apply = plan_detector(seen, WORKLOAD, NOW).changes
    assert isinstance(claim, Patch)
    assert claim.patch["metadata"]["resourceVersion"] == "9"
    (ours,) = claim.patch["metadata"]["managedFields"]
    assert (ours["manager"], ours["operation"]) == ("leadscore-operator", "Apply")
    assert isinstance(apply, Apply)
    assert [o["kind"] for o in apply.body["metadata"]["ownerReferences"]] == ["Deployment"]
    assert apply.body["metadata"]["uid"] == "u"


def test_a_detector_that_is_gone_takes_its_cron_jobs_with_it() -> None:
    api = looked(living=False)
    assert len(stored(api)) == 1
    talk(api, lambda context: look(context, watched()))
    assert stored(api) == []


def test_cron_jobs_of_a_detector_that_had_the_name_before_go() -> None:
    item = watched()
    before = thing("old", {}, labels={"leadscore.dev/owner-uid": "uid-before"})
    seen = DetectorObservation(item, [], [], {}, left=[before])
    removed = [c for c in plan_detector(seen, WORKLOAD, NOW).changes if isinstance(c, Delete)]
    assert [(c.name, c.uid) for c in removed] == [("old", before["metadata"]["uid"])]


def test_a_detector_that_went_while_no_operator_ran_is_found_by_the_next_one() -> None:
    api = looked(living=False)
    queue: WorkQueue[Key] = WorkQueue()

    async def look(context: ReconcileContext) -> Key:
        await Resync(context.kube, queue, Health()).once()
        return await asyncio.wait_for(queue.take(), 5)

    assert talk(api, look) == (DETECTORS.plural, watched()["metadata"]["name"])
