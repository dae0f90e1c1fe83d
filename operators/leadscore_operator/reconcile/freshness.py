"""Ask the event store whether a model's nights and its CRM targets are up to date."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from leadscore.batch.schedule import NightSchedule, night_models
from leadscore.batch.status import read_nights
from leadscore.errors import LeadScoreError
from leadscore.events.store import EventStore
from leadscore_operator.decide.freshness import NIGHTS, Freshness, judge_nights, not_read


class FreshnessReader:
    """Reads what is on record.

    Args:
        store: The event store; None: there is none.
        environ: When nights are due and of which models (`LEADSCORE_BATCH_…`).

    Raises:
        BadInputError: A variable cannot be read.
    """

    def __init__(self, store: EventStore | None, environ: Mapping[str, str] = os.environ) -> None:
        self._store = store
        self._schedule = NightSchedule.from_environment(environ)
        self._models = night_models(environ)

    def read(self, model: str, now: datetime) -> tuple[Freshness, ...]:
        """Return what is known of a model; what cannot be asked is unknown, and holds nothing else up.

        Args:
            model: Its name.
            now: With a zone.
        """
        if self._store is None or model not in self._models:
            return ()
        try:
            (found,) = (
                each for each in read_nights(self._store, self._schedule, now, [model]) if each.model == model
            )
        except LeadScoreError as error:
            return (not_read(NIGHTS, error),)
        judged = judge_nights(found, self._schedule, now)
        return () if judged is None else (judged,)
