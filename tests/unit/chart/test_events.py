"""What looks after the event store: a migration for each release, and a retention for those who want one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.support.chart import Chart, Manifest

One = Callable[..., Manifest]


def migration(one: One, *settings: str) -> Manifest:
    return one("Job", *settings, part="-events-migrate-")


def test_the_migration_is_the_new_pods_own_image_on_the_store_that_they_write_to(one: One) -> None:
    (container,) = migration(one)["spec"]["template"]["spec"]["containers"]
    scoring = one("Rollout")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == scoring["image"]
    assert container["command"] + container["args"] == ["python", "-m", "leadscore.cli", "events", "migrate"]
    url = "LEADSCORE_EVENTS_URL"
    assert [e for e in container["env"] if e["name"] == url] == [
        e for e in scoring["env"] if e["name"] == url
    ]


def test_another_image_or_database_is_another_migration(one: One) -> None:
    name = migration(one)["metadata"]["name"]
    yours = ("postgresql.enabled=false", "events.existingSecret=mine", "networkPolicy.enabled=false")
    assert migration(one, "scoring.reasons=5")["metadata"]["name"] == name
    assert migration(one, "image.tag=9")["metadata"]["name"] != name
    assert migration(one, *yours)["metadata"]["name"] != name


def test_who_migrates_by_hand_gets_no_job(chart: Chart) -> None:
    made = chart.render("events.migration.enabled=false")
    assert not [m for m in made if m["kind"] == "Job"]


def test_nothing_is_removed_unless_somebody_says_how_long_it_is_kept(one: One, chart: Chart) -> None:
    assert not [m for m in chart.render() if m["kind"] == "CronJob"]
    cron = one("CronJob", "events.retention.keep=730d")["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    (container,) = cron["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["retain", "--keep", "730d"]


@pytest.mark.parametrize("keep", ["2y", "730", "0d"])
def test_a_span_that_the_command_would_not_read_is_refused(chart: Chart, keep: str) -> None:
    assert "keep" in chart.refusal(f"events.retention.keep={keep}")
