"""Two spans of made-up leads of the sample contract, and what each may have wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from tests.support.artefacts import build_artefact, sample_matrix

from leadscore.investigation.observed import LeadSample, Observed, SpanObservation
from leadscore.investigation.reading import count_sample
from leadscore.investigation.request import InvestigationRequest
from leadscore.monitoring.model_facts import ModelFacts, read_model_facts
from leadscore.monitoring.queries.counts import PredictionCounts
from leadscore.monitoring.queries.ranges import HourRange

ASKED_AT = datetime(2026, 9, 1, tzinfo=UTC)
SINCE = ASKED_AT - timedelta(days=70)
LEADS = 4_000
HOUR = timedelta(hours=1)


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    return read_model_facts("leads", "1", build_artefact(tmp_path_factory.mktemp("facts") / "1", rows=4_000))


def request(**changed: object) -> InvestigationRequest:
    asked = InvestigationRequest(model="leads", time=HourRange(SINCE, ASKED_AT), asked_at=ASKED_AT)
    return replace(asked, **changed)  # type: ignore[arg-type]


def make_sample(facts: ModelFacts, rng: np.random.Generator, *, factor: float = 1.0) -> LeadSample:
    """Leads whose chance to convert is `factor` times what was answered."""
    rows = sample_matrix(facts.contract, LEADS, int(rng.integers(2**31)))
    probabilities = rng.beta(1.2, 5.0, LEADS)
    won = (rng.random(LEADS) < np.clip(factor * probabilities, 0, 1)).astype(np.float64)
    return LeadSample(rows, probabilities, won, np.ones(LEADS), won, {}, 0)


def make_span(facts: ModelFacts, sample: LeadSample, time: HourRange, version: str = "1") -> SpanObservation:
    """A span of which the sample is everything."""
    hours = int(time.length / HOUR)
    won = int(np.nansum(sample.converted))
    total = PredictionCounts(
        predictions=LEADS, labelled=LEADS, converted=won, sum_probability=float(sample.probabilities.sum()),
        labelled_sum_probability=float(sample.probabilities.sum()),
    )  # fmt: skip
    return SpanObservation(
        version=version,
        by_version={version: total},
        hours={time.start + i * HOUR: LEADS // hours + 1 for i in range(hours)},
        bins={3: total},
        mature={3: total},
        cells=count_sample(facts.profile, sample.rows),
        sample=sample,
    )


def told(rate: int = 40, *, until: date | None = None) -> tuple[tuple[date, int], ...]:
    first = request().before.start.date()
    days = [first + timedelta(days=i) for i in range((ASKED_AT.date() - first).days)]
    return tuple((day, rate if until is None or day < until else 0) for day in days)


@dataclass(frozen=True)
class World:
    """Builds observations of two spans."""

    facts: ModelFacts

    def observe(
        self, seed: int = 1, change: Callable[[LeadSample], LeadSample] = lambda sample: sample, *,
        factor: float = 1.0, version: str = "1", **more: object,
    ) -> Observed:  # fmt: skip
        rng = np.random.default_rng(seed)
        asked = request()
        before = make_span(self.facts, make_sample(self.facts, rng), asked.before)
        now = make_span(self.facts, change(make_sample(self.facts, rng, factor=factor)), asked.time, version)
        seen = Observed(
            request=asked, counted_until=ASKED_AT, stale="", now=now, before=before, facts=self.facts,
            outcome_days=told(),
        )  # fmt: skip
        return replace(seen, **more)  # type: ignore[arg-type]


@pytest.fixture
def world(facts: ModelFacts) -> World:
    return World(facts)
