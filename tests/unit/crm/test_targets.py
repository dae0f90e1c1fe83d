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
    options: {bulk_from: 100000}
    outcomes: {lead: LeadScore_Lead__c, won: [Closed Won, Closed Won Early], amount: ""}
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
        ("score: LeadScore__c", "score: leadscore_grade__C", "names no field of its own"),
        ("score: LeadScore__c", "score: ''", "names no field of its own"),
        ("score: LeadScore__c", "score: Lead Score", "fields.score is 'Lead Score', no name.*API name"),
        ("score: LeadScore__c", "score: Owner.Score__c", "fields.score is 'Owner.Score__c', no name"),
        ("score: LeadScore__c", "score: LeadScore___c", "fields.score is 'LeadScore___c', no name"),
        ("score: LeadScore__c", "score: 1st__c", "fields.score is '1st__c', no name"),
        ("score: LeadScore__c", "score: ID", "fields.score is ID, the record's own id"),
        ("object: Lead", "object: Sales Lead", "object is 'Sales Lead', no name.*Salesforce"),
        ("bulk_from: 100000", "batch: 200", "options has batch, which is no option.*known: bulk_from"),
        ("bulk_from: 100000", "bulk_from: many", "options.bulk_from is 'many'"),
        ("bulk_from: 100000", "bulk_from: 0", "options.bulk_from is '0'"),
        (
            "lead: LeadScore_Lead__c",
            "lead: null",
            "which field of Opportunity holds.*Write it as",
        ),
        ("lead: LeadScore_Lead__c", "lead: Lead Id", "outcomes.lead is 'Lead Id', no name"),
        (
            "lead: LeadScore_Lead__c",
            "leads: Lead__c",
            "outcomes has `leads`, which is no key.*Keys are: object",
        ),
        ("Closed Won Early", "Closed Lost", "'Closed Lost' in won and in lost"),
        ("Closed Won Early", "''", "`won` of outcomes is a value or a list"),
        ('amount: ""', "every: 900", "outcomes.every: '900' is not a duration"),
        ("https://my", "http://my", "url: .*no https:// address"),
        ("object: Lead", "objekt: Lead", "target salesforce.*objekt"),
        ("    object: Lead\n", "", "target salesforce: object is missing"),
        ("bulk_from: ", "client_secret: ", "a secret belongs in a file"),
        ("https://my", "https://me:pw@my", "a secret belongs in a file"),
        ("https://my.salesforce.example", "my.salesforce.example", "begins with https://"),
        ("name: warehouse", "name: salesforce", "two targets salesforce"),
        ("name: warehouse", "name: Ware House", "target Ware House"),
        ("    kind: table", "    kind: table\n    object: Lead", "a table takes no object"),
        ("    kind: table", "    kind: table\n    options: {a: 1}", "a table takes no options"),
        ("    kind: table", "    kind: table\n    kind: table", "line 13"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(TargetsFileError, match=says) as raised:
        parse_targets(GOOD.replace(old, new, 1).encode(), "crm.yaml")
    assert "pw" not in raised.value.message


HUBSPOT = """
targets:
  - {name: hub, kind: hubspot, url: https://api.hubapi.com, credentials: /c, object: contacts,
     fields: {score: leadscore, grade: leadscore_grade}, outcomes: {lead: leadscore_contact_id}}
"""
DYNAMICS = """
targets:
  - {name: dyn, kind: dynamics, url: https://org.crm4.dynamics.com, credentials: /c, object: lead,
     fields: {score: new_leadscore, grade: new_leadscore_grade}, options: {entity_set: leads}, outcomes: {}}
"""


@pytest.mark.parametrize(
    ("good", "old", "new", "says"),
    [
        (HUBSPOT, "score: leadscore,", "score: LeadScore,", "'LeadScore', no name.*HubSpot.*small letters"),
        (HUBSPOT, "score: leadscore,", "score: hs_object_id,", "the record's own id"),
        (HUBSPOT, "object: contacts", "object: my contacts", "object is 'my contacts', no name"),
        (HUBSPOT, "fields:", "options: {batch: 1}, fields:", "no option of HubSpot: it has none"),
        (HUBSPOT, "lead: leadscore_contact_id", "lead: Contact Id", "outcomes.lead is 'Contact Id'"),
        (DYNAMICS, "score: new_leadscore,", "score: new_LeadScore,", "Dataverse.*logical name"),
        (DYNAMICS, "score: new_leadscore,", "score: _ownerid_value,", "'_ownerid_value', no name"),
        (DYNAMICS, "score: new_leadscore,", "score: leadid,", "the record's own id"),
        (DYNAMICS, "object: lead", "object: Lead", "object is 'Lead', no name"),
        (DYNAMICS, "entity_set: leads", "entity_set: my leads", "options.entity_set is 'my leads'"),
        (DYNAMICS, "entity_set: leads", "primary_key: Lead Id", "options.primary_key is 'Lead Id'"),
        (DYNAMICS, "outcomes: {}", "outcomes: {stage: State Code}", "outcomes.stage is 'State Code'"),
    ],
)
def test_each_crm_has_its_own_names(good: str, old: str, new: str, says: str) -> None:
    assert len(parse_targets(good.encode(), "crm.yaml").targets) == 1
    assert old in good
    with pytest.raises(TargetsFileError, match=f"target (hub|dyn): .*{says}"):
        parse_targets(good.replace(old, new, 1).encode(), "crm.yaml")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("salesforce", "Rating"),
        ("salesforce", "acme__Lead_Score__c"),
        ("salesforce", "A1__c"),
        ("hubspot", "hs_lead_status"),
        ("hubspot", "lead-score"),
        ("dynamics", "cr1a2_score"),
        ("dynamics", "leadqualitycode"),
    ],
)
def test_names_that_may_be_right_are_taken(kind: str, name: str) -> None:
    text = {"salesforce": GOOD.replace("LeadScore__c", name), "hubspot": HUBSPOT, "dynamics": DYNAMICS}[kind]
    for given in ("score: leadscore,", "score: new_leadscore,"):
        text = text.replace(given, f"score: {name},")
    assert parse_targets(text.encode(), "crm.yaml").targets[0].fields["score"] == name


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
