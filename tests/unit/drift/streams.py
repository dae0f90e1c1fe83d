"""Small leads for drift tests: two numbers, a category, a truth value."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.drift.reference import build_profile
from leadscore.drift.windows.inputs import LeadWindow, Reference

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
CONTRACT = FeatureContract(
    name="t",
    id="id",
    target=Target(column="y"),
    features=(
        Numeric(name="budget", range=(0.0, 1e6)),
        Numeric(name="visits"),
        Categorical(name="source", categories=("web", "partner", "event")),
        Boolean(name="phone"),
    ),
)


def leads(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    budget = np.exp(rng.normal(7.0, 1.0, rows))
    visits = rng.poisson(4.0, rows).astype(float)
    visits[rng.random(rows) < 0.1] = np.nan
    source = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
    return np.column_stack([budget, visits, source, rng.random(rows) < 0.4]).astype(np.float32)


def probabilities(matrix: np.ndarray) -> np.ndarray:
    z = 0.8 * (np.log(np.maximum(matrix[:, 0], 1.0)) - 7.0) + 0.5 * matrix[:, 3] - 1.5
    return 1.0 / (1.0 + np.exp(-z.astype(np.float64)))


def reference(rows: int = 6_000, seed: int = 0, *, sample: bool = True) -> Reference:
    matrix = leads(rows, seed)
    scores = probabilities(matrix)
    profile = build_profile(CONTRACT, matrix, scores)
    if not sample:
        return Reference.of("leads", "1", CONTRACT, profile)
    return Reference.of("leads", "1", CONTRACT, profile, sample=matrix, sample_probabilities=scores)


def window(base: Reference, matrix: np.ndarray, day: int = 0, **more: object) -> LeadWindow:
    start = START + day * DAY
    return LeadWindow.of(base, start, start + DAY, matrix, probabilities(matrix), **more)
