"""The bank stream under a RetrainPolicy.

What it keeps of retraining every month, and for how many retrainings.

Nothing of the policy was chosen by its result here: the budget is the goal's own third of a
retraining every month, and a trigger that waits for the budget waits as long as it has to.
Beside it: other budgets, the calendar, and *every* way to spread as many retrainings over the
stream, so that luck with the dates is seen as luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.row import Row, Section, at_least, at_most

if TYPE_CHECKING:
    from leadscore.backtest.replay import Backtest, StrategyResult
    from leadscore.backtest.strategies import StrategyAnswer, View

_POLICY = "policy"
# A third of one a month.
_BUDGET = "90d"
# What the choice of the budget does: reported beside, so that nobody takes one setting for the method.
_OTHERS = ("30d", "45d", "60d", "120d")
_CALENDARS = (30, 60, 90, 120, 150)
_TRIAL = "trained in "


@dataclass(frozen=True, slots=True)
class Once:
    """Retrain at the end of one month only: what a model of that month is worth in all later ones."""

    month: str

    @property
    def name(self) -> str:
        """For the replay."""
        return f"{_TRIAL}{self.month}"

    def decide(self, view: View) -> StrategyAnswer:
        """Retrain if it is that month."""
        from leadscore.backtest.strategies import StrategyAnswer  # noqa: PLC0415

        due = view.month.name == self.month
        return StrategyAnswer(False, due, "")


def placements(worth: npt.NDArray[np.float64], retrainings: int) -> npt.NDArray[np.float64]:
    """Mean monthly AUC of every way to place that many retrainings.

    Args:
        worth: AUC in each month (columns, NaN where it has none) of the first model (first row) and of the
            one trained at the end of each month (next rows; the last month trains none).
        retrainings: To place.
    """
    months = worth.shape[1]
    means = np.empty(comb(months - 1, retrainings))
    for i, chosen in enumerate(combinations(range(months - 1), retrainings)):
        # In force in a month is the model of the latest chosen month before it.
        force = np.searchsorted(chosen, np.arange(months), side="left")
        rows = np.array([0, *(month + 1 for month in chosen)])[force]
        means[i] = np.nanmean(worth[rows, np.arange(months)])
    return means


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    if not bench.bank_data.exists():
        why = f"{bench.bank_data.name} is not there: give it with --bank-data"
        return [Row(name, name, None, "", None, how=why) for name in _NAMES if name in wanted]
    from leadscore.backtest.replay import replay_stream  # noqa: PLC0415
    from leadscore.backtest.strategies import AnyKs, ByPolicy, EveryDays, Never, PsiAbove  # noqa: PLC0415
    from leadscore.backtest.stream import prepare_stream  # noqa: PLC0415
    from leadscore.contract.infer import infer_contract  # noqa: PLC0415
    from leadscore.data.tables import read_table  # noqa: PLC0415
    from leadscore.policy.spec import (  # noqa: PLC0415
        Budget,
        DriftTrigger,
        PerformanceTrigger,
        RetrainRules,
        Triggers,
    )

    def rules(per: str) -> RetrainRules:
        # A trigger that lapsed while it waits for the budget would be lost.
        triggers = Triggers(drift=DriftTrigger(hold=per), performance=PerformanceTrigger(hold=per))
        return RetrainRules(model="bank", triggers=triggers, budget=Budget(1, per), data_window="3650d")

    table = read_table(bench.bank_data)
    contract = infer_contract(
        table, target="converted", id="lead_id", time="contact_month", name="bank"
    ).contract
    stream = prepare_stream(contract, table)
    others = [ByPolicy(rules(per), name=f"policy, one per {per}") for per in _OTHERS]
    simple = [Never(), *map(EveryDays, _CALENDARS), PsiAbove(), AnyKs()]
    trials = [Once(month.name) for month in stream.months[_WARM_UP:-1]]
    result = replay_stream(
        stream,
        [*simple, ByPolicy(rules(_BUDGET), name=_POLICY), *others, *trials],
        warm_up=_WARM_UP,
        data_window=timedelta(days=3650),
        say=bench.say,
    )
    bench.sections.append(_section(result))
    by_name = {s.name: s for s in result.strategies}
    every, policy = result.strategies[0], by_name[_POLICY]
    placed = placements(_worth(result), policy.retrainings)
    luck = float((placed >= policy.mean_auc).mean())
    kept = Row(
        name="backtest-kept",
        what="bank stream: mean monthly AUC under the policy as a share of retraining every month",
        value=100 * policy.kept,
        unit="%",
        goal=at_least(98),
        beside=(
            f"never retrained: {by_name['never'].kept:.1%}; of all {len(placed):,} ways to place "
            f"{policy.retrainings} retrainings {luck:.1%} keep as much or more, the median "
            f"{np.median(placed) / every.mean_auc:.1%}"
        ),
        how=(
            f"AUC {policy.mean_auc:.3f} against {every.mean_auc:.3f}; budget one per "
            f"{_BUDGET}, as the goal has it"
        ),
    )
    used = Row(
        name="backtest-retrainings",
        what="bank stream: the policy's retrainings as a share of those of retraining every month",
        value=100 * policy.retrainings / every.retrainings,
        unit="%",
        goal=at_most(100 / 3),
        beside=(
            f"PSI > 0.25 uses {by_name['PSI > 0.25'].retrainings}, any KS p < 0.05 "
            f"{by_name['any KS p < 0.05'].retrainings}"
        ),
        how=f"{policy.retrainings} of {every.retrainings}",
    )
    return [row for row in (kept, used) if row.name in wanted]


def _worth(result: Backtest) -> npt.NDArray[np.float64]:
    """As `placements` takes it."""
    never = next(s for s in result.strategies if s.name == "never")
    trials = [s for s in result.strategies if s.name.startswith(_TRIAL)]
    return np.array(
        [[np.nan if m.auc is None else m.auc for m in s.months] for s in (never, *trials)], dtype=np.float64
    )


def _section(result: Backtest) -> Section:
    def line(s: StrategyResult) -> tuple[str, ...]:
        return (
            s.name,
            f"{s.mean_auc:.3f}",
            f"{s.kept:.1%}",
            f"{s.retrainings}",
            f"{s.alarms}",
            f"{s.delay:.1f}",
        )

    return Section(
        title=f"Bank stream, {result.months} monthly windows after {result.warm_up} months",
        columns=("strategy", "mean monthly AUC", "kept", "retrainings", "alarms", "delay, months"),
        lines=tuple(line(s) for s in result.strategies if not s.name.startswith(_TRIAL)),
        note=(
            f"{result.judged} months have five of each outcome and an AUC. The policy retrains on "
            f"performance and calibration drift, at most once in {_BUDGET}; the other budgets "
            "show what that choice does."
        ),
    )


_WARM_UP = 6
_NAMES = ("backtest-kept", "backtest-retrainings")
SUITES = (Suite(_NAMES, _measure),)
