"""The analyses' queries, as the chart writes them, answered by a real Prometheus on real metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import pytest
from tests.integration.chart.conftest import Metrics
from tests.support.chart import Chart

HASHES = ("quarter", "half", "half-of-many", "same", "without-last", "few", "healthy", "one-error", "failing")
STABLE = "quarter"
# Two bins, so that the index can be computed on paper: shares 1/4 and 3/4 in stable, 1/2 and 1/2 in the
# canary give (1/2 - 1/4) ln 2 + (1/2 - 3/4) ln (2/3).
Expected = Mapping[str, str]
NOTHING: Expected = {}
SHIFTED = 0.25 * math.log(2) - 0.25 * math.log(2 / 3)


@pytest.fixture(scope="module")
def counted(metrics: Metrics) -> Metrics:
    """Zeros have been scraped; now there are leads and replies."""
    of = metrics.versions
    of["quarter"].score({3: 2000, 7: 6000})
    of["half"].score({3: 4000, 7: 4000})
    of["half-of-many"].score({3: 100_000, 7: 100_000})
    of["same"].score({3: 1000, 7: 3000})
    of["without-last"].score({3: 4000})
    of["few"].score({3: 250, 7: 250})
    of["quarter"].grade((2000, 6000, 0, 0))
    of["half"].grade((4000, 4000, 0, 0))
    of["healthy"].answer(200, 1000)
    of["one-error"].answer(200, 999)
    of["one-error"].answer(500, 1)
    of["failing"].answer(200, 900)
    of["failing"].answer(503, 100)
    metrics.wait_for("sum(leadscore_probability_bin_total)", 224_500)
    metrics.wait_for("sum(leadscore_leads_total)", 16_000)
    metrics.wait_for('sum(leadscore_http_requests_total{endpoint="/score-lead"})', 3000)
    return metrics


def query(chart: Chart, metric: str, canary: str, stable: str = STABLE, expected: Expected = NOTHING) -> str:
    """A gate's query with its arguments filled in, as Argo Rollouts does it: what nobody has set is empty."""
    gate = next(
        m
        for m in chart.render()
        if m["kind"] == "AnalysisTemplate" and m["metadata"]["name"].endswith("-gate")
    )
    text: str = next(m for m in gate["spec"]["metrics"] if m["name"] == metric)["provider"]["prometheus"][
        "query"
    ]
    for name, value in (("canary-hash", canary), ("stable-hash", stable), ("window", "5m")):
        text = text.replace(f"{{{{args.{name}}}}}", value)
    for name in (
        "candidate",
        "stable",
        "score-psi",
        "grade-psi",
        "score-psi-spread",
        "grade-psi-spread",
    ):
        text = text.replace(f"{{{{args.expected-{name}}}}}", expected.get(name, ""))
    assert "args." not in text
    return text


def ask(
    metrics: Metrics,
    chart: Chart,
    metric: str,
    canary: str,
    stable: str = STABLE,
    expected: Expected = NOTHING,
) -> float:
    (value,) = metrics.query(query(chart, metric, canary, stable, expected)).values()
    return value


@pytest.mark.parametrize("canary", ["half", "half-of-many"])
def test_psi_is_what_paper_says(counted: Metrics, chart: Chart, canary: str) -> None:
    """Nineteen bins are empty in both versions, and one version may have 25 times the leads of the other."""
    assert ask(counted, chart, "score-psi", canary) == pytest.approx(SHIFTED, rel=0.01)


def test_grade_psi_is_what_paper_says(counted: Metrics, chart: Chart) -> None:
    assert ask(counted, chart, "grade-psi", "half") == pytest.approx(SHIFTED, rel=0.01)


def test_psi_of_equal_shares_is_nothing(counted: Metrics, chart: Chart) -> None:
    chance = 1 / 4000 + 1 / 8000
    # `increase` extrapolates to the whole window, so chance is a little less than the counts say.
    assert -chance <= ask(counted, chart, "score-psi", "same") < -chance / 2


# Both versions of these tests say that they are version 1.
APPROVED = {"candidate": "1", "stable": "1", "score-psi": "0.2000", "grade-psi": "0.1000"}


def test_what_an_approved_replay_expects_is_taken_off(counted: Metrics, chart: Chart) -> None:
    scores = ask(counted, chart, "score-psi", "half", expected=APPROVED)
    grades = ask(counted, chart, "grade-psi", "half", expected=APPROVED)
    assert (scores, grades) == pytest.approx((SHIFTED - 0.2, SHIFTED - 0.1), rel=0.05)


def test_what_a_sample_of_these_sizes_is_unsure_of_is_taken_off_with_it(
    counted: Metrics, chart: Chart
) -> None:
    unsure = {**APPROVED, "score-psi-spread": "2.0"}
    found = ask(counted, chart, "score-psi", "half", expected=unsure)
    error = 4 * math.sqrt(2.0 * (1 / 8000 + 1 / 8000))
    # `increase` extrapolates to the whole window, so there seem to be a few leads more.
    assert SHIFTED - 0.2 - error <= found < SHIFTED - 0.2 - 0.7 * error


@pytest.mark.parametrize("other", [{"candidate": "2"}, {"stable": "2"}, {"candidate": ""}, {"score-psi": ""}])
def test_it_counts_for_the_two_versions_that_were_compared_and_for_no_others(
    counted: Metrics, chart: Chart, other: dict[str, str]
) -> None:
    found = ask(counted, chart, "score-psi", "half", expected={**APPROVED, **other})
    assert found == pytest.approx(SHIFTED, rel=0.01)


def test_a_bin_that_is_empty_in_one_version_counts_and_stays_finite(counted: Metrics, chart: Chart) -> None:
    at = time.time()
    (psi,) = counted.query(query(chart, "score-psi", "without-last"), at).values()

    def increases(version: str) -> list[float]:
        # The same extrapolation that the query sees.
        bins = counted.query(
            f'sum by (bin) (increase(leadscore_probability_bin_total{{pod_template_hash="{version}"}}[5m]))',
            at,
        )
        return [count for _, count in sorted(bins.items())]

    canary, stable = ([count + 0.5 for count in increases(name)] for name in ("without-last", STABLE))
    terms = [
        (c / sum(canary) - s / sum(stable)) * math.log((c / sum(canary)) / (s / sum(stable)))
        for c, s in zip(canary, stable, strict=True)
        if c + s > 1
    ]
    assert len(terms) == 2
    chance = 1 / (sum(canary) - 0.5 * len(canary)) + 1 / (sum(stable) - 0.5 * len(stable))
    assert psi == pytest.approx(sum(terms) - chance, rel=1e-9)
    assert 1 < psi < 20


@pytest.mark.parametrize(
    ("canary", "stable"), [("few", STABLE), (STABLE, "few"), ("healthy", STABLE), ("gone", STABLE)]
)
def test_too_few_leads_in_either_version_are_no_answer(
    counted: Metrics, chart: Chart, canary: str, stable: str
) -> None:
    assert counted.query(query(chart, "score-psi", canary, stable)) == {}


@pytest.mark.parametrize(("canary", "share"), [("healthy", 0.0), ("one-error", 0.001), ("failing", 0.1)])
def test_the_first_error_counts(counted: Metrics, chart: Chart, canary: str, share: float) -> None:
    """Series that begin at zero: `increase` of one that began with the error would be nothing."""
    assert ask(counted, chart, "error-rate", canary) == pytest.approx(share, rel=1e-6)


def test_errors_of_a_version_without_requests_are_no_answer(counted: Metrics, chart: Chart) -> None:
    assert counted.query(query(chart, "error-rate", "same")) == {}
