"""From a plan to the charts that keep its run length."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.arrays import Floats
from leadscore.drift.sequential import HistogramChart, cell_codes, design_chart, histograms_of
from leadscore.drift.sequential.histograms import Histogram
from leadscore.drift.watch.outcome_plan import OutcomeDesign, OutcomeSample, design_outcomes
from leadscore.drift.watch.plan import WatchPlan
from leadscore.errors import BadInputError
from leadscore.scoring.profile import ReferenceProfile

# Effective leads of the charts' memories: short ones for leaps, long ones for creeping change.
_MEMORIES: Final = (100, 400, 1_600)
# Cells that so many leads expect fewer than a quarter of a lead of are rare (Cochran's rule at 100 leads).
_RARE_ROWS: Final = 25
_LEAST_SAMPLE: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class ChartBaseline:
    """What a stream is compared with.

    Attributes:
        profile: The model's reference profile.
        sample: Encoded rows of its reference (rows, features); None if the artefact has none.
        probabilities: The model's probabilities of the same rows (rows,).
        outcomes: What became of the same rows; None if the artefact does not say.
    """

    profile: ReferenceProfile
    sample: npt.NDArray[np.float32] | None = None
    probabilities: Floats | None = None
    outcomes: OutcomeSample | None = None


class WatchDesign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The charts of a plan, with their simulated levels.

    Attributes:
        plan: What was asked.
        leads: Features and score.
        outcomes: Outcomes against probabilities; None if they are not charted.
    """

    plan: WatchPlan
    leads: HistogramChart
    outcomes: OutcomeDesign | None = None


def fingerprint(baseline: ChartBaseline, plan: WatchPlan) -> str:
    """Return a digest of everything that the charts' levels depend on."""
    digest = hashlib.sha256(msgspec.json.encode((baseline.profile, plan)))
    found = baseline.outcomes if plan.outcomes is not None else None
    labels = () if found is None else (found.converted, found.days, found.age)
    for array in (baseline.sample, baseline.probabilities, *labels):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def charted(baseline: ChartBaseline, plan: WatchPlan) -> tuple[tuple[Histogram, ...], list[int]]:
    """The histograms that are charted, and their columns in `cell_codes`.

    Raises:
        BadInputError: None is left, or one that is to be left out is none of the model's.
    """
    found = histograms_of(baseline.profile, _RARE_ROWS)
    names = [histogram.name for histogram in found]
    if strangers := sorted(set(plan.without) - set(names)):
        raise BadInputError(
            f"The model has no feature {', '.join(strangers)}.", hint=f"It has {', '.join(names)}."
        )
    columns = [i for i, name in enumerate(names) if name not in plan.without]
    if not columns:
        raise BadInputError("All features are left out: nothing can be charted.")
    return tuple(found[i] for i in columns), columns


def design_watch(baseline: ChartBaseline, plan: WatchPlan) -> WatchDesign:
    """Simulate the levels: seconds to a minute, once per model and plan.

    Raises:
        BadInputError: Nothing is left to be charted; or outcomes are to be, and there are none in the
            reference, or too few that are old enough.
    """
    sample, probabilities = baseline.sample, baseline.probabilities
    histograms, columns = charted(baseline, plan)
    codes = None
    if sample is not None and probabilities is not None and len(sample) >= _LEAST_SAMPLE:
        codes = cell_codes(baseline.profile, sample, probabilities)[:, columns]
    leads = design_chart(
        histograms,
        window_rows=plan.every,
        run_length=plan.evaluations,
        sample=codes,
        memories=tuple(sorted({min(1.0, 2 / (leads / plan.every + 1)) for leads in _MEMORIES})),
    )
    outcomes = None
    if plan.outcomes is not None:
        if codes is None or probabilities is None or baseline.outcomes is None:
            raise BadInputError(
                "The model's artefact has no reference sample with outcomes: there are no "
                "levels for those to come.",
                hint="Train it with `leadscore train`, or leave --outcomes out.",
            )
        outcomes = design_outcomes(
            probabilities, baseline.outcomes, plan.outcomes, run_length=plan.own_run_length, every=plan.every
        )
    return WatchDesign(plan=plan, leads=leads, outcomes=outcomes)
