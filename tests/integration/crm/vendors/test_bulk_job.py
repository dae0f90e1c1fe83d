"""A large backlog goes to Salesforce as jobs of the Bulk API, whoever is killed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.crm_salesforce import FakeSalesforce
from tests.support.crm_world import CrmWorld, record_id

from leadscore.crm.vendors.connect import connect
from leadscore.crm.vendors.link import CrmUnreachableError
from leadscore.crm.vendors.protocol import VendorReply, VendorRequest
from leadscore.events.store import EventStore


@pytest.fixture
def bulk(store: EventStore, tmp_path: Path) -> Iterator[CrmWorld]:
    made = CrmWorld.make("salesforce", store, tmp_path, bulk_from=500)
    with made.crm:
        yield made


def fake(world: CrmWorld) -> FakeSalesforce:
    assert isinstance(world.crm, FakeSalesforce)
    return world.crm


def test_a_job_takes_the_backlog_and_its_results_are_matched_by_id(bulk: CrmWorld) -> None:
    bulk.add_leads(600)
    bulk.crm.deleted = {record_id("salesforce", 17)}
    fake(bulk).polls = 3
    bulk.put(range(600))
    backlog = bulk.deliver_for(600)
    assert (backlog.waiting, backlog.delivered, backlog.dead) == (0, 599, 1)
    (dead,) = bulk.dead
    assert dead.stream == record_id("salesforce", 17)
    assert "does not exist any more" in dead.last_error
    assert (len(fake(bulk).jobs), bulk.crm.counts["writes"]) == (1, 0)
    assert bulk.score_of(5) == "25.5"
    assert bulk.crm.counts["nulls"] == 0


def test_whoever_comes_after_a_kill_goes_on_with_the_job(bulk: CrmWorld) -> None:
    bulk.add_leads(500)
    fake(bulk).polls = 2
    bulk.put(range(500))
    bulk.deliver()
    other = connect(bulk.target)
    for _ in range(4):
        bulk.clock.wait(20)
        bulk.deliver(other)
    assert bulk.backlog.delivered == 500
    assert len(fake(bulk).jobs) == 1


def test_a_newer_score_waits_until_the_job_has_ended(bulk: CrmWorld) -> None:
    bulk.add_leads(500)
    fake(bulk).polls = 3
    bulk.put(range(500))
    bulk.deliver()
    bulk.put([3], at=60, score=99.0)
    bulk.clock.wait(15)
    bulk.deliver()
    assert bulk.crm.counts["writes"] == 0
    assert bulk.deliver_for(600).waiting == 0
    assert bulk.score_of(3) == 99.0


@pytest.mark.parametrize("step", ["batches", "UploadComplete"])
def test_a_job_whose_rows_may_be_missing_is_ended_and_its_scores_are_sent_again(
    bulk: CrmWorld, step: str
) -> None:
    bulk.add_leads(500)
    bulk.put(range(500))
    send, broken = bulk.link.send, [True]

    def cut(request: VendorRequest) -> VendorReply:
        if broken and (step in request.path or step.encode() in request.body):
            broken.clear()
            raise CrmUnreachableError("The CRM gave no answer.", uncertain=True)
        return send(request)

    bulk.link.send = cut  # type: ignore[method-assign]
    assert bulk.deliver_for(900).waiting == 0
    assert [job["state"] for job in fake(bulk).jobs.values()] == ["Aborted", "JobComplete"]
    assert bulk.scored == 500


def test_rows_that_a_job_did_not_come_to_are_sent_again(bulk: CrmWorld) -> None:
    bulk.add_leads(500)
    bulk.put(range(500))
    bulk.deliver()
    (job,) = fake(bulk).jobs.values()
    lines = job["csv"].splitlines()
    job["rest"] = [dict(zip(lines[0].split(","), lines[1].split(",")[:1], strict=False))]
    job["csv"] = "\n".join([lines[0]])
    job["state"] = "Failed"
    assert bulk.deliver_for(900).delivered == 500
    assert bulk.backlog.dead == 0
