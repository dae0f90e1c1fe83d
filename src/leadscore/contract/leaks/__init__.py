"""Leaks: columns and models that know more of the outcome than was known when the lead came in."""

from leadscore.contract.leaks.columns import column_suspicion, later_suspicion, matrix_suspicions, value_names
from leadscore.contract.leaks.models import model_suspicions
from leadscore.contract.leaks.suspicion import Suspicion, SuspicionKind, unexplained

__all__ = [
    "Suspicion",
    "SuspicionKind",
    "column_suspicion",
    "later_suspicion",
    "matrix_suspicions",
    "model_suspicions",
    "unexplained",
    "value_names",
]
