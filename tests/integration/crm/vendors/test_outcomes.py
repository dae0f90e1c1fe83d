"""What was won and lost comes out of CRMs: once, with its source, from where the last look ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support.crm_world import CrmWorld, record_id

from leadscore.crm.vendors.link import CrmUnreachableError
from leadscore.crm.vendors.mapping import outcome_pull
from leadscore.crm.vendors.outcomes import OutcomesPulled, pull_outcomes
from leadscore.crm.vendors.values import iso_time
from leadscore.errors import BadInputError
from leadscore.events.records import Outcome

NOW = 1_790_000_000_000_000
MINUTE = 60_000_000
DAY = 1_440 * MINUTE
STAGES = {
    "salesforce": {"won": "Closed Won", "lost": "Closed Lost", "open": "Prospecting"},
    "hubspot": {"won": "closedwon", "lost": "closedlost", "open": "appointment"},
    "dynamics": {"won": 1, "lost": 2, "open": 0},
}
LEAD = {
    "salesforce": "LeadScore_Lead__c",
    "hubspot": "leadscore_lead",
    "dynamics": "_originatingleadid_value",
}


def deal(
    kind: str, number: int, stage: str, *, at: int, lead: int | None, amount: object = 1200.0
) -> dict[str, Any]:
    """A deal as the vendor's answer has it; it closed two days before it changed last."""
    name = None if lead is None else record_id(kind, lead)
    closed = datetime.fromtimestamp((at - 2 * DAY) / 1e6, UTC).date().isoformat()
    if kind == "salesforce":
        return {
            "Id": f"006{number:012d}", LEAD[kind]: name, "StageName": STAGES[kind][stage], "Amount": amount,
            "CloseDate": closed, "SystemModstamp": iso_time(at).replace("Z", "+0000"),
        }  # fmt: skip
    if kind == "hubspot":
        return {
            "hs_object_id": str(number), LEAD[kind]: name, "dealstage": STAGES[kind][stage],
            "amount": None if amount is None else str(amount), "closedate": f"{closed}T23:59:59.000Z",
            "hs_lastmodifieddate": str(at // 1_000),
        }  # fmt: skip
    return {
        "opportunityid": f"{number:032x}", LEAD[kind]: name, "statecode": STAGES[kind][stage],
        "actualvalue": amount, "actualclosedate": closed, "modifiedon": iso_time(at),
    }  # fmt: skip


def pull(world: CrmWorld) -> OutcomesPulled:
    target = msgspec.structs.replace(world.target, outcomes={"lead": LEAD[world.kind], "every": "5m"})
    found = outcome_pull(target)
    assert found is not None
    assert found.every_seconds == 300
    return pull_outcomes(world.store, target.name, world.link, found.fields)


def outcomes(world: CrmWorld, lead: int) -> tuple[Outcome, ...]:
    return world.store.outcomes_of(record_id(world.kind, lead))


def test_won_and_lost_are_outcomes_and_what_is_open_is_none(world: CrmWorld) -> None:
    world.crm.deals = [
        deal(world.kind, 1, "won", at=NOW, lead=1),
        deal(world.kind, 2, "lost", at=NOW + MINUTE, lead=2),
        deal(world.kind, 3, "open", at=NOW + MINUTE, lead=3),
        deal(world.kind, 4, "won", at=NOW + MINUTE, lead=None),
        deal(world.kind, 5, "won", at=NOW + MINUTE, lead=5, amount=None),
    ]
    found = pull(world)
    assert (found.read, found.new, found.still_open, found.without_lead) == (5, 3, 1, 1)
    (won,) = outcomes(world, 1)
    assert (won.converted, won.value, won.source) == (True, 1200.0, world.kind)
    assert NOW - 3 * DAY < won.occurred_at < NOW - DAY
    assert won.recorded_at == NOW
    (lost,) = outcomes(world, 2)
    assert (lost.converted, lost.value) == (False, None)
    assert outcomes(world, 3) == ()
    assert outcomes(world, 5)[0].value is None


def test_a_second_look_finds_nothing_new_and_asks_for_little(world: CrmWorld) -> None:
    world.crm.deals = [deal(world.kind, n, "won", at=NOW + n * MINUTE, lead=n) for n in range(250)]
    assert (pull(world).new, world.crm.counts["requests"]) != (0, 0)
    again = pull(world)
    assert (again.new, again.read) == (0, 6), "five minutes are looked at again"
    # Somebody corrects a note: the deal changes, its outcome does not.
    world.crm.deals[3] |= deal(world.kind, 3, "won", at=NOW + 300 * MINUTE, lead=3) | {
        key: value for key, value in world.crm.deals[3].items() if "lose" in key
    }
    third = pull(world)
    assert (third.new, third.known) == (0, 7)
    assert len(outcomes(world, 3)) == 1


def test_what_is_decided_otherwise_later_is_a_new_outcome_and_counts(world: CrmWorld) -> None:
    world.crm.deals = [deal(world.kind, 1, "won", at=NOW, lead=1)]
    pull(world)
    world.crm.deals = [deal(world.kind, 1, "lost", at=NOW + 10 * MINUTE, lead=1)]
    assert pull(world).new == 1
    world.crm.deals = [deal(world.kind, 1, "won", at=NOW + 20 * MINUTE, lead=1)]
    assert pull(world).new == 1
    assert [each.converted for each in outcomes(world, 1)] == [True, False, True]


def test_a_look_that_was_cut_off_goes_on_where_it_ended(world: CrmWorld) -> None:
    world.crm.page = 50
    world.crm.deals = [deal(world.kind, n, "won", at=NOW + n * MINUTE, lead=n) for n in range(200)]
    send, left = world.link.send, [None] * 2

    def cut(request: object) -> object:
        if not left:
            raise CrmUnreachableError("The CRM gave no answer.", uncertain=True)
        left.pop()
        return send(request)  # type: ignore[arg-type]

    world.link.send = cut  # type: ignore[method-assign, assignment]
    with pytest.raises(CrmUnreachableError):
        pull(world)
    assert world.store.counts().outcomes == 100
    world.link.send = send  # type: ignore[method-assign]
    assert pull(world).new == 100
    assert world.store.counts().outcomes == 200


def test_settings_that_are_none_are_said(world: CrmWorld) -> None:
    for bad, sentence in (
        ({"stages": "x"}, "is no key"),
        ({"lead": "a b"}, "no name of an object"),
        ({"lead": "x", "won": []}, "is a value or a list"),
        ({"lead": "x", "every": "soon"}, "no duration|not a duration"),
    ):
        with pytest.raises(BadInputError, match=sentence):
            outcome_pull(msgspec.structs.replace(world.target, outcomes=bad))
    if world.kind != "dynamics":
        with pytest.raises(BadInputError, match="which field"):
            outcome_pull(msgspec.structs.replace(world.target, outcomes={}))
