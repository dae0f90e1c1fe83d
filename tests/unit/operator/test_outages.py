"""An outage of the event store or the registry is told once in the objects that wait for it.

It is taken back by their next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration
from tests.support.kubeapi import KubeApi
from tests.unit.operator.objects import WORKLOAD, thing

from leadscore.errors import UnavailableError
from leadscore.events.errors import StoreUnavailableError
from leadscore.identity.approvers import ApproversUnavailableError
from leadscore_operator.engine.apply import Applier
from leadscore_operator.engine.clock import Clock
from leadscore_operator.errors import KubeError, RegistryUnavailableError
from leadscore_operator.kube.client import Kube
from leadscore_operator.kube.resources import POLICIES
from leadscore_operator.reconcile.base import ReconcileContext
from leadscore_operator.reconcile.outages import Outages

PATH = POLICIES.path("ns", "crm")
GONE = StoreUnavailableError("The event store db cannot be used: refused.", hint="Is it up?")
DECIDED = {
    "decision": {"action": "Wait"},
    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-03-10T12:00:00Z"}],
}


class Story:
    """A policy, and looks at it that fail (or not) at given times."""

    def __init__(self) -> None:
        self.api = KubeApi()
        self.api.objects[PATH] = thing("crm", {}, DECIDED)
        self.now = 0.0

    def tell(self, *looks: tuple[float, Exception | None]) -> None:
        asyncio.run(self._tell(looks))

    async def _tell(self, looks: tuple[tuple[float, Exception | None], ...]) -> None:
        async with (
            self.api.serving() as address,
            Kube(Configuration(host=address), "ns") as kube,
        ):
            clock = Clock()
            outages = Outages(
                ReconcileContext(kube, Applier(kube, None, clock, int, "me"), clock, WORKLOAD),
                lambda: self.now,
            )
            for at, error in looks:
                self.now = at
                look = _look(error)
                if error is None:
                    await outages.told(POLICIES, look, "crm")
                else:
                    with pytest.raises(type(error)):
                        await outages.told(POLICIES, look, "crm")

    @property
    def ready(self) -> dict[str, Any]:
        return self.api.objects[PATH]["status"]["conditions"][0]

    @property
    def writes(self) -> int:
        return sum(method == "PUT" for method, _ in self.api.calls)

    @property
    def warnings(self) -> list[str]:
        return [
            o["message"] for p, o in self.api.objects.items() if "/events/" in p and o["type"] == "Warning"
        ]


def _look(error: Exception | None) -> Callable[[str], Awaitable[datetime | None]]:
    async def look(_: str) -> datetime | None:
        if error is not None:
            raise error
        return None

    return look


def test_an_outage_is_told_once_in_words_and_the_rest_of_the_status_stays() -> None:
    story = Story()
    story.tell((0.0, GONE), (1.0, GONE), (4.0, GONE), (8.0, GONE), (100.0, GONE))
    status = story.api.objects[PATH]["status"]
    assert status["decision"] == DECIDED["decision"]
    assert (story.ready["status"], story.ready["reason"]) == ("False", "EventStoreUnavailable")
    assert story.ready["message"].startswith("The event store db cannot be used: refused. Nothing is decided")
    assert story.writes == 1
    assert story.warnings == [story.ready["message"]]


def test_a_hiccup_is_not_told() -> None:
    story = Story()
    story.tell((0.0, GONE), (2.0, GONE), (2.5, None), (60.0, GONE), (61.0, None))
    assert (story.writes, story.warnings) == (0, [])


def test_another_cause_is_told_but_not_with_each_try() -> None:
    story = Story()
    other = StoreUnavailableError("The event store db cannot be used: password authentication failed.")
    story.tell((0.0, GONE), (4.0, GONE), (5.0, other), (6.0, GONE), (7.0, other), (40.0, other))
    assert story.writes == 2
    assert "password" in story.ready["message"]
    assert len(story.warnings) == 1, "one outage, one Warning"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RegistryUnavailableError("The registry answered 401."), "RegistryUnavailable"),
        (ApproversUnavailableError("The key file is broken."), "ApproversUnavailable"),
    ],
)
def test_registry_and_approvers_are_called_by_their_names(error: Exception, reason: str) -> None:
    story = Story()
    story.tell((0.0, error), (9.0, error))
    assert story.ready["reason"] == reason


@pytest.mark.parametrize("error", [KubeError("429"), UnavailableError("the Rollout went away")])
def test_what_is_no_outage_of_a_store_is_only_tried_again(error: Exception) -> None:
    story = Story()
    story.tell((0.0, error), (60.0, error))
    assert story.writes == 0


def test_an_outage_that_could_not_be_told_is_told_at_the_next_try() -> None:
    story = Story()
    story.api.answers.append(web.json_response({"reason": "x"}, status=503))
    story.tell((0.0, GONE), (4.0, GONE), (5.0, GONE))
    assert story.writes == 1
    assert story.ready["status"] == "False"


def test_an_object_that_is_gone_is_not_spoken_of() -> None:
    story = Story()
    del story.api.objects[PATH]
    story.tell((0.0, GONE), (9.0, GONE))
    assert story.writes == 0


def test_a_defect_of_the_operator_ends_as_not_ready_and_is_taken_back() -> None:
    """A spec that overflowed at every look left Ready at True, with a line in the log and nothing else."""
    story = Story()
    story.tell((0, OverflowError("days=99999999")), (30, OverflowError("days=99999999")))
    assert story.ready["status"] == "False"
    assert story.ready["reason"] == "OperatorFailed"
    assert "OverflowError" in story.ready["message"]
    assert "99999999" not in story.ready["message"]
    assert story.writes == 1
