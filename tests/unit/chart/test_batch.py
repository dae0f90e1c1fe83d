"""Nights and CRMs: when runs start, as whom, with what, and what cannot work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from tests.support.chart import Chart, Manifest, environment
from typer.main import get_command

from leadscore.batch.schedule import NightSchedule
from leadscore.cli.main import app
from leadscore.errors import ExitCode
from leadscore_operator.decide.cron import next_run

One = Callable[..., Manifest]
REGISTRY = ("mlflow.enabled=true", "mlflow.artifactRoot=file:///artefacts", "mlflow.artifactClaim=artefacts")
ON = (*REGISTRY, "batch.enabled=true", "batch.leads=/lake/leads", "batch.claim=lake")
TABLE = 'crm.targets=[{"name":"warehouse","kind":"table"}]'
SEEN = ("console.enabled=true", "monitor.enabled=true")


def night(one: One, *settings: str, values: str = "", ending: str = "-batch") -> Manifest:
    return one("CronJob", *(() if values else ON), *settings, values=values, ending=ending)["spec"]


def pod(spec: Manifest) -> Manifest:
    return spec["jobTemplate"]["spec"]["template"]


def test_nothing_runs_at_night_unless_asked_for(chart: Chart) -> None:
    assert not [m for m in chart.render() if m["kind"] == "CronJob"]


@pytest.mark.parametrize(
    ("settings", "schedule"),
    [
        ((), "0 2,3,4,5,6,7 * * *"),
        (("batch.at=22:08",), "8 22,23,0,1,2,3 * * *"),
        (("batch.at=09:30",), "30 9,10,11,12,13,14 * * *"),
        (("batch.schedule=*/5 * * * *",), "*/5 * * * *"),
    ],
)
def test_a_night_has_several_starts(one: One, settings: tuple[str, ...], schedule: str) -> None:
    assert night(one, *settings)["schedule"] == schedule


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Etc/UTC"])
def test_every_date_of_a_year_has_a_start_once_it_is_due(one: One, zone: str) -> None:
    """Kubernetes leaves out 02:00 in March, and starts twice in October."""
    spec = night(one, f"batch.timeZone={zone}")
    nights = NightSchedule(spec["timeZone"], time(2), timedelta(hours=6))
    for day in range(365):
        due = nights.due_at(date(2026, 1, 1) + timedelta(days=day))
        start = next_run(spec["schedule"], zone, due - timedelta(microseconds=1))
        assert start is not None
        assert start - due <= timedelta(hours=1), due


def test_starts_never_overlap_and_a_late_one_is_made_up(one: One) -> None:
    spec = night(one)
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 6 * 3600)
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 3)


def test_a_killed_pod_is_followed_by_another_and_a_bad_table_is_not(one: One) -> None:
    job = night(one)["jobTemplate"]["spec"]
    assert job["backoffLimit"] > 0
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    lost, hopeless = job["podFailurePolicy"]["rules"]
    assert (lost["action"], hopeless["action"]) == ("Ignore", "FailJob")
    (container,) = job["template"]["spec"]["containers"]
    assert hopeless["onExitCodes"]["containerName"] == container["name"]
    ends = set(hopeless["onExitCodes"]["values"])
    assert ends == {ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.NOT_FOUND, ExitCode.CORRUPT}


def test_every_command_is_one_that_leadscore_takes(chart: Chart) -> None:
    jobs = [m for m in chart.render(*ON, *SEEN, TABLE) if m["kind"] == "CronJob"]
    assert {m["metadata"]["name"].partition("scoring-")[2] for m in jobs} == {
        *("batch", "batch-publish", "batch-maintain", "crm-publish")
    }
    for each in jobs:
        (container,) = pod(each["spec"])["spec"]["containers"]
        group, verb, *options = container["args"]
        command = get_command(app).commands[group].commands[verb]  # type: ignore[attr-defined]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {option.partition("=")[0] for option in options} <= known


def test_the_champion_of_the_served_model_is_what_scores(one: One) -> None:
    (container,) = pod(night(one, "model.name=b2b"))["spec"]["containers"]
    assert {"--due", "--model=b2b@champion", "--leads=/lake/leads"} <= set(container["args"])
    (container,) = pod(night(one, "batch.model=b2b/7"))["spec"]["containers"]
    assert "--model=b2b/7" in container["args"]


def test_runs_monitor_and_operator_know_the_same_nights(one: One) -> None:
    settings = (*ON, *SEEN, "operator.enabled=true", "batch.at=03:15", "batch.timeZone=Europe/Berlin")
    expected = {"ZONE": "Europe/Berlin", "AT": "03:15", "GRACE": "6h", "MODELS": "leads"}
    run = pod(night(one, *settings))
    made = (one("Deployment", *settings, ending=f"-{n}") for n in ("monitor", "operator"))
    others = (each["spec"]["template"] for each in made)
    for template in (run, *others):
        told = environment(template)
        assert {key: told[f"LEADSCORE_BATCH_{key}"] for key in expected} == expected
    told = environment(run)
    schedule = NightSchedule.from_environment(told)
    assert schedule.newest_due(datetime(2026, 7, 1, 1, 15, tzinfo=UTC)) == date(2026, 7, 1)


def test_the_lake_is_a_claim_or_a_url_with_credentials(one: One) -> None:
    template = pod(night(one))
    assert environment(template)["LEADSCORE_LAKE"] == "/lake"
    mounts = {m["name"]: m["mountPath"] for m in template["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["lake"] == "/lake"
    template = pod(night(one, values="all-options"))
    assert environment(template)["LEADSCORE_LAKE"] == "s3://leadscore/lake"
    assert template["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "object-store"}}]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("batch.enabled=true", "batch.leads=/lake/l", "batch.claim=c"), "Set mlflow.enabled=true"),
        ((*REGISTRY, "batch.enabled=true", "batch.claim=c"), "needs batch.leads"),
        ((*REGISTRY, "batch.enabled=true", "batch.leads=s3://b/l"), "Set batch.lake"),
        ((*ON[:-1], "batch.lake=s3://b/lake"), "no volume is mounted there"),
        ((*ON, "batch.at=2:00"), "/batch/at"),
        ((*ON, "batch.grace=soon"), "/batch/grace"),
    ],
)
def test_what_cannot_work_is_refused(chart: Chart, settings: tuple[str, ...], sentence: str) -> None:
    assert sentence in chart.refusal(*settings)
