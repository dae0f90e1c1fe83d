"""Bins of probability that are the same for every model and version, so that two versions can be compared.

A model's own bins are its reference's deciles. These are about evenly spaced in log-odds:
few leads convert, so scores pile up near zero, where even steps of 0.05 would leave one
crowded bin. Bin i holds edges[i-1] < p <= edges[i].
"""

from __future__ import annotations

from typing import Final

PROBABILITY_EDGES: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15),
    *(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
)
