"""Bodies of the endpoints' replies, from which the OpenAPI document is made too."""

from __future__ import annotations

from typing import Literal

import msgspec

from leadscore.contract.lead import LeadWarning
from leadscore.scoring.grades import Grade
from leadscore.scoring.lime import LimeExplanation
from leadscore.scoring.reasons import Reason


class ScoredLead(msgspec.Struct, frozen=True, gc=False):
    """Reply of `/score-lead`."""

    lead_id: str
    score: float
    probability: float
    grade: Grade
    reasons: tuple[Reason, ...]
    warnings: tuple[LeadWarning, ...]
    model_name: str
    model_version: str
    contract_version: str
    prediction_id: str


class BulkResult(msgspec.Struct, frozen=True, gc=False):
    """One lead in the reply of `/score-leads`."""

    lead_id: str
    score: float
    probability: float
    grade: Grade
    reasons: tuple[Reason, ...]
    warnings: tuple[LeadWarning, ...]
    prediction_id: str


class ScoredLeads(msgspec.Struct, frozen=True):
    """Reply of `/score-leads`: results in the order of the leads."""

    results: list[BulkResult]
    model_name: str
    model_version: str
    contract_version: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Reply of `/explain-prediction`.

    With `shap`, `base_margin` plus the impacts of all features is `margin`; with `lime`, `lime` is filled in.
    """

    lead_id: str
    method: Literal["shap", "lime"]
    score: float
    probability: float
    grade: Grade
    margin: float
    base_margin: float | None
    reasons: tuple[Reason, ...]
    lime: LimeExplanation | None
    warnings: tuple[LeadWarning, ...]
    model_name: str
    model_version: str
    contract_version: str


class OutcomesTaken(msgspec.Struct, frozen=True):
    """Reply of `/outcomes`: one id per outcome, in order; they are on disk."""

    outcome_ids: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """Reply of `/readyz`."""

    status: Literal["starting", "ready", "draining", "failed"]
    reason: str
    model_name: str
    model_version: str
    contract_version: str
    kernel: str
    shipper: str


class Liveness(msgspec.Struct, frozen=True):
    """Reply of `/livez`."""

    status: Literal["alive"]


class Index(msgspec.Struct, frozen=True):
    """Reply of `/`."""

    service: Literal["lead-scoring"]
    version: str
    endpoints: tuple[str, ...]
    documentation: str
