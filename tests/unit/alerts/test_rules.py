"""Rules as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscore.alerts.messages import summary_of
from leadscore.alerts.rules import (
    RulesFileError,
    default_rules,
    load_rules,
    parse_rules,
    prometheus_expression,
    prometheus_rule,
)


def test_the_defaults_are_the_documented_numbers() -> None:
    rules = {rule.alert: rule for rule in default_rules().rules}
    told = {
        "LeadScoringLatency": ("critical", 0.5),
        "LeadScoringErrorRate": ("critical", 0.01),
        "LeadScoringFeatureDrift": ("warning", 0.25),
        "LeadScoringFeatureDriftCritical": ("critical", 0.5),
        "LeadScoringConversionDrop": ("warning", -0.1),
    }
    assert {name: (rules[name].severity, rules[name].threshold) for name in told} == told
    assert default_rules().levels == {
        "info": (),
        "warning": ("slack", "other"),
        "critical": ("email", "slack", "pagerduty", "other"),
    }


def test_ones_own_file_needs_only_what_differs(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        "levels: {warning: [email]}\n"
        "rules:\n"
        "  - {alert: LeadScoringLatency, above: 0.3}\n"
        "  - {alert: LeadScoringUnseenCategories, enabled: false}\n"
        "  - {alert: Mine, severity: info, summary: s, people: p, measure: service.shipper_up, below: 1}\n"
    )
    rules = load_rules(own)
    latency, mine = rules.named("LeadScoringLatency"), rules.named("Mine")
    assert latency is not None
    assert (latency.above, latency.severity) == (0.3, "critical")
    assert prometheus_expression(latency).endswith("> 0.3")
    assert mine is not None
    assert rules.named("LeadScoringUnseenCategories") is None
    assert rules.levels["warning"] == ("email",)
    assert rules.levels["critical"] == default_rules().levels["critical"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("rules: [", "valid YAML"),
        ("- 1", "no file of alert rules"),
        ("rules: {a: 1}", "no list"),
        ("rules: [{above: 1}]", "its name"),
        ("rules: [{alert: LeadScoringLatency, above: fast}]", "float"),
        ("rules: [{alert: LeadScoringLatency, abov: 1}]", "abov"),
        ("rules: [{alert: LeadScoringLatency, for: soon}]", "for"),
        ("rules: [{alert: LeadScoringLatency, severity: fatal}]", "severity"),
        ("rules: [{alert: LeadScoringLatency}, {alert: LeadScoringLatency}]", "two rules"),
        ("rules: [{alert: New, severity: info, summary: s, people: p}]", "neither"),
        ("rules: [{alert: New, severity: info, summary: s, people: p, query: x}]", "belong together"),
        ("kind: Other", "kind"),
        ("levels: [a]", "no mapping"),
        ("levels: {warning: [slak]}", "the level warning names 'slak', which is no channel"),
        ("levels: {warning: [other-0]}", "no channel"),
        ("", "own.yaml is empty"),
        (
            "rules: [{alert: LeadScoringLatency, for: 5 minutes}]",
            "the rule LeadScoringLatency: `for` is no dur",
        ),
        ("rules: [{alert: LeadScoringLatencyy, above: 1}]", r"severity`.* \(near: LeadScoringLatency"),
        ("rules: [{alert: LeadScoringLatency, above: .nan}]", "a threshold is a number"),
        ("rules: [{alert: LeadScoringLatency, above: .inf}]", "a threshold is a number"),
        ("rules: [{alert: LeadScoringErrorRate, above: 5}]", "write 0.05 for 5 %"),
        ("rules: [{alert: LeadScoringFeatureDrift, unless: Non}]", "'Non' fires, and there is no such"),
        ("rules:\n\t- {alert: LeadScoringLatency}", "line 2"),
    ],
)
def test_a_broken_file_says_what_is_wrong(text: str, what: str) -> None:
    with pytest.raises(RulesFileError, match=what):
        parse_rules(text.encode(), "own.yaml", over=default_rules())


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RulesFileError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")


def test_every_rule_has_what_people_need() -> None:
    for rule in default_rules().rules:
        assert rule.summary.endswith("."), rule.alert
        assert rule.people, rule.alert
        assert rule.unless == "" or default_rules().named(rule.unless) is not None
        assert rule.folder or "LeadScoring" in rule.alert


def test_a_sentence_takes_its_number_from_the_rule() -> None:
    own = b"rules: [{alert: LeadScoringLatency, above: 0.3}, {alert: LeadScoringRollupLag, above: 90}]"
    rules = parse_rules(own, "own.yaml", over=default_rules())
    told = {rule.alert: summary_of(rule, {}, ()) for rule in rules.rules}
    assert told["LeadScoringLatency"] == "The P95 of /score-lead is above 300 ms."
    assert told["LeadScoringRollupLag"].endswith("more than 90 s old.")
    assert told["LeadScoringShipperLag"].endswith("more than 15 min old.")
    assert "at least 10 % less often" in told["LeadScoringConversionDrop"]
    assert not any("{threshold}" in text for text in told.values())
    assert not any("{threshold}" in str(prometheus_rule(rule)) for rule in rules.rules)
    with pytest.raises(RulesFileError, match="threshold"):
        parse_rules(
            b"rules: [{alert: New, severity: info, summary: 'above {threshold}', people: p, expr: x}]", "o"
        )


def test_parts_of_the_clock_are_left_out_of_drift_in_promql_as_in_roll_ups() -> None:
    own = b"rules: [{alert: LeadScoringFeatureDriftCritical, without: [shift]}]"
    rules = parse_rules(own, "own.yaml", over=default_rules())
    for name, left_out in (
        ("LeadScoringFeatureDrift", "(hour|hour_of_day|weekday|"),
        ("LeadScoringFeatureDriftCritical", "(shift)"),
    ):
        rule = rules.named(name)
        assert rule is not None
        expression = prometheus_expression(rule)
        assert "$COMPARED" not in expression
        assert expression.count('feature!~"') == rule.query.count("$COMPARED") == 6
        assert left_out in expression
