"""A seeded synthetic CRM of a company-formation business, with scenarios that change it at a date."""

from leadscore.data.synthetic.contract import synthetic_contract
from leadscore.data.synthetic.generator import (
    Simulation,
    generate,  # pyright: ignore[reportUnknownVariableType] - an Arrow table, and Arrow has no type stubs
    simulate,
)
from leadscore.data.synthetic.scenarios import SCENARIOS, Scenario, ScenarioName, after_months, parse_scenario

__all__ = [
    "SCENARIOS",
    "Scenario",
    "ScenarioName",
    "Simulation",
    "after_months",
    "generate",
    "parse_scenario",
    "simulate",
    "synthetic_contract",
]
