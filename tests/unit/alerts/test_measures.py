"""Sources that hang or answer nonsense, and rules that nothing measures."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from leadscore.alerts.measures import PrometheusReader, read_all
from leadscore.alerts.rules import default_rules, parse_rules

NOW = 1_800_000_000_000_000
QUERIED = [rule for rule in default_rules().rules if rule.query]


def prometheus(answer: Callable[[httpx.Request], httpx.Response]) -> PrometheusReader:
    return PrometheusReader("http://p", {}, httpx.Client(transport=httpx.MockTransport(answer)))


def test_a_prometheus_that_hangs_is_asked_twice_a_round_whatever_the_number_of_rules() -> None:
    asked = 0

    def hang(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise httpx.ReadTimeout("no answer", request=request)

    reader = prometheus(hang)
    for round_number in (1, 2):
        measured, _, failing = read_all([reader], QUERIED, NOW + round_number)
        assert asked == 2 * round_number
        assert "ReadTimeout" in failing["Prometheus"]
        assert len(measured) == len(QUERIED)
        assert all(each.value is None for found in measured.values() for each in found.values())


@pytest.mark.parametrize(
    "text",
    [
        "[]", "null", "<html>", "", '{"status": "success"}', '{"status": "success", "data": {}}',
        '{"status": "success", "data": {"resultType": "vector", "result": 1}}',
        '{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}}',
        '{"status": "success", "data": {"resultType": "scalar", "result": [1, "2"]}}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_failing_source_and_ends_no_round(text: str) -> None:
    measured, _, failing = read_all([prometheus(lambda _: httpx.Response(200, text=text))], QUERIED[:3], NOW)
    assert failing["Prometheus"]
    assert len(measured) == 3


def test_a_rule_that_nothing_measures_is_unknown_and_says_so() -> None:
    rules = parse_rules(
        b"rules: [{alert: Mine, severity: info, summary: s, people: p, measure: service.p99, above: 1}]",
        "own",
    )
    measured, elsewhere, _ = read_all([], rules.rules, NOW)
    assert elsewhere == []
    (found,) = measured["Mine"].values()
    assert found.value is None
    assert "Nothing here measures 'service.p99'" in found.unknown
