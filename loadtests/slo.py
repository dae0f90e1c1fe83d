"""The verdict on a load test, computed from the raw latency of every request.

Locust's own percentiles come from a histogram whose buckets are rounded (to 1 ms below 100 ms, to 10 ms below
one second), so they can neither confirm nor deny a goal that lies inside a bucket. Nothing here rounds.

Latencies are counted from the moment a request was *due*, not from when a free connection got round to
sending it (no coordinated omission; Gil Tene, "How NOT to Measure Latency", 2015). A request that failed or
was never answered counts as slower than every answered one, so failing fast cannot improve a percentile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    Attributes:
        endpoint: Path as in the OpenAPI document.
        due: When it should have been sent, seconds since the start of the schedule.
        latency_ms: From `due` to the last byte of the reply.
        late_ms: From `due` to when it was really sent: the share of `latency_ms` spent waiting for a
            connection.
        answered: A 2xx reply that could be read.
    """

    endpoint: str
    due: float
    latency_ms: float
    late_ms: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Objectives:
    """What must hold: strictly below `p95_ms` and `errors` (share of all requests), at least `rate` req/s."""

    p95_ms: float = 200.0
    errors: float = 0.01
    rate: float = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    """One objective with its figure; `sentence` says both in words."""

    name: str
    goal: float
    measured: float | None
    unit: str
    met: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class EndpointMetrics:
    """What one endpoint did; latencies in milliseconds, infinite where a failure reaches the percentile."""

    endpoint: str
    requests: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement.

    Attributes:
        checks: One per objective.
        endpoints: Figures per endpoint; the last one, `all`, covers every request.
        late_p95_ms: P95 of the wait between due and sent, a part of the latency: large where
            the service holds every connection, or where the load generator itself is short of
            CPU. None if nothing could be judged.
    """

    checks: tuple[Check, ...]
    endpoints: tuple[EndpointMetrics, ...]
    late_p95_ms: float | None = None

    @property
    def met(self) -> bool:
        """True if every objective is met."""
        return all(check.met for check in self.checks)

    def to_json(self) -> bytes:
        """One JSON document; a figure that is infinite or unknown is null."""
        document = {
            "met": self.met,
            "checks": self.checks,
            "endpoints": self.endpoints,
            "late_p95_ms": self.late_p95_ms,
        }
        return msgspec.json.encode(document)


def percentile(latencies: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest measured value that `share` of all values do not exceed.

    Raises:
        ValueError: No values, or one that is not a number: a percentile of those would be an invention.
    """
    if not latencies:
        raise ValueError("There is no latency to take a percentile of.")
    if any(math.isnan(value) for value in latencies):
        raise ValueError("A latency is not a number.")
    ordered = sorted(latencies)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def judge(samples: Sequence[Sample], seconds: float, objectives: Objectives) -> Verdict:
    """Judge a run of `seconds` against the objectives.

    A run that cannot be judged misses them, and says why.
    """
    flaw = _flaw(samples, seconds)
    if flaw is not None:
        return Verdict(checks=_unjudged(objectives, flaw), endpoints=())
    answered = sum(sample.answered for sample in samples)
    figures = endpoint_metrics(samples)
    checks = (
        _below("P95 latency", figures[-1].p95_ms, objectives.p95_ms, "ms"),
        _below("errors", (1 - answered / len(samples)) * 100, objectives.errors * 100, "%"),
        _at_least("throughput", answered / seconds, objectives.rate, "req/s"),
    )
    return Verdict(checks=checks, endpoints=figures, late_p95_ms=_late(samples))


def judge_ramp(samples: Sequence[Sample], seconds: float, objectives: Objectives) -> Verdict:
    """Judge a ramp to saturation.

    Its last windows miss the latency goal by design, so capacity is what counts.
    """
    flaw = _flaw(samples, seconds)
    if flaw is not None:
        return Verdict(checks=_unjudged(objectives, flaw), endpoints=())
    reached = capacity(samples, objectives)
    name = f"capacity (P95 < {objectives.p95_ms:g} ms, errors < {objectives.errors:.1%})"
    check = _at_least(name, reached, objectives.rate, "req/s")
    return Verdict(checks=(check,), endpoints=endpoint_metrics(samples), late_p95_ms=_late(samples))


def capacity(samples: Sequence[Sample], objectives: Objectives, *, window: float = 2.0) -> float:
    """Highest rate offered in a window (seconds) up to which all windows met latency and error objectives."""
    windows: dict[int, list[Sample]] = {}
    for sample in samples:
        windows.setdefault(int(sample.due // window), []).append(sample)
    best = 0.0
    for _, inside in sorted(windows.items()):
        failed = sum(not sample.answered for sample in inside)
        slow = percentile(_latencies(inside), 0.95) >= objectives.p95_ms
        if slow or failed / len(inside) >= objectives.errors:
            return best
        best = max(best, len(inside) / window)
    return best


def endpoint_metrics(samples: Sequence[Sample]) -> tuple[EndpointMetrics, ...]:
    """Figures per endpoint in alphabetical order, then `all`."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.endpoint, []).append(sample)
    named = [(name, groups[name]) for name in sorted(groups)]
    return tuple(_figures(name, group) for name, group in [*named, ("all", list(samples))])


def _figures(endpoint: str, samples: Sequence[Sample]) -> EndpointMetrics:
    latencies = _latencies(samples)
    return EndpointMetrics(
        endpoint=endpoint,
        requests=len(samples),
        failed=sum(not sample.answered for sample in samples),
        p50_ms=percentile(latencies, 0.50),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
        max_ms=max(latencies),
    )


def _latencies(samples: Sequence[Sample]) -> list[float]:
    return [sample.latency_ms if sample.answered else math.inf for sample in samples]


def _late(samples: Sequence[Sample]) -> float:
    return percentile([sample.late_ms for sample in samples], 0.95)


def _flaw(samples: Sequence[Sample], seconds: float) -> str | None:
    if not samples:
        return "no request was recorded"
    broken = sum(not math.isfinite(sample.latency_ms) or sample.latency_ms < 0 for sample in samples)
    if broken:
        return f"{broken} of {len(samples)} latencies are not a time: the recording is broken"
    if not seconds > 0 or math.isinf(seconds):
        return f"the run lasted {seconds} s"
    return None


def _unjudged(objectives: Objectives, flaw: str) -> tuple[Check, ...]:
    goals = (
        ("P95 latency", objectives.p95_ms, "ms"),
        ("errors", objectives.errors * 100, "%"),
        ("throughput", objectives.rate, "req/s"),
    )
    return tuple(
        Check(name, goal, None, unit, met=False, sentence=f"{name}: missed, because {flaw}.")
        for name, goal, unit in goals
    )


def _below(name: str, measured: float, goal: float, unit: str) -> Check:
    met = measured < goal
    return Check(name, goal, measured, unit, met, _sentence(name, measured, f"< {goal:g}", unit, met=met))


def _at_least(name: str, measured: float, goal: float, unit: str) -> Check:
    met = measured >= goal
    return Check(name, goal, measured, unit, met, _sentence(name, measured, f"≥ {goal:g}", unit, met=met))


def _sentence(name: str, measured: float, goal: str, unit: str, *, met: bool) -> str:
    figure = "never answered" if math.isinf(measured) else f"{measured:.6g} {unit}"
    return f"{name}: {figure} (goal {goal} {unit}): {'met' if met else 'missed'}."
