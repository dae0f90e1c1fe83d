"""From a scored lead to the CRM's field and back, through the monitor's chores and the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.crm_world import FIELDS, KINDS, CrmWorld, record_id
from tests.support.scored_leads import no_models, score_leads
from tests.support.waiting import wait_until
from typer.testing import CliRunner

from leadscore.cli.main import app
from leadscore.crm.chores import CrmMonitor
from leadscore.errors import LeadScoreError
from leadscore.events.records import now_us
from leadscore.events.store import EventStore
from leadscore.outbox.queue import backlogs
from leadscore.settings import Home


@pytest.fixture
def worlds(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, CrmWorld]]:
    """All three vendors as targets of one file."""
    made = {kind: CrmWorld.make(kind, store, tmp_path) for kind in KINDS}
    lead = {
        "salesforce": "LeadScore_Lead__c",
        "hubspot": "leadscore_lead",
        "dynamics": "_originatingleadid_value",
    }
    targets = [
        {
            "name": kind, "kind": kind, "url": world.crm.url, "credentials": str(world.folder),
            "object": world.target.object, "fields": FIELDS[kind], "outcomes": {"lead": lead[kind]},
        }
        for kind, world in made.items()
    ]  # fmt: skip
    (tmp_path / "crm.yaml").write_text(json.dumps({"targets": targets}))
    monkeypatch.setenv("LEADSCORE_CRM", str(tmp_path / "crm.yaml"))
    monkeypatch.setenv("LEADSCORE_HOME", str(tmp_path))
    monkeypatch.setenv("LEADSCORE_EVENTS_URL", f"sqlite:///{tmp_path / 'events.db'}")
    yield made
    for world in made.values():
        world.crm.__exit__(None, None, None)


@pytest.fixture
def monitor(worlds: dict[str, CrmWorld], store: EventStore) -> Iterator[CrmMonitor]:
    found = CrmMonitor(store, Home.from_environment(), no_models)
    yield found
    found.finish()


def run(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["crm", *arguments, "--json"])
    if isinstance(result.exception, LeadScoreError):
        return result.exception.exit_code, json.loads(result.stdout)
    assert result.exception is None, result.output
    return 0, json.loads(result.stdout)


def delivered(monitor: CrmMonitor, done: Callable[[], bool]) -> None:
    def look() -> bool:
        monitor.deliver()
        return done()

    wait_until(look, seconds=30, what="delivery")


def test_scores_reach_their_records_and_what_was_won_comes_back(
    worlds: dict[str, CrmWorld], monitor: CrmMonitor, store: EventStore
) -> None:
    for kind, world in worlds.items():
        world.add_leads(5)
        score_leads(store, [(record_id(kind, n), 0.1 * n, now_us()) for n in range(5)])
    assert run("check") == (0, {kind: [] for kind in KINDS})
    monitor.choose()
    # Each target is told of every lead; what is no id of its own is given up and said.
    delivered(monitor, lambda: all(len(world.dead) == 10 for world in worlds.values()))
    delivered(monitor, lambda: all(world.backlog.delivered == 5 for world in worlds.values()))
    assert float(worlds["hubspot"].score_of(3)) == pytest.approx(30.0)
    code, found = run("reconcile")
    assert (code, [each["looked_at"] for each in found]) == (0, [5, 5, 5])
    worlds["dynamics"].crm.records[record_id("dynamics", 2)]["ls_score"] = 1.0
    code, found = run("reconcile", "--target", "dynamics")
    assert (code, found[0]["counts"]) == (5, {"changed": 1})

    worlds["salesforce"].crm.deals = [
        {
            "Id": "006000000000001", "LeadScore_Lead__c": record_id("salesforce", 1),
            "StageName": "Closed Won", "Amount": 5.0, "CloseDate": "2026-11-01",
            "SystemModstamp": "2026-11-02T10:00:00.000+0000",
        }
    ]  # fmt: skip
    next(chore for chore in monitor.chores if chore.name == "crm-outcomes").run()
    assert store.outcomes_of(record_id("salesforce", 1))[0].value == 5.0
    code, pulled = run("pull")
    assert code == 0
    assert (pulled["salesforce"]["new"], pulled["salesforce"]["known"]) == (0, 1)


def test_a_target_that_fails_holds_up_no_other(
    worlds: dict[str, CrmWorld], monitor: CrmMonitor, store: EventStore
) -> None:
    for kind, world in worlds.items():
        world.add_leads(2)
        score_leads(store, [(record_id(kind, n), 0.5, now_us()) for n in range(2)])
    worlds["salesforce"].crm.no_tokens = True
    for path in worlds["hubspot"].folder.iterdir():
        path.unlink()
    monitor.choose()

    def each_has_ended() -> bool:
        # Each target is delivered to by a thread of its own.
        with store.reading() as connection:
            errors = {found.channel: found.last_error for found in backlogs(connection)}
        failed = [errors.get(f"crm:{kind}") for kind in ("salesforce", "hubspot")]
        return worlds["dynamics"].scored == 2 and all(failed)

    delivered(monitor, each_has_ended)
    code, found = run("check")
    assert code == 5
    assert "invalid_client" in found["salesforce"][0]
    assert "`access_token`" in found["hubspot"][0]
    assert found["dynamics"] == []
    _, statuses = run("status")
    said = {each["name"]: each["backlog"]["last_error"] for each in statuses}
    assert "invalid_client" in said["salesforce"]
    assert "access_token" in said["hubspot"]
    failing = {
        sample.labels["target"]: sample.value
        for metric in monitor.metrics()
        for sample in metric.samples
        if sample.name == "leadscore_crm_target_failing"
    }
    with pytest.raises(LeadScoreError):
        next(chore for chore in monitor.chores if chore.name == "crm-outcomes").run()
    assert failing["dynamics"] == 0.0
