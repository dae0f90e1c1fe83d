"""The event store: predictions, outcomes and evidence in SQLite or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from leadscore.documents import DECODE_ERRORS
from leadscore.errors import BadInputError, ConflictError, NotFoundError
from leadscore.events import schema
from leadscore.events.engine import make_parent, open_engines, parse_url, translate
from leadscore.events.records import Evidence, Outcome, Prediction

# Fewer than the variables that one statement may have (SQLite: 999 before 3.32).
_LOOKUP: Final = 900

# Casts of `unnest`: one statement per batch, whatever its size, on PostgreSQL.
_PG_ARRAYS: Final[dict[type, str]] = {
    str: "text[]",
    int: "bigint[]",
    float: "double precision[]",
    bytes: "bytea[]",
    bool: "boolean[]",
}


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


class EventStore:
    """One schema over two databases. Connects, and creates the schema, on first use; safe between threads.

    Args:
        url: `sqlite:////path/events.db` or `postgresql://user:password@host/database`.
        answer_seconds: How long a PostgreSQL server may be silent while it is asked; None: as long as it takes. The
            default is for Jobs and people, whose queries may read millions of rows.

    Every method raises `StoreUnavailableError` when the database cannot be reached or used, `SchemaTooNewError` when
    a newer release has changed it, and `StoreEncodingError` when it cannot hold every text.

    Raises:
        BadInputError: The URL is neither.
    """

    def __init__(self, url: str, *, answer_seconds: float | None = ANSWER_SECONDS) -> None:
        self._url = parse_url(url)
        self._engines = open_engines(self._url, answer_seconds)
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

    def append(self, predictions: Sequence[Prediction], outcomes: Sequence[Outcome]) -> Appended:
        """Store a batch in one transaction; records whose id is known are left as they are.

        Raises:
            RecordRefusedError: The database refuses one of them; nothing of the batch was stored.
        """
        with self.writing() as connection:
            return Appended(
                predictions=_insert(
                    connection, schema.predictions, [_prediction_row(p) for p in predictions]
                ),
                outcomes=_insert(connection, schema.outcomes, [_outcome_row(o) for o in outcomes]),
            )

    def record(self, item: Evidence) -> bool:
        """Store a decision record; False if exactly this one is known already.

        Raises:
            BadInputError: The document is not JSON.
            ConflictError: Another record has this id. Evidence is never changed.
        """
        try:
            msgspec.json.decode(item.document)
        except DECODE_ERRORS as error:
            raise BadInputError(f"The evidence {item.evidence_id} is not JSON: {error}.") from error
        table = schema.evidence
        with self.writing() as connection:
            if _insert(connection, table, [_evidence_row(item)]):
                return True
            known = connection.execute(sa.select(table).where(table.c.evidence_id == item.evidence_id)).one()
        if tuple(known) != _evidence_row(item):
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
        limit: int | None = 1_000,
    ) -> tuple[Evidence, ...]:
        """Return decision records of one kind, of several, or of all, newest first; `limit` None: every one."""
        table = schema.evidence
        query = sa.select(table).order_by(table.c.at.desc(), table.c.evidence_id.desc()).limit(limit)
        if kind is not None:
            query = query.where(table.c.kind == kind if isinstance(kind, str) else table.c.kind.in_(kind))
        if subject is not None:
            query = query.where(table.c.subject == subject)
        with self.reading() as connection:
            return tuple(Evidence(*row) for row in connection.execute(query))

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
        return Prediction(*row[:-1], warnings=msgspec.json.decode(row.warnings, type=tuple[str, ...]))

    def outcomes_of(self, lead_id: str) -> tuple[Outcome, ...]:
        """Every outcome that was recorded for a lead, newest record first; the first is the one that counts."""
        table = schema.outcomes
        query = sa.select(table).where(table.c.lead_id == lead_id)
        query = query.order_by(table.c.recorded_at.desc(), table.c.outcome_id.desc())
        with self.reading() as connection:
            return tuple(Outcome(*row) for row in connection.execute(query))

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
        with self.reading() as connection:
            return StoreCounts(*connection.execute(query).one())

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
    def reading(self) -> Generator[sa.Connection]:
        """A transaction that sees one state of the store from beginning to end."""
        with self._translated():
            self._prepare()
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

    def _prepare(self) -> None:
        with self._lock:
            if self._ready:
                return
            make_parent(self._url)
            with self._engines.read.connect() as connection, connection.begin():
                found = schema.current_version(connection)
            schema.check_version(found)
            if found == 0:
                with self._engines.write.begin() as connection:
                    schema.create_schema(connection)
            self._ready = True


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[object, ...]]) -> int:
    if not rows:
        return 0
    names = ", ".join(column.name for column in table.columns)
    # Names come from our own table definitions; values are bound.
    if connection.dialect.name == "postgresql":
        arrays = ", ".join(f"%s::{_pg_array(column)}" for column in table.columns)
        statement = (
            f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608
        )
        columns = tuple(list(values) for values in zip(*rows, strict=True))
        return connection.exec_driver_sql(statement, columns).rowcount
    marks = ", ".join("?" for _ in table.columns)
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return connection.exec_driver_sql(statement, list(rows)).rowcount


def _pg_array(column: sa.Column[object]) -> str:
    return _PG_ARRAYS[column.type.python_type]


def _prediction_row(p: Prediction) -> tuple[object, ...]:
    warnings = msgspec.json.encode(p.warnings).decode() if p.warnings else "[]"
    return (*msgspec.structs.astuple(p)[:-1], warnings)


def _outcome_row(o: Outcome) -> tuple[object, ...]:
    return msgspec.structs.astuple(o)


def _evidence_row(e: Evidence) -> tuple[object, ...]:
    return msgspec.structs.astuple(e)
