"""What the periodic resync queues."""

from __future__ import annotations

import asyncio

from kubernetes.aio.client.configuration import Configuration
from tests.support.kubeapi import KubeApi
from tests.unit.operator.objects import detector, policy

from leadscore_operator.engine.health import Health, Key
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.engine.resync import Resync
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import DETECTORS, POLICIES


def queued_by(rounds: int) -> list[set[Key]]:
    """What each of so many resyncs of an unchanged namespace queues."""
    api = KubeApi()
    for resource, item in ((DETECTORS, detector()), (POLICIES, policy())):
        api.objects[resource.path("ns", item["metadata"]["name"])] = item

    async def run() -> list[set[Key]]:
        queue: WorkQueue[Key] = WorkQueue()
        found: list[set[Key]] = []
        async with api.serving() as address, Kube(Configuration(host=address), "ns") as kube:
            resync = Resync(kube, queue, Health())
            for _ in range(rounds):
                await resync.once()
                keys = [await queue.take() for _ in range(len(queue))]
                for key in keys:
                    queue.done(key)
                found.append(set(keys))
        return found

    return asyncio.run(run())


def test_a_policy_is_looked_at_with_every_resync_and_others_when_they_have_changed() -> None:
    ours = (POLICIES.plural, policy()["metadata"]["name"])
    first, second, third = queued_by(3)
    assert first == {(DETECTORS.plural, detector()["metadata"]["name"]), ours}
    assert second == third == {ours}
