"""From a model's reference with outcomes to the chart of a stream's outcomes.

How long they are waited for, which leads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np

from leadscore.arrays import Flags, Floats
from leadscore.drift.sequential import OutcomeChart, OutcomeReference, design_outcome_chart
from leadscore.drift.watch.plan import OutcomePlan
from leadscore.errors import BadInputError

# Days that outcomes are waited for where nothing tells how long they take.
USUAL_WAIT: Final = 30.0
# Share of the outcomes that are waited for.
_COME: Final = 0.95
# Evaluations in the time that an outcome is waited for: more of them would report hardly sooner.
_EVALUATIONS: Final = 40
# Evaluations are counted in leads. Leads may come so many times faster than was learnt.
_FASTER: Final = 1.5
# Leads charted in the time that an outcome is waited for: as many as can be simulated in a minute and 300
# MiB, and not more than so many per row of the reference, up to which the run length was seen to be kept.
_MOST_CHARTED: Final = 10_000
_MOST_PER_ROW: Final = 8
_LEAST_EVALUATIONS: Final = 4
# Levels are simulated for so many evaluations at most: ten times as long as outcomes are waited for.
_MOST_EVALUATIONS: Final = 10 * _EVALUATIONS
_SALT: Final = b"leadscore outcomes"


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeSample:
    """What became of the rows of a model's reference sample.

    Attributes:
        converted: Outcomes (rows,).
        days: From the lead to its outcome (rows,); NaN or None where the training table did not say.
        age: Days from the lead to the end of the training table (rows,); None where it has no times.
    """

    converted: Flags
    days: Floats | None = None
    age: Floats | None = None

    @property
    def timed(self) -> bool:
        """Whether it tells when outcomes became known."""
        return self.days is not None and self.age is not None and bool(np.isfinite(self.days).any())


class OutcomeDesign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The chart of outcomes, and which leads it sees when.

    Attributes:
        chart: With its simulated levels.
        share: Of the leads that are charted.
        every: Charted leads from one evaluation to the next.
        wait: Days that an outcome is waited for.
        timed: An outcome counts when it becomes known. Otherwise all are asked at the age of `wait`: the
            reference does not tell when outcomes come.
    """

    chart: OutcomeChart
    share: float
    every: int
    wait: float
    timed: bool


def usual_wait(sample: OutcomeSample | None) -> float:
    """Days in which 95 % of the reference's outcomes came, or that half of its leads had, if those are fewer.

    Younger leads cannot serve as a reference: of theirs only the early outcomes are known.
    """
    if sample is None or sample.days is None or sample.age is None or not sample.timed:
        return USUAL_WAIT
    days = sample.days[np.isfinite(sample.days)]
    return float(f"{min(np.quantile(days, _COME), np.median(sample.age)):.2g}")


def mature_reference(probabilities: Floats, sample: OutcomeSample, wait: float) -> OutcomeReference:
    """The reference's leads that are as old as outcomes are waited for.

    Args:
        probabilities: What the model says of the sample's rows (rows,).
        sample: What became of them.
        wait: Days.
    """
    old = np.ones(len(probabilities), dtype=bool) if sample.age is None else sample.age >= wait
    if sample.days is None or not sample.timed:
        return OutcomeReference(probabilities[old], sample.converted[old], np.full(int(old.sum()), wait))
    old &= np.isfinite(sample.days)
    return OutcomeReference(probabilities[old], sample.converted[old], np.maximum(sample.days[old], 0.0))


def design_outcomes(
    probabilities: Floats, sample: OutcomeSample, plan: OutcomePlan, *, run_length: float, every: int
) -> OutcomeDesign:
    """Simulate the chart's levels: seconds to a minute.

    Args:
        probabilities: What the model says of the reference sample's rows (rows,).
        sample: What became of them.
        plan: How outcomes are to be charted.
        run_length: Expected leads of the stream to a false alarm of this chart.
        every: Leads of the stream from one evaluation to the next, at least.

    Raises:
        BadInputError: The reference has too few leads that are old enough, or the run length too few
            evaluations.
    """
    reference = mature_reference(probabilities, sample, plan.wait)
    waiting = plan.leads_per_day * plan.wait
    most = min(_MOST_PER_ROW * len(reference.converted), _MOST_CHARTED)
    share = min(1.0, float(f"{most / waiting:.2g}")) if most else 1.0
    per_day = plan.leads_per_day * share
    rows = max(1, round(every * share), math.ceil(per_day * plan.wait / _EVALUATIONS))
    evaluations = run_length * share / rows
    if evaluations < _LEAST_EVALUATIONS:
        raise BadInputError(
            f"A false alarm of outcomes every {run_length / plan.leads_per_day:.2g} days, tested every"
            f" {rows / per_day:.2g} days: outcomes are waited for {plan.wait:g} days.",
            hint=(
                "Accept fewer false alarms, wait for outcomes less long "
                "(--maturity), or leave --outcomes out."
            ),
        )
    try:
        chart = design_outcome_chart(
            reference,
            evaluation_rows=rows,
            evaluation_days=rows / per_day,
            run_length=evaluations,
            horizon=math.ceil(_FASTER * plan.wait * per_day / rows) + 1,
            wait=plan.wait,
            most_evaluations=_MOST_EVALUATIONS,
        )
    except BadInputError as error:
        raise BadInputError(
            f"{error.message} They are the ones that were {plan.wait:g} days old when the model was trained.",
            hint="Wait for outcomes less long (--maturity), train on more leads, or leave --outcomes out.",
        ) from error
    return OutcomeDesign(chart=chart, share=share, every=rows, wait=plan.wait, timed=sample.timed)


def is_charted(ids: Sequence[str], share: float) -> Flags:
    """Which leads are charted if a share of them is.

    Always the same ones, whenever and however often they are scored.
    """
    if share >= 1.0:
        return np.ones(len(ids), dtype=bool)
    digests = b"".join(blake2b(i.encode(), digest_size=8, key=_SALT).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8") < int(share * 2.0**64)
