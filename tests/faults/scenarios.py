"""The scenarios that `make faults` sweeps. Add yours here."""

from __future__ import annotations

from tests.faults.harness.scenario import Scenario
from tests.faults.operating.release_scenarios import RELEASE_STORIES
from tests.faults.operating.scenarios import OPERATOR_STORIES
from tests.faults.toys.scenario import ToyScenario

SCENARIOS: tuple[Scenario, ...] = (
    ToyScenario(),
    ToyScenario(operators=("a", "b")),
    *OPERATOR_STORIES,
    *RELEASE_STORIES,
)
