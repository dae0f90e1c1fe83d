"""Replay a stream: score, judge, decide and retrain month by month; compare the strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import numpy as np

from leadscore.backtest.model import BacktestModel, Trainer
from leadscore.backtest.strategies import EveryMonth, Strategy, View
from leadscore.backtest.stream import BacktestStream, Month, before
from leadscore.errors import RefusedError
from leadscore.intervals import auc_estimate
from leadscore.training.split import MIN_CLASS

_WORSE = 0.95


class MonthResult(msgspec.Struct, frozen=True, kw_only=True):
    """A month of a strategy.

    Attributes:
        month: `2009-03`.
        auc: Of the model in force on the month's leads, with the outcomes that came in the end;
            None where one of them is too rare.
        alarm: Whether the detector spoke at its end.
        retrained: Whether a new model was trained at its end.
        reason: Of the decision, and why nothing was trained although it asked for that.
    """

    month: str
    auc: float | None
    alarm: bool
    retrained: bool
    reason: str


class StrategyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy over the whole stream.

    Attributes:
        name: Of the strategy.
        mean_auc: Mean over the judged months, each counting alike.
        kept: `mean_auc` as a share of what retraining every month reaches.
        retrainings: Models trained after the warm-up's.
        alarms: Months at whose end the detector spoke.
        delay: Mean length, in judged months, of the runs of months in which the model was worse than 95 % of
            the one that is retrained every month: how long decay went uncorrected. 0 without such a month.
        months: One by one.
    """

    name: str
    mean_auc: float
    kept: float
    retrainings: int
    alarms: int
    delay: float
    months: tuple[MonthResult, ...]


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """All strategies on one stream; months before `warm_up` trained the first model.

    Attributes:
        leads: In the stream.
        warm_up: Months that trained the first model.
        months: Months that were replayed.
        judged: Of these, with enough of both outcomes for an AUC.
        maturity_days: Age at which outcomes counted as complete.
        strategies: Results; the first is retraining every month.
    """

    leads: int
    warm_up: int
    months: int
    judged: int
    maturity_days: float
    strategies: tuple[StrategyResult, ...]


def replay_stream(
    stream: BacktestStream,
    strategies: Sequence[Strategy],
    *,
    warm_up: int = 6,
    data_window: timedelta,
    say: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Replay the stream under each strategy.

    Every strategy starts with the same model and trains on the same kind of window, with the outcomes known
    at that moment. A model is in force from the month after its training.

    Args:
        stream: From `prepare_stream`.
        strategies: Fresh ones: some remember.
        warm_up: Months that train the first model.
        data_window: Leads to train on, back from the moment of training.
        say: Progress.

    Raises:
        RefusedError: Too few months, or the warm-up cannot be trained on, or no month can
            be judged; the message says which.
    """
    trainer = Trainer(stream)
    later = stream.months[warm_up:]
    judged = [m for m in later if stream.judged(m)]
    if not warm_up or not later:
        raise RefusedError(
            f"The stream has {len(stream.months)} months with leads, and {warm_up} are to warm "
            "up: none is left to replay."
            if warm_up
            else "A backtest needs months that train its first model.",
            hint="Bring a longer stream, or choose another --warm-up.",
        )
    if not judged:
        raise RefusedError(
            f"None of the {len(later)} months after the warm-up has {MIN_CLASS} leads of each "
            "outcome: no AUC to compare.",
            hint="Bring a table with more outcomes, or look at `target` in the contract.",
        )
    try:
        first = _train(stream, trainer, stream.months[:warm_up][-1].end, data_window)
    except RefusedError as error:
        raise RefusedError(
            f"The first model cannot be trained. {error.message}",
            hint=(
                "Choose a longer --warm-up or the policy's dataWindow; outcomes count "
                "from when they became known."
            ),
        ) from error
    every = _run(stream, trainer, EveryMonth(), first, later, data_window=data_window, say=say)
    ideal = {m.month: m.auc for m in every if m.auc is not None}
    results = [_sum_up(EveryMonth().name, every, ideal)]
    for strategy in strategies:
        months = _run(stream, trainer, strategy, first, later, data_window=data_window, say=say)
        results.append(_sum_up(strategy.name, months, ideal))
    return Backtest(
        leads=len(stream.time),
        warm_up=warm_up,
        months=len(later),
        judged=len(judged),
        maturity_days=float(stream.maturity / np.timedelta64(1, "D")),
        strategies=tuple(results),
    )


def _run(
    stream: BacktestStream,
    trainer: Trainer,
    strategy: Strategy,
    first: BacktestModel,
    months: Sequence[Month],
    *,
    data_window: timedelta,
    say: Callable[[str], None],
) -> list[MonthResult]:
    model, result = first, list[MonthResult]()
    for month in months:
        auc = _auc(stream, model, month)
        answer = strategy.decide(View(stream, month, model, month.end))
        say(f"{strategy.name}: {month.name}")
        fresh, reason = None, answer.reason
        if answer.retrain and month is months[-1]:
            reason += " Not trained: nothing comes after the last month."
        elif answer.retrain:
            try:
                fresh = _train(stream, trainer, month.end, data_window)
            except RefusedError as error:
                reason += f" Not trained: {error.message}"
        result.append(
            MonthResult(
                month=month.name,
                auc=auc,
                alarm=answer.alarm,
                retrained=fresh is not None,
                reason=reason,
            )
        )
        model = fresh or model
    return result


def _train(stream: BacktestStream, trainer: Trainer, now: np.datetime64, span: timedelta) -> BacktestModel:
    return trainer.train(stream.known_by(now, before(now, span)), now)


def _auc(stream: BacktestStream, model: BacktestModel, month: Month) -> float | None:
    if not stream.judged(month):
        return None
    rows = month.rows[stream.labelled[month.rows]]
    found = auc_estimate(stream.converted[rows], model.probabilities(stream.matrix[rows]))
    return None if found is None else found.value


def _sum_up(name: str, months: Sequence[MonthResult], ideal: dict[str, float]) -> StrategyResult:
    aucs = [m.auc for m in months if m.auc is not None]
    mean = float(np.mean(aucs))
    return StrategyResult(
        name=name,
        mean_auc=mean,
        kept=mean / float(np.mean(list(ideal.values()))),
        retrainings=sum(m.retrained for m in months),
        alarms=sum(m.alarm for m in months),
        delay=_delay(months, ideal),
        months=tuple(months),
    )


def _delay(months: Sequence[MonthResult], ideal: dict[str, float]) -> float:
    worse = [m.auc < _WORSE * ideal[m.month] for m in months if m.auc is not None]
    starts = sum(now and not past for past, now in zip([False, *worse], worse, strict=False))
    return sum(worse) / starts if starts else 0.0
