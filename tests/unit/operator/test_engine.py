from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from tests.unit.operator.objects import detector, policy, run

from leadscore_operator.engine.clock import Clock
from leadscore_operator.engine.health import FROZEN_SECONDS, STUCK_SECONDS, Health
from leadscore_operator.engine.queue import WorkQueue
from leadscore_operator.engine.relations import Relations


def test_a_key_waits_once_however_often_it_is_added_and_comes_back_if_it_changed_meanwhile() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.add("a")
        assert await queue.take() == "a"
        queue.add("a")
        queue.add("b")
        assert await queue.take() == "b", "a is being worked on: nobody else gets it"
        queue.done("a")
        assert await queue.take() == "a", "and it comes back"
        queue.done("a")
        queue.done("b")
        assert len(queue) == 0

    asyncio.run(story())


def test_failures_come_back_later_each_time_and_success_forgets_them() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        delays = []
        for _ in range(4):
            queue.add("a")
            delays.append(queue.failed(await queue.take()))
        assert all(later > earlier * 1.3 for earlier, later in pairwise(delays))
        queue.add("a")
        queue.done(await queue.take())
        queue.add("a")
        assert queue.failed(await queue.take()) < delays[1]
        queue.add("a")
        assert queue.failed(await queue.take(), at_least=9.0) >= 7.2

    asyncio.run(story())


def test_the_sooner_of_two_times_counts_and_an_event_comes_before_both() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 60)
        queue.add_after("a", 0.01)
        assert await asyncio.wait_for(queue.take(), 5) == "a"
        queue.done("a")
        queue.add_after("b", 60)
        queue.add("b")
        assert await asyncio.wait_for(queue.take(), 5) == "b"

    asyncio.run(story())


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_frozen_watch_is_an_illness_and_a_quiet_one_is_not() -> None:
    time = Time()
    health = Health(now=time)
    health.event(("dd", "a"), "1", deleted=False)
    health.listed("dd", [("a", "1")])
    time.now += 10 * FROZEN_SECONDS
    health.listed("dd", [("a", "1")])
    assert health.liveness_error() == "", "nothing has happened, so nothing was missed"
    health.listed("dd", [("a", "2")])
    time.now += FROZEN_SECONDS + 1
    assert "frozen" in health.liveness_error()
    health.event(("dd", "a"), "2", deleted=False)
    assert health.liveness_error() == "", "the event came late"


def test_an_object_that_is_gone_is_not_waited_for() -> None:
    time = Time()
    health = Health(now=time)
    health.listed("dd", [("a", "1")])
    health.listed("dd", [])
    time.now += FROZEN_SECONDS + 1
    assert health.liveness_error() == ""


def test_work_that_does_not_end_is_an_illness() -> None:
    time = Time()
    health = Health(now=time)
    health.started(("dd", "a"))
    time.now += STUCK_SECONDS + 1
    assert "does not end" in health.liveness_error()
    health.ended(("dd", "a"), "ok")
    assert health.liveness_error() == ""
    assert health.counts == {("dd", "ok"): 1}


def test_ready_means_that_everything_was_read_lately() -> None:
    time = Time()
    health = Health(now=time)
    assert not health.ready(10)
    health.resynced()
    assert health.ready(10)
    time.now += 11
    assert not health.ready(10)


def test_a_verdict_wakes_the_policies_of_its_model_and_an_ended_run_those_that_wait_for_it() -> None:
    relations = Relations()
    relations.concerned("retrainpolicies", policy(), deleted=False)
    relations.concerned("retrainruns", run(name="leads-2"), deleted=False)
    assert relations.concerned("driftdetectors", detector(), deleted=False) == [
        ("driftdetectors", "leads"),
        ("retrainpolicies", "leads"),
    ]
    ended = relations.concerned("retrainruns", run({"phase": "Failed"}), deleted=False)
    assert ended == [("retrainruns", "leads-1"), ("retrainpolicies", "leads"), ("retrainruns", "leads-2")]


def test_a_job_wakes_what_it_belongs_to() -> None:
    labels = {"leadscore.dev/part": "drift-check", "leadscore.dev/owner": "leads"}
    job = {"metadata": {"name": "j", "labels": labels}}
    assert Relations().concerned("jobs", job, deleted=True) == [("driftdetectors", "leads")]


def test_the_clock_moves_by_its_file(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    before = Clock(offset).now()
    offset.write_text("3600")
    assert 3590 < (Clock(offset).now() - before).total_seconds() < 3660
