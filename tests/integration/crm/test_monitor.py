"""Write-back as the monitor does it: one target's trouble is not another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.integration.crm.conftest import WHO, Inbox
from tests.support.scored_leads import no_models, score_leads
from tests.support.waiting import wait_until

from leadscore.alerts.measures import MonitorReader
from leadscore.alerts.rules import default_rules
from leadscore.crm.chores import CrmMonitor
from leadscore.crm.endpoints import WebhookEndpoint, set_endpoint_state
from leadscore.crm.status import read_target_statuses
from leadscore.crm.targets import load_targets, targets_fault
from leadscore.errors import ConflictError
from leadscore.events.store import EventStore
from leadscore.settings import Home

TARGETS = """
targets:
  - {name: warehouse, kind: table, model: leads}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "crm.yaml"
    path.write_text(TARGETS)
    return path


@pytest.fixture
def crm(store: EventStore, home: Home, file: Path) -> Iterator[CrmMonitor]:
    environ = {"LEADSCORE_CRM": str(file), "LEADSCORE_WEBHOOK_NETWORKS": "127.0.0.0/8"}
    made = CrmMonitor(store, home, no_models, environ)
    yield made
    made.finish()


def figures(crm: CrmMonitor) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in crm.metrics():
        for sample in family.samples:
            found[" ".join((sample.name, *sample.labels.values()))] = sample.value
    return found


def test_an_endpoint_is_told_and_a_table_waits(
    crm: CrmMonitor, store: EventStore, inbox: Inbox, endpoint: WebhookEndpoint, file: Path
) -> None:
    score_leads(store, [("a", 0.1, 10), ("b", 0.7, 10)])
    crm.choose()
    crm.deliver()
    wait_until(lambda: len(inbox.got) == 2, what="both delivered")
    crm.finish()
    with store.reading() as connection:
        told, waits = read_target_statuses(connection, load_targets(file), 0)
    assert (told.name, told.backlog.delivered, told.backlog.waiting) == ("crm-one", 2, 0)
    assert (waits.name, waits.backlog.delivered, waits.backlog.waiting) == ("warehouse", 0, 2)
    assert [chore.name for chore in crm.chores][:2] == ["crm-choose", "crm-deliver"]


def test_a_broken_file_is_said_and_what_was_read_before_goes_on(
    crm: CrmMonitor, store: EventStore, file: Path
) -> None:
    rule = default_rules().named("LeadScoringCrmTargetsBroken")
    assert rule is not None
    reader = MonitorReader(store, lambda: "", dict, lambda: targets_fault(file))

    def alarmed() -> float | None:
        found = reader.read(rule, 0)
        assert found is not None
        return found[()].value

    crm.choose()
    assert figures(crm)["leadscore_crm_targets_broken"] == alarmed() == 0
    # A label in place of a name: what `crm check` alone found before.
    bad = "kind: hubspot, url: 'https://api.example', credentials: /c, object: contacts"
    file.write_text(f"targets: [{{name: hub, {bad}, fields: {{score: Lead Score}}}}]")
    assert "target hub: fields.score is 'Lead Score', no name" in targets_fault(file)
    score_leads(store, [("a", 0.1, 10)])
    crm.choose()
    found = figures(crm)
    assert found["leadscore_crm_targets_broken"] == alarmed() == 1
    assert found["leadscore_crm_target_failing warehouse"] == 0
    file.write_text(TARGETS)
    assert alarmed() == 0
    with store.reading() as connection:
        (status,) = read_target_statuses(connection, load_targets(file), 0)
    assert status.backlog.waiting == 1


def test_a_target_that_cannot_be_chosen_for_holds_up_no_other(
    crm: CrmMonitor, store: EventStore, endpoint: WebhookEndpoint, file: Path
) -> None:
    score_leads(store, [("a", 0.1, 10)])
    score_leads(store, [("a", 0.1, 20)], model_name="other")
    with pytest.raises(ConflictError, match="does not say whose scores"):
        crm.choose()
    found = figures(crm)
    assert found["leadscore_crm_target_failing crm-one"] == 1
    assert found["leadscore_crm_target_failing warehouse"] == 0
    with store.reading() as connection:
        statuses = {
            s.name: (s.backlog.waiting, s.reason)
            for s in read_target_statuses(connection, load_targets(file), 0)
        }
    why = "The target crm-one does not say whose scores: leads and other both score."
    assert cast("dict[str, tuple[int, str]]", statuses) == {"crm-one": (0, why), "warehouse": (1, "")}


def test_an_endpoint_whose_receiver_is_gone_is_an_alert_until_a_person_decides(
    crm: CrmMonitor, store: EventStore, inbox: Inbox, endpoint: WebhookEndpoint
) -> None:
    rule = default_rules().named("LeadScoringWebhookGone")
    assert rule is not None
    reader = MonitorReader(store, lambda: "", dict, lambda: "")

    def said() -> list[float | None]:
        found = reader.read(rule, 0)
        assert found is not None
        return [found[("endpoint", endpoint.name),].value]

    assert said() == [0.0]
    set_endpoint_state(store, endpoint.name, "disabled", WHO, 1)
    assert said() == [0.0], "a person wants it so"
    set_endpoint_state(store, endpoint.name, "on", WHO, 2)
    inbox.usual = 410
    score_leads(store, [("a", 0.1, 10)])
    crm.choose()
    crm.deliver()
    wait_until(lambda: said() == [1.0], what="the endpoint disabled")
    set_endpoint_state(store, endpoint.name, "disabled", WHO, 3)
    assert said() == [0.0]
