"""The leads of a scenario's market, from the synthetic CRM.

Calm until somebody says otherwise, each with an id of its own.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import numpy as np
from loadtests.leads import Lead

from leadscore.data.synthetic import Scenario, simulate, synthetic_contract

Mood = Literal["no_drift", "covariate_shift", "pipeline_bug", "poor"]

_ROWS = 4_000
# So strong that a minute which is half calm still shows it.
_MAGNITUDE: dict[Mood, float] = {"covariate_shift": 3.0, "pipeline_bug": 1.0}
_START = datetime(2026, 6, 1, tzinfo=UTC)
# The contract's inputs and the lead's id are what a caller sends; the outcome is not known yet.
_CONTRACT = synthetic_contract()


class Market:
    """An endless stream of leads whose mood may change at any time (from another thread).

    `poor` is the calm market without the leads that have a chance: the better half by true probability stays
    away.
    """

    def __init__(self, seed: int = 3) -> None:
        self.mood: Mood = "no_drift"
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        # Ids of two streams never meet.
        self._prefix = f"live-{datetime.now(UTC):%H%M%S%f}"

    def __next__(self) -> Lead:
        """A lead as a caller sends it."""
        lead = self._chance.choice(_leads(self.mood))
        return {**lead, _CONTRACT.id: f"{self._prefix}-{next(self._numbers)}"}


@cache
def _leads(mood: Mood) -> list[Lead]:
    shift = [Scenario(mood, _START, _MAGNITUDE[mood])] if mood in _MAGNITUDE else []
    world = simulate(
        rows=_ROWS, seed=17, start=_START, months=2, scenarios=[Scenario("concept_drift", _START), *shift]
    )
    names = [feature.name for feature in _CONTRACT.inputs]
    leads: list[Lead] = [
        {name: value for name, value in row.items() if value is not None}
        for row in world.table.select(names).to_pylist()
    ]
    if mood == "poor":
        order = np.argsort(world.true_probability, kind="stable")
        leads = [leads[row] for row in order[: len(order) // 2]]
    return leads
