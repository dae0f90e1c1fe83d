"""The ranked list of leads that a sales person works through: newest scores, filters, what is new.

Reads `lead_scores`, which the monitor keeps: one row for each lead. Pages are taken by the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import sqlalchemy as sa

from leadscore.contract import contract_version
from leadscore.drift.verdict import as_utc
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features
from leadscore.investigation.models import ModelShelf
from leadscore.monitoring.model_facts import ModelFacts
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.monitoring.rollups.tables import lead_scores

LeadNews = Literal["", "new", "up", "down"]
LeadState = Literal["open", "all", "won", "lost"]

PAGE_LEADS: Final = 50
# What is new is of a day; grades that changed are of a week.
NEW_FOR: Final = timedelta(days=1)
CHANGED_FOR: Final = timedelta(days=7)
_REASONS: Final = 3
_EXPORT_LEADS: Final = 1_000
_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadFilter:
    """Which leads.

    Attributes:
        model: Registered name of the model.
        since: Scored last at this moment or later.
        until: Scored last before it.
        now: This moment, from which `new` and `changed` are counted.
        grade: Only this grade; "": all.
        news: Only new leads, or those whose grade rose or fell; "": all.
        state: Only leads whose outcome is open, won or lost.
        column: Place of a field in the encoded row that must have `code`; None: any value.
        code: Of the category, or 0 and 1 of a yes/no field.
        contract: Version of the contract that encodes so; "" without a field.
    """

    model: str
    since: datetime
    until: datetime
    now: datetime
    grade: str = ""
    news: LeadNews = ""
    state: LeadState = "open"
    column: int | None = None
    code: int = 0
    contract: str = ""


@dataclass(frozen=True, slots=True)
class ListedLead:
    """One lead of the list.

    Attributes:
        lead_id: The caller's id.
        grade: Newest grade.
        score: Newest score.
        probability: Newest chance of conversion.
        previous_grade: The grade before; None: scored once.
        first_scored_at: When it was first seen.
        scored_at: When it was scored last.
        converted: What became of it; None: open.
        news: What is new about it.
        reasons: The strongest reasons in words; empty if they cannot be said.
    """

    lead_id: str
    grade: str
    score: float
    probability: float
    previous_grade: str | None
    first_scored_at: datetime
    scored_at: datetime
    converted: bool | None
    news: LeadNews
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeadCounts:
    """How many leads a filter has (its grade and news apart).

    Attributes:
        grades: Leads by grade.
        new: Leads that were first scored within a day.
        up: Leads whose grade rose within a week.
        down: Leads whose grade fell.
    """

    grades: dict[str, int]
    new: int
    up: int
    down: int


def count_leads(connection: sa.Connection, wanted: LeadFilter) -> LeadCounts:
    """Count the leads of a filter by grade, and what is new among them."""
    c = lead_scores.c
    kinds = ("new", "up", "down")
    news = [sa.func.sum(sa.case((_news(wanted, kind), 1), else_=0)).label(kind) for kind in kinds]
    query = _from(wanted, sa.select(c.grade, sa.func.count().label("leads"), *news))
    rows = connection.execute(query.where(*_conditions(wanted)).group_by(c.grade)).mappings().all()
    new, up, down = (sum(int(row[kind] or 0) for row in rows) for kind in kinds)
    return LeadCounts({row["grade"]: row["leads"] for row in rows}, new, up, down)


def newest_version(connection: sa.Connection, model: str) -> str | None:
    """Return the version that scored a lead last; None if none did."""
    c = lead_scores.c
    query = sa.select(c.model_version).where(c.model_name == model).order_by(c.scored_at.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none()


def read_leads(
    store: EventStore, shelf: ModelShelf, wanted: LeadFilter, *, page: int = 1, size: int = PAGE_LEADS
) -> tuple[ListedLead, ...]:
    """Read one page of the list, best first.

    Args:
        store: Event store.
        shelf: Models for the reasons; a lead whose model cannot be opened has none.
        wanted: Which leads.
        page: From 1.
        size: Leads of a page.

    Raises:
        UnavailableError: The store cannot be read.
    """
    query = _ranked(wanted).limit(size).offset((page - 1) * size)
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(_listed(row, wanted, shelf) for row in rows)


def iter_leads(store: EventStore, shelf: ModelShelf, wanted: LeadFilter) -> Iterator[ListedLead]:
    """Iterate over all leads of a filter, best first, in short reads: nobody waits for whoever exports."""
    c = lead_scores.c
    last: tuple[float, str] | None = None
    while True:
        query = _ranked(wanted).limit(_EXPORT_LEADS)
        if last is not None:
            after = sa.or_(c.probability < last[0], sa.and_(c.probability == last[0], c.lead_id > last[1]))
            query = query.where(after)
        with store.reading() as connection:
            rows = connection.execute(query).mappings().all()
        yield from (_listed(row, wanted, shelf) for row in rows)
        if len(rows) < _EXPORT_LEADS:
            return
        last = rows[-1]["probability"], rows[-1]["lead_id"]


def with_segment(wanted: LeadFilter, facts: ModelFacts, feature: str, code: int) -> LeadFilter:
    """Return the filter, narrowed to leads whose field has a value."""
    place = [one.name for one in facts.contract.inputs].index(feature)
    return replace(wanted, column=place, code=code, contract=contract_version(facts.contract))


def _ranked(wanted: LeadFilter) -> sa.Select[Any]:
    c, p = lead_scores.c, predictions.c
    same = sa.and_(p.prediction_id == c.prediction_id, p.scored_at == c.scored_at)
    query = sa.select(lead_scores, p.features).select_from(lead_scores.outerjoin(predictions, same))
    query = query.where(*_conditions(wanted))
    if wanted.grade:
        query = query.where(c.grade == wanted.grade)
    if wanted.news:
        query = query.where(_news(wanted, wanted.news))
    return query.order_by(c.probability.desc(), c.lead_id)


def _from(wanted: LeadFilter, query: sa.Select[Any]) -> sa.Select[Any]:
    if wanted.column is None:
        return query.select_from(lead_scores)
    c, p = lead_scores.c, predictions.c
    same = sa.and_(p.prediction_id == c.prediction_id, p.scored_at == c.scored_at)
    return query.select_from(lead_scores.join(predictions, same))


def _conditions(wanted: LeadFilter) -> list[sa.ColumnElement[bool]]:
    c, p = lead_scores.c, predictions.c
    found = [
        c.model_name == wanted.model,
        c.scored_at >= moment_us(wanted.since),
        c.scored_at < moment_us(wanted.until),
    ]
    if wanted.state == "open":
        found.append(c.converted.is_(None))
    elif wanted.state != "all":
        found.append(c.converted.is_(wanted.state == "won"))
    if wanted.column is not None:
        # The row is one little-endian float32 after the other, and a category is its number.
        cell = sa.func.substr(p.features, _FLOAT_BYTES * wanted.column + 1, _FLOAT_BYTES)
        found += [p.contract_version == wanted.contract, cell == np.float32(wanted.code).tobytes()]
    return found


def _news(wanted: LeadFilter, kind: str) -> sa.ColumnElement[bool]:
    c = lead_scores.c
    if kind == "new":
        return c.first_scored_at >= moment_us(wanted.now - NEW_FOR)
    recent = c.grade_changed_at >= moment_us(wanted.now - CHANGED_FOR)
    # A is best: a smaller letter is a better grade.
    better = c.grade < c.previous_grade if kind == "up" else c.grade > c.previous_grade
    return sa.and_(recent, better)


def _listed(row: Any, wanted: LeadFilter, shelf: ModelShelf) -> ListedLead:
    news: LeadNews = ""
    changed, previous = row["grade_changed_at"], row["previous_grade"]
    if row["first_scored_at"] >= moment_us(wanted.now - NEW_FOR):
        news = "new"
    elif changed is not None and previous is not None and changed >= moment_us(wanted.now - CHANGED_FOR):
        news = "up" if row["grade"] < previous else "down" if row["grade"] > previous else ""
    return ListedLead(
        lead_id=row["lead_id"],
        grade=row["grade"],
        score=row["score"],
        probability=row["probability"],
        previous_grade=previous,
        first_scored_at=as_utc(row["first_scored_at"]),
        scored_at=as_utc(row["scored_at"]),
        converted=row["converted"],
        news=news,
        reasons=_reasons(row, wanted.model, shelf),
    )


def _reasons(row: Any, model: str, shelf: ModelShelf) -> tuple[str, ...]:
    scorer, _ = shelf.try_open(model, row["model_version"])
    if scorer is None or row["features"] is None:
        return ()
    if len(row["features"]) != _FLOAT_BYTES * len(scorer.contract.inputs):
        return ()
    encoded = np.ascontiguousarray(decode_features([row["features"]], scorer.contract)[0])
    return tuple(reason.text for reason in scorer.explain_row(encoded, _REASONS))
