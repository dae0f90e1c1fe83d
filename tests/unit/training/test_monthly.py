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
    found = measure_performance(ScoringModel.load(trained.directory), leads, by_month=True)
    assert sum(p.leads for p in found.periods) == found.overall.leads == leads.num_rows
    assert sum(p.positives for p in found.periods) == found.overall.positives
    assert [p.period for p in found.periods] == sorted(p.period for p in found.periods)
    assert found.mean_auc is not None
    assert found.mean_auc > 0.75


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
