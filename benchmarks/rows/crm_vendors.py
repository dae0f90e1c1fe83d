"""Write-back by the vendors' APIs, against servers with their limits: requests are counted, nothing is timed.

The servers are the tests' own (`tests/support/crm_*.py`), on a simulated clock; no live org is called.
"""

from __future__ import annotations

import math

from tests.support.crm_hubspot import FakeHubSpot
from tests.support.crm_world import KINDS, CrmWorld, record_id

from benchmarks.bench import Bench, Suite
from benchmarks.row import Row, at_least, at_most
from leadscore.events.store import EventStore

_FULL, _QUICK = 100_000, 3_000
_NAMES = {"salesforce": "Salesforce", "hubspot": "HubSpot", "dynamics": "Dataverse"}
# Requests that the vendor allows within so many seconds; Salesforce limits the day, not the second.
_LIMITS = {"hubspot": (100, 10.0), "dynamics": (6_000, 300.0)}


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    count = _QUICK if bench.effort.bulk_rows < _FULL else _FULL
    rows: list[Row] = []
    for kind in KINDS:
        name = f"crm-requests-{kind}"
        if name in wanted:
            bench.say(f"crm: {count:,} scores to {_NAMES[kind]}")
            rows.append(_requests(bench, kind, name, count))
    if "crm-rate" in wanted:
        rows.append(_rate(bench, count))
    rows += [_bad_record(bench, kind) for kind in KINDS if f"crm-bad-record-{kind}" in wanted]
    return rows


def _world(bench: Bench, kind: str, label: str) -> CrmWorld:
    folder = bench.folder / f"crm-{kind}-{label}"
    folder.mkdir()
    limits = dict(zip(("limit", "window"), _LIMITS[kind], strict=True)) if kind in _LIMITS else {}
    return CrmWorld.make(kind, EventStore(f"sqlite:///{folder / 'events.db'}"), folder, **limits)


def _deliver(world: CrmWorld, count: int) -> None:
    world.add_leads(count)
    world.put(range(count))
    while world.backlog.waiting:
        if world.deliver().delivered == 0:
            # The vendor's limit holds the channel; only waiting lets time pass here.
            world.clock.wait(0.1)


def _requests(bench: Bench, kind: str, name: str, count: int) -> Row:
    world = _world(bench, kind, "all")
    with world.crm:
        _deliver(world, count)
    counts = world.crm.counts
    assert world.scored == count, "every score is written"
    return Row(
        name=name,
        what=f"requests that write {count:,} changed scores to {_NAMES[kind]}",
        value=float(counts["writes"]),
        unit="requests",
        goal=at_most(math.ceil(count / world.size)),
        beside=f"429s: {counts['429']}; records created: {len(world.crm.records) - count}; "
        f"nulls written: {counts['nulls']}; tokens: {counts['tokens']}",
        how=f"batches of {world.size}; a server with the documented limits, on a simulated clock",
    )


def _rate(bench: Bench, count: int) -> Row:
    world = _world(bench, "hubspot", "rate")
    begin = world.clock.now()
    with world.crm:
        _deliver(world, count)
    seconds = (world.clock.now() - begin) / 1e6
    allowed = seconds * 100 / 10
    return Row(
        name="crm-rate",
        what="share of HubSpot's allowed requests that are used while a backlog is written",
        value=100 * world.crm.counts["writes"] / allowed,
        unit="%",
        goal=at_least(95),
        beside=f"429s: {world.crm.counts['429']} of {world.crm.counts['requests']} requests",
        how=f"{count:,} scores, 100 requests in 10 s allowed, simulated clock",
    )


def _bad_record(bench: Bench, kind: str) -> Row:
    world = _world(bench, kind, "bad")
    with world.crm:
        world.add_leads(100)
        world.crm.refused = {record_id(kind, 0)}
        if isinstance(world.crm, FakeHubSpot):
            world.crm.whole = True
        world.put(range(100))
        world.deliver()
    dead = [letter.stream for letter in world.dead]
    assert (dead, world.scored) == ([record_id(kind, 0)], 99), "exactly that one is given up"
    return Row(
        name=f"crm-bad-record-{kind}",
        what=f"extra requests for one bad record in 100 at {_NAMES[kind]}",
        value=float(world.crm.counts["writes"] - 1),
        unit="requests",
        goal=at_most(14),
        beside="in the dead letters: exactly that one",
        how="the answer does not name it" if kind != "salesforce" else "the answer has a verdict for each",
    )


SUITES = (
    Suite(
        (
            *(f"crm-requests-{kind}" for kind in KINDS),
            "crm-rate",
            *(f"crm-bad-record-{kind}" for kind in KINDS),
        ),
        _measure,
    ),
)
