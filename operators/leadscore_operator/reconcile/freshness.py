"""Ask the event store whether a model's nights and its CRM targets are up to date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from leadscore.batch.schedule import NightSchedule, night_models
from leadscore.batch.status import read_nights
from leadscore.crm.tables import CRM_REVISION
from leadscore.crm.targets import load_targets, targets_path
from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore_operator.decide.freshness import (
    NIGHTS,
    TARGETS,
    JudgedCondition,
    judge_nights,
    judge_targets,
    not_read,
)


class FreshnessReader:
    """Reads what is on record.

    Args:
        store: The event store; None: there is none.
        environ: When nights are due and of which models (`LEADSCORE_BATCH_…`), and the file of CRM targets
            (`LEADSCORE_CRM`).

    Raises:
        BadInputError: A variable cannot be read.
    """

    def __init__(self, store: EventStore | None, environ: Mapping[str, str] = os.environ) -> None:
        self._store = store
        self._schedule = NightSchedule.from_environment(environ)
        self._models = night_models(environ)
        self._targets = targets_path(environ)

    def read(self, model: str, now: datetime) -> tuple[JudgedCondition, ...]:
        """Return what is known of a model; what cannot be asked is unknown, and holds nothing else up.

        Args:
            model: Its name.
            now: With a zone.
        """
        if self._store is None:
            return ()
        found = (self._nights(self._store, model, now), self._crm(self._store, model, now))
        return tuple(each for each in found if each is not None)

    def _nights(self, store: EventStore, model: str, now: datetime) -> JudgedCondition | None:
        if model not in self._models:
            return None
        try:
            nights = read_nights(store, self._schedule, now, [model])
        except LeadScoreError as error:
            return not_read(NIGHTS, error)
        return judge_nights(next(each for each in nights if each.model == model), self._schedule, now)

    def _crm(self, store: EventStore, model: str, now: datetime) -> JudgedCondition | None:
        if self._targets is None:
            return None
        # It brings NumPy, which an operator without CRM targets does not need.
        from leadscore.crm.status import read_target_statuses  # noqa: PLC0415

        try:
            # Read anew: the file changes without a restart.
            targets = load_targets(self._targets)
            store.require_revision(CRM_REVISION)
            with store.reading() as connection:
                found = read_target_statuses(connection, targets, round(now.timestamp() * 1e6))
        except LeadScoreError as error:
            return not_read(TARGETS, error)
        others = {target.name for target in targets.targets if target.model not in {"", model}}
        return judge_targets([each for each in found if each.name not in others], now)
