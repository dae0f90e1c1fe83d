from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector, job, run, stamp, thing, verdict

from leadscore_operator.decide.detector import KEPT, DetectorObservation, plan_detector
from leadscore_operator.decide.metric_samples import CATALOGUE, metric_samples_of
from leadscore_operator.engine.health import Health
from leadscore_operator.engine.metrics import MetricSamples, OperatorCollector, exposition
from leadscore_operator.errors import NotLeaderError

Shown = dict[tuple[str, tuple[str, ...]], float]


def shown(plural: str, item: Manifest) -> Shown:
    return {(f.series.name, f.labels): f.value for f in metric_samples_of(plural, item)}


def release(phase: str, **status: Any) -> Manifest:
    spec = {"model": "leads", "version": 7, "rollout": "leads"}
    return thing("leads-7", spec, {"phase": phase, **status})


def judged(*, triage: str = "market_moved", **spec: Any) -> Manifest:
    """A detector whose daily check has ended a minute ago, as the operator writes it."""
    item = detector(**spec)
    jobs = [job("c-1", ended="Complete")]
    plan = plan_detector(DetectorObservation(item, (), jobs, {"c-1": verdict(triage=triage)}), WORKLOAD, NOW)
    return item | {"status": plan.status}


def test_a_verdict_is_a_severity_with_its_triage_and_worst_feature() -> None:
    found = shown("driftdetectors", judged(triage="pipeline_bug"))
    labels = ("leads", "daily", "leads@champion", "pipeline_bug", "budget")
    assert found["leadscore_drift_severity", labels] == 2
    assert found["leadscore_drift_drifted", ("leads", "daily")] == 1
    at = (NOW - timedelta(minutes=1)).timestamp()
    assert found["leadscore_drift_verdict_timestamp_seconds", ("leads", "daily")] == at


def test_a_check_that_could_not_judge_has_no_severity_and_is_no_verdict_that_breaks_a_silence() -> None:
    item = judged()
    words = {"c-2": verdict("none", "none", days_ago=0, state="silent")}
    jobs = [job("c-1", ended="Complete"), job("c-2", ended="Complete", minutes_ago=0)]
    plan = plan_detector(DetectorObservation(item, (), jobs, words), WORKLOAD, NOW)
    found, before = shown("driftdetectors", item | {"status": plan.status}), shown("driftdetectors", item)
    for name in (
        "leadscore_drift_verdict_timestamp_seconds",
        "leadscore_drift_silent_from_timestamp_seconds",
    ):
        assert found[name, ("leads", "daily")] == before[name, ("leads", "daily")]
    assert not [key for key in found if key[0] in {"leadscore_drift_severity", "leadscore_drift_drifted"}]


def test_a_detector_is_silent_from_its_third_check_after_the_verdict_whatever_a_calendar_leaves_out() -> None:
    silent = ("leadscore_drift_silent_from_timestamp_seconds", ("leads", "daily"))
    # A Tuesday's verdict; checks on Fridays and Saturdays only.
    item = judged(schedules=[{"name": "daily", "cron": "0 6 * * 5,6", "window": "1d"}])
    friday = NOW.replace(day=13, hour=6)
    assert shown("driftdetectors", item)[silent] == (friday + timedelta(days=7)).timestamp()


def test_a_detector_without_a_verdict_is_given_its_time_from_when_it_was_first_served_or_resumed() -> None:
    silent = ("leadscore_drift_silent_from_timestamp_seconds", ("leads", "daily"))
    item = detector()
    plan = plan_detector(DetectorObservation(item, (), (), {}), WORKLOAD, NOW)
    begun = shown("driftdetectors", item | {"status": plan.status})
    assert begun == {silent: NOW.replace(day=13, hour=0).timestamp()}

    held = detector(plan.status, suspend=True)
    paused = plan_detector(DetectorObservation(held, (), (), {}), WORKLOAD, NOW)
    assert shown("driftdetectors", held | {"status": paused.status}) == {}
    later = NOW + timedelta(days=30)
    again = plan_detector(DetectorObservation(detector(paused.status), (), (), {}), WORKLOAD, later)
    moment = shown("driftdetectors", item | {"status": again.status})[silent]
    assert moment == (later.replace(hour=0) + timedelta(days=3)).timestamp()


def test_a_check_that_comes_more_often_from_now_on_has_missed_none_yet() -> None:
    silent = ("leadscore_drift_silent_from_timestamp_seconds", ("leads", "daily"))
    daily = judged()
    later = NOW + timedelta(hours=20)
    hourly = detector(daily["status"], schedules=[{"name": "daily", "cron": "0 * * * *", "window": "1d"}])
    jobs = [job("c-1", ended="Complete")]
    for now in (later, later + timedelta(hours=1)):
        plan = plan_detector(DetectorObservation(hourly, (), jobs, {}), WORKLOAD, now)
        hourly |= {"status": plan.status}
    assert shown("driftdetectors", hourly)[silent] == (later + timedelta(hours=3)).timestamp()


def test_checks_by_the_hour_do_not_crowd_out_the_verdict_of_the_week() -> None:
    schedules = [{"name": n, "cron": f"@{n}", "window": "1h"} for n in ("hourly", "weekly")]
    item = detector(schedules=schedules)
    for hours in range(KEPT + 5, 0, -1):
        name = "weekly" if hours == KEPT + 5 else "hourly"
        ended = job(
            f"c-{hours}", ended="Complete", minutes_ago=60 * hours, **{"leadscore.dev/schedule": name}
        )
        words = {f"c-{hours}": verdict("critical" if name == "weekly" else "none", days_ago=hours / 24)}
        plan = plan_detector(DetectorObservation(item, (), [ended], words), WORKLOAD, NOW)
        item = detector(plan.status, schedules=schedules)
    assert len(item["status"]["verdicts"]) == KEPT + 1
    assert item["status"]["severity"] == "critical"
    severities = {labels[1]: v for (n, labels), v in shown("driftdetectors", item).items() if "severity" in n}
    assert severities == {"hourly": 0, "weekly": 3}


def test_runs_are_counted_by_policy_and_phase_and_the_newest_end_of_each_is_known() -> None:
    metric_samples = MetricSamples()
    for number, phase in enumerate(("Failed", "Failed", "Succeeded", "Running")):
        ended = {"finished": stamp(NOW + timedelta(hours=number))} if phase != "Running" else {}
        item = run({"phase": phase, **ended}, name=f"leads-{number}")
        metric_samples.hold(("retrainruns", item["metadata"]["name"]), metric_samples_of("retrainruns", item))
    values = {series.name: by_labels for series, by_labels in metric_samples.together().items()}
    assert values["leadscore_retrain_runs"] == {
        ("leads", "Failed"): 2,
        ("leads", "Succeeded"): 1,
        ("leads", "Running"): 1,
    }
    finished = values["leadscore_retrain_finished_timestamp_seconds"]
    assert finished["leads", "Failed"] == (NOW + timedelta(hours=1)).timestamp()
    metric_samples.forget(("retrainruns", "leads-1"))
    values = {series.name: by_labels for series, by_labels in metric_samples.together().items()}
    assert values["leadscore_retrain_runs"]["leads", "Failed"] == 1


def test_a_release_that_ended_is_only_counted() -> None:
    which = ("leads-7", "leads", "7", "AwaitingApproval")
    found = shown("modelreleases", release("AwaitingApproval", since=stamp(NOW), askedSince=stamp(NOW)))
    assert found["leadscore_release_phase_since_timestamp_seconds", which] == NOW.timestamp()
    assert found["leadscore_release_asks_since_timestamp_seconds", which] == NOW.timestamp()
    assert shown("modelreleases", release("Promoted", since=stamp(NOW))) == {
        ("leadscore_releases", ("leads", "Promoted")): 1
    }


def page(*, leads: bool = True) -> dict[str, dict[tuple[str, ...], float]]:
    def check() -> None:
        if not leads:
            raise NotLeaderError("The Lease is not ours.")

    metric_samples, health = MetricSamples(), Health(now=lambda: 100.0)
    metric_samples.hold(("driftdetectors", "leads"), metric_samples_of("driftdetectors", judged()))
    health.ended(("driftdetectors", "leads"), "error")
    text = exposition(OperatorCollector(health, metric_samples, check, lambda: 3, 120.0)).decode()
    return {
        sample.name: {tuple(s.labels.values()): s.value for s in family.samples}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_only_the_leader_speaks_of_objects() -> None:
    leader, other = page(), page(leads=False)
    assert leader["leadscore_operator_leading"] == {(): 1}
    assert other["leadscore_operator_leading"] == {(): 0}
    objects = {series.name for series in CATALOGUE}
    assert "leadscore_drift_severity" in leader
    assert objects.isdisjoint(other)
    assert other["leadscore_operator_reconciles_total"] == {("driftdetectors", "error"): 1}


@pytest.mark.parametrize("series", CATALOGUE, ids=lambda series: series.name)
def test_no_series_has_a_label_of_a_lead_or_a_job(series: Any) -> None:
    known = {"detector", "schedule", "model", "triage", "feature", "policy", "phase", "release", "version"}
    known |= {"kind", "reason"}
    assert set(series.labels) <= known


def test_what_is_told_is_what_is_held_now() -> None:
    metric_samples = MetricSamples()
    key, item = ("driftdetectors", "leads"), judged()
    metric_samples.hold(key, metric_samples_of("driftdetectors", item))
    first = metric_samples.page()
    metric_samples.hold(key, metric_samples_of("driftdetectors", item))
    assert metric_samples.page() is first, "made again only when something has changed"
    metric_samples.hold(key, metric_samples_of("driftdetectors", judged(triage="pipeline_bug")))
    assert b"pipeline_bug" in metric_samples.page()
    metric_samples.forget(key)
    assert b"pipeline_bug" not in metric_samples.page()
