"""The check as a whole: what it finds, what it leaves alone, what it remembers."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.unit.drift.streams import CONTRACT, DAY, START, leads, probabilities, reference, window

from leadscore.drift.check.univariate import check, warm_up
from leadscore.drift.options import DriftOptions
from leadscore.drift.reference import build_profile
from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.words import COLUMNS, calibration, row
from leadscore.drift.runlength import FalseAlarms, Hysteresis
from leadscore.drift.verdict import DriftVerdict
from leadscore.drift.windows.history import ALL, History
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.errors import BadInputError, ConflictError

BASE = reference()
# A false alarm in 2,000 windows: what these tests call drift is none by chance.
STRICT = DriftOptions(false_alarms=FalseAlarms(expected=1, per_hours=2_000 * 24), season="none")
LINES = DriftOptions(mode="thresholds", season="none")


def grade(matrix):
    return np.digitize(probabilities(matrix), [0.1, 0.2, 0.4])


def findings(report):
    return {(f.feature, f.pattern) for f in report.findings}


def test_a_window_without_drift_is_calm_and_says_how_sure_it_is():
    report, history = check(BASE, window(BASE, leads(800, 1)), STRICT)
    assert (report.verdict.severity, report.verdict.drifted, report.verdict.triage) == ("none", False, "none")
    # 800 leads would have shown a moderate change.
    assert report.verdict.confidence > 0.9
    assert history.pools[ALL].rows == 800


def test_few_leads_are_less_sure_of_calm():
    small, _ = check(BASE, window(BASE, leads(60, 1)), STRICT)
    assert small.verdict.severity == "none"
    assert small.verdict.confidence < 0.5


def test_fixed_thresholds_alarm_on_a_small_window_without_drift_and_a_budget_does_not():
    """PSI of 10 bins exceeds 0.1 in most clean windows of 50 leads."""
    crossed = breached = 0
    for seed in range(8):
        calm = window(BASE, leads(50, 100 + seed))
        lines, _ = check(BASE, calm, LINES)
        budget, _ = check(BASE, calm, STRICT)
        crossed += max(f.statistics.psi for f in lines.features) > 0.1
        breached += budget.breached
    assert crossed > 4
    assert breached == 0


def test_a_small_real_change_of_many_leads_is_found_far_below_the_fixed_lines():
    matrix = leads(20_000, 2)
    matrix[:, 0] *= 1.15
    report, _ = check(BASE, window(BASE, matrix), STRICT)
    assert report.verdict.worst[0].feature == "budget"
    assert report.features[0].statistics.psi < 0.1
    assert check(BASE, window(BASE, matrix), LINES)[0].verdict.severity == "none"


def test_a_significant_change_without_effect_is_none():
    matrix = leads(60_000, 3)
    matrix[:, 0] *= 1.08
    strict, _ = check(BASE, window(BASE, matrix), STRICT)
    assert strict.p_value is not None
    assert strict.p_value < 1e-3
    assert strict.verdict.severity == "none"


def test_a_population_shift_is_told_from_a_broken_pipeline():
    matrix = leads(800, 4)
    rng = np.random.default_rng(0)
    matrix[:, 0] *= np.exp(rng.normal(0.5, 0.6, 800))
    matrix[:, 2] = rng.choice(3, 800, p=[0.3, 0.3, 0.4])
    report, _ = check(BASE, window(BASE, matrix), STRICT, grade=grade)
    assert report.verdict.triage == "market_moved"
    assert report.verdict.worst[0].feature == "budget"
    assert report.at_risk is not None
    assert report.at_risk > 0.1


@pytest.mark.parametrize("factor", [100.0, 0.001, 1_000.0, 60.0])
def test_a_changed_unit_is_a_pipeline_bug(factor):
    matrix = leads(400, 5)
    matrix[:, 0] *= factor
    report, _ = check(BASE, window(BASE, matrix), STRICT)
    assert report.verdict.triage == "pipeline_bug"
    assert ("budget", "unit") in findings(report)
    assert f"{factor:.6g}" in next(f.sentence for f in report.findings if f.pattern == "unit")


def test_nulls_a_constant_and_broken_ranges_are_pipeline_bugs():
    nulls, constant, negative = leads(400, 6), leads(400, 6), leads(400, 6)
    nulls[:, 1] = np.nan
    constant[:, 1] = 4.0
    negative[:120, 0] = -1.0
    for matrix, pattern in ((nulls, "nulls"), (constant, "constant"), (negative, "range")):
        report, _ = check(BASE, window(BASE, matrix), STRICT)
        assert report.verdict.triage == "pipeline_bug"
        assert pattern in {f.pattern for f in report.findings}


def test_a_change_in_the_rows_of_one_source_only_is_a_pipeline_bug():
    matrix = leads(3_000, 7)
    partner = matrix[:, 2] == 1
    matrix[partner, 0] = np.random.default_rng(0).uniform(3_000, 4_000, partner.sum())
    report, _ = check(BASE, window(BASE, matrix), STRICT)
    assert ("budget", "one_source") in findings(report)
    assert "'partner'" in next(f.sentence for f in report.findings if f.pattern == "one_source")
    assert report.verdict.triage == "pipeline_bug"


def test_unseen_categories_are_a_signal_of_their_own():
    matrix = leads(500, 8)
    fresh = np.random.default_rng(0).random(500) < 0.05
    matrix[fresh, 2] = np.nan
    new = window(BASE, matrix, unseen={"source": int(fresh.sum())})
    report, _ = check(BASE, new, STRICT)
    assert [t.name for t in report.features[2].tests if t.breached] == ["unseen"]
    assert report.verdict.triage == "market_moved"


def test_a_category_that_is_spelled_differently_is_a_pipeline_bug():
    matrix = leads(500, 9)
    gone = matrix[:, 2] == 1
    matrix[gone, 2] = np.nan
    unseen = {"source": int(gone.sum())}
    by_texts = window(BASE, matrix, unseen=unseen, unseen_values={"source": {"Partner ": int(gone.sum())}})
    by_counts = window(BASE, matrix, unseen=unseen)
    for new in (by_texts, by_counts):
        report, _ = check(BASE, new, STRICT)
        assert ("source", "respelled") in findings(report)
        assert report.verdict.triage == "pipeline_bug"


def test_unseen_categories_of_training_that_were_encoded_as_missing_raise_no_alarm():
    """The encoder makes NaN of both, so a reference cannot tell them apart."""
    rare = leads(6_000, 10)
    rare[np.random.default_rng(1).random(6_000) < 0.1, 2] = np.nan
    base = Reference.of(
        "leads", "1", CONTRACT, build_profile(CONTRACT, rare, probabilities(rare)), sample=rare
    )
    matrix = leads(600, 11)
    absent = np.random.default_rng(2).random(600) < 0.1
    matrix[absent, 2] = np.nan
    report, _ = check(base, window(base, matrix, unseen={"source": int(absent.sum())}), STRICT)
    assert not report.breached


def test_a_window_without_rows_of_leads_is_judged_by_its_counts():
    matrix = leads(400, 12)
    matrix[:, 0] *= 3.0
    counted = window(BASE, matrix)
    report, _ = check(BASE, LeadWindow(counted.start, counted.end, counted.counts), STRICT)
    assert report.verdict.drifted


def test_too_few_leads_are_not_judged_and_not_learned_from():
    report, history = check(BASE, window(BASE, leads(10, 13)), STRICT, History(model="leads/1"))
    assert not report.features
    assert "10 leads" in report.verdict.reasons[0]
    assert history == History(model="leads/1")


def test_hysteresis_waits_for_the_second_breach_and_names_the_first():
    options = msgspec.structs.replace(STRICT, hysteresis=Hysteresis(breaches=2, windows=3))
    history = None
    seen = []
    for day, factor in enumerate([1.0, 3.0, 1.0, 3.0, 1.0, 1.0]):
        matrix = leads(300, 20 + day)
        matrix[:, 0] *= factor
        report, history = check(BASE, window(BASE, matrix, day), options, history)
        seen.append((report.breached, report.verdict.drifted, report.verdict.since))
    first = START + DAY
    assert [breached for breached, _, _ in seen] == [False, True, False, True, False, False]
    assert [drifted for _, drifted, _ in seen] == [False, False, False, True, False, False]
    assert [since for _, _, since in seen][1:5] == [first] * 4


def test_drifted_windows_are_not_learned_from():
    history = None
    for day in range(3):
        matrix = leads(200, 30 + day)
        matrix[:, 0] *= 4.0
        _, history = check(BASE, window(BASE, matrix, day), STRICT, history)
    assert not history.pools


def test_the_same_window_and_memory_give_the_same_report():
    first, second = (check(BASE, window(BASE, leads(300, 40)), STRICT, grade=grade) for _ in range(2))
    assert first[0].to_json() == second[0].to_json()
    assert first[1] == second[1]
    assert History.from_json(first[1].to_json()) == first[1]
    assert DriftReport.from_json(first[0].to_json()) == first[0]


def test_a_window_is_judged_once_and_by_its_own_models_memory():
    _, history = check(BASE, window(BASE, leads(100, 41)), STRICT)
    with pytest.raises(ConflictError, match="before the last judged one"):
        check(BASE, window(BASE, leads(100, 41)), STRICT, history)
    with pytest.raises(ConflictError, match="belongs to"):
        check(BASE, window(BASE, leads(100, 41), 1), STRICT, History(model="leads/2"))
    with pytest.raises(BadInputError):
        History.from_json(b"{}")


def test_like_days_are_compared_with_like_days():
    """At weekends nobody is at work: visits halve every Saturday and Sunday, and that is no drift."""
    week = msgspec.structs.replace(STRICT, season="week")

    def day_of(day, seed, factor=1.0):
        matrix = leads(400, seed)
        if day % 7 >= 5:
            matrix[:, 1] = np.floor(matrix[:, 1] / 2)
        matrix[:, 1] *= factor
        return window(BASE, matrix, day)

    history = History(model="leads/1")
    for day in range(14):
        history = warm_up(BASE, day_of(day, 50 + day), week, history)
    unaware, _ = check(BASE, day_of(19, 90), STRICT)
    assert unaware.breached
    aware, _ = check(BASE, day_of(19, 90), week, msgspec.structs.replace(history, end=START + 19 * DAY))
    assert [f.name for f in aware.features if f.seasonal] == ["visits"]
    assert not aware.breached
    changed, _ = check(
        BASE, day_of(19, 90, 4.0), week, msgspec.structs.replace(history, end=START + 19 * DAY)
    )
    assert changed.breached


def test_an_unknown_season_is_said():
    week = msgspec.structs.replace(STRICT, season="week")
    report, _ = check(BASE, window(BASE, leads(200, 60)), week)
    assert "learn some weeks without drift" in report.notes[0]


def test_a_verdict_fits_a_termination_message_and_reads_back():
    matrix = leads(400, 61)
    matrix[:, 0] *= 100
    report, _ = check(BASE, window(BASE, matrix), STRICT, grade=grade)
    message = report.verdict.to_termination_message()
    assert DriftVerdict.from_json(message).triage == "pipeline_bug"
    assert len(message) < 4_096


def test_more_frequent_looks_make_stricter_cuts():
    calm = window(BASE, leads(300, 62))
    daily, _ = check(BASE, calm, DriftOptions(season="none"), every=timedelta(days=1))
    hourly, _ = check(BASE, calm, DriftOptions(season="none"), every=timedelta(hours=1))
    assert daily.calibration is not None
    assert hourly.calibration is not None
    assert hourly.calibration.level < daily.calibration.level
    for report in (daily, hourly):
        assert report.calibration.breach_expected == pytest.approx(report.calibration.breach_asked, rel=0.03)


def test_each_size_in_a_report_is_said_to_be_of_its_own_test():
    matrix = leads(900, 41)
    matrix[:400, 1] = np.nan
    report, _ = check(BASE, window(BASE, matrix), STRICT)
    visits = next(f for f in report.features if f.name == "visits")
    assert visits.strongest is not None
    assert (visits.strongest.name, visits.strongest.effect) == ("missing", visits.effect)
    shown = dict(zip(COLUMNS, row(visits), strict=True))
    assert (shown["strongest test"], shown["its size"]) == ("missing", f"{visits.effect:.3f}")
    (said,) = (f for f in report.verdict.worst if f.feature == "visits")
    assert (said.statistic, said.p_value, said.effect) == (
        "missing_rate",
        visits.strongest.p_value,
        visits.effect,
    )
    lines, _ = check(BASE, window(BASE, matrix), DriftOptions(mode="thresholds", season="none"))
    found = next(f for f in lines.features if f.name == "visits")
    assert dict(zip(COLUMNS, row(found), strict=True))["strongest test"] == "PSI"
    assert "noise included" in calibration(lines)


@pytest.mark.parametrize(("column", "value", "said"), [(2, 1.0, "is partner for"), (1, 4.0, "is 4 for")])
def test_a_constant_category_is_named_and_only_numbers_have_neighbours(column, value, said):
    matrix = leads(900, 42)
    matrix[:, column] = value
    report, _ = check(BASE, window(BASE, matrix), STRICT)
    (sentence,) = (f.sentence for f in report.findings if f.pattern == "constant")
    assert said in sentence
    assert ("near it" in sentence) == (column == 1)
