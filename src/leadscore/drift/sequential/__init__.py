"""Charts for streams: detectors that are evaluated again and again, with a given expected run length."""

from leadscore.drift.sequential.boundary import Boundary, NullPaths, simulate_boundary, upper_quantile
from leadscore.drift.sequential.chart import (
    HistogramChart,
    HistogramDetector,
    HistogramState,
    HistogramStep,
    design_chart,
)
from leadscore.drift.sequential.histograms import cell_codes, histograms_of, make_histogram
from leadscore.drift.sequential.late_outcomes import (
    Bet,
    NewOutcomes,
    OutcomeChart,
    OutcomeState,
    OutcomeStep,
    start_outcomes,
    watch_outcomes,
)
from leadscore.drift.sequential.outcome_paths import OutcomeReference, design_outcome_chart

__all__ = [
    "Bet",
    "Boundary",
    "HistogramChart",
    "HistogramDetector",
    "HistogramState",
    "HistogramStep",
    "NewOutcomes",
    "NullPaths",
    "OutcomeChart",
    "OutcomeReference",
    "OutcomeState",
    "OutcomeStep",
    "cell_codes",
    "design_chart",
    "design_outcome_chart",
    "histograms_of",
    "make_histogram",
    "simulate_boundary",
    "start_outcomes",
    "upper_quantile",
    "watch_outcomes",
]
