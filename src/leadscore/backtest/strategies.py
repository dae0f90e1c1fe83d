"""Strategies that decide when to retrain: the policy under test, and simple rules to compare it with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.backtest.model import BacktestModel
from leadscore.backtest.stream import BacktestStream, Month, moment
from leadscore.drift.options import PerformanceThresholds
from leadscore.drift.performance.measure import LabelCounts, measure_window
from leadscore.drift.performance.verdict import judge_performance, performance_drift
from leadscore.drift.statistics.distances import half_row_psi, largest_gap
from leadscore.drift.verdict import DriftVerdict
from leadscore.policy.decide import decide_retraining
from leadscore.policy.spec import RetrainRules
from leadscore.policy.state import Observation, PastRun, PolicyState, Postpone, Retrain
from leadscore.scoring.profile import comparable_cells, feature_cells

Values = npt.NDArray[np.float32]

_PSI = 0.25
_P_VALUE = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """What a strategy sees at the end of a month: the stream up to `now`, never later.

    Attributes:
        stream: All of it; a strategy reads only rows before `now`, and outcomes known before it.
        month: That has just ended.
        model: In force during it.
        now: Its end.
    """

    stream: BacktestStream
    month: Month
    model: BacktestModel
    now: np.datetime64


@dataclass(frozen=True, slots=True)
class StrategyAnswer:
    """Whether the detector signalled, whether to retrain, and why."""

    alarm: bool
    retrain: bool
    reason: str


class Strategy(Protocol):
    """Decides month by month."""

    @property
    def name(self) -> str:
        """For the table."""
        ...

    def decide(self, view: View) -> StrategyAnswer:
        """What to do at the end of the month."""
        ...


@dataclass(frozen=True, slots=True)
class Never:
    """Never retrain."""

    name: str = "never"

    def decide(self, view: View) -> StrategyAnswer:
        """Nothing."""
        del view
        return StrategyAnswer(False, False, "")


@dataclass(frozen=True, slots=True)
class EveryMonth:
    """Retrain at the end of every month."""

    name: str = "every window"

    def decide(self, view: View) -> StrategyAnswer:
        """Retrain."""
        del view
        return StrategyAnswer(False, True, "Every window.")


@dataclass(frozen=True, slots=True)
class EveryDays:
    """Retrain when the model in force is that many days old."""

    days: int = 30

    @property
    def name(self) -> str:
        """For the table."""
        return f"every {self.days} days"

    def decide(self, view: View) -> StrategyAnswer:
        """Retrain if the model is old enough."""
        old = view.now - view.model.trained >= np.timedelta64(self.days, "D")
        return StrategyAnswer(False, bool(old), "The model is old enough." if old else "")


@dataclass(frozen=True, slots=True)
class PsiAbove:
    """Retrain when some feature's PSI against the model's training leads is above the familiar 0.25."""

    limit: float = _PSI

    @property
    def name(self) -> str:
        """For the table."""
        return f"PSI > {self.limit:g}"

    def decide(self, view: View) -> StrategyAnswer:
        """Compare the month's leads with the training's."""
        worst, name = max(month_psi(view))
        return StrategyAnswer(worst > self.limit, worst > self.limit, f"PSI {worst:.2f} of {name}.")


@dataclass(frozen=True, slots=True)
class AnyKs:
    """Retrain when some feature's two-sample KS test against the training leads has p < 0.05."""

    level: float = _P_VALUE

    @property
    def name(self) -> str:
        """For the table."""
        return f"any KS p < {self.level:g}"

    def decide(self, view: View) -> StrategyAnswer:
        """Compare the month's leads with the training's."""
        from scipy.special import kolmogorov  # noqa: PLC0415 (a second to import)

        smallest, name = 1.0, ""
        for index, feature in enumerate(view.stream.contract.inputs):
            trained = view.stream.matrix[view.model.rows, index]
            now = view.stream.matrix[view.month.rows, index]
            trained, now = trained[~np.isnan(trained)], now[~np.isnan(now)]
            if len(trained) and len(now):
                size = len(trained) * len(now) / (len(trained) + len(now))
                p_value = float(kolmogorov(np.sqrt(size) * largest_gap(trained, now)))
                smallest, name = min((smallest, name), (p_value, feature.name))
        alarm = smallest < self.level
        return StrategyAnswer(alarm, alarm, f"KS p {smallest:.2g} of {name}.")


@dataclass(slots=True)
class ByPolicy:
    """The RetrainPolicy under test, deciding from the performance detector's verdicts as the operator does.

    A backtest has that one detector: it stands for each that the policy names, which here would never signal.

    Attributes:
        rules: The policy.
        limits: Of the performance detector.
        lookback_days: Mature leads of that many days are judged together.
        name: For the table.
    """

    rules: RetrainRules
    limits: PerformanceThresholds = field(default_factory=PerformanceThresholds)
    lookback_days: int = 31
    name: str = "policy"
    _seen: list[Observation] = field(default_factory=list[Observation])
    _runs: list[PastRun] = field(default_factory=list[PastRun])

    def __post_init__(self) -> None:
        triggers = self.rules.triggers
        anybody = msgspec.structs.replace(
            triggers,
            drift=triggers.drift and msgspec.structs.replace(triggers.drift, detectors=()),
            performance=triggers.performance and msgspec.structs.replace(triggers.performance, detectors=()),
        )
        self.rules = msgspec.structs.replace(self.rules, triggers=anybody)

    def decide(self, view: View) -> StrategyAnswer:
        """Measure the model in force, then ask the policy."""
        verdict = performance_verdict(view, self.limits, self.lookback_days)
        self._seen.append(Observation.of("performance", "monthly", verdict))
        created = moment(view.stream.months[0].start)
        state = PolicyState(created=created, observations=tuple(self._seen), runs=tuple(self._runs))
        now = moment(view.now)
        decision = decide_retraining(self.rules, state, now)
        if isinstance(decision, Retrain):
            self._runs.append(PastRun(key=decision.key, created=now, finished=now))
        reason = decision.reason
        if isinstance(decision, Postpone) and decision.hold == "no-drift" and not verdict.unknown:
            # No trigger is due: add the detector's reason.
            reason = " ".join((reason, *verdict.reasons[:1]))
        return StrategyAnswer(verdict.drifted, isinstance(decision, Retrain), reason)


def performance_verdict(view: View, limits: PerformanceThresholds, lookback_days: int) -> DriftVerdict:
    """The model in force on its mature leads: scored since it was trained, within the days looked back."""
    stream = view.stream
    newest = view.now - stream.maturity
    start = max(view.model.trained, newest - np.timedelta64(lookback_days, "D"))
    inside = (stream.time >= view.model.trained) & (stream.time < view.now)
    mature = inside & (stream.time < newest) & (stream.time >= start)
    known = stream.labelled & (stream.known < view.now)
    rows = np.flatnonzero(mature & known)
    labels = LabelCounts(int(inside.sum()), int((inside & known).sum()), int(mature.sum()), len(rows))
    figures = None
    if len(rows):
        figures = measure_window(
            stream.converted[rows], view.model.probabilities(stream.matrix[rows]), labels
        )
    judged = judge_performance(figures, labels, view.model.baseline, limits)
    return performance_drift(
        judged,
        figures,
        model=("backtest", view.model.version),
        start=moment(min(start, view.now)),
        end=moment(view.now),
        rows=labels.predictions,
    )


def month_psi(view: View) -> list[tuple[float, str]]:
    """PSI of each feature's month against the training's profile.

    Absent values, unlisted ones among them, are one bin.
    """
    matrix = view.stream.matrix[view.month.rows]
    found: list[tuple[float, str]] = []
    for i, feature in enumerate(view.model.profile.features):
        reference = comparable_cells(feature.kind, feature.counts, feature.missing)
        cells = feature_cells(feature, np.array(feature.edges), matrix[:, i])
        parts = half_row_psi(np.array(reference), np.bincount(cells, minlength=len(reference)))
        found.append((float(parts.sum()), feature.name))
    return found
