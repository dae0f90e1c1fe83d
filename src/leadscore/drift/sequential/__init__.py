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

__all__ = [
    "Alternative",
    "Boundary",
    "CalibrationChart",
    "CalibrationPaths",
    "CalibrationState",
    "CalibrationStep",
    "HistogramChart",
    "HistogramDetector",
    "HistogramState",
    "HistogramStep",
    "NullPaths",
    "cell_codes",
    "chart_verdict",
    "design_chart",
    "histograms_of",
    "make_histogram",
    "simulate_boundary",
    "start_calibration",
    "upper_quantile",
    "watch_calibration",
]
