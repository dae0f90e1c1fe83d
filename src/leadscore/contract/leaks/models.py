"""Suspect a model's figures that are too good, for leaks that no single column shows."""

from __future__ import annotations

import math

from leadscore.contract.leaks.suspicion import Suspicion

MODEL_AUC = 0.95
MODEL_AUC_BOUND = 0.9
VALIDATION_GAP = 0.1
_DEVIATIONS = 3.0
_ONE_SIDED = 2.33  # 99 %


def model_suspicions(
    *,
    auc: float,
    converted: int,
    others: int,
    validation_auc: float | None = None,
    validation_error: float = 0.0,
) -> tuple[Suspicion, ...]:
    """Return suspicions from a model's figures on its hold-out.

    An AUC of 0.95 or more is suspected where sampling error does not explain it (lower 99 % bound of at least
    0.9). So is a hold-out AUC that exceeds the cross-validated one by 0.1 and by three
    standard errors. The other direction, a hold-out on which the model does worse, is
    drift or overfitting and is judged elsewhere.

    Args:
        auc: AUC on the hold-out.
        converted: Converted leads of the hold-out.
        others: Leads of the hold-out that did not convert.
        validation_auc: Mean AUC of cross-validation on the training leads; None if there was none.
        validation_error: Standard error of that mean.
    """
    if min(converted, others) == 0 or math.isnan(auc):
        return ()
    found: list[Suspicion] = []
    error = auc_error(auc, converted, others)
    if auc >= MODEL_AUC and auc - _ONE_SIDED * error >= MODEL_AUC_BOUND:
        sentence = (
            f"The model ranks the leads of the hold-out with an AUC of {auc:.3f}: that is rarely honest, "
            "so one of its columns, or several together, may be filled in after the sale."
        )
        found.append(
            Suspicion(column="", kind="model_auc", strength="suspicion", figure=auc, sentence=sentence)
        )
    if validation_auc is not None and not math.isnan(validation_auc):
        gap = auc - validation_auc
        if gap >= VALIDATION_GAP and gap >= _DEVIATIONS * math.hypot(error, validation_error):
            sentence = (
                f"The AUC is {auc:.3f} on the hold-out and {validation_auc:.3f} in cross-validation: a "
                "model does not get better on leads that it has not seen, so the hold-out tells something "
                "that the training leads do not."
            )
            found.append(
                Suspicion(
                    column="", kind="validation_gap", strength="suspicion", figure=gap, sentence=sentence
                )
            )
    return tuple(found)


def auc_error(auc: float, converted: int, others: int) -> float:
    """Standard error of an AUC of which only the figure is known (Hanley & McNeil 1982)."""
    q1 = auc / (2.0 - auc)
    q2 = 2.0 * auc**2 / (1.0 + auc)
    variance = auc * (1.0 - auc) + (converted - 1) * (q1 - auc**2) + (others - 1) * (q2 - auc**2)
    return math.sqrt(max(variance, 0.0) / (converted * others))
