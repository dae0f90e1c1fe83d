from __future__ import annotations

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from leadscore.errors import RefusedError
from leadscore.scoring.model import ScoringModel
from leadscore.training.monthly import measure_performance
from leadscore.training.pipeline import TrainedModel


def test_months_add_up_to_the_whole(trained: TrainedModel, leads: pa.Table) -> None:
    until = trained.evidence.window.calibration_start
    found = measure_performance(
        ScoringModel.load(trained.directory), leads, by_month=True, trained_until=until
    )
    assert sum(p.leads for p in found.periods) == found.overall.leads == leads.num_rows
    assert sum(p.positives for p in found.periods) == found.overall.positives
    assert [p.period for p in found.periods] == sorted(p.period for p in found.periods)
    assert found.mean_auc is not None
    assert found.mean_auc > 0.75


def test_months_that_were_trained_on_or_are_known_in_part_do_not_count_for_the_mean(
    trained: TrainedModel, leads: pa.Table
) -> None:
    model, window = ScoringModel.load(trained.directory), trained.evidence.window
    found = measure_performance(model, leads, by_month=True, trained_until=window.calibration_start)
    seen = [p.period for p in found.periods if p.trained_on]
    assert seen == [p.period for p in found.periods if p.period <= window.calibration_start[:7]]
    assert all(p.note.startswith("trained on") for p in found.periods if p.trained_on)
    # The newest month's outcomes are mostly open.
    assert found.periods[-1].incomplete
    assert "the quick ones only" in found.periods[-1].note
    counted = [p for p in found.periods if not p.trained_on and not p.incomplete]
    aucs = [p.evaluation.estimates.auc.value for p in counted if p.evaluation is not None]
    assert found.mean_auc == pytest.approx(sum(aucs) / len(aucs))
    # Without knowing where training ended, all of the model's data counts as seen.
    blind = measure_performance(model, leads, by_month=True)
    assert [p.period for p in blind.periods if p.trained_on] > seen


def test_a_month_without_both_outcomes_is_said_not_dropped(trained: TrainedModel, leads: pa.Table) -> None:
    month = pc.equal(pc.month(leads.column("created_at")), 2)
    lost = pc.and_(month, pc.fill_null(pc.equal(leads.column("converted"), 1), False))
    found = measure_performance(
        ScoringModel.load(trained.directory), leads.filter(pc.invert(lost)), by_month=True
    )
    february = next(p for p in found.periods if p.period == "2026-02")
    assert february.evaluation is None
    assert february.note.startswith("0 converted")


def test_performance_is_a_document(trained: TrainedModel) -> None:
    found = measure_performance(ScoringModel.load(trained.directory), trained.holdout, by_month=False)
    assert found.periods == ()
    assert b'"auc"' in msgspec.json.encode(found)


def test_no_outcome_at_all_is_refused(trained: TrainedModel, leads: pa.Table) -> None:
    unknown = leads.filter(pc.is_null(leads.column("converted")))
    with pytest.raises(RefusedError, match="has a known outcome"):
        measure_performance(ScoringModel.load(trained.directory), unknown, by_month=False)
