"""What is asked of the charts: a run length in leads, and what is charted."""

from __future__ import annotations

import math
from typing import Final, Self

import msgspec

from leadscore.drift.runlength import FalseAlarms
from leadscore.errors import BadInputError

# Evaluations between two false alarms: grouping leads delays an alarm by at most 1/250 of the run length.
_EVALUATIONS: Final = 250


class OutcomePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How outcomes are to be charted.

    Attributes:
        wait: Days that the outcome of a lead is waited for.
        leads_per_day: Of the stream, to two digits.
    """

    wait: float
    leads_per_day: float

    @classmethod
    def of(cls, wait: float, leads_per_day: float) -> OutcomePlan:
        """A plan: a few leads more or less per day design no other chart."""
        return cls(wait=wait, leads_per_day=float(f"{leads_per_day:.2g}"))


class WatchPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person asks of the charts.

    Attributes:
        run_length: Expected leads to a false alarm of all charts together, on an unchanged stream.
        every: Leads from one evaluation to the next.
        outcomes: How outcomes are charted too, None if they are not; each chart then has half of the false
            alarms.
        without: Features (or `score`) that are not charted.
    """

    run_length: float
    every: int
    outcomes: OutcomePlan | None = None
    without: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        run_length: float,
        *,
        every: int | None = None,
        outcomes: OutcomePlan | None = None,
        without: tuple[str, ...] = (),
    ) -> Self:
        """A plan; without `every` the charts are evaluated some 250 times per run length.

        Raises:
            BadInputError: There would be an alarm at every evaluation.
        """
        step = every or max(1, int(run_length / _EVALUATIONS))
        if not (math.isfinite(run_length) and run_length > step):
            raise BadInputError(
                f"A false alarm every {run_length:g} leads, tested every {step}: that is an "
                "alarm at every evaluation.",
                hint="Accept fewer false alarms, or evaluate more often.",
            )
        return cls(run_length=run_length, every=step, outcomes=outcomes, without=without)

    @property
    def own_run_length(self) -> float:
        """Expected leads to a false alarm of one chart: where there are two, each has half of the alarms."""
        return self.run_length * (1 if self.outcomes is None else 2)

    @property
    def evaluations(self) -> float:
        """Evaluations of the chart of features and score to its false alarm."""
        return self.own_run_length / self.every


def budget_leads(budget: FalseAlarms, leads_per_hour: float) -> float:
    """The run length in leads of a budget in time, to two digits.

    A few leads more or less design no other charts.
    """
    exact = budget.per_hours / budget.expected * leads_per_hour
    return float(f"{exact:.2g}") if exact > 0 else 0.0
