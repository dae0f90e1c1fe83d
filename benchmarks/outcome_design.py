"""`python -m benchmarks.outcome_design LEADS_A_DAY WAIT`.

Levels of outcomes for a stream, in a process of its own, as JSON.
"""

from __future__ import annotations

import sys
import time

import msgspec
import numpy as np

from benchmarks.processes import peak_bytes
from leadscore.drift.watch.outcome_plan import OutcomeSample, design_outcomes
from leadscore.drift.watch.plan import OutcomePlan

_REFERENCE, _DAYS_TO_A_FALSE_ALARM = 10_000, 30.0


class Designed(msgspec.Struct, frozen=True):
    """What it cost.

    Attributes:
        share: Of the leads that are charted.
        every: Charted leads from one evaluation to the next.
        evaluations: Evaluations to a false alarm.
        seconds: Of processor time.
        mebibytes: The process's peak, with its libraries.
    """

    share: float
    every: int
    evaluations: float
    seconds: float
    mebibytes: float


def measure(leads_a_day: float, wait: float) -> Designed:
    """Design for one false alarm of both charts in 30 days, with the largest reference of an artefact."""
    rng = np.random.default_rng(1)
    logit = rng.normal(-2.0, 1.2, _REFERENCE)
    p = 1 / (1 + np.exp(-logit))
    converted = rng.random(_REFERENCE) < p
    # 95 % come within the time that is waited for.
    days = wait / 4.4 * np.exp(0.9 * rng.normal(size=_REFERENCE)) * np.where(converted, 0.85, 1.025)
    sample = OutcomeSample(converted, days, np.full(_REFERENCE, 1_000.0))
    run_length = _DAYS_TO_A_FALSE_ALARM * leads_a_day
    started = time.process_time()
    design = design_outcomes(
        p,
        sample,
        OutcomePlan.of(wait, leads_a_day),
        run_length=2 * run_length,
        every=max(1, int(run_length / 250)),
    )
    return Designed(
        share=design.share,
        every=design.every,
        evaluations=design.chart.run_length,
        seconds=time.process_time() - started,
        mebibytes=peak_bytes() / 2**20,
    )


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(measure(float(sys.argv[1]), float(sys.argv[2]))).decode() + "\n")
