"""The stories that `make faults` sweeps. Add yours here."""

from __future__ import annotations

from tests.faults.harness.story import Story
from tests.faults.operating.release_stories import RELEASE_STORIES
from tests.faults.operating.stories import OPERATOR_STORIES
from tests.faults.toys.story import ToyStory

STORIES: tuple[Story, ...] = (ToyStory(), ToyStory(operators=("a", "b")), *OPERATOR_STORIES, *RELEASE_STORIES)
