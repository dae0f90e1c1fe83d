"""Judge an A/B test: B is better, worse, or not known yet. Valid however often it is evaluated. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.release.cohorts import Cohort
from leadscore.sequences import (
    Floats,
    Sequence,
    asymptotic_sequence,
    betting_sequence,
    evaluation_points,
    pooled_spread,
    scores_of_difference,
    split_e_value,
)

ExperimentVerdict = Literal["promote", "roll_back", "continue"]


class ExperimentPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Chosen before the first evaluation; changing it after one voids the guarantee.

    Attributes:
        share: Planned share of B.
        alpha: Probability that a true "no difference" is ever called one, both metrics and all evaluations
            together.
        margin: Relative loss in the other metric that a promotion tolerates.
        horizon: Leads of both arms together at which the revenue sequence is to be tightest.
        burn_in: Paying leads in each arm before which revenue says nothing.
        split_alpha: Probability that a correct split is ever called wrong.
    """

    share: float = 0.10
    alpha: float = 0.05
    margin: float = 0.05
    horizon: float = 10_000.0
    burn_in: int = 20
    split_alpha: float = 0.001


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One version's mature leads; `revenue` per lead."""

    version: int
    leads: int
    converted: int
    conversion: float
    revenue: float


class ExperimentEvaluation(msgspec.Struct, frozen=True):
    """After so many leads: B minus A, and the confidence sequence."""

    leads: int
    value: float
    low: float
    high: float


class ExperimentMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: `now` is the last evaluation; None before there is one. `base` is A's mean."""

    name: str
    base: float
    now: ExperimentEvaluation | None
    evaluations: tuple[ExperimentEvaluation, ...] = msgspec.field(name="looks")

    @property
    def better(self) -> bool:
        """The whole sequence is above zero."""
        return self.now is not None and self.now.low > 0

    @property
    def worse(self) -> bool:
        """The whole sequence is below zero."""
        return self.now is not None and self.now.high < 0

    def not_worse_than(self, margin: float) -> bool:
        """A loss beyond `margin` of A's mean is refuted."""
        return self.now is not None and self.base > 0 and self.now.low > -margin * self.base


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an A/B test.

    Attributes:
        model: Registered name.
        a: The version in charge.
        b: The version on trial.
        since: Begin.
        until: Now.
        exposure_days: How long each lead was given.
        plan: As chosen before.
        metrics: Conversion, revenue.
        split: E-value against the planned split.
        immature: Leads whose exposure is not over.
        crossed: Leads that both versions scored; they count for the first.
        verdict: What to do.
        summary: Why, in a sentence.
        currency: Of revenue, by ISO 4217; empty if the contract of B names none.
    """

    model: str
    a: Arm
    b: Arm
    since: datetime
    until: datetime
    exposure_days: float
    plan: ExperimentPlan
    metrics: tuple[ExperimentMetric, ...]
    split: float
    immature: int
    crossed: int
    verdict: ExperimentVerdict
    summary: str
    currency: str = ""


def figure_title(name: str, currency: str) -> str:
    """A figure's name, with the currency where it is revenue: `revenue per lead (EUR)`.

    Args:
        name: As the report has it.
        currency: By ISO 4217; empty if the contract names none.
    """
    return f"{name} ({currency})" if currency and name.startswith("revenue") else name


def conversion_sequence(
    converted: Floats, second: npt.NDArray[np.bool_], plan: ExperimentPlan, alpha: float
) -> tuple[Sequence, npt.NDArray[np.intp]]:
    """Confidence sequence of B's conversion minus A's, exact at any number of leads.

    Leads are taken in blocks of one of the smaller arm and as many of the other as the plan gives;
    the mean of B minus the mean of A in a block is bounded by 1, which is all that a betting
    sequence needs. What does not fill a block waits.

    Returns:
        The sequence over blocks, and after how many leads each block was full.
    """
    small_is_b = plan.share <= 0.5
    small = second if small_is_b else ~second
    ratio = max(1, round((1 - plan.share) / plan.share if small_is_b else plan.share / (1 - plan.share)))
    few, many = np.flatnonzero(small), np.flatnonzero(~small)
    blocks = min(len(few), len(many) // ratio)
    few, many = few[:blocks], many[: blocks * ratio].reshape(blocks, ratio)
    difference = converted[few] - converted[many].mean(axis=1)
    full = np.maximum(few, many[:, -1]) + 1 if blocks else np.zeros(0, dtype=np.intp)
    return betting_sequence(difference if small_is_b else -difference, alpha, low=-1, high=1), full


def revenue_sequence(
    cohort: Cohort, plan: ExperimentPlan, alpha: float
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.bool_]]:
    """Centre, low, high of B's revenue per lead minus A's after each lead, and where the burn-in is over."""
    scores = scores_of_difference(cohort.value, cohort.second, plan.share)
    centre, low, high = asymptotic_sequence(
        scores, alpha, horizon=plan.horizon, least_spread=pooled_spread(cohort.value, plan.share)
    )
    paying = cohort.value > 0
    seen = np.minimum(np.cumsum(paying & cohort.second), np.cumsum(paying & ~cohort.second))
    return centre, low, high, seen >= plan.burn_in


def judge_experiment(
    cohort: Cohort,
    plan: ExperimentPlan,
    *,
    model: str,
    versions: tuple[int, int],
    since: datetime,
    until: datetime,
    exposure_days: float,
    currency: str = "",
) -> Experiment:
    """What an A/B test says now."""
    metrics = (_conversion(cohort, plan), _revenue(cohort, plan))
    arms = [_arm(cohort, mask, v) for mask, v in zip((~cohort.second, cohort.second), versions, strict=True)]
    split = split_e_value(arms[0].leads, arms[1].leads, plan.share)
    verdict, summary = decide_experiment(metrics, split, plan)
    return Experiment(
        model=model,
        a=arms[0],
        b=arms[1],
        since=since,
        until=until,
        exposure_days=exposure_days,
        plan=plan,
        metrics=metrics,
        split=split,
        immature=cohort.immature,
        crossed=cohort.crossed,
        verdict=verdict,
        summary=summary,
        currency=currency,
    )


def decide_experiment(
    metrics: tuple[ExperimentMetric, ...], split: float, plan: ExperimentPlan
) -> tuple[ExperimentVerdict, str]:
    """Promote, roll back or continue, and why."""
    if split >= 1 / plan.split_alpha:
        return "continue", (
            f"Traffic was not split as planned ({plan.share:.0%} to B; e-value {split:.3g}): repair the "
            "assignment first, no comparison is valid."
        )
    worse = [m for m in metrics if m.worse]
    if worse:
        return "roll_back", "B is worse: " + "; ".join(_says(m) for m in worse) + "."
    better = [m for m in metrics if m.better]
    others = [m for m in metrics if not m.better]
    if better and all(m.not_worse_than(plan.margin) for m in others):
        return "promote", "B is better: " + "; ".join(_says(m) for m in metrics) + "."
    if metrics and all(m.not_worse_than(plan.margin) for m in metrics):
        words = "; ".join(_says(m) for m in metrics)
        return "promote", f"B is not worse by more than {plan.margin:.0%} of A in anything: {words}."
    open_questions = "; ".join(_says(m) for m in metrics)
    return "continue", f"Not known yet: {open_questions}."


def _conversion(cohort: Cohort, plan: ExperimentPlan) -> ExperimentMetric:
    sequence, full = conversion_sequence(cohort.converted, cohort.second, plan, plan.alpha / 2)
    evaluations = tuple(
        ExperimentEvaluation(int(full[block - 1]), float(value), float(low), float(high))
        for block, value, low, high in zip(
            sequence.evaluations, sequence.centre, sequence.low, sequence.high, strict=True
        )
    )
    base = _mean(cohort.converted[~cohort.second])
    return ExperimentMetric(
        name="conversion", base=base, now=evaluations[-1] if evaluations else None, evaluations=evaluations
    )


def _revenue(cohort: Cohort, plan: ExperimentPlan) -> ExperimentMetric:
    base = _mean(cohort.value[~cohort.second])
    if not len(cohort.value):
        return ExperimentMetric(name="revenue per lead", base=base, now=None, evaluations=())
    centre, low, high, after = revenue_sequence(cohort, plan, plan.alpha / 2)
    places = np.flatnonzero(after)
    if not len(places):
        return ExperimentMetric(name="revenue per lead", base=base, now=None, evaluations=())
    # Every lead is an evaluation; the plot shows some of them, and the last.
    best_low, best_high = np.maximum.accumulate(low[places]), np.minimum.accumulate(high[places])
    shown = evaluation_points(len(places)) - 1
    evaluations = tuple(
        ExperimentEvaluation(
            int(places[i]) + 1, float(centre[places[i]]), float(best_low[i]), float(best_high[i])
        )
        for i in shown
    )
    return ExperimentMetric(name="revenue per lead", base=base, now=evaluations[-1], evaluations=evaluations)


def _arm(cohort: Cohort, mask: npt.NDArray[np.bool_], version: int) -> Arm:
    return Arm(
        version=version,
        leads=int(mask.sum()),
        converted=int(cohort.converted[mask].sum()),
        conversion=_mean(cohort.converted[mask]),
        revenue=_mean(cohort.value[mask]),
    )


def _says(metric: ExperimentMetric) -> str:
    if metric.now is None:
        return f"{metric.name}: too little seen"
    scale = 100 / metric.base if metric.base > 0 else float("nan")
    now = metric.now
    return (
        f"{metric.name} {scale * now.value:+.1f} % of A's ({scale * now.low:+.1f} to "
        f"{scale * now.high:+.1f} %)"
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
