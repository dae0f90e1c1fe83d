"""Several methods in one check: one budget, one verdict, one memory."""

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from tests.unit.drift.streams import DAY, START, leads, probabilities, reference, window

from leadscore.drift.check.joint import joint_report, permutations_for, psi_of_auc
from leadscore.drift.check.judge import JudgedWindow, judge_window, method_level
from leadscore.drift.multivariate.alibi import AlibiWindow
from leadscore.drift.options import DriftOptions, PerformanceOptions
from leadscore.drift.performance.measure import LabelCounts
from leadscore.drift.performance.outcomes import MatureOutcomes, PerformanceBaseline, judge_outcomes
from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.html import to_html
from leadscore.drift.report.markdown import to_markdown
from leadscore.drift.report.measured_values import figures
from leadscore.drift.report.words import headline
from leadscore.drift.runlength import FalseAlarms, Hysteresis
from leadscore.drift.verdict import DriftVerdict
from leadscore.drift.windows.history import History, Judged, Trail
from leadscore.errors import BadInputError, ConflictError
from leadscore.intervals import auc_estimate

BASE = reference()
RARE = FalseAlarms(expected=1, per_hours=2_000 * 24)


def options(*methods: str, **more: object) -> DriftOptions:
    return DriftOptions(methods=methods, season="none", **{"false_alarms": RARE, **more})


def truth(p: np.ndarray, seed: int, relation: float) -> np.ndarray:
    """Outcomes: of a share of the leads by their probability, of the others by another lead's."""
    rng = np.random.default_rng(seed)
    other = rng.random(len(p)) >= relation
    p = p.copy()
    p[other] = rng.permutation(p[other])
    return rng.random(len(p)) < p


def outcomes(relation: float, *, rows: int = 6_000, known: float = 1.0, day: int = 0) -> MatureOutcomes:
    p = probabilities(leads(rows, 77 + day))
    converted = truth(p, 5 + day, relation)
    n = int(rows * known)
    end = START + (day - 29) * DAY
    return MatureOutcomes(end - 30 * DAY, end, LabelCounts(rows, n, rows, n), converted[:n], p[:n])


def holdout() -> PerformanceBaseline:
    p = probabilities(leads(6_000, 1_234))
    found = auc_estimate(truth(p, 6, 1.0), p)
    assert found is not None
    return PerformanceBaseline(found)


def seen(day: int = 0, relation: float = 1.0, rows: int = 400, **more: object) -> JudgedWindow:
    return JudgedWindow(window(BASE, leads(rows, 40 + day), day), outcomes(relation, day=day, **more))


def test_methods_share_the_budget_in_equal_parts():
    alone, _ = judge_window(BASE, seen(), options("univariate"))
    shared, _ = judge_window(BASE, seen(), options("univariate", "performance", "cbpe"), baseline=holdout())
    assert alone.calibration.breach_asked == pytest.approx(1 / 2_000)
    # An estimate that raises no alarm costs nothing.
    assert shared.calibration.breach_asked == pytest.approx(1 / 4_000)
    assert shared.performance.level == pytest.approx(1 / 4_000)
    assert method_level(options("mmd", "classifier", "performance"), DAY) == pytest.approx(1 / 6_000)


def test_hysteresis_does_not_loosen_methods_whose_windows_depend_on_each_other():
    rule = Hysteresis(breaches=2, windows=3)
    assert method_level(options("univariate", "mmd", hysteresis=rule), DAY) == method_level(
        options("univariate", "mmd"), DAY
    )


def test_a_broken_relation_is_concept_drift_and_its_loss_is_in_the_verdict():
    report, _ = judge_window(
        BASE, seen(relation=0.4), options("univariate", "performance"), baseline=holdout()
    )
    verdict = report.verdict
    assert (verdict.kind, verdict.severity, verdict.drifted) == ("concept", "critical", True)
    assert verdict.drop == pytest.approx(report.performance.verdict.drop.value)
    assert verdict.outcomes_end == START - 29 * DAY
    assert verdict.worst[0].statistic == "auc_drop"
    assert "loss" in verdict.reasons[0]
    assert DriftReport.from_json(report.to_json()) == report


def test_a_loss_that_may_be_chance_is_reported_and_is_no_finding():
    few = options("performance", performance=PerformanceOptions(max_drop=0.001, positives=5))
    p = probabilities(leads(150, 3))
    converted = truth(p, 12, 0.8)
    small = MatureOutcomes(START, START + DAY, LabelCounts(150, 150, 150, 150), converted, p)
    report, _ = judge_window(BASE, JudgedWindow(seen().window, small), few, baseline=holdout())
    found = report.performance.verdict
    assert found.judged
    assert found.drop.value > 0.001
    assert found.drop.low < 0
    assert (report.verdict.drop, report.verdict.severity, report.verdict.drifted) == (None, "none", False)
    assert "may be chance" in to_markdown(report)


def test_on_an_unchanged_stream_outcomes_breach_no_more_often_than_they_may(monkeypatch: pytest.MonkeyPatch):
    """Hold-out and window are both drawn anew.

    300 times at a chance of 0.02, of which 14 or fewer is nearly certain.
    """
    # The bootstrap is for the intervals of Brier score and calibration error, which decide nothing and take
    # the time.
    monkeypatch.setattr("leadscore.drift.performance.measure.replicates_for", lambda _: 2)
    rng = np.random.default_rng(11)
    population = probabilities(leads(50_000, 3))

    def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
        p = rng.choice(population, rows)
        return rng.random(rows) < p, p

    breaches = 0
    for _ in range(300):
        auc = auc_estimate(*drawn(500))
        assert auc is not None
        counts = LabelCounts(250, 250, 250, 250)
        calm = MatureOutcomes(START, START + DAY, counts, *drawn(250))
        # A limit of nearly nothing: chance alone decides.
        wish = options("performance", performance=PerformanceOptions(max_drop=1e-6, miscalibration=1e-6))
        breaches += judge_outcomes(calm, PerformanceBaseline(auc), wish, 0.02).severity != "none"
    assert breaches <= 14
    assert breaches > 0, "a level that nothing reaches is no level"


def test_incomplete_outcomes_leave_the_drop_open_and_the_estimate_speaks():
    report, history = judge_window(
        BASE, seen(relation=0.2, known=0.5), options("performance", "cbpe", "univariate"), baseline=holdout()
    )
    assert (report.verdict.drop, report.verdict.outcomes_end) == (None, None)
    assert any("Not judged: only 50%" in reason for reason in report.verdict.reasons)
    assert report.expected.auc.low < holdout().auc.value < report.expected.auc.high
    assert "performance" not in history.methods, "a window that was not judged is no calm one"


def test_each_method_has_its_own_memory_for_the_hysteresis():
    wish = options("univariate", "performance", hysteresis=Hysteresis(breaches=2, windows=3))
    first, history = judge_window(BASE, seen(0, relation=0.4), wish, baseline=holdout())
    assert (first.breached, first.verdict.drifted, first.verdict.severity) == (True, False, "critical")
    second, history = judge_window(BASE, seen(1, relation=0.4), wish, history, baseline=holdout())
    assert (second.verdict.drifted, second.verdict.since) == (True, START)
    assert history.methods["performance"] == Trail((Judged(START, True), Judged(START + DAY, True)), START)
    assert history.recent == (Judged(START, False), Judged(START + DAY, False))
    assert History.from_json(history.to_json()) == history
    with pytest.raises(ConflictError):
        judge_window(BASE, seen(1), wish, history, baseline=holdout())


def test_outcomes_are_judged_where_the_window_has_too_few_leads():
    report, history = judge_window(
        BASE, seen(rows=5, relation=0.4), options("univariate", "performance", "mmd"), baseline=holdout()
    )
    assert report.features == ()
    assert report.verdict.drop is not None
    assert history.end == START + DAY
    assert any("too few" in note for note in report.notes)


def test_nothing_judged_leaves_the_memory_as_it_was():
    report, history = judge_window(
        BASE, seen(rows=5, known=0.1), options("univariate", "performance"), baseline=holdout()
    )
    assert not report.judged
    assert history == History(model=BASE.model)


@pytest.mark.parametrize(
    ("rows", "known", "methods", "state", "said"),
    [
        (400, 1.0, ("univariate", "performance"), "judged", "no drift"),
        (400, 0.5, ("univariate", "performance"), "partly_judged", "no drift in what could be judged"),
        (5, 0.5, ("univariate", "performance"), "not_judged", "not judged"),
        (5, 0.5, ("mmd",), "not_judged", "not judged"),
        (0, 1.0, ("univariate",), "silent", "not judged, the feed is silent"),
        (0, 1.0, ("univariate", "performance"), "silent", "not judged, the feed is silent"),
        (0, 1.0, ("mmd",), "silent", "not judged, the feed is silent"),
        (400, 0.0, ("univariate", "performance"), "silent", "not judged, the feed is silent"),
        (400, 0.0, ("performance", "cbpe"), "silent", "not judged, the feed is silent"),
    ],
)
def test_what_nobody_could_judge_is_unknown_and_never_no_drift(
    rows: int, known: float, methods: tuple[str, ...], state: str, said: str
):
    report, _ = judge_window(BASE, seen(rows=rows, known=known), options(*methods), baseline=holdout())
    verdict = report.verdict
    assert (verdict.severity, verdict.state) == ("none", state)
    assert verdict.unknown == (state in {"not_judged", "silent"})
    assert headline(report).endswith(said) or f": {said}, " in headline(report)
    assert ("unknown" in to_html(report).partition("</title>")[0]) == verdict.unknown
    assert DriftVerdict.from_json(verdict.to_termination_message()).state == state
    if state == "silent":
        assert any("silent" in reason for reason in verdict.reasons)


def test_leads_without_an_outcome_are_no_silent_feed_before_they_are_old_enough():
    young = MatureOutcomes(START - DAY, START, LabelCounts(500, 0, 0, 0), np.zeros(0, bool), np.zeros(0))
    report, _ = judge_window(
        BASE, JudgedWindow(seen().window, young), options("univariate", "performance"), baseline=holdout()
    )
    assert report.verdict.state == "partly_judged"


def test_an_alarm_stands_while_the_feed_is_silent():
    wish = options("univariate")
    alarmed = window(BASE, leads(400, 12) * np.array([30.0, 1, 1, 1], np.float32))
    first, history = judge_window(BASE, JudgedWindow(alarmed), wish)
    assert first.verdict.drifted
    silent, kept = judge_window(BASE, JudgedWindow(window(BASE, leads(0, 1), 1)), wish, history)
    assert (silent.verdict.drifted, silent.verdict.unknown, kept) == (True, True, history)
    assert headline(silent) == "ALARM of earlier windows stands: not judged, the feed is silent"


def test_performance_without_a_baseline_is_refused():
    with pytest.raises(BadInputError, match="hold-out"):
        judge_window(BASE, seen(), options("performance"))


def twisted(rows: int) -> np.ndarray:
    """Every feature alone as before; the budget now goes with the visits."""
    matrix = leads(rows, 8)
    known = ~np.isnan(matrix[:, 1])
    order = np.argsort(np.argsort(matrix[known, 1] + np.random.default_rng(1).random(int(known.sum()))))
    matrix[known, 0] = np.sort(matrix[known, 0])[order]
    return matrix


@pytest.mark.parametrize("method", ["mmd", "classifier"])
def test_a_joint_change_that_no_feature_shows_alone_is_found(method: str):
    changed = JudgedWindow(window(BASE, twisted(2_000)))
    budget = options("univariate", method, false_alarms=FalseAlarms(expected=1, per_hours=100 * 24))
    report, _ = judge_window(BASE, changed, budget)
    assert [f for f in report.features if f.severity != "none" and f.kind != "score"] == []
    (finding,) = report.methods
    assert finding.breached
    assert report.verdict.drifted
    joint = [f for f in report.verdict.worst if f.feature == "joint"]
    assert len(joint) == 1
    assert method in to_html(report)


def test_a_feature_that_follows_the_week_is_taken_out_of_the_joint_tests():
    matrix = leads(600, 9)
    matrix[:, 0] *= 5.0
    shifted = window(BASE, matrix)
    level = 0.01
    wish = options("mmd")
    assert joint_report("mmd", BASE, shifted, wish, level).breached
    assert not joint_report("mmd", BASE, shifted, wish, level, ignored=frozenset({"budget"})).breached


def test_the_size_of_a_joint_change_reads_as_a_psi():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, 200_000), rng.normal(0.5, 1, 200_000)
    found = auc_estimate(np.repeat([True, False], 200_000), np.concatenate([y, x]))
    assert found is not None
    assert psi_of_auc(found.value) == pytest.approx(0.25, abs=0.01)
    assert psi_of_auc(0.4) == 0.0


def test_permutations_reach_below_the_level_or_are_refused():
    assert permutations_for(0.05) == 999
    assert 1 / (permutations_for(1 / 2_000) + 1) < 1 / 4_000
    with pytest.raises(BadInputError, match="permutation"):
        permutations_for(1e-6)


def test_with_fixed_thresholds_a_test_without_a_size_is_moderate_and_makes_no_alarm():
    wish = options("mmd", mode="thresholds")
    report, _ = judge_window(BASE, JudgedWindow(window(BASE, twisted(2_000))), wish)
    assert (report.verdict.severity, report.breached, report.verdict.drifted) == ("moderate", False, False)


def test_alibi_detects_smallest_p_value_is_corrected_for_their_number():
    method = "alibi:KSDrift"
    found = AlibiWindow(True, (0.4, 0.001, 0.9, 0.7), (0.1, 0.3, 0.1, 0.1), 0.0125, None)
    report, _ = judge_window(BASE, JudgedWindow(seen().window, alibi={method: found}), options(method))
    (finding,) = report.methods
    assert (finding.feature, finding.p_value) == ("visits", pytest.approx(0.004))
    assert report.verdict.drifted
    with pytest.raises(BadInputError, match="has not answered"):
        judge_window(BASE, seen(), options(method))


def test_figures_list_what_every_method_measured():
    monthly = FalseAlarms(expected=1, per_hours=30 * 24)
    wish = options("univariate", "performance", "cbpe", "mmd", false_alarms=monthly)
    report, _ = judge_window(BASE, seen(relation=0.4), wish, baseline=holdout())
    found = {(f.method, f.name): f for f in figures(report)}
    assert found["performance", "auc_drop"].severity == "critical"
    assert found["performance", "label_completeness"].value == 1.0
    low, value, high = (getattr(found["performance", "auc"], name) for name in ("low", "value", "high"))
    assert low < value < high < found["performance", "auc_baseline"].value
    assert {("cbpe", "auc"), ("mmd", "squared_mmd"), ("performance", "slope")} <= set(found)


def test_the_message_of_a_pod_keeps_the_loss_however_much_there_is_to_say():
    report, _ = judge_window(
        BASE, seen(relation=0.4), options("univariate", "performance"), baseline=holdout()
    )
    loud = msgspec.structs.replace(
        report.verdict, reasons=("\u0001" * 600,) * 20, worst=report.verdict.worst * 30
    )
    message = loud.to_termination_message()
    assert len(message) < 4_096
    read = type(loud).from_json(message)
    assert (read.drop, read.outcomes_end) == (loud.drop, loud.outcomes_end)


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="maturity_hours"):
        PerformanceOptions(window_hours=0)
    with pytest.raises(ValueError, match="max_drop"):
        PerformanceOptions(max_drop=5)
    assert timedelta(hours=PerformanceOptions().maturity_hours) == 30 * DAY
