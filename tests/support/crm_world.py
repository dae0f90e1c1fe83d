"""A CRM of each vendor with leads in it, a target that writes to it, and scores that wait for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.support.crm_dynamics import FakeDynamics, row_id
from tests.support.crm_hubspot import FakeHubSpot
from tests.support.crm_salesforce import FakeSalesforce, lead_id
from tests.support.crm_server import FakeCrm, SimulatedClock

from leadscore.crm.targets import CrmTarget
from leadscore.crm.updates import ScoreUpdate
from leadscore.crm.vendors.connect import connect
from leadscore.crm.vendors.delivery import deliver_batches
from leadscore.crm.vendors.link import VendorLink
from leadscore.events.store import EventStore
from leadscore.outbox.queue import ChannelBacklog, DeadLetter, OutboxMessage, backlogs, dead_letters, enqueue
from leadscore.outbox.worker import DeliveryRound

KINDS: Final = ("salesforce", "hubspot", "dynamics")
SIZES: Final = {"salesforce": 200, "hubspot": 100, "dynamics": 1_000}
FIELDS: Final = {
    "salesforce": {
        "score": "LeadScore__c", "grade": "LeadScore_Grade__c", "reasons": "LeadScore_Reasons__c",
        "prediction_id": "LeadScore_Prediction__c", "scored_at": "LeadScore_Scored_At__c",
    },
    "hubspot": {
        "score": "leadscore", "grade": "leadscore_grade", "reasons": "leadscore_reasons",
        "prediction_id": "leadscore_prediction", "scored_at": "leadscore_scored_at",
    },
    "dynamics": {
        "score": "ls_score", "grade": "ls_grade", "reasons": "ls_reasons", "prediction_id": "ls_prediction",
        "scored_at": "ls_scoredat",
    },
}  # fmt: skip
_FAKES: Final[dict[str, type[FakeCrm]]] = {
    "salesforce": FakeSalesforce, "hubspot": FakeHubSpot, "dynamics": FakeDynamics,
}  # fmt: skip
_OBJECTS: Final = {"salesforce": "Lead", "hubspot": "contacts", "dynamics": "lead"}
SCORED_AT: Final = 1_800_000_000_000_000
THREE_DAYS: Final = 3 * 86_400.0


def record_id(kind: str, number: int) -> str:
    """An id of the vendor's."""
    return {"salesforce": lead_id, "hubspot": lambda n: str(10_000 + n), "dynamics": row_id}[kind](number)


@dataclass
class CrmWorld:
    """One vendor's CRM and what is to be written to it."""

    kind: str
    crm: FakeCrm
    store: EventStore
    target: CrmTarget
    link: VendorLink
    clock: SimulatedClock
    folder: Path

    @classmethod
    def make(cls, kind: str, store: EventStore, folder: Path, **options: Any) -> CrmWorld:
        """An empty one; `limit` and `window` are the fake's, the rest are the target's options."""
        clock = SimulatedClock()
        limits = {name: options.pop(name) for name in ("limit", "window") if name in options}
        crm = _FAKES[kind](clock, **limits)
        credentials = crm.write_credentials(folder / kind)
        target = CrmTarget(
            name=kind,
            kind=kind,  # type: ignore[arg-type]
            url=crm.url,
            credentials=str(credentials),
            object=_OBJECTS[kind],
            fields=FIELDS[kind],
            options=options,
        )
        return cls(kind, crm, store, target, connect(target), clock, credentials)

    @property
    def size(self) -> int:
        """Records of a batch."""
        return SIZES[self.kind]

    def add_leads(self, count: int) -> None:
        """Records without a score."""
        self.crm.records |= {record_id(self.kind, n): {"Company": "kept"} for n in range(count)}

    def update(self, lead: int | str, *, at: int = 0, **values: Any) -> ScoreUpdate:
        """A score of a lead, so many seconds after the first ones."""
        name = lead if isinstance(lead, str) else record_id(self.kind, lead)
        given = {
            "lead_id": name, "prediction_id": f"p-{name}-{at}", "model_name": "leads", "model_version": "7",
            "probability": 0.25, "score": 25.5, "grade": "B",
            "reasons": ("Budget is high.", "Comes from a fair."),
            "scored_at": SCORED_AT + at * 1_000_000,
        }  # fmt: skip
        return ScoreUpdate(**(given | values))

    def put(self, leads: Iterable[int | str], *, at: int = 0, **values: Any) -> None:
        """Scores into the outbox, as they are chosen."""
        channel = self.target.channel
        updates = [self.update(lead, at=at, **values) for lead in leads]
        messages = [
            OutboxMessage(u.message_id(self.target.name), channel, u.lead_id, u.to_json()) for u in updates
        ]
        with self.store.writing() as connection:
            enqueue(connection, messages, self.clock.now(), replace_waiting=True, give_up_seconds=THREE_DAYS)

    def deliver(self, link: VendorLink | None = None) -> DeliveryRound:
        """One round."""
        return deliver_batches(
            self.store,
            self.target.channel,
            link or self.link,
            now=self.clock.now,
            chance=lambda: 0.5,
            wait=self.clock.wait,
        )

    def deliver_for(self, seconds: float) -> ChannelBacklog:
        """Rounds, a second after each other, until nothing waits or the time is over."""
        end = self.clock.now() + seconds * 1e6
        self.deliver()
        while self.backlog.waiting and self.clock.now() < end:
            self.clock.wait(1.0)
            self.deliver()
        return self.backlog

    @property
    def backlog(self) -> ChannelBacklog:
        """How the channel does."""
        with self.store.reading() as connection:
            found = backlogs(connection, self.target.channel)
        return found[0]

    @property
    def dead(self) -> list[DeadLetter]:
        """What was given up."""
        with self.store.reading() as connection:
            return [each for each in dead_letters(connection) if each.channel == self.target.channel]

    def score_of(self, lead: int) -> Any:
        """What the CRM has."""
        return self.crm.records[record_id(self.kind, lead)].get(FIELDS[self.kind]["score"])

    @property
    def scored(self) -> int:
        """Records with a score."""
        return sum(FIELDS[self.kind]["score"] in record for record in self.crm.records.values())
