"""What is compared with the time before, and why not where it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leadscore.contract import FeatureContract
from leadscore.investigation.observed import SpanObservation
from leadscore.investigation.reading import _comparable
from leadscore.monitoring.model_facts import ModelFacts

NOW = SpanObservation(version="2")


def test_a_version_is_compared_with_itself_as_it_was_counted(facts: ModelFacts) -> None:
    before = SpanObservation(version="2", cells={})
    assert _comparable(before, NOW, facts, facts) is before


@pytest.mark.parametrize(
    ("before", "fields", "says"),
    [
        ("", "", "No lead was scored in the time before"),
        ("1", "unreadable", "Version 1 answered then, and its artefact cannot be read"),
        ("1", "others", "Version 1, which has other fields, answered then"),
        ("1", "same", "No lead that version 1 scored then could be read"),
    ],
)
def test_why_nothing_is_compared_is_what_is_the_case(
    facts: ModelFacts, before: str, fields: str, says: str
) -> None:
    old = {"same": facts, "others": replace(facts, contract=_narrower(facts.contract))}.get(fields)
    found = _comparable(SpanObservation(version=before), NOW, facts, old)
    assert found.uncounted.startswith(says)


def _narrower(contract: FeatureContract) -> FeatureContract:
    return FeatureContract(
        name=contract.name, id=contract.id, time=contract.time, target=contract.target,
        features=contract.features[:-1],
    )  # fmt: skip
