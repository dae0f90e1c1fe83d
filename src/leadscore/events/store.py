"""The event store: predictions, outcomes and evidence in SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, ConflictError, NotFoundError
from leadscore.events import ingest, migrations, schema
from leadscore.events.engine import make_parent, open_engines, parse_url, translate
from leadscore.events.partitions import Partition, list_partitions
from leadscore.events.records import Evidence, Outcome, Prediction
from leadscore.events.retelling import is_undated, retold_outcomes
from leadscore.events.rows import evidence_of, evidence_row, outcome_row, prediction_of, prediction_row
from leadscore.identity.process import process_caller

# Fewer than the variables that one statement may have (SQLite: 999 before 3.32).
_LOOKUP: Final = 900


@dataclass(frozen=True, slots=True)
class Appended:
    """How many of the appended records were new; the others were known already."""

    predictions: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class RecordedOutcomes:
    """Outcome ids that are stored, and the (lead, prediction or None) that they are about."""

    ids: frozenset[str]
    subjects: frozenset[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """Size of the store; the newest times are microseconds since the epoch, None when there is nothing."""

    predictions: int
    outcomes: int
    evidence: int
    newest_prediction: int | None
    newest_outcome: int | None


ANSWER_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class StoreSchema:
    """What a store's schema is.

    Attributes:
        revision: The newest migration that is done; 0: the store is empty.
        newest: The newest that this release knows.
        pending: Titles of those that are to be done, in order.
        partitions: Of predictions; none on SQLite, and before they are made.
    """

    revision: int
    newest: int
    pending: tuple[str, ...]
    partitions: tuple[Partition, ...]


class EventStore:
    """One schema over two databases. Connects on first use; safe between threads.

    A store that is empty is created then, and an embedded one (SQLite) migrated; a PostgreSQL store is
    migrated by `migrate`. Until then calls that need what is missing raise `SchemaTooOldError`.

    Args:
        url: `sqlite:////path/events.db` or `postgresql://user:password@host/database`.
        answer_seconds: How long a PostgreSQL server may be silent while it is asked; None: as long as it
            takes. The default is for Jobs and people, whose queries may read millions of rows.

    Every method raises `StoreUnavailableError` when the database cannot be reached or used,
    `SchemaTooNewError` when a newer release has changed it, `SchemaTooOldError` when it is to be migrated
    first, and `StoreEncodingError` when it cannot hold every text.

    Raises:
        BadInputError: The URL is neither.
    """

    def __init__(self, url: str, *, answer_seconds: float | None = ANSWER_SECONDS) -> None:
        self._url = parse_url(url)
        self._engines = open_engines(self._url, answer_seconds)
        self._embedded = self._url.get_backend_name() == "sqlite"
        self._months = None if self._embedded else ingest.PartitionKeeper(self._engines.write)
        self._ready = False
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._url.render_as_string()

    def check(self) -> None:
        """Connect, and create the schema if there is none."""
        with self._translated():
            self._prepare()

    def migrate(self, *, wait_seconds: float = 300.0) -> schema.SchemaState:
        """Bring the schema to this release's newest revision, and make partitions ahead.

        Returns what it was before.

        Args:
            wait_seconds: How long to go on trying for the short exclusive locks that
                some revisions need (PostgreSQL).
        """
        with self._translated():
            make_parent(self._url)
            with self._engines.read.connect() as connection, connection.begin():
                before = schema.read_state(connection)
            migrations.upgrade(self._engines.write, wait_seconds=wait_seconds)
            self._ready = True
        if self._months is not None:
            self._months.keep(())
        return before

    def require_revision(self, needed: int) -> None:
        """Make sure that the store has what a later migration than most work needs has made.

        Raises:
            SchemaTooOldError: It is to be migrated first.
        """
        with self.reading(any_revision=True) as connection:
            schema.check_revision(schema.read_state(connection).revision, needed)

    def append(self, predictions: Sequence[Prediction], outcomes: Sequence[Outcome]) -> Appended:
        """Store a batch in one transaction; records whose id is known are left as they are.

        But for outcomes of the API that come back (`retelling`): they are stored under an id of their own.

        Raises:
            RecordRefusedError: The database refuses one of them; nothing of the batch was stored.
        """
        if predictions and self._months is not None:
            self.check()
            self._months.keep(p.scored_at for p in predictions)
        with self.writing() as connection:
            new = ingest.insert_predictions(connection, [prediction_row(p) for p in predictions])
            told = ingest.insert(connection, schema.outcomes, [outcome_row(o) for o in outcomes])
            undated = [o for o in outcomes if is_undated(o)] if told < len(outcomes) else []
            if undated:
                again = retold_outcomes(undated, _outcomes_of_leads(connection, {o.lead_id for o in undated}))
                told += ingest.insert(connection, schema.outcomes, [outcome_row(o) for o in again])
            return Appended(predictions=new, outcomes=told)

    def record(self, item: Evidence) -> bool:
        """Store a decision record; False if exactly this one is known already, whoever asked for it.

        A record that does not say who asked for it is this process's own (its service account or login).

        Raises:
            BadInputError: The document is not JSON.
            ConflictError: Another record has this id. Evidence is never changed.
        """
        try:
            msgspec.json.decode(item.document)
        except DECODE_ERRORS as error:
            raise BadInputError(f"The evidence {item.evidence_id} is not JSON: {error}.") from error
        if item.caller is None:
            item = msgspec.structs.replace(item, caller=process_caller())
        table = schema.evidence
        with self.writing() as connection:
            if ingest.insert(connection, table, [evidence_row(item)]):
                return True
            known = connection.execute(sa.select(table).where(table.c.evidence_id == item.evidence_id)).one()
        if msgspec.structs.replace(evidence_of(tuple(known)), caller=item.caller) != item:
            raise ConflictError(
                f"The evidence {item.evidence_id} exists with other content.",
                hint="Evidence is append-only: record the new finding under a new id.",
            )
        return False

    def evidence(
        self,
        *,
        kind: str | Sequence[str] | None = None,
        subject: str | None = None,
        since: int | None = None,
        limit: int | None = 1_000,
    ) -> tuple[Evidence, ...]:
        """Return decision records of one kind, of several, or of all, newest first.

        `since`: not those from before that moment (microseconds since the epoch). `limit` None: every one.
        """
        table = schema.evidence
        query = sa.select(table).order_by(table.c.at.desc(), table.c.evidence_id.desc()).limit(limit)
        if kind is not None:
            query = query.where(table.c.kind == kind if isinstance(kind, str) else table.c.kind.in_(kind))
        if subject is not None:
            query = query.where(table.c.subject == subject)
        if since is not None:
            query = query.where(table.c.at >= since)
        with self.reading() as connection:
            return tuple(evidence_of(tuple(row)) for row in connection.execute(query))

    def prediction(self, prediction_id: str) -> Prediction:
        """One prediction.

        Raises:
            NotFoundError: There is none of that id (or it is still on a spool).
        """
        table = schema.predictions
        with self.reading() as connection:
            row = connection.execute(sa.select(table).where(table.c.prediction_id == prediction_id)).first()
        if row is None:
            raise NotFoundError(
                f"No prediction {prediction_id} in the event store.",
                hint="It may still be on its way: try again.",
            )
        return prediction_of(tuple(row))

    def outcomes_of(self, lead_id: str) -> tuple[Outcome, ...]:
        """Every outcome that was recorded for a lead, newest record first.

        The first is the one that counts.
        """
        table = schema.outcomes
        query = sa.select(table).where(table.c.lead_id == lead_id)
        query = query.order_by(table.c.recorded_at.desc(), table.c.outcome_id.desc())
        with self.reading() as connection:
            return tuple(Outcome(*row) for row in connection.execute(query))

    def newest_outcomes(self, lead_ids: Iterable[str]) -> dict[str, Outcome]:
        """The outcome that counts of each of these leads; a lead without one is left out."""
        with self.reading() as connection:
            return {outcome.lead_id: outcome for outcome in _outcomes_of_leads(connection, lead_ids)}

    def already_recorded(self, outcomes: Sequence[Outcome]) -> RecordedOutcomes:
        """Which of these outcomes are stored, and whose leads (or predictions) have one already."""
        table = schema.outcomes
        leads = sorted({outcome.lead_id for outcome in outcomes})
        ids: set[str] = set()
        subjects: set[tuple[str, str | None]] = set()
        with self.reading() as connection:
            for start in range(0, len(leads), _LOOKUP):
                query = sa.select(table.c.outcome_id, table.c.lead_id, table.c.prediction_id)
                for row in connection.execute(
                    query.where(table.c.lead_id.in_(leads[start : start + _LOOKUP]))
                ):
                    ids.add(row.outcome_id)
                    subjects.add((row.lead_id, row.prediction_id))
        return RecordedOutcomes(frozenset(ids), frozenset(subjects))

    def counts(self) -> StoreCounts:
        """How much is stored."""
        p, o, e = schema.predictions, schema.outcomes, schema.evidence

        def scalar(expression: sa.ColumnElement[int], table: sa.Table) -> sa.ScalarSelect[int]:
            return sa.select(expression).select_from(table).scalar_subquery()

        query = sa.select(
            scalar(sa.func.count(), p),
            scalar(sa.func.count(), o),
            scalar(sa.func.count(), e),
            scalar(sa.func.max(p.c.scored_at), p),
            scalar(sa.func.max(o.c.recorded_at), o),
        )
        with self.reading(any_revision=True) as connection:
            return StoreCounts(*connection.execute(query).one())

    def schema_status(self) -> StoreSchema:
        """What the schema is, also of a store that is to be migrated first."""
        with self._translated(), self._engines.read.connect() as connection, connection.begin():
            state = schema.read_state(connection)
            known = migrations.revisions()
            pending = tuple(title for number, title in known if number > state.revision)
            return StoreSchema(state.revision, known[-1][0], pending, list_partitions(connection))

    def close(self) -> None:
        """Drop the connections; the next call connects again."""
        self._engines.write.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def reading(self, *, any_revision: bool = False) -> Generator[sa.Connection]:
        """A transaction that sees one state of the store from beginning to end.

        Args:
            any_revision: Columns that came after the first schema are not read, so a store
                that is to be migrated will do.
        """
        with self._translated():
            self._prepare(any_revision=any_revision)
            with self._engines.read.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Generator[sa.Connection]:
        """A transaction that is committed when the block ends without an error."""
        with self._translated():
            self._prepare()
            with self._engines.write.begin() as connection:
                yield connection

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise translate(error, self._url) from error

    def _prepare(self, *, any_revision: bool = False) -> None:
        with self._lock:
            if self._ready:
                return
            make_parent(self._url)
            with self._engines.read.connect() as connection, connection.begin():
                found = schema.read_state(connection)
                schema.check_version(found.version)
                wanted = schema.NEWEST_REVISION if self._embedded else schema.NEEDED_REVISION
                behind = found.revision < wanted
                # A file belongs to this installation; a server is migrated on command only, unless it is
                # empty.
                if behind and not self._embedded and not schema.is_unused(connection, found):
                    if any_revision:
                        return
                    schema.check_revision(found.revision)
            if behind:
                migrations.upgrade(self._engines.write)
            self._ready = True


def _outcomes_of_leads(connection: sa.Connection, lead_ids: Iterable[str]) -> Generator[Outcome]:
    """All outcomes of some leads; those of one lead from the first that was recorded to the last."""
    table = schema.outcomes
    leads = sorted(set(lead_ids))
    for start in range(0, len(leads), _LOOKUP):
        query = sa.select(table).where(table.c.lead_id.in_(leads[start : start + _LOOKUP]))
        for row in connection.execute(query.order_by(table.c.recorded_at, table.c.outcome_id)):
            yield Outcome(*row)
