"""Three routes at once, in any order, with all that may happen on the way: what the CRM has in the end.

A run has a store with scored leads and three targets: a webhook endpoint, a table and an API. Steps are
drawn: leads are scored (also late, with an older moment), changes are chosen, each route delivers, replies
are lost after the write, processes die between claim and settlement, dead letters are sent again, and what
was under way arrives late where a receiver can tell. Leads are streams of their own: each lead of a run
has its own interleaving. Whatever the order, no record ever takes an older score, and none is created.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from tests.support.scored_leads import no_models

from leadscore.crm.choose import Subscriber, choose_scores
from leadscore.crm.fence import SequenceFence, note_written, stale_updates
from leadscore.crm.status import resend_scores
from leadscore.crm.updates import UPDATE_FIELDS, ScoreUpdate, parse_update
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.tables import lead_scores
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.queue import OutboxMessage
from leadscore.outbox.tables import outbox
from leadscore.outbox.worker import deliver_due

US = 1_000_000
LEADS = tuple("abcdefghij")
ROUTES = ("api", "webhook", "table")


@dataclass
class Record:
    """A lead in the CRM: the sequence that it has, by route."""

    has: tuple[int, str] = (0, "")


@dataclass
class Crm:
    """One system behind one route. It updates what it knows, and counts what must not happen."""

    by_sequence: bool
    records: dict[str, Record] = field(default_factory=lambda: {lead: Record() for lead in LEADS})
    stale: int = 0
    created: int = 0

    def write(self, update: ScoreUpdate) -> None:
        record = self.records.get(update.lead_id)
        if record is None:
            self.created += 1
            return
        if self.by_sequence and update.sequence <= record.has:
            return
        # An API writes what it is sent.
        self.stale += update.sequence < record.has
        record.has = update.sequence


@dataclass
class Interleaving:
    """One run.

    Args:
        store: Empty but for its schema.
        seed: Of all chance.
    """

    store: EventStore
    seed: int

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = 1_000 * US
        self.number = 0
        self.crms = {route: Crm(by_sequence=route != "api") for route in ROUTES}
        self.late: list[ScoreUpdate] = []
        self.rows: list[ScoreUpdate] = []
        self.reached = 0

    @property
    def stale(self) -> int:
        return sum(crm.stale for crm in self.crms.values())

    @property
    def created(self) -> int:
        return sum(crm.created for crm in self.crms.values())

    def run(self, steps: int = 40) -> None:
        """Draw steps, then let everything come to rest, and compare."""
        usual = (self.score, self.choose_some, self.deliver, self.deliver, self.publish, self.apply_rows)
        others = (self.die, self.give_up, self.resend, self.arrive_late)
        for _ in range(steps):
            self.now += self.random.randrange(1, 400) * US
            self.random.choice(usual if self.random.random() < 0.7 else others)()
        for _ in range(2):
            self.now += 4_000 * US
            self.resend()
            for route in ROUTES:
                self.choose(route)
            self.deliver("api", faults=False)
            self.deliver("webhook", faults=False)
            self.publish(faults=False)
            self.apply_rows()
            self.arrive_late()

    def score(self) -> None:
        """Some leads get a score; sometimes one of a while ago that arrives only now."""
        for lead in self.random.sample(LEADS, self.random.randrange(2, 9)):
            self._score(lead)

    def _score(self, lead: str) -> None:
        self.number += 1
        at = self.now - (self.random.randrange(1_000) * US if self.random.random() < 0.3 else 0)
        row = {
            "model_name": "leads", "lead_id": lead, "prediction_id": f"p{self.number:05}", "scored_at": at,
            "model_version": "1", "probability": self.random.random(), "score": self.random.random() * 100,
            "grade": "B", "first_scored_at": at, "change": self.number,
        }  # fmt: skip
        c = lead_scores.c
        with self.store.writing() as connection:
            known = connection.execute(
                sa.select(c.scored_at, c.prediction_id).where(c.lead_id == lead)
            ).first()
            if known is not None and tuple(known) > (at, row["prediction_id"]):
                return
            connection.execute(sa.delete(lead_scores).where(c.lead_id == lead))
            connection.execute(sa.insert(lead_scores).values(**row))

    def choose_some(self) -> None:
        """What has changed goes into the outbox of some routes."""
        for route in self.random.sample(ROUTES, self.random.randrange(1, 4)):
            self.choose(route)

    def choose(self, name: str) -> None:
        """What has changed goes into the outbox of one route."""
        target = Subscriber(name=name, channel=f"crm:{name}", model="leads", told=TOLD, mapping={})
        choose_scores(self.store, target, no_models, lambda: self.now)

    def deliver(self, route: str = "", *, faults: bool = True) -> None:
        """What waits is sent; replies may be lost, before or after the write."""
        name = route or self.random.choice(("api", "webhook"))
        run, crm = self, self.crms[name]

        class Route:
            pace_seconds = 0.0

            def send(self, message: OutboxMessage) -> SendResult:
                update = parse_update(message.payload)
                fate = run.random.random() if faults else 1.0
                if fate < 0.1:
                    return SendResult("failed", "HTTP 503")
                if fate < 0.15 and name == "webhook":
                    # Under way for long: it arrives when others have.
                    run.late.append(update)
                    return SendResult("uncertain", "no answer")
                crm.write(update)
                return SendResult("uncertain", "no answer") if fate < 0.3 else SendResult("accepted", "")

        most = self.random.randrange(1, 12) if faults else 100
        deliver_due(
            self.store, f"crm:{name}", Route(), now=lambda: self.now, chance=lambda: 0.5,
            guard=SequenceFence(name), most=most,
        )  # fmt: skip

    def publish(self, *, faults: bool = True) -> None:
        """The table route as `crm.table` does it, with a list for the table; it may die after the commit."""
        mine = sa.and_(outbox.c.channel == "crm:table", outbox.c.state == "waiting")
        with self.store.writing() as connection:
            self._settle_table(connection)
            found = connection.execute(sa.select(outbox.c.number, outbox.c.payload).where(mine)).all()
            updates = [parse_update(row.payload) for row in found]
            stale = stale_updates(connection, "table", updates)
        if not found:
            return
        self.rows += [update for update in updates if update.message_id("table") not in stale]
        self.reached = max(row.number for row in found)
        if faults and self.random.random() < 0.3:
            return
        with self.store.writing() as connection:
            self._settle_table(connection)

    def _settle_table(self, connection: sa.Connection) -> None:
        has = sa.and_(
            outbox.c.channel == "crm:table", outbox.c.state == "waiting", outbox.c.number <= self.reached
        )
        payloads = connection.execute(sa.select(outbox.c.payload).where(has)).scalars().all()
        note_written(connection, "table", [parse_update(payload) for payload in payloads])
        connection.execute(sa.update(outbox).where(has).values(state="delivered", settled_at=self.now))

    def apply_rows(self) -> None:
        """The CRM's own job reads rows of the table, in whatever order."""
        for update in self.random.sample(self.rows, len(self.rows)):
            self.crms["table"].write(update)

    def die(self) -> None:
        """A process that had claimed something is gone; its lease has ended."""
        with self.store.writing() as connection:
            taken = sa.select(outbox.c.number).where(outbox.c.state == "waiting").limit(3)
            connection.execute(
                sa.update(outbox).where(outbox.c.number.in_(taken)).values(lease="gone", leased_until=0)
            )

    def give_up(self) -> None:
        """Something is given up."""
        with self.store.writing() as connection:
            waits = sa.and_(outbox.c.state == "waiting", outbox.c.channel != "crm:table")
            some = sa.select(outbox.c.number).where(waits, outbox.c.lease.is_(None)).limit(3)
            connection.execute(
                sa.update(outbox).where(outbox.c.number.in_(some)).values(state="dead", settled_at=self.now)
            )

    def resend(self) -> None:
        """A person sends everything again that was given up."""
        with self.store.writing() as connection:
            for name in ("api", "webhook"):
                resend_scores(connection, (), name, self.now)

    def arrive_late(self) -> None:
        """What was under way arrives, some of it twice, in whatever order."""
        for update in self.random.sample(self.late, len(self.late)):
            self.crms["webhook"].write(replace(update))

    def newest(self) -> dict[str, tuple[int, str]]:
        """What the log says of each lead."""
        with self.store.reading() as connection:
            return {
                row.lead_id: (row.scored_at, row.prediction_id)
                for row in connection.execute(sa.select(lead_scores))
            }

    def disagreements(self) -> list[str]:
        """Where a CRM has not the newest score of a lead."""
        said = self.newest()
        return [
            f"{route}/{lead}"
            for route, crm in self.crms.items()
            for lead, record in crm.records.items()
            if record.has != said.get(lead, (0, ""))
        ]


TOLD = tuple(name for name in UPDATE_FIELDS if name != "reasons")
