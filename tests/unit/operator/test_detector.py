from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.unit.operator.objects import NOW, WORKLOAD, Manifest, detector, job, verdict
from typer.main import get_command

from leadscore.cli.main import app
from leadscore.errors import BadInputError
from leadscore_operator.decide.detector import DetectorObservation, observations, plan_detector, unread
from leadscore_operator.decide.jobs import TerminationMessage
from leadscore_operator.errors import KubeError
from leadscore_operator.kube.resources import CRONJOBS
from leadscore_operator.plan import Apply, Delete, Plan
from leadscore_operator.resources import DetectorSpec, Schedule, decode
from leadscore_operator.specs.checks import check_command, cron_job


def plan(item: Manifest, *, crons: Any = None, jobs: Any = (), words: Any = None) -> Plan:
    spec = decode(item["spec"], DetectorSpec, "spec")
    if crons is None:
        crons = [made(item, schedule) for schedule in spec.schedules]
    return plan_detector(DetectorObservation(item, crons, jobs, words or {}), WORKLOAD, NOW)


def made(item: Manifest, schedule: Schedule) -> Manifest:
    body = cron_job(item, decode(item["spec"], DetectorSpec, "spec"), schedule, WORKLOAD)
    return body | {"metadata": body["metadata"] | {"uid": "u", "resourceVersion": "9"}}


def status(done: Plan) -> Manifest:
    assert done.status is not None
    return done.status


def test_a_new_detector_gets_a_cron_job_per_schedule_and_a_next_run() -> None:
    done = plan(detector(), crons=[])
    (apply,) = done.changes
    assert isinstance(apply, Apply)
    assert "uid" not in apply.body["metadata"], (
        "a CronJob of that name that is there already is not taken over"
    )
    command = apply.body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["command"]
    assert command[:5] == ["leadscore", "drift", "check", "--model=leads@champion", "--window=1d"]
    assert status(done)["severity"] == "unknown"
    assert status(done)["nextRun"] == "2026-03-11T00:00:00Z"


def test_methods_and_how_outcomes_are_judged_get_into_the_command_of_each_schedule() -> None:
    schedules = [
        {"name": "hourly", "cron": "@hourly", "window": "1h", "methods": ["univariate"]},
        {"name": "daily", "cron": "@daily", "window": "1d"},
    ]
    declared = {"window": "60d", "maturity": "45d", "maxDrop": 0.1}
    item = detector(schedules=schedules, methods=["univariate", "performance"], performance=declared)
    spec = decode(item["spec"], DetectorSpec, "spec")
    hourly, daily = (check_command("leads", spec, schedule) for schedule in spec.schedules)
    assert "--methods=univariate" in hourly
    assert [a for a in hourly if a.startswith("--maturity")] == []
    said = {
        "--methods=univariate,performance",
        "--performance-window=60d",
        "--maturity=45d",
        "--max-drop=0.1",
    }
    assert said <= set(daily)
    command: Any = get_command(app)
    parameters = command.commands["drift"].commands["check"].params
    options = {option for parameter in parameters for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in daily[3:]} <= options


def test_a_stream_is_watched_by_a_command_that_takes_these_options() -> None:
    schedules = [{"name": "stream", "cron": "@hourly", "window": "1d", "methods": ["sequential"]}]
    budget = {"expected": 1, "per": "60d"}
    item = detector(schedules=schedules, performance={"maturity": "45d"}, falseAlarms=budget)
    spec = decode(item["spec"], DetectorSpec, "spec")
    (command,) = (check_command("leads", spec, schedule) for schedule in spec.schedules)
    assert command[:3] == ["leadscore", "drift", "watch"]
    said = {"--outcomes", "--maturity=45d", "--window=1d", "--detector=leads-stream", "--false-alarms=1/60d"}
    assert said <= set(command)
    program: Any = get_command(app)
    parameters = program.commands["drift"].commands["watch"].params
    options = {option for parameter in parameters for option in parameter.opts}
    assert {argument.partition("=")[0] for argument in command[3:]} <= options


def test_alibi_detects_methods_run_in_the_image_that_has_them() -> None:
    schedules = [
        {"name": "hourly", "cron": "@hourly", "window": "1h"},
        {"name": "daily", "cron": "@daily", "window": "1d", "methods": ["univariate", "alibi:KSDrift"]},
    ]
    item = detector(schedules=schedules)
    spec = decode(item["spec"], DetectorSpec, "spec")
    workload = msgspec.structs.replace(WORKLOAD, alibi_image="registry/drift-alibi:1")
    images = [
        cron_job(item, spec, schedule, workload)["spec"]["jobTemplate"]["spec"]["template"]["spec"][
            "containers"
        ][0]["image"]
        for schedule in spec.schedules
    ]
    assert images == ["registry/jobs:1", "registry/drift-alibi:1"]


def test_a_settled_detector_only_applies_what_is_there_and_gives_the_same_status_again() -> None:
    item = detector()
    (schedule,) = decode(item["spec"], DetectorSpec, "spec").schedules
    done = plan(item)
    assert done.changes == (Apply(CRONJOBS, made(item, schedule)),)
    again = plan(detector(status(done)))
    assert (again.status, again.events) == (done.status, ())


def test_what_somebody_changed_in_a_cron_job_is_set_back_and_what_is_not_wanted_goes() -> None:
    item = detector()
    (schedule,) = decode(item["spec"], DetectorSpec, "spec").schedules
    bent = made(item, schedule)
    bent["spec"]["schedule"] = "0 1 * * *"
    (apply,) = plan(item, crons=[bent]).changes
    assert isinstance(apply, Apply)
    assert apply.body["spec"]["schedule"] == "@daily"
    assert (apply.body["metadata"]["uid"], apply.body["metadata"]["resourceVersion"]) == ("u", "9")
    left = made(item, replace_name(schedule, "hourly"))
    deletes = [c for c in plan(item, crons=[made(item, schedule), left]).changes if isinstance(c, Delete)]
    assert [d.name for d in deletes] == [left["metadata"]["name"]]


def replace_name(schedule: Schedule, name: str) -> Schedule:
    return Schedule(name=name, cron=schedule.cron, window=schedule.window)


def test_an_old_look_at_the_detector_undoes_nothing_newer() -> None:
    item = detector()
    newer = made(item, replace_name(Schedule(name="x", cron="@daily", window="1d"), "hourly"))
    newer["metadata"]["annotations"]["leadscore.dev/generation"] = "2"
    with pytest.raises(KubeError, match="newer generation"):
        plan(item, crons=[newer])


def test_a_verdict_gets_into_the_status_once() -> None:
    jobs = [job("c-1", ended="Complete")]
    done = plan(detector(), jobs=jobs, words={"c-1": verdict()})
    found = status(done)
    assert (found["severity"], found["worst"], found["triage"]) == ("significant", "budget", "market_moved")
    assert [h.reason for h in done.events] == ["Drifted"]
    item = detector(found)
    assert unread(item, jobs) == []
    assert plan(item, jobs=jobs).events == ()
    (observation,) = observations(item)
    assert (observation.detector, observation.severity, observation.model_version) == (
        "leads",
        "significant",
        "3",
    )


def test_a_pipeline_bug_is_told_to_the_owner_of_the_data() -> None:
    done = plan(
        detector(), jobs=[job("c-1", ended="Complete")], words={"c-1": verdict("critical", "pipeline_bug")}
    )
    assert [(h.reason, h.type) for h in done.events] == [("PipelineBug", "Warning")]
    assert "data owner" in done.events[0].message


@pytest.mark.parametrize(
    ("ended", "words", "says"),
    [
        ("Failed", TerminationMessage("The event store is down.", 6), "event store is down"),
        ("Complete", TerminationMessage("not JSON", 0), "not a drift verdict"),
        ("Failed", None, "because"),
    ],
)
def test_a_check_without_a_verdict_is_a_failure_and_never_no_drift(
    ended: str, words: TerminationMessage | None, says: str
) -> None:
    known = {"c-1": words} if words else {}
    done = plan(detector(), jobs=[job("c-1", ended=ended, minutes_ago=11)], words=known)
    assert status(done)["severity"] == "unknown"
    (ready,) = status(done)["conditions"]
    assert (ready["status"], ready["reason"]) == ("False", "CheckFailed")
    assert says in ready["message"]


def test_a_finished_job_whose_pod_is_not_seen_yet_is_looked_at_again() -> None:
    done = plan(detector(), jobs=[job("c-1", ended="Complete")])
    assert status(done)["readJobs"] == []
    assert done.again is not None
    assert done.again <= NOW + timedelta(seconds=5)


def test_successive_breaches_are_counted_and_a_window_without_drift_ends_them() -> None:
    words = {
        f"c-{n}": verdict(severity, days_ago=4 - n)
        for n, severity in enumerate(["none", "moderate", "critical"])
    }
    jobs = [job(name, ended="Complete", minutes_ago=9 - n) for n, name in enumerate(words)]
    found = status(plan(detector(), jobs=jobs, words=words))
    assert (found["severity"], found["consecutiveBreaches"]) == ("critical", 2)
    calm = plan(
        detector(found),
        jobs=[job("c-9", ended="Complete")],
        words={"c-9": verdict("none", "none", days_ago=0)},
    )
    assert (status(calm)["severity"], status(calm)["consecutiveBreaches"]) == ("none", 0)


def test_a_check_that_could_not_judge_is_unknown_and_never_no_drift() -> None:
    silent = verdict("none", "none", days_ago=0, state="silent")
    done = plan(detector(), jobs=[job("c-1", ended="Complete")], words={"c-1": silent})
    found = status(done)
    assert (found["severity"], found["verdicts"][0]["severity"]) == ("unknown", "unknown")
    assert [(h.reason, h.type) for h in done.events] == [("NotJudged", "Warning")]
    (schedule,) = found["schedules"]
    assert (schedule["outcome"], schedule["message"]) == ("NotJudged", "Budgets moved.")
    (observation,) = observations(detector(found))
    assert (observation.severity, observation.judged) == ("none", False)


def test_a_window_that_could_not_be_judged_neither_adds_to_a_run_of_breaches_nor_ends_it() -> None:
    words = {
        "c-0": verdict("moderate", days_ago=3),
        "c-1": verdict("none", "none", days_ago=2, state="not_judged"),
        "c-2": verdict("critical", days_ago=1),
    }
    jobs = [job(name, ended="Complete", minutes_ago=9 - n) for n, name in enumerate(words)]
    found = status(plan(detector(), jobs=jobs, words=words))
    assert (found["severity"], found["consecutiveBreaches"]) == ("critical", 2)


def test_no_drift_by_one_schedule_does_not_hide_that_another_could_not_judge() -> None:
    schedules = [{"name": n, "cron": "@daily", "window": "1d"} for n in ("daily", "weekly")]
    jobs = [job("c-1", ended="Complete", schedule="daily"), job("c-2", ended="Complete", schedule="weekly")]
    words = {
        "c-1": verdict("none", "none"),
        "c-2": verdict("none", "none", state="silent"),
    }
    assert status(plan(detector(schedules=schedules), jobs=jobs, words=words))["severity"] == "unknown"


def test_a_suspended_detector_has_suspended_cron_jobs_and_no_next_run() -> None:
    done = plan(detector(suspend=True), crons=[])
    assert isinstance(done.changes[0], Apply)
    assert done.changes[0].body["spec"]["suspend"] is True
    assert "nextRun" not in status(done)


def test_a_spec_that_cannot_be_read_is_named() -> None:
    with pytest.raises(BadInputError, match="spec cannot be read"):
        plan_detector(DetectorObservation(detector(schedules=[{"name": "x"}]), [], [], {}), WORKLOAD, NOW)
