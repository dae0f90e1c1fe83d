"""Read what an investigation looks at: sums of roll-ups, records, and a bounded sample of leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
import sqlalchemy as sa

from leadscore.contract import Boolean, Categorical, contract_version
from leadscore.drift.verdict import as_utc
from leadscore.errors import BadInputError, LeadScoreError, NotFoundError
from leadscore.events.labels import PredictionSelection, select_labelled
from leadscore.events.records import SHADOW_ROLE
from leadscore.events.schema import outcomes, predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features
from leadscore.investigation.changes import changes_of_versions, read_alerts, read_changes
from leadscore.investigation.models import ModelShelf, reason_for_report
from leadscore.investigation.observed import (
    CellsByFeature,
    LeadSample,
    Observed,
    RecordedChange,
    SpanObservation,
)
from leadscore.investigation.request import InvestigationRequest, LeadSegment
from leadscore.investigation.segments import count_sample, only_segment
from leadscore.monitoring.model_facts import ModelFacts, find_model_facts
from leadscore.monitoring.queries.counts import (
    CellCounts,
    PredictionCounts,
    group_counts,
    read_cells,
    read_counts,
)
from leadscore.monitoring.queries.freshness import read_freshness
from leadscore.monitoring.queries.ranges import HourRange, Selection, moment_us
from leadscore.monitoring.rollups.tables import rollup_hours
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.profile import comparable_cells

# Places of a span where leads are read, and how many at each.
_PLACES: Final = 40
_LEADS_AT_PLACE: Final = 250
_ANSWERED: Final = "champion"
_HOUR: Final = timedelta(hours=1)
_DAY_US: Final = 86_400_000_000


def observe(
    store: EventStore, registry: ModelRegistry, shelf: ModelShelf, request: InvestigationRequest
) -> Observed:
    """Read everything; what cannot be read of models is said where it is missing.

    Raises:
        BadInputError: The segment is of no feature of the model, or a number.
        NotFoundError: No lead was ever scored by a model of that name.
        UnavailableError: The store cannot be read.
    """
    with store.reading() as connection:
        first = _first_lead(connection, request.model)
        fresh = read_freshness(connection)
        as_of = None if fresh.caught_up is None else min(fresh.caught_up, request.asked_at)
        now = _span(connection, request, request.time, as_of)
        before = _span(connection, request, request.before, as_of)
        changes = (*read_changes(connection, request), *read_alerts(connection, request))
        begin = max(request.before.start, first or request.before.start)
        days = _outcome_days(connection, begin, as_of or request.asked_at)
    facts, no_facts = _facts(registry, request.model, now.version)
    old, _ = _facts(registry, request.model, before.version)
    with store.reading() as connection:
        now = _with_leads(connection, request, request.time, now, facts)
        before = _with_leads(connection, request, request.before, before, old)
        if request.segment is not None:
            if facts is not None:
                segment_cell(facts, request.segment)
            now = _with_segment(connection, request, request.time, now, facts, as_of)
            before = _with_segment(connection, request, request.before, before, old, as_of)
    before = _comparable(before, now, facts, old)
    replayed, why = _replay(shelf, request.model, now, before, facts, old)
    promoted, no_registry = _registry_changes(registry, request)
    return Observed(
        request=request,
        counted_until=as_of,
        stale=fresh.stale(request.asked_at),
        now=now,
        before=before,
        facts=facts,
        no_facts=no_facts,
        changes=tuple(sorted((*changes, *promoted), key=lambda change: change.at)),
        no_registry=no_registry,
        outcome_days=days,
        replayed=replayed,
        not_replayed=why,
        first_lead=first,
    )


def _first_lead(connection: sa.Connection, model: str) -> datetime | None:
    """The first hour with a counted prediction of the model; None: they are stored, but not counted."""
    c = rollup_hours.c
    hours = sa.select(sa.func.min(c.hour)).where(c.model_name == model, c.role == _ANSWERED)
    hour = connection.execute(hours).scalar()
    if hour is not None:
        return as_utc(hour)
    stored = sa.select(sa.literal(1)).where(predictions.c.model_name == model).limit(1)
    if connection.execute(stored).first() is None:
        raise NotFoundError(
            f"No lead was scored by a model named {model[:80]!r}.", hint="`leadscore models list` names them."
        )
    return None


def _span(
    connection: sa.Connection, request: InvestigationRequest, time: HourRange, as_of: datetime | None
) -> SpanObservation:
    answered = Selection(model=request.model, time=time, maturity=request.maturity)
    rows = read_counts(connection, answered, ("version", "bin"))
    by_version = group_counts(rows, lambda row: row.version)
    version = max(by_version, key=lambda name: by_version[name].predictions, default="")
    mature = None if as_of is None else answered.mature(as_of)
    hours = read_counts(connection, answered, (), _HOUR)
    own = replace(answered, versions=(version,))
    return SpanObservation(
        version=version,
        by_version=by_version,
        hours={row.start: row.counts.predictions for row in hours},
        bins=group_counts((row for row in rows if row.version == version), lambda row: row.bin),
        mature=None
        if mature is None
        else group_counts(
            read_counts(connection, replace(mature, versions=(version,)), ("bin",)), lambda row: row.bin
        ),
        shadows={} if mature is None else _shadows(connection, mature),
        cells=_cells(connection, own) if version else {},
    )


def _shadows(connection: sa.Connection, mature: Selection) -> Mapping[str, Mapping[int, PredictionCounts]]:
    rows = read_counts(connection, replace(mature, roles=(SHADOW_ROLE,)), ("version", "bin"))
    return {
        version: group_counts((row for row in rows if row.version == version), lambda row: row.bin)
        for version in sorted({row.version for row in rows})
    }


def _cells(connection: sa.Connection, selection: Selection) -> CellsByFeature:
    """Counts by cell; absent cells at the end of a feature are filled in by who knows its profile."""
    found: dict[str, dict[int, int]] = {}
    for row in read_cells(connection, selection):
        found.setdefault(row.feature, {})[row.cell] = row.counts.predictions
    return {name: tuple(cells.get(i, 0) for i in range(max(cells) + 1)) for name, cells in found.items()}


def _facts(registry: ModelRegistry, model: str, version: str) -> tuple[ModelFacts | None, str]:
    if not version:
        return None, "No lead was scored."
    try:
        return find_model_facts(registry, model, version), ""
    except LeadScoreError as error:
        return None, f"The model {model}/{version} cannot be read: {reason_for_report(error)}"


def _with_leads(
    connection: sa.Connection,
    request: InvestigationRequest,
    time: HourRange,
    seen: SpanObservation,
    facts: ModelFacts | None,
) -> SpanObservation:
    if facts is None or not seen.version:
        return seen
    if request.segment is not None:
        # They are read once it is known which cell the segment has in this version.
        return seen
    sample = _sample(connection, request, time, facts)
    cells = {
        feature.name: (*known, *(0 for _ in range(size - len(known))))
        for feature in facts.profile.features
        if (known := seen.cells.get(feature.name)) is not None
        for size in [len(comparable_cells(feature.kind, feature.counts, 0))]
    }
    why = "" if cells or not seen.total.predictions else "Its leads were not counted by field."
    return replace(seen, sample=sample, cells=cells, uncounted=why)


def _sample(
    connection: sa.Connection,
    request: InvestigationRequest,
    time: HourRange,
    facts: ModelFacts,
    cell: int | None = None,
) -> LeadSample:
    """Leads at many places of a span: as they come, so that what arrives twice is seen.

    Of a segment (`cell`) the database chooses the leads, so that a rare one has as many as a common one.
    """
    start, end = moment_us(time.start), moment_us(time.end)
    edges = np.linspace(start, end, _PLACES + 1).astype(np.int64).tolist()
    version, contract = facts.version, contract_version(facts.contract)
    found: list[Any] = []
    repeated = 0
    for first, last in pairwise(edges):
        selection = PredictionSelection(first, last, request.model, version, _ANSWERED, contract)
        query = select_labelled(selection, moment_us(request.asked_at)).limit(_LEADS_AT_PLACE)
        if cell is not None and request.segment is not None:
            column = [feature.name for feature in facts.contract.inputs].index(request.segment.feature)
            stored = sa.func.substr(
                predictions.c.features, 4 * column + 1, 4, type_=predictions.c.features.type
            )
            query = query.where(stored == np.array([cell], "<f4").tobytes())
        rows = connection.execute(query).all()
        repeated += len(rows) - len({row.lead_id for row in rows})
        found.extend(rows)
    width = 4 * len(facts.contract.inputs)
    # A damaged row is told where its lead is looked up; it says nothing about the others.
    found = [row for row in found if len(row.features) == width]
    warned: Counter[str] = Counter()
    for row in found:
        if row.warnings != "[]":
            warned.update(set(msgspec.json.decode(row.warnings, type=tuple[str, ...])))
    maturity = request.maturity // timedelta(microseconds=1)
    told = np.array([_told(row, moment_us(request.asked_at), maturity) for row in found], np.float64)
    converted = np.array([np.nan if r.converted is None else float(r.converted) for r in found], np.float64)
    return LeadSample(
        rows=np.ascontiguousarray(decode_features([row.features for row in found], facts.contract)),
        probabilities=np.array([row.probability for row in found], np.float64),
        converted=converted,
        told=told,
        won=np.where(np.isnan(told), np.nan, np.where(told == 1.0, converted, 0.0)),
        warned=warned,
        repeated=repeated,
    )


def _told(row: Any, asked_at: int, maturity: int) -> float:
    """Whether an outcome was told within the maturity; NaN: the lead is younger, or was scored again."""
    if row.scored_at + maturity > asked_at or (row.superseded and row.converted is None):
        return float("nan")
    return float(row.recorded_at is not None and row.recorded_at <= row.scored_at + maturity)


def _comparable(
    before: SpanObservation, now: SpanObservation, facts: ModelFacts | None, old: ModelFacts | None
) -> SpanObservation:
    """CellsByFeature of two versions mean different things: where they differ, the sample is counted anew."""
    if facts is None or before.version == now.version:
        return before
    same = old is not None and contract_version(old.contract) == contract_version(facts.contract)
    if not same or before.sample is None:
        return replace(before, cells={}, uncounted=_why_not_comparable(before, old, same=same))
    return replace(before, cells=count_sample(facts.profile, before.sample.rows), uncounted="")


def _why_not_comparable(before: SpanObservation, old: ModelFacts | None, *, same: bool) -> str:
    if not before.version:
        return "No lead was scored in the time before, so there is nothing to compare with."
    if old is None:
        return f"Version {before.version} answered then, and its artefact cannot be read."
    if same:
        return f"No lead that version {before.version} scored then could be read."
    return f"Version {before.version}, which has other fields, answered then."


def _with_segment(
    connection: sa.Connection,
    request: InvestigationRequest,
    time: HourRange,
    seen: SpanObservation,
    facts: ModelFacts | None,
    as_of: datetime | None,
) -> SpanObservation:
    """Only the segment's leads: exact counts of roll-ups, and the rest counted from a sample of them."""
    if request.segment is None:
        return seen
    # Which leads are the segment's only the version's contract says.
    nothing = replace(seen, mature=None, shadows={}, cells={})
    if facts is None:
        return nothing
    try:
        cell = segment_cell(facts, request.segment)
    except BadInputError as error:
        return replace(nothing, uncounted=f"Version {seen.version} did not know the segment: {error.message}")
    leads = seen.cells.get(request.segment.feature, ())
    selection = Selection(model=request.model, time=time, versions=(seen.version,), maturity=request.maturity)
    mature = None if as_of is None else selection.mature(as_of)
    segment = others = None
    if mature is not None:
        rows = read_cells(connection, mature, [request.segment.feature])
        segment = CellCounts.total(row.counts for row in rows if row.cell == cell)
        others = CellCounts.total(row.counts for row in rows if row.cell != cell)
    return replace(
        only_segment(seen, _sample(connection, request, time, facts, cell), facts.profile, request.segment),
        segment=segment,
        others=others,
        segment_leads=leads[cell] if cell < len(leads) else 0,
    )


def segment_cell(facts: ModelFacts, segment: LeadSegment) -> int:
    """Return the cell that a segment's leads are counted in.

    Raises:
        BadInputError: The model has no such field, or the field no such value.
    """
    features = {feature.name: feature for feature in facts.contract.inputs}
    feature = features.get(segment.feature)
    if isinstance(feature, Categorical):
        values: Sequence[str] = feature.categories
    elif isinstance(feature, Boolean):
        values = ("no", "yes")
    else:
        usable = [n for n, f in features.items() if isinstance(f, Categorical | Boolean)]
        what = "is a number" if feature is not None else "is no field of the model"
        raise BadInputError(
            f"{segment.feature[:80]!r} {what}.", hint=f"Fields with values to choose: {', '.join(usable)}."
        )
    if segment.value not in values:
        raise BadInputError(
            f"{segment.feature} has no value {segment.value[:80]!r}.", hint=f"It has: {', '.join(values)}."
        )
    return values.index(segment.value)


def _replay(
    shelf: ModelShelf,
    model: str,
    now: SpanObservation,
    before: SpanObservation,
    facts: ModelFacts | None,
    old: ModelFacts | None,
) -> tuple[np.ndarray | None, str]:
    """What the version before says of the leads of now."""
    if now.version == before.version or not before.version or now.sample is None or facts is None:
        return None, ""
    if old is None:
        return None, f"Version {before.version} cannot be read, so it was not asked."
    if contract_version(old.contract) != contract_version(facts.contract):
        return None, f"Version {before.version} reads other fields, so it was not asked."
    scorer, why = shelf.try_open(model, before.version)
    return (None, why) if scorer is None else (scorer.score_rows(now.sample.rows), "")


def _outcome_days(connection: sa.Connection, start: datetime, end: datetime) -> tuple[tuple[date, int], ...]:
    """Outcomes that were told on each whole day before `end`."""
    first, last = moment_us(start) // _DAY_US, moment_us(end) // _DAY_US
    moment = outcomes.c.recorded_at
    day = (moment // _DAY_US).label("day")
    query = sa.select(day, sa.func.count().label("told"))
    query = query.where(moment >= first * _DAY_US, moment < last * _DAY_US).group_by(day)
    told = {row.day: row.told for row in connection.execute(query)}
    epoch = date(1970, 1, 1)
    return tuple((epoch + timedelta(days=d), told.get(d, 0)) for d in range(first, last))


def _registry_changes(
    registry: ModelRegistry, request: InvestigationRequest
) -> tuple[tuple[RecordedChange, ...], str]:
    try:
        versions = registry.versions(request.model)
    except LeadScoreError as error:
        return (), f"The registry did not say which versions were promoted: {reason_for_report(error)}"
    return changes_of_versions(versions, request), ""
