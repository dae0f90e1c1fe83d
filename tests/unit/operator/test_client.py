from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration
from tests.support.kubeapi import KubeApi

from leadscore_operator.engine.lease import Lease
from leadscore_operator.errors import (
    AlreadyExistsError,
    KubeConflictError,
    KubeError,
    KubeRefusedError,
    NotLeaderError,
)
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import JOBS, LEASES


def speaking(api: KubeApi, talk: Callable[[Kube], Awaitable[None]]) -> None:
    async def run() -> None:
        async with (
            api.serving() as address,
            Kube(Configuration(host=address), "ns") as kube,
        ):
            await talk(kube)

    asyncio.run(run())


def test_only_a_not_found_is_nothing_and_every_other_failure_is_an_error() -> None:
    api = KubeApi()

    async def talk(kube: Kube) -> None:
        assert await kube.get(JOBS, "a") is None
        for status in (429, 500, 503, 410):
            api.answers.append(web.json_response({"reason": "x"}, status=status))
            with pytest.raises(KubeError):
                await kube.get(JOBS, "a")
        api.answers.append(web.Response(text="<html>", status=200))
        with pytest.raises(KubeError, match="no JSON"):
            await kube.list(JOBS)
        api.answers.append(web.json_response({"kind": "Status"}))
        with pytest.raises(KubeError, match="is not one"):
            await kube.list(JOBS)
        api.answers.append(web.json_response({"reason": "Forbidden"}, status=403))
        with pytest.raises(KubeRefusedError):
            await kube.list(JOBS)

    speaking(api, talk)


def test_retry_after_is_told() -> None:
    api = KubeApi()
    api.answers.append(web.json_response({"reason": "x"}, status=429, headers={"Retry-After": "7"}))

    async def talk(kube: Kube) -> None:
        with pytest.raises(KubeError) as caught:
            await kube.list(JOBS)
        assert caught.value.retry_after_seconds == 7

    speaking(api, talk)


def test_a_list_is_read_to_its_last_page() -> None:
    api = KubeApi()
    api.answers += [
        web.json_response({"items": [{"a": 1}], "metadata": {"continue": "more"}}),
        web.json_response({"items": [{"a": 2}], "metadata": {}}),
    ]

    async def talk(kube: Kube) -> None:
        assert await kube.list(JOBS) == [{"a": 1}, {"a": 2}]

    speaking(api, talk)


def test_a_taken_name_and_a_changed_object_are_told_apart() -> None:
    api = KubeApi()

    async def talk(kube: Kube) -> None:
        first = await kube.create(LEASES, {"metadata": {"name": "a"}, "spec": {}})
        with pytest.raises(AlreadyExistsError):
            await kube.create(LEASES, {"metadata": {"name": "a"}, "spec": {}})
        await kube.put(LEASES, first)
        with pytest.raises(KubeConflictError):
            await kube.put(LEASES, first)

    speaking(api, talk)


def test_who_may_not_write_sends_no_write() -> None:
    api = KubeApi()

    def never() -> None:
        raise NotLeaderError("no")

    async def talk(kube: Kube) -> None:
        follower = kube.guarded(never)
        assert await follower.list(JOBS) == []
        with pytest.raises(NotLeaderError):
            await follower.create(JOBS, {"metadata": {"name": "a"}})
        with pytest.raises(NotLeaderError):
            await follower.delete(JOBS, "a", "uid")

    speaking(api, talk)
    assert {method for method, _ in api.calls} == {"GET"}


def lease(kube: Kube, identity: str, duration: float = 0.4) -> Lease:
    return Lease(kube, "op", identity, lambda: datetime(2026, 1, 1, tzinfo=UTC), duration)


async def leads(candidate: Lease, seconds: float) -> bool:
    try:
        await asyncio.wait_for(candidate.leading.wait(), seconds)
    except TimeoutError:
        return False
    return True


def test_one_leads_and_another_takes_over_only_after_the_first_is_silent() -> None:
    async def talk(kube: Kube) -> None:
        a, b = lease(kube, "a"), lease(kube, "b")
        first = asyncio.create_task(a.keep())
        assert await leads(a, 5)
        second = asyncio.create_task(b.keep())
        assert not await leads(b, 1.0), "the first renews"
        first.cancel()
        assert await leads(b, 5)
        assert b.token == a.token + 1, "the fencing token grows"
        with pytest.raises(NotLeaderError):
            a.check()
        b.check()
        second.cancel()

    speaking(KubeApi(), talk)


def test_a_lease_that_is_given_up_is_taken_at_once() -> None:
    async def talk(kube: Kube) -> None:
        a, b = lease(kube, "a", 60), lease(kube, "b", 60)
        first = asyncio.create_task(a.keep())
        assert await leads(a, 5)
        first.cancel()
        await a.give_up()
        second = asyncio.create_task(b.keep())
        assert await leads(b, 5)
        second.cancel()

    speaking(KubeApi(), talk)


def test_who_cannot_renew_stops_writing_before_others_may_start() -> None:
    api = KubeApi()

    async def talk(kube: Kube) -> None:
        a = lease(kube, "a", 0.5)
        task = asyncio.create_task(a.keep())
        assert await leads(a, 5)
        api.answers += [web.json_response({}, status=500) for _ in range(1000)]
        gone = asyncio.Event()

        async def until_refused() -> None:
            while not gone.is_set():
                try:
                    a.check()
                except NotLeaderError:
                    gone.set()
                await asyncio.sleep(0.01)

        await asyncio.wait_for(until_refused(), 5)
        assert not a.leading.is_set()
        task.cancel()

    speaking(api, talk)
