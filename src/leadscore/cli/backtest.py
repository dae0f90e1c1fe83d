"""`leadscore drift backtest`: what a RetrainPolicy would have done on a labelled stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from leadscore.cli.options import Json
from leadscore.cli.output import emit, notes, table

if TYPE_CHECKING:
    from leadscore.backtest.replay import Backtest

_COLUMNS = ("strategy", "mean AUC", "kept", "retrainings", "alarms", "delay, months")


def backtest(
    policy: Annotated[Path, typer.Option("--policy", help="A RetrainPolicy (YAML), or its spec alone.")],
    data: Annotated[
        Path, typer.Option("--data", help="Labelled leads: CSV, Parquet, Arrow or a Delta folder.")
    ],
    contract: Annotated[
        Path, typer.Option("--contract", help="Contract of the leads (`leadscore contract infer`).")
    ],
    warm_up: Annotated[int, typer.Option(min=1, help="Months that train the first model.")] = 6,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a picture (.svg, .png).")] = None,
    as_json: Json = False,
) -> None:
    """Replay a labelled stream under a policy, with its real label delay, beside simple rules."""
    from leadscore.backtest.plot import plot_backtest
    from leadscore.backtest.policy_file import read_policy
    from leadscore.backtest.replay import replay
    from leadscore.backtest.strategies import AnyKs, ByPolicy, EveryDays, Never, PsiAbove
    from leadscore.backtest.stream import prepare_stream
    from leadscore.contract import load_contract
    from leadscore.data.tables import read_table
    from leadscore.durations import parse_duration

    rules = read_policy(policy)
    stream = prepare_stream(load_contract(contract), read_table(data))
    with notes.status("") as status:
        result = replay(
            stream,
            [Never(), EveryDays(), PsiAbove(), AnyKs(), ByPolicy(rules)],
            warm_up=warm_up,
            data_window=parse_duration(rules.data_window),
            say=status.update,
        )
    if plot is not None:
        plot_backtest(result, plot)
    emit(result, Group(_view(result), _decisions(result)), as_json=as_json)


def _view(result: Backtest) -> Table:
    title = (
        f"{result.leads:,} leads, {result.months} months after a warm-up of {result.warm_up},"
        f" {result.judged} of them judged"
    )
    rows = [
        (
            s.name,
            f"{s.mean_auc:.3f}",
            f"{s.kept:.1%}",
            s.retrainings,
            s.alarms if s.alarms or s.name not in {"never", "every window", "every 30 days"} else None,
            f"{s.delay:.1f}",
        )
        for s in result.strategies
    ]
    return table(title, _COLUMNS, rows, right=_COLUMNS[1:])


def _decisions(result: Backtest) -> Table:
    months = result.strategies[-1].months
    rows = [
        (m.month, None if m.auc is None else f"{m.auc:.3f}", "retrain" if m.retrained else "wait", m.reason)
        for m in months
    ]
    return table("What the policy decided", ("month", "AUC", "decision", "why"), rows, right=("AUC",))
