import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loadtests.slo import Objectives, Sample, capacity, judge, judge_ramp, percentile


def sample(
    latency_ms: float, *, due: float = 0.0, answered: bool = True, endpoint: str = "/score-lead"
) -> Sample:
    return Sample(endpoint=endpoint, due=due, latency_ms=latency_ms, late_ms=0.0, answered=answered)


def check(verdict, name):
    return next(c for c in verdict.checks if c.name == name)


def locusts_p95(latencies: list[float]) -> float:
    """What Locust would print; in its own process, because importing it patches the standard library."""
    program = (
        "import json, sys; from locust.stats import StatsEntry; entry = StatsEntry(None, 'a', 'POST');"
        "[entry.log(latency, 0) for latency in json.load(sys.stdin)];"
        "print(entry.get_response_time_percentile(0.95))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, input=json.dumps(latencies), capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_rounded_percentiles_would_have_passed_a_goal_that_the_raw_latencies_miss():
    raw = [5.4] * 100

    verdict = judge([sample(latency) for latency in raw], 1.0, Objectives(p95_ms=5.2))

    assert locusts_p95(raw) == 5
    assert check(verdict, "P95 latency").measured == 5.4
    assert not verdict.met


def test_rounded_percentiles_would_have_missed_a_goal_that_the_raw_latencies_meet():
    raw = [196.0] * 100

    assert locusts_p95(raw) == 200
    assert judge([sample(latency) for latency in raw], 1.0, Objectives()).met


def test_a_run_that_meets_everything_says_each_figure():
    verdict = judge([sample(1.5) for _ in range(100)], 4.0, Objectives())

    assert verdict.met
    assert [c.sentence for c in verdict.checks] == [
        "P95 latency: 1.5 ms (goal < 200 ms): met.",
        "errors: 0 % (goal < 1 %): met.",
        "throughput: 25 req/s (goal ≥ 10 req/s): met.",
    ]


def test_exactly_at_the_latency_goal_is_missed_and_exactly_at_the_rate_goal_is_met():
    verdict = judge([sample(200.0) for _ in range(10)], 1.0, Objectives())

    assert not check(verdict, "P95 latency").met
    assert check(verdict, "throughput").met


def test_one_error_in_a_hundred_misses_the_error_goal():
    samples = [sample(1.0) for _ in range(99)] + [sample(1.0, answered=False)]

    errors = check(judge(samples, 1.0, Objectives()), "errors")

    assert errors.measured == pytest.approx(1.0)
    assert not errors.met


def test_failing_fast_never_improves_the_percentile():
    samples = [sample(100.0) for _ in range(90)] + [sample(0.1, answered=False) for _ in range(10)]

    latency = check(judge(samples, 1.0, Objectives()), "P95 latency")

    assert latency.measured == math.inf
    assert "never answered" in latency.sentence


def test_failed_requests_do_not_count_as_throughput():
    samples = [sample(1.0) for _ in range(8)] + [sample(1.0, answered=False) for _ in range(8)]

    assert check(judge(samples, 1.0, Objectives()), "throughput").measured == 8


@pytest.mark.parametrize(
    ("samples", "seconds", "reason"),
    [
        ([], 60.0, "no request was recorded"),
        ([sample(math.nan), sample(1.0)], 60.0, "1 of 2 latencies are not a time"),
        ([sample(math.inf)], 60.0, "1 of 1 latencies are not a time"),
        ([sample(-1.0)], 60.0, "1 of 1 latencies are not a time"),
        ([sample(1.0)], 0.0, "the run lasted 0.0 s"),
        ([sample(1.0)], math.nan, "the run lasted nan s"),
    ],
)
@pytest.mark.parametrize("verdict_of", [judge, judge_ramp])
def test_a_run_that_cannot_be_judged_misses_every_goal_and_says_why(samples, seconds, reason, verdict_of):
    verdict = verdict_of(samples, seconds, Objectives())

    assert not any(c.met for c in verdict.checks)
    assert all(reason in c.sentence and c.measured is None for c in verdict.checks)


def test_the_json_holds_the_figures_and_null_where_there_is_none():
    document = json.loads(judge([sample(1.0, answered=False)], 1.0, Objectives()).to_json())

    assert document["met"] is False
    assert document["checks"][0]["measured"] is None
    assert document["endpoints"][-1]["endpoint"] == "all"


def test_figures_are_per_endpoint_and_for_all():
    verdict = judge([sample(1.0), sample(9.0, endpoint="/outcomes")], 0.1, Objectives())

    assert [(f.endpoint, f.requests, f.max_ms) for f in verdict.endpoints] == [
        ("/outcomes", 1, 9.0),
        ("/score-lead", 1, 1.0),
        ("all", 2, 9.0),
    ]


def test_the_wait_before_sending_is_told_apart_from_the_service():
    samples = [Sample("/score-lead", 0.0, 50.0, late, answered=True) for late in (1.0, 48.0)]

    assert judge(samples, 0.1, Objectives()).late_p95_ms == 48.0
    assert judge([], 0.1, Objectives()).late_p95_ms is None


def test_capacity_is_the_highest_rate_before_the_first_bad_window():
    good = [sample(1.0, due=i / 10) for i in range(20)] + [sample(1.0, due=2 + i / 50) for i in range(100)]
    bad = [sample(500.0, due=4 + i / 100) for i in range(200)]
    lucky = [sample(1.0, due=6 + i / 200) for i in range(400)]

    assert capacity(good + bad + lucky, Objectives(), window=2.0) == 50


def test_a_ramp_is_judged_by_its_capacity_not_by_the_saturated_end():
    samples = [sample(1.0, due=i / 50) for i in range(100)] + [
        sample(900.0, due=2 + i / 100) for i in range(200)
    ]

    assert judge_ramp(samples, 4.0, Objectives(rate=40)).met
    assert not judge_ramp(samples, 4.0, Objectives(rate=60)).met


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 1))
def test_a_percentile_is_a_measured_value_that_the_share_does_not_exceed(latencies, share):
    value = percentile(latencies, share)

    assert value in latencies
    assert sum(latency <= value for latency in latencies) >= share * len(latencies) * (1 - 1e-12)
    assert sum(latency < value for latency in latencies) < share * len(latencies) + 1e-9


@pytest.mark.parametrize("latencies", [[], [1.0, math.nan]])
def test_a_percentile_of_nothing_or_of_nan_is_refused(latencies):
    with pytest.raises(ValueError, match="latency"):
        percentile(latencies, 0.95)
