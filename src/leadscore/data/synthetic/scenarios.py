"""Scenarios of the synthetic CRM: what changes, from when, how strongly and how suddenly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from leadscore.data.synthetic.arrivals import Times
from leadscore.errors import BadInputError

ScenarioName = Literal[
    "no_drift",
    "covariate_shift",
    "new_categories",
    "missingness",
    "prior_shift",
    "concept_drift",
    "seasonal_cycle",
    "pipeline_bug",
]

SCENARIOS: dict[ScenarioName, str] = {
    "no_drift": "Nothing changes.",
    "covariate_shift": (
        "Marketing moves to social media and marketplaces in the south and east: other, smaller leads."
    ),
    "new_categories": "A source, an industry and a legal form appear that the contract does not list.",
    "missingness": (
        "A shorter web form: budget, urgency, reply times and e-mail opens are asked of fewer leads."
    ),
    "prior_shift": (
        "A weaker market: fewer leads convert, while those who do (and who do not) look as before."
    ),
    "concept_drift": (
        "Same leads, other reasons: hurry and comparing prices stop counting, reading and co-founders start."
    ),
    "seasonal_cycle": "A yearly wave: a rush in January, a lull in July, in urgency and in conversion.",
    "pipeline_bug": "An upstream release sends the budget in cents and loses the minutes on site.",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One change of the world.

    Attributes:
        name: Which change, a key of `SCENARIOS`.
        at: From when; rows created earlier are exactly what they are without it. Without a zone: UTC.
        magnitude: How strong: 0 is nothing, 1 the described change, up to 3. Where a share of the leads is
            touched, 1 or more touches the most that it can.
        ramp_days: Days from nothing to full strength, linearly; 0 is sudden.
    """

    name: ScenarioName
    at: datetime
    magnitude: float = 1.0
    ramp_days: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in SCENARIOS:
            raise BadInputError(
                f"There is no scenario {str(self.name)!r}.", hint=f"There are: {', '.join(SCENARIOS)}."
            )
        if not 0.0 <= self.magnitude <= 3.0:
            raise BadInputError(
                f"Scenario {self.name}: magnitude {self.magnitude:g} is outside 0 to 3.",
                hint="1 is the usual strength.",
            )
        if not 0.0 <= self.ramp_days <= 3_650.0:
            raise BadInputError(
                f"Scenario {self.name}: a ramp of {self.ramp_days:g} days.", hint="0 is sudden."
            )

    def strength(self, times: Times) -> npt.NDArray[np.float64]:
        """Strength at each time: 0 before `at`, then up to `magnitude`."""
        since = (times - np.datetime64(utc(self.at).replace(tzinfo=None), "us")) / np.timedelta64(1, "D")
        if self.ramp_days == 0.0:
            return np.where(since >= 0.0, self.magnitude, 0.0)
        return self.magnitude * np.clip(since / self.ramp_days, 0.0, 1.0)


def strength_of(name: ScenarioName, scenarios: Sequence[Scenario], times: Times) -> npt.NDArray[np.float64]:
    """Summed strength of the scenarios of that name at each time."""
    total = np.zeros(len(times))
    for scenario in scenarios:
        if scenario.name == name:
            total += scenario.strength(times)
    return total


def parse_scenario(text: str, default_at: datetime) -> Scenario:
    """Read `NAME[@YYYY-MM-DD[:magnitude[:ramp_days]]]`.

    Raises:
        BadInputError: Not of that form, no such scenario, or a number out of range.
    """
    name, _, rest = text.partition("@")
    day, *numbers = rest.split(":") if rest else [""]
    try:
        at = datetime.fromisoformat(day).replace(tzinfo=UTC) if day else default_at
        magnitude, ramp_days = [*map(float, numbers), *(1.0, 0.0)[len(numbers) :]]
    except ValueError as error:
        raise BadInputError(
            f"{text!r} is not a scenario.", hint="Write NAME, NAME@2026-03-01, or NAME@2026-03-01:0.5:30."
        ) from error
    # A name that is none is refused by the scenario itself, which knows them all.
    return Scenario(name, at, magnitude, ramp_days)  # pyright: ignore[reportArgumentType]


def utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def after_months(start: datetime, months: float) -> datetime:
    """`months` later, a month being a twelfth of 365.25 days."""
    return start + timedelta(days=months * 365.25 / 12.0)
