"""The picture of a backtest: what each strategy keeps and costs, and the months one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leadscore.backtest.replay import Backtest, StrategyResult


def plot_backtest(result: Backtest, path: Path) -> None:
    """Write the picture; the suffix says the format (.svg, .png, .pdf)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (a second to import)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    kept, monthly = figure.subplots(1, 2, width_ratios=[1, 1.4])
    for index, strategy in enumerate(result.strategies):
        colour = f"C{index}"
        kept.scatter([strategy.retrainings], [100 * strategy.kept], color=colour, s=40, zorder=3)
        # Rules that retrain as often and keep as much share a dot: one label names them all.
        same = [s for s in result.strategies if _place(s) == _place(strategy)]
        kept.annotate(
            "\n".join(s.name for s in same) if same[0] is strategy else "",
            (strategy.retrainings, 100 * strategy.kept),
            xytext=(0, -8),
            va="top",
            ha="right" if strategy.retrainings > result.months / 2 else "left",
            textcoords="offset points",
            fontsize=8,
            color=colour,
        )
        aucs = [np.nan if m.auc is None else m.auc for m in strategy.months]
        names = [m.month for m in strategy.months]
        bold = 2.4 if strategy.name == "policy" else 1.0
        monthly.plot(names, aucs, color=colour, linewidth=bold, label=strategy.name)
        fresh = [i for i, m in enumerate(strategy.months) if m.retrained and strategy.name == "policy"]
        monthly.plot(fresh, [aucs[i] for i in fresh], "o", color=colour, markersize=6)
    kept.set_xlabel("retrainings")
    kept.set_ylabel("mean monthly AUC, % of retraining every month")
    kept.margins(x=0.25, y=0.15)
    kept.grid(visible=True, alpha=0.3)
    monthly.set_ylabel("AUC (dots: the policy retrained at the end of the month)")
    monthly.tick_params(axis="x", rotation=75, labelsize=8)
    monthly.grid(visible=True, alpha=0.3)
    monthly.legend(fontsize=8)
    figure.savefig(path)


def _place(strategy: StrategyResult) -> tuple[int, float]:
    return strategy.retrainings, round(strategy.kept, 4)
