"""The bank stream under a RetrainPolicy: what it keeps of retraining every month, and for how many retrainings."""

from __future__ import annotations

from datetime import timedelta

from benchmarks.bench import Bench, Suite
from benchmarks.report import Section
from benchmarks.row import Row, at_least, at_most

_POLICY = "policy"
_BUDGET = "60d"
# What the choice of the budget does: reported beside, so that nobody takes one setting for the method.
_OTHERS = ("30d", "45d", "90d", "120d")


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    if not bench.bank_data.exists():
        why = f"{bench.bank_data.name} is not there: give it with --bank-data"
        return [Row(name, name, None, "", None, how=why) for name in _NAMES if name in wanted]
    from leadscore.backtest.replay import replay  # noqa: PLC0415
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
        triggers = Triggers(drift=DriftTrigger(), performance=PerformanceTrigger())
        return RetrainRules(model="bank", triggers=triggers, budget=Budget(1, per), data_window="3650d")

    table = read_table(bench.bank_data)
    contract = infer_contract(
        table, target="converted", id="lead_id", time="contact_month", name="bank"
    ).contract
    others = [ByPolicy(rules(per), name=f"policy, one per {per}") for per in _OTHERS]
    simple = [Never(), EveryDays(), PsiAbove(), AnyKs()]
    result = replay(
        prepare_stream(contract, table),
        [*simple, ByPolicy(rules(_BUDGET), name=_POLICY), *others],
        data_window=timedelta(days=3650),
        say=bench.say,
    )
    bench.sections.append(
        Section(
            title=f"Bank stream, {result.months} monthly windows after {result.warm_up} months",
            columns=("strategy", "mean monthly AUC", "kept", "retrainings", "alarms", "delay, months"),
            lines=tuple(
                (
                    s.name,
                    f"{s.mean_auc:.3f}",
                    f"{s.kept:.1%}",
                    f"{s.retrainings}",
                    f"{s.alarms}",
                    f"{s.delay:.1f}",
                )
                for s in result.strategies
            ),
            note=(
                f"{result.judged} months have five of each outcome and an AUC. The policy retrains on performance and"
                f" calibration drift, at most once in {_BUDGET}; the other budgets show what that choice does."
            ),
        )
    )
    every, policy = result.strategies[0], next(s for s in result.strategies if s.name == _POLICY)
    kept = Row(
        name="backtest-kept",
        what="bank stream: mean monthly AUC under the policy as a share of retraining every month",
        value=100 * policy.kept,
        unit="%",
        goal=at_least(98),
        beside=f"never retrained: {result.strategies[1].kept:.1%}",
        how=f"AUC {policy.mean_auc:.3f} against {every.mean_auc:.3f}",
    )
    used = Row(
        name="backtest-retrainings",
        what="bank stream: the policy's retrainings as a share of those of retraining every month",
        value=100 * policy.retrainings / every.retrainings,
        unit="%",
        goal=at_most(100 / 3),
        beside=f"PSI > 0.25 and any KS p < 0.05 use {max(s.retrainings for s in result.strategies[3:5])}",
        how=f"{policy.retrainings} of {every.retrainings}",
    )
    return [row for row in (kept, used) if row.name in wanted]


_NAMES = ("backtest-kept", "backtest-retrainings")
SUITES = (Suite(_NAMES, _measure),)
