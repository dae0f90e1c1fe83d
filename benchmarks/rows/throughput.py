"""`/score-lead` on one worker and 16 connections, beside a bare echo app, MLServer and stock BentoML."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median

from benchmarks import contenders
from benchmarks.bench import Bench, Suite
from benchmarks.row import Goal, Row, at_least
from benchmarks.wrk import Target, drive

CONNECTIONS = 16
_OURS, _REASONS, _ECHO, _MLSERVER, _BENTOML = "ours", "reasons", "echo", "mlserver", "bentoml"

# Row: contender above the line, contender below it, goal, unit, what it says.
_ROWS: dict[str, tuple[str, str, Goal, str, str]] = {
    "echo-share": (
        *(_OURS, _ECHO, at_least(25), "%"),
        "`/score-lead` complete (key, validation, spool, counters), as a share of a bare echo app",
    ),
    "times-mlserver": (_OURS, _MLSERVER, at_least(10), "x", "the same against MLServer (mlserver-xgboost)"),
    "times-bentoml": (
        *(_OURS, _BENTOML, at_least(10), "x"),
        "the same against a stock BentoML pydantic endpoint with `inplace_predict`",
    ),
    "reasons-times-mlserver": (
        *(_REASONS, _MLSERVER, at_least(3), "x"),
        "with exact Shapley reasons in every reply, against MLServer's bare score",
    ),
}


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    needed = {side for name in wanted for side in _ROWS[name][:2]}
    with ExitStack() as stack:
        targets = _start(bench, needed, stack)
        rates = _rates(bench, targets)
    return [_row(name, rates) for name in _ROWS if name in wanted]


def _start(bench: Bench, needed: set[str], stack: ExitStack) -> dict[str, Target]:
    bench.say("starting LeadScore")
    bare, explained, _ = stack.enter_context(contenders.ours(bench))
    targets = {_OURS: bare, _REASONS: explained}
    if _ECHO in needed:
        bench.say("starting the echo app")
        targets[_ECHO] = stack.enter_context(contenders.echo(bench, len(contenders.reply_to_first(bare))))
    if _MLSERVER in needed:
        bench.say("starting MLServer (the first time it is installed: some minutes)")
        targets[_MLSERVER] = stack.enter_context(contenders.mlserver(bench))[0]
    if _BENTOML in needed:
        bench.say("starting stock BentoML (the first time it is installed)")
        targets[_BENTOML] = stack.enter_context(contenders.stock_bentoml(bench))
    return {name: target for name, target in targets.items() if name in needed}


def _rates(bench: Bench, targets: dict[str, Target]) -> dict[str, list[float]]:
    """Requests per second, one value per round.

    The contenders take turns so that a slow spell hits all of them.
    """
    rates: dict[str, list[float]] = {name: [] for name in targets}
    for target in targets.values():
        drive(target, connections=CONNECTIONS, seconds=1)
    for turn in range(bench.effort.rounds):
        for name, target in targets.items():
            bench.say(f"round {turn + 1} of {bench.effort.rounds}: {target.name}")
            totals = drive(target, connections=CONNECTIONS, seconds=bench.effort.wrk_seconds)
            rates[name].append(totals.rate)
    return rates


def _row(name: str, rates: dict[str, list[float]]) -> Row:
    above, below, goal, unit, what = _ROWS[name]
    ratios = [a / b for a, b in zip(rates[above], rates[below], strict=True)]
    scale = 100 if unit == "%" else 1
    return Row(
        name=name,
        what=what,
        value=median(ratios) * scale,
        unit=unit,
        goal=goal,
        beside=f"{median(rates[above]):,.0f} against {median(rates[below]):,.0f} req/s (medians); "
        f"ratio per round {min(ratios) * scale:.3g} to {max(ratios) * scale:.3g}",
        how=f"wrk, {CONNECTIONS} connections, one worker pinned to one core and wrk to another, 1,000 "
        f"leads in turn; median ratio of {len(ratios)} alternating rounds",
    )


SUITES = (Suite(tuple(_ROWS), _measure),)
