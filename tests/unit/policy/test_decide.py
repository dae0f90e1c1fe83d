from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadscore.drift.verdict import DriftVerdict, FeatureVerdict
from leadscore.policy.decide import decide
from leadscore.policy.spec import (
    Budget,
    DriftTrigger,
    PerformanceTrigger,
    RetrainRules,
    ScheduleTrigger,
    Triggers,
)
from leadscore.policy.state import Observation, PastRun, PolicyState, Retrain, Wait
from leadscore.policy.triggers import last_slot, next_slot

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = Triggers(drift=DriftTrigger(), performance=PerformanceTrigger(), schedule=ScheduleTrigger())
RULES = RetrainRules(model="leads", triggers=ALL)
DRIFT_ONLY = RetrainRules(model="leads", triggers=Triggers(drift=DriftTrigger()))


def seen(at: datetime, **changes: object) -> Observation:
    calm = Observation(
        detector="daily-leads",
        schedule="daily",
        model_version="3",
        window_start=at - DAY,
        window_end=at,
        severity="none",
        drifted=False,
        triage="none",
    )
    return msgspec.structs.replace(calm, **changes)


def drifted(at: datetime, **changes: object) -> Observation:
    return seen(at, **{"severity": "significant", "drifted": True, "triage": "market_moved", **changes})


def state(*observations: Observation, **changes: object) -> PolicyState:
    return msgspec.structs.replace(PolicyState(created=T0, observations=observations), **changes)


def done(at: datetime, key: str = "earlier") -> PastRun:
    return PastRun(key=key, created=at, finished=at + timedelta(hours=1))


def held(decision: object) -> str:
    assert isinstance(decision, Wait), decision
    return decision.hold


def test_significant_drift_retrains_on_the_window_up_to_now() -> None:
    now = T0 + 2 * DAY
    decision = decide(RULES, state(drifted(now - timedelta(minutes=5), worst="budget")), now)
    assert isinstance(decision, Retrain)
    assert decision.trigger == "drift"
    assert decision.key == "drift-daily-leads-daily-20260302T235500"
    assert (decision.window.start, decision.window.end) == (now - 180 * DAY, now)
    assert "budget" in decision.reason


@pytest.mark.parametrize(
    "observation",
    [seen(T0 + DAY), drifted(T0 + DAY, severity="moderate"), drifted(T0 + DAY, drifted=False)],
    ids=["calm", "below the severity", "hysteresis of the detector"],
)
def test_less_than_that_waits_with_the_next_scheduled_time(observation: Observation) -> None:
    decision = decide(RULES, state(observation), T0 + 2 * DAY)
    assert held(decision) == "calm"
    assert decision.until == T0 + 7 * DAY


def test_consecutive_verdicts_must_be_of_one_stream_and_unbroken() -> None:
    rules = RetrainRules(model="leads", triggers=Triggers(drift=DriftTrigger(consecutive=3)))
    three = [drifted(T0 + n * DAY) for n in (1, 2, 3)]
    now = T0 + 3 * DAY
    assert isinstance(decide(rules, state(*three), now), Retrain)
    assert held(decide(rules, state(three[0], seen(T0 + 2 * DAY), three[2]), now)) == "calm"
    assert (
        held(decide(rules, state(three[0], drifted(T0 + 2 * DAY, schedule="hourly"), three[2]), now))
        == "calm"
    )


def test_a_window_that_could_not_be_judged_neither_asks_nor_ends_what_others_ask_and_is_said() -> None:
    rules = RetrainRules(model="leads", triggers=Triggers(drift=DriftTrigger(consecutive=2)))
    silent = seen(T0 + 2 * DAY, judged=False, why="Not judged: the feed is silent.")
    both = state(drifted(T0 + DAY), silent, drifted(T0 + 3 * DAY))
    assert isinstance(decide(rules, both, T0 + 3 * DAY), Retrain)
    waiting = decide(rules, state(seen(T0 + DAY), silent), T0 + 2 * DAY)
    assert isinstance(waiting, Wait)
    assert waiting.reason == (
        "Whether to retrain is not known: daily-leads says: Not judged: the feed is silent."
    )
    bug = state(drifted(T0 + DAY, triage="pipeline_bug"), silent)
    assert "pipeline bug" in decide(rules, bug, T0 + 2 * DAY).reason


def test_a_performance_drop_above_five_percent_retrains_and_at_five_percent_does_not() -> None:
    now = T0 + 2 * DAY
    assert isinstance(decide(RULES, state(seen(T0 + DAY, kind="concept", drop=0.051)), now), Retrain)
    assert held(decide(RULES, state(seen(T0 + DAY, kind="concept", drop=0.05)), now)) == "calm"


@pytest.mark.parametrize(
    "triggers", [Triggers(performance=PerformanceTrigger()), Triggers(drift=DriftTrigger())]
)
def test_a_run_answers_what_was_measured_on_leads_from_before_it(triggers: Triggers) -> None:
    """Outcomes come weeks late: the day after a run the detector still speaks of the leads of last month."""
    rules, now = RetrainRules(model="leads", triggers=triggers), T0 + 60 * DAY
    run = done(now - 5 * DAY)
    lost = drifted(now, kind="concept", drop=0.2, outcomes_end=now - 30 * DAY)
    assert isinstance(decide(rules, state(lost), now), Retrain)
    assert held(decide(rules, state(lost, runs=(run,)), now)) == "calm"
    later = drifted(now, kind="concept", drop=0.2, outcomes_end=now - 4 * DAY)
    assert isinstance(decide(rules, state(later, runs=(run,)), now), Retrain)


@pytest.mark.parametrize("trigger", ["drift", "performance", "schedule"])
def test_a_pipeline_bug_never_retrains(trigger: str) -> None:
    now = T0 + 8 * DAY
    bug = drifted(
        now, triage="pipeline_bug", severity="critical", drop=0.5 if trigger == "performance" else None
    )
    triggers = Triggers(**{trigger: getattr(ALL, trigger)})
    decision = decide(RetrainRules(model="leads", triggers=triggers), state(bug), now)
    assert held(decision) in {"calm", "pipeline-bug"}
    assert "pipeline bug" in decision.reason


def test_a_pipeline_bug_holds_back_other_detectors_and_the_schedule_until_it_is_mended() -> None:
    now = T0 + 8 * DAY
    bug = drifted(now - 2 * DAY, detector="hourly-leads", triage="pipeline_bug", worst="revenue")
    moved = drifted(now - DAY)
    assert held(decide(RULES, state(bug, moved), now)) == "pipeline-bug"
    assert isinstance(decide(RULES, state(bug, moved, manual="me"), now), Retrain), "a person may"
    mended = seen(now - timedelta(hours=1), detector="hourly-leads")
    assert isinstance(decide(RULES, state(bug, moved, mended), now), Retrain)


def test_a_trigger_in_the_cool_down_is_held_and_served_after_it() -> None:
    run = done(T0 + DAY)
    trigger = drifted(T0 + DAY + timedelta(hours=3))
    waiting = decide(DRIFT_ONLY, state(trigger, runs=(run,)), T0 + DAY + timedelta(hours=4))
    assert held(waiting) == "cool-down"
    assert waiting.until == T0 + 2 * DAY + timedelta(hours=1)
    assert isinstance(decide(DRIFT_ONLY, state(trigger, runs=(run,)), waiting.until), Retrain)


def test_a_held_trigger_is_served_though_later_verdicts_are_calm_and_expires_after_its_hold() -> None:
    run, trigger = done(T0), drifted(T0 + timedelta(hours=3))
    known = state(trigger, seen(T0 + DAY), runs=(run,))
    assert isinstance(decide(DRIFT_ONLY, known, T0 + 2 * DAY), Retrain)
    assert held(decide(DRIFT_ONLY, known, T0 + 8 * DAY)) == "calm"


def test_a_run_answers_the_windows_before_it() -> None:
    assert held(decide(DRIFT_ONLY, state(drifted(T0 + DAY), runs=(done(T0 + DAY),)), T0 + 3 * DAY)) == "calm"


def test_a_verdict_about_an_older_model_is_no_reason() -> None:
    old, new = drifted(T0 + DAY, model_version="3"), seen(T0 + 2 * DAY, model_version="4")
    assert held(decide(DRIFT_ONLY, state(old, new), T0 + 2 * DAY)) == "calm"


def test_a_live_run_or_a_release_on_its_way_is_waited_for() -> None:
    live = PastRun(key="k", created=T0, finished=None)
    moved = drifted(T0 + DAY)
    assert held(decide(RULES, state(moved, runs=(live,)), T0 + DAY)) == "live-run"
    assert held(decide(RULES, state(moved, runs=(live,), manual="now"), T0 + DAY)) == "live-run"
    assert held(decide(RULES, state(moved, release="leads-4"), T0 + DAY)) == "release"


def test_the_budget_binds_people_too_and_says_until_when() -> None:
    rules = RetrainRules(model="leads", budget=Budget(runs=2, per="30d"))
    runs = (done(T0), done(T0 + 5 * DAY))
    waiting = decide(rules, state(runs=runs, manual="x"), T0 + 10 * DAY)
    assert held(waiting) == "budget"
    assert waiting.until == T0 + 30 * DAY
    assert isinstance(decide(rules, state(runs=runs, manual="x"), waiting.until), Retrain)


def test_a_manual_request_skips_the_cool_down_and_is_served_once() -> None:
    run = done(T0 + DAY)
    asked = decide(RULES, state(runs=(run,), manual="t1"), T0 + DAY + timedelta(hours=2))
    assert isinstance(asked, Retrain)
    assert asked.key == "manual-t1"
    served = done(T0 + DAY, key="manual-t1")
    assert held(decide(RULES, state(runs=(served,), manual="t1"), T0 + DAY + timedelta(hours=2))) == "calm"


def test_a_suspended_policy_decides_only_what_people_ask() -> None:
    rules = RetrainRules(model="leads", triggers=ALL, suspend=True)
    assert held(decide(rules, state(drifted(T0 + DAY)), T0 + DAY)) == "suspended"
    assert isinstance(decide(rules, state(manual="x"), T0 + DAY), Retrain)


def test_the_ramp_is_weekly_for_three_months_and_then_monthly() -> None:
    ramp = ScheduleTrigger().ramp
    slots, now = [], T0
    while len(slots) < 15:
        now = next_slot(ramp, T0, now)
        assert now is not None
        slots.append((now - T0).days)
    assert slots == [*range(7, 90, 7), 120, 150, 180]
    assert last_slot(ramp, T0, T0 + 6 * DAY) is None
    assert last_slot(ramp, T0, T0 + 119 * DAY) == T0 + 84 * DAY


def test_missed_slots_are_not_caught_up_and_any_run_serves_a_slot() -> None:
    rules = RetrainRules(model="leads", triggers=Triggers(schedule=ScheduleTrigger()))
    late = decide(rules, state(), T0 + 40 * DAY)
    assert isinstance(late, Retrain)
    assert late.key == "schedule-20260405T000000"
    assert held(decide(rules, state(runs=(done(T0 + 36 * DAY),)), T0 + 40 * DAY)) == "calm"


def test_a_verdict_becomes_an_observation_with_its_loss_of_auc() -> None:
    worst = (FeatureVerdict(feature="score", statistic="auc_drop", value=0.07),)
    measured = T0 - 30 * DAY
    verdict = DriftVerdict(
        detector="performance", model_name="leads", model_version="3", window_start=T0, window_end=T0 + DAY,
        rows=900, severity="significant", drifted=True, worst=worst, kind="concept", reasons=("AUC fell.",),
        drop=0.07, outcomes_end=measured,
    )  # fmt: skip
    observation = Observation.of("quality", "weekly", verdict)
    assert (observation.drop, observation.worst, observation.why) == (0.07, "score", "AUC fell.")
    assert observation.outcomes_end == measured


_moments = st.integers(0, 60 * 24).map(lambda hours: T0 + timedelta(hours=hours))
_observations = st.lists(
    st.builds(
        drifted,
        _moments,
        detector=st.sampled_from(["a", "b"]),
        model_version=st.sampled_from(["3", "4"]),
        triage=st.sampled_from(["market_moved", "pipeline_bug", "unclear"]),
        drop=st.none() | st.floats(0, 0.5),
    ),
    max_size=6,
)


@given(_observations, st.lists(st.builds(done, _moments), max_size=5), _moments)
def test_acting_on_a_decision_settles_it(
    observations: list[Observation], runs: list[PastRun], now: datetime
) -> None:
    """Whatever was decided, the same state with the run that it asked for asks for no second one."""
    known = state(
        *[o for o in observations if o.window_end <= now], runs=tuple(r for r in runs if r.created <= now)
    )
    decision = decide(RULES, known, now)
    assert decision == decide(RULES, known, now)
    if isinstance(decision, Retrain):
        live = PastRun(key=decision.key, created=now, finished=None)
        after = msgspec.structs.replace(known, runs=(*known.runs, live))
        assert isinstance(decide(RULES, after, now + timedelta(minutes=1)), Wait)
        ended = msgspec.structs.replace(
            known, runs=(*known.runs, msgspec.structs.replace(live, finished=now))
        )
        assert isinstance(decide(RULES, ended, now + 2 * DAY - timedelta(days=1, seconds=1)), Wait)
    elif decision.until is not None:
        assert decision.until > now
