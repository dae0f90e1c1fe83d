"""Which path is answered by what, and which scope a key needs for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lead_scoring.bulk import score_leads
from lead_scoring.engine import Engine
from lead_scoring.explain import explain_prediction
from lead_scoring.http import Reply, Request
from lead_scoring.metrics_layout import ENDPOINT_INDEX
from lead_scoring.outcomes import take_outcomes
from lead_scoring.score import score_lead
from leadscore.identity.apikeys import Scope


@dataclass(frozen=True, slots=True)
class Scoring:
    """A `POST` endpoint that needs the model, and a key with a scope.

    Attributes:
        endpoint: Number in the metrics.
        scope: What the key must allow.
        answer: Makes the reply.
    """

    endpoint: int
    scope: Scope
    answer: Callable[[Engine, Request], Awaitable[Reply]]


SCORING: Final[Mapping[str, Scoring]] = MappingProxyType(
    {
        "/score-lead": Scoring(ENDPOINT_INDEX["/score-lead"], "score", score_lead),
        "/score-leads": Scoring(ENDPOINT_INDEX["/score-leads"], "score", score_leads),
        "/explain-prediction": Scoring(ENDPOINT_INDEX["/explain-prediction"], "explain", explain_prediction),
        "/outcomes": Scoring(ENDPOINT_INDEX["/outcomes"], "outcomes", take_outcomes),
    }
)
SYSTEM: Final = frozenset({"/", "/livez", "/readyz", "/metrics", "/openapi.json"})
OTHER: Final = ENDPOINT_INDEX["other"]
