"""Records for tests: every field has a value, the interesting ones are arguments."""

from __future__ import annotations

import numpy as np

from leadscore.events.records import Outcome, Prediction
from leadscore.identity.caller import Caller

ROW = np.arange(3, dtype="<f4").tobytes()


def prediction(
    prediction_id: str,
    lead_id: str = "L-1",
    *,
    scored_at: int = 1_000,
    role: str = "champion",
    model_name: str = "crm",
    model_version: str = "7",
    contract_version: str = "abcdef012345",
    probability: float = 0.25,
    features: bytes = ROW,
    warnings: tuple[str, ...] = (),
    latency_us: int | None = None,
    source: str = "",
    caller: Caller | None = None,
) -> Prediction:
    """A prediction of model crm/7."""
    return Prediction(
        prediction_id=prediction_id,
        lead_id=lead_id,
        model_name=model_name,
        model_version=model_version,
        contract_version=contract_version,
        role=role,
        scored_at=scored_at,
        probability=probability,
        score=25.0,
        grade="B",
        features=features,
        request_id="r-1",
        warnings=warnings,
        latency_us=latency_us,
        source=source,
        caller=caller,
    )


def outcome(
    outcome_id: str,
    lead_id: str = "L-1",
    *,
    converted: bool = True,
    value: float | None = None,
    prediction_id: str | None = None,
    occurred_at: int = 2_000,
    recorded_at: int = 3_000,
) -> Outcome:
    """An outcome of lead L-1."""
    return Outcome(outcome_id, lead_id, prediction_id, converted, value, occurred_at, recorded_at, "test")
