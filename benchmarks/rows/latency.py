"""Latency at a constant 25 req/s, open loop, beside MLServer."""

from __future__ import annotations

from loadtests.slo import percentile

from benchmarks import contenders
from benchmarks.bench import Bench, Suite
from benchmarks.openloop import constant_rate
from benchmarks.row import Row, at_most
from benchmarks.wrk import Target

_RATE = 25.0
_PERCENTILES = {"p95-ms": (0.95, 5.0), "p99-ms": (0.99, 10.0)}


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    seconds = bench.effort.open_loop_seconds
    with contenders.ours(bench) as (bare, _, _):
        ours = _paced(bench, bare, seconds)
    # Quarter of the time: it is there for comparison, not for a verdict.
    with contenders.mlserver(bench) as (target, _):
        theirs = _paced(bench, target, seconds / 4)
    return [
        Row(
            name=name,
            what=f"P{round(share * 100)} of `/score-lead` at a constant {_RATE:.0f} req/s",
            value=percentile(ours, share),
            unit="ms",
            goal=at_most(bound),
            beside=f"MLServer {percentile(theirs, share):.1f} ms; ours at worst {max(ours):.1f} ms",
            how=(
                f"open loop, {seconds:.0f} s, {len(ours)} requests, latency from the "
                "intended start, no rounding"
            ),
        )
        for name, (share, bound) in _PERCENTILES.items()
        if name in wanted
    ]


def _paced(bench: Bench, target: Target, seconds: float) -> list[float]:
    constant_rate(target, rate=_RATE, seconds=2)
    bench.say(f"{target.name}: {_RATE:.0f} req/s for {seconds:.0f} s")
    return constant_rate(target, rate=_RATE, seconds=seconds)


SUITES = (Suite(tuple(_PERCENTILES), _measure),)
