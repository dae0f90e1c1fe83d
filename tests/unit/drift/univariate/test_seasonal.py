"""Features that say when a lead came are judged where a window can hold what training held, not elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from leadscore.contract import Categorical, FeatureContract, Numeric, Target
from leadscore.drift.check.univariate import check, warm_up
from leadscore.drift.options import DriftOptions
from leadscore.drift.reference import build_profile
from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.words import row
from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.windows.history import History
from leadscore.drift.windows.inputs import LeadWindow, Reference

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CONTRACT = FeatureContract(
    name="t",
    id="id",
    target=Target(column="y"),
    features=(
        Numeric(name="budget"),
        Categorical(name="created_weekday", categories=DAYS),
        Numeric(name="created_hour"),
        Numeric(name="created_month"),
    ),
)
OPTIONS = DriftOptions(false_alarms=FalseAlarms(expected=1, per_hours=2_000 * 24))


def leads(start: datetime, span: timedelta, rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    at = [start + span * share for share in rng.random(rows)]
    clock = np.array([(t.weekday(), t.hour, t.month) for t in at])
    return np.column_stack([rng.normal(size=rows), clock]).astype(np.float32)


def _reference() -> Reference:
    matrix = leads(MONDAY - 364 * DAY, 364 * DAY, 8_000, 0)
    return Reference.of("leads", "1", CONTRACT, build_profile(CONTRACT, matrix, scores(matrix)))


def scores(matrix: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-matrix[:, 0].astype(np.float64)))


BASE = _reference()


def window(start: datetime, span: timedelta, seed: int, *, weekday: int | None = None) -> LeadWindow:
    matrix = leads(start, span, 400, seed)
    if weekday is not None:
        matrix[:, 1] = weekday
    return LeadWindow.of(BASE, start, start + span, matrix, scores(matrix))


def judged(report: DriftReport) -> set[str]:
    return {f.name for f in report.features if f.judged} - {"score"}


@pytest.mark.parametrize("mode", ["budget", "thresholds"])
@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (HOUR, {"budget"}),
        (6 * HOUR, {"budget"}),
        (DAY, {"budget", "created_hour"}),
        (3 * DAY, {"budget", "created_hour"}),
        (WEEK, {"budget", "created_hour", "created_weekday"}),
    ],
)
def test_a_calm_window_without_memory_is_no_drift(span: timedelta, expected: set[str], mode: str):
    options = msgspec.structs.replace(OPTIONS, mode=mode)
    report, _ = check(BASE, window(MONDAY + 9 * HOUR, span, 1), options)
    # In mode `thresholds` chance alone gives a moderate one now and then.
    assert report.verdict.severity in ({"none"} if mode == "budget" else {"none", "moderate"})
    assert not report.breached
    assert judged(report) == expected
    left_out = " ".join(report.notes)
    assert all(name in left_out for name in {"created_weekday", "created_hour", "created_month"} - expected)


def test_what_is_not_judged_is_not_called_calm():
    report, _ = check(BASE, window(MONDAY, DAY, 1), OPTIONS)
    month = next(f for f in report.features if f.name == "created_month")
    assert month.statistics.psi > 1.0
    assert row(month)[1] == "not judged"


def test_once_mondays_are_known_the_weekday_is_judged_by_them():
    history = History(model="leads/1")
    for day in range(14):
        history = warm_up(BASE, window(MONDAY + day * DAY, DAY, 10 + day), OPTIONS, history)
    calm, _ = check(BASE, window(MONDAY + 14 * DAY, DAY, 40), OPTIONS, history)
    assert not calm.breached
    assert "created_weekday" in judged(calm)
    wrong, _ = check(BASE, window(MONDAY + 14 * DAY, DAY, 40, weekday=6), OPTIONS, history)
    assert wrong.breached
    assert [w.feature for w in wrong.verdict.worst] == ["created_weekday"]


def test_a_change_beside_the_clock_is_found_without_memory():
    moved = leads(MONDAY, DAY, 400, 3)
    moved[:, 0] += 1.0
    report, _ = check(BASE, LeadWindow.of(BASE, MONDAY, MONDAY + DAY, moved, scores(moved)), OPTIONS)
    assert report.breached
    assert "budget" in {w.feature for w in report.verdict.worst}


def test_a_feature_that_is_only_called_like_one_can_be_compared_always():
    named = msgspec.structs.replace(OPTIONS, compared_always=("created_month",))
    report, _ = check(BASE, window(MONDAY, DAY, 1), named)
    assert report.breached
    assert "created_month" in judged(report)


def test_a_window_with_nothing_but_the_clock_is_not_judged():
    only = FeatureContract(name="t", id="id", target=Target(column="y"), features=CONTRACT.features[1:])
    matrix = leads(MONDAY - 364 * DAY, 364 * DAY, 8_000, 0)[:, 1:]
    base = Reference.of("leads", "1", only, build_profile(only, matrix, scores(matrix / 100)))
    now = leads(MONDAY, HOUR, 400, 2)[:, 1:]
    options = msgspec.structs.replace(OPTIONS, seasonal_features=("score",))
    report, _ = check(base, LeadWindow.of(base, MONDAY, MONDAY + HOUR, now, scores(now / 100)), options)
    assert report.verdict.state == "not_judged"
    assert not any(f.judged for f in report.features)
