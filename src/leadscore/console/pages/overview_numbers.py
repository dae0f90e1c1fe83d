"""The Overview's numbers: read in one go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from leadscore.console.alert_summary import AlertsNow, read_alerts_now
from leadscore.console.page import PageRequest
from leadscore.console.reading import currency_of, selection_of, versions_by_traffic
from leadscore.errors import LeadScoreError
from leadscore.events.records import Evidence
from leadscore.events.schema import predictions
from leadscore.monitoring.measures import MeasureSeries
from leadscore.monitoring.queries.business import BusinessRow, business_rows, read_business_counts
from leadscore.monitoring.queries.counts import CountsRow, read_counts
from leadscore.monitoring.queries.freshness import Freshness, read_freshness
from leadscore.monitoring.queries.ranges import HourRange, Selection
from leadscore.monitoring.queries.traffic import LatencySummary, read_latency, read_newest, read_traffic
from leadscore.monitoring.queries.verdicts import DetectorVerdict, read_latest_verdicts
from leadscore.monitoring.rollups.tables import rollup_hours
from leadscore.registry.store import ModelRegistry
from leadscore.release.approval import open_requests
from leadscore.release.evidence import ended_releases

# Outcomes take weeks: the overview's business numbers are of a time of their own.
BUSINESS_SPAN: Final = timedelta(days=90)
_RELEASE_KINDS: Final = ("gate", "replay", "shadow", "approval-request", "approval", "kpi", "release")
_CHANGES: Final = 10
_RECORDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewNumbers:
    """What the page shows.

    Attributes:
        fresh: How far the counts are.
        versions: Predictions of the time by version, of answers that reached callers.
        traffic: Over time, by version.
        newest: When the newest lead of it was scored; None if there was none.
        latency: By version.
        business: All leads of the last 90 days, against the 90 before; None if there were none.
        grade_a: Those of grade A.
        verdicts: Newest of each detector of the version that serves.
        changes: Newest records of releases.
        waiting: Questions of releases that nobody has answered.
        alerts: Episodes that are not over, and what each rule said last.
        currency: Of revenue, as ISO 4217 has it; empty if the contract does not say.
        begun: Whether anything was ever scored here.
        trained: Whether the registry has a version of the model; None: nobody asked, or it does not answer.
    """

    fresh: Freshness
    versions: tuple[CountsRow, ...]
    traffic: tuple[MeasureSeries, ...]
    newest: datetime | None
    latency: tuple[LatencySummary, ...]
    business: BusinessRow | None
    grade_a: BusinessRow | None
    verdicts: tuple[DetectorVerdict, ...]
    changes: tuple[Evidence, ...]
    waiting: tuple[Evidence, ...]
    alerts: AlertsNow
    currency: str = ""
    begun: bool = True
    trained: bool | None = None

    @property
    def serving(self) -> str:
        """The version that answered most callers; empty if none did."""
        return next(iter(versions_by_traffic(self.versions)), "")


def read_overview(request: PageRequest) -> OverviewNumbers:
    """Read all of it."""
    selection = selection_of(request)
    business = Selection(model=request.model, time=HourRange.last(BUSINESS_SPAN, request.now))
    changes, waiting = _release_records(request)
    with request.store.reading() as connection:
        fresh = read_freshness(connection)
        versions = read_counts(connection, selection, ("version",))
        serving = next(iter(versions_by_traffic(versions)), "")
        counted = read_business_counts(connection, business, fresh)
        traffic = read_traffic(connection, selection, fresh)
        begun = bool(versions) or _has_begun(connection)
        numbers = OverviewNumbers(
            fresh=fresh,
            versions=versions,
            traffic=traffic,
            newest=read_newest(connection, selection, traffic),
            latency=read_latency(connection, selection, fresh),
            business=next(iter(business_rows(counted)), None),
            grade_a=next((row for row in business_rows(counted, "grade") if row.name == "A"), None),
            verdicts=read_latest_verdicts(connection, request.model, serving) if serving else (),
            changes=changes,
            waiting=waiting,
            alerts=read_alerts_now(connection),
            begun=begun,
        )
    # Outside the transaction: a registry may take its time.
    if not begun:
        return replace(numbers, trained=_is_trained(request))
    return replace(numbers, currency=currency_of(request, serving))


def _has_begun(connection: sa.Connection) -> bool:
    """Whether anything was ever scored: what is not counted yet, and what was removed since, included."""
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None
        for table in (predictions, rollup_hours)
    )


def _is_trained(request: PageRequest) -> bool | None:
    try:
        return bool(ModelRegistry(request.home).versions(request.model))
    except LeadScoreError:
        return None


def _release_records(request: PageRequest) -> tuple[tuple[Evidence, ...], tuple[Evidence, ...]]:
    """The newest records of releases of the model, and the questions that nobody has answered."""
    prefix = f"{request.model}/"
    found = request.store.evidence(kind=_RELEASE_KINDS, limit=_RECORDS)
    changes = tuple(record for record in found if record.subject.startswith(prefix))[:_CHANGES]
    ended = ended_releases(request.store)
    asked = open_requests(request.store, request.approvers, request.now.timestamp(), ended=ended)
    return changes, tuple(record for record, _ in asked if record.subject.startswith(prefix))
