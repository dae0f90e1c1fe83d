"""The file of targets: what it may say, and what the sentence names when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadscore.crm.targets import TargetsFileError, load_targets, parse_targets, targets_path

GOOD = """
targets:
  - name: salesforce
    kind: salesforce
    url: https://my.salesforce.example
    credentials: /etc/leadscore/crm/salesforce
    object: Lead
    fields: {score: LeadScore__c, grade: LeadScore_Grade__c, prediction_id: LeadScore_Prediction__c}
    options: {api: "v61.0", batch: 200}
    outcomes: {field: Status}
  - name: warehouse
    kind: table
"""


def test_a_good_file_is_read() -> None:
    found = parse_targets(GOOD.encode(), "crm.yaml")
    salesforce, warehouse = found.targets
    assert salesforce.channel == "crm:salesforce"
    assert salesforce.told == ("grade", "prediction_id", "score")
    assert warehouse.channel == "crm-table:warehouse"
    assert "reasons" in warehouse.told
    assert found.named("warehouse") is warehouse
    assert found.named("other") is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: salesforce", "kind: pipedrive", "target salesforce.*pipedrive"),
        ("kind: salesforce", "kind: webhook", "target salesforce"),
        ("score: LeadScore__c", "points: LeadScore__c", "target salesforce: fields has points; known are"),
        ("score: LeadScore__c", "score: LeadScore_Grade__c", "names no field of its own"),
        ("score: LeadScore__c", "score: ''", "names no field of its own"),
        ("object: Lead", "objekt: Lead", "target salesforce.*objekt"),
        ("    object: Lead\n", "", "target salesforce: object is missing"),
        ("api: ", "client_secret: ", "a secret belongs in a file"),
        ("https://my", "https://me:pw@my", "a secret belongs in a file"),
        ("https://my.salesforce.example", "my.salesforce.example", "begins with https://"),
        ("name: warehouse", "name: salesforce", "two targets salesforce"),
        ("name: warehouse", "name: Ware House", "target Ware House"),
        ("    kind: table", "    kind: table\n    object: Lead", "a table takes no object"),
        ("    kind: table", "    kind: table\n    kind: table", "line 13"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(TargetsFileError, match=says) as raised:
        parse_targets(GOOD.replace(old, new, 1).encode(), "crm.yaml")
    assert "pw" not in raised.value.message


def test_a_webhook_in_the_file_is_told_where_webhooks_are() -> None:
    with pytest.raises(TargetsFileError) as raised:
        parse_targets(GOOD.replace("kind: salesforce", "kind: webhook").encode(), "crm.yaml")
    assert "crm endpoints add" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["", "- a", "targets: 3", "targets: [3]", "other: []", "targets: [{}]"])
def test_what_is_no_such_file_is_refused(text: str) -> None:
    with pytest.raises(TargetsFileError, match=r"crm\.yaml"):
        parse_targets(text.encode(), "crm.yaml")


def test_without_a_file_there_are_no_targets(tmp_path: Path) -> None:
    assert targets_path({}) is None
    assert load_targets(None).targets == ()
    with pytest.raises(TargetsFileError, match="cannot be read"):
        load_targets(targets_path({"LEADSCORE_CRM": str(tmp_path / "none.yaml")}))
