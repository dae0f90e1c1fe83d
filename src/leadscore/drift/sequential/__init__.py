"""Charts for streams: a detector that looks again and again, with the expected run length that was asked for."""

from leadscore.drift.sequential.boundary import Boundary, NullPaths, simulate_boundary, upper_quantile
from leadscore.drift.sequential.calibration import (
    Alternative,
    CalibrationChart,
    CalibrationPaths,
    CalibrationState,
    CalibrationStep,
    start_calibration,
    watch_calibration,
)
from leadscore.drift.sequential.chart import (
    HistogramChart,
    HistogramDetector,
    HistogramState,
    HistogramStep,
    chart_verdict,
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
    "Alternative",
    "Bet",
    "Boundary",
    "CalibrationChart",
    "CalibrationPaths",
    "CalibrationState",
    "CalibrationStep",
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
    "chart_verdict",
    "design_chart",
    "design_outcome_chart",
    "histograms_of",
    "make_histogram",
    "simulate_boundary",
    "start_calibration",
    "start_outcomes",
    "upper_quantile",
    "watch_calibration",
    "watch_outcomes",
]
