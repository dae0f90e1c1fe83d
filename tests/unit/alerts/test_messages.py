"""What messages link to, and how their numbers are written."""

from __future__ import annotations

import pytest

from leadscore.alerts.channels import _slack_address
from leadscore.alerts.evaluate import AlertMember
from leadscore.alerts.messages import AlertLinks, bound_text, number_lines
from leadscore.alerts.rules import default_rules


@pytest.mark.parametrize(
    "name", ["a|b", "<!channel>", "x> <http://evil.example|y", "../../secret", "Größe & Co"]
)
def test_a_runbooks_address_stays_one_whatever_an_alert_is_called(name: str) -> None:
    for links in (AlertLinks(runbooks="https://wiki.example/runbooks"), AlertLinks()):
        ((_, address),) = links.of(None, name)
        assert not set(address) & set("<>|& ")
        assert address.count("/") <= 4
        assert _slack_address(address) == address


def test_a_number_stands_with_its_unit_its_count_and_its_threshold() -> None:
    rule = default_rules().named("LeadScoringErrorRate")
    assert rule is not None
    member = AlertMember(labels={"model_version": "2"}, value=0.0321, n=1_200)
    assert number_lines((member,), rule) == ["model_version 2: 3.21 %; should be at most 1 %; n = 1,200"]
    assert number_lines((member,), rule, bound=False) == ["model_version 2: 3.21 %; n = 1,200"]
    drop = default_rules().named("LeadScoringConversionDrop")
    assert drop is not None
    assert bound_text(drop) == "at least -10 %"
    degraded = default_rules().named("LeadScoringRolloutDegraded")
    assert degraded is not None
    assert bound_text(degraded) == "–"
