"""What is stored and read by others keeps its names, whatever the code calls it (decision 46)."""

from __future__ import annotations

import msgspec
import pytest

from leadscore.drift.report.document import TestReport
from leadscore.drift.sequential.histograms import Histogram
from leadscore.drift.verdict import FeatureVerdict
from leadscore.drift.watch.follow import Track
from leadscore.drift.watch.track import OutcomesSaid
from leadscore.release.experiment import ExperimentMetric


@pytest.mark.parametrize(
    ("kind", "field", "stored"),
    [
        (FeatureVerdict, "critical_value", "cut"),
        (TestReport, "critical_value", "cut"),
        (Histogram, "tests", "looks"),
        (Track, "evaluation", "look"),
        (OutcomesSaid, "evaluation", "look"),
        (ExperimentMetric, "evaluations", "looks"),
    ],
)
def test_a_renamed_field_is_stored_under_the_name_that_it_had(
    kind: type[msgspec.Struct], field: str, stored: str
) -> None:
    assert {f.name: f.encode_name for f in msgspec.structs.fields(kind)}[field] == stored
