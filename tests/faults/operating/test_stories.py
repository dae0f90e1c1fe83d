"""A sample of the operator's fault sweep; `make faults` runs all of it."""

from __future__ import annotations

import pytest
from tests.faults.harness.calls import Point
from tests.faults.harness.controlplane import ControlPlane
from tests.faults.harness.faults import Answer, Event, Fault, Kill, LostReply
from tests.faults.harness.story import Story, replay
from tests.faults.operating.stories import AttemptsStory, DriftStory, PipelineBugStory, QueueStory

pytestmark = pytest.mark.xdist_group("faults")
SAMPLE: list[tuple[Story, list[Fault]]] = [
    (DriftStory(), [Kill(Point("create retrainruns.leadscore.dev", 1), "after")]),
    (DriftStory(), [LostReply(Point("create jobs.batch", 1), "reset")]),
    (DriftStory(), [Event("jobs.batch", 2, "drop")]),
    (AttemptsStory(), [Answer(Point("update retrainruns/status.leadscore.dev", 2), 409)]),
    (QueueStory(), [Kill(Point("create jobs.batch", 1), "before")]),
    (PipelineBugStory(), []),
]


@pytest.mark.parametrize(
    ("story", "faults"),
    SAMPLE,
    ids=lambda v: getattr(v, "title", " + ".join(map(str, v)) if isinstance(v, list) else ""),
)
def test_a_story_ends_as_it_should_whatever_goes_wrong(
    plane: ControlPlane, story: Story, faults: list[Fault]
) -> None:
    outcome = replay(plane, story, faults)
    assert outcome.problems == ()
    assert outcome.reached
