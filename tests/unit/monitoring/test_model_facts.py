"""What live counts are read by comes from the artefact alone, without what trains."""

from __future__ import annotations

from pathlib import Path

from tests.support.artefacts import build_artefact

from leadscore.monitoring.model_facts import cell_names, range_names, read_model_facts
from leadscore.scoring.profile import comparable_cells


def test_without_training_evidence_likely_means_grade_a(tmp_path: Path) -> None:
    facts = read_model_facts("crm", "7", build_artefact(tmp_path / "model"))
    assert (facts.name, facts.version) == ("crm", "7")
    assert facts.threshold == facts.grades.a
    assert facts.metrics["auc"].value > 0.5
    assert facts.holdout is None


def test_every_cell_of_every_feature_has_a_name(tmp_path: Path) -> None:
    facts = read_model_facts("crm", "7", build_artefact(tmp_path / "model"))
    for feature in facts.profile.features:
        names = cell_names(facts, feature)
        assert len(names) == len(comparable_cells(feature.kind, feature.counts, feature.missing))
        assert len(set(names)) == len(names)


def test_bins_are_named_by_their_edges() -> None:
    assert range_names((1.0, 2.5)) == ("< 1", "1 to 2.5", "≥ 2.5")
    assert range_names(()) == ("all",)
