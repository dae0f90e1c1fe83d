"""Detectors' verdicts are read for one version, however much their records hold besides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from leadscore.drift.verdict import DriftVerdict, Severity
from leadscore.events.records import Evidence
from leadscore.events.store import EventStore
from leadscore.monitoring.queries.ranges import HourRange, moment_us
from leadscore.monitoring.queries.verdicts import read_latest_verdicts, read_verdicts

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def record(
    store: EventStore, version: str, detector: str, end: datetime, severity: Severity = "none"
) -> None:
    verdict = DriftVerdict(
        detector="univariate", model_name="leads", model_version=version,
        window_start=end - timedelta(days=1),
        window_end=end, rows=100, severity=severity, drifted=False,
    )  # fmt: skip
    document = {
        "detector": detector,
        "report": {"verdict": verdict, "features": []},
        "history": {"of": "years"},
    }
    store.record(
        Evidence(
            f"drift-{version}-{detector}-{end:%d%H}", "drift", f"leads/{version}:{detector}", moment_us(end),
            msgspec.json.encode(document).decode(),
        )
    )  # fmt: skip


def test_the_newest_of_each_detector_of_the_version(url: str) -> None:
    with EventStore(url) as store:
        for days in (3, 2, 1):
            record(store, "7", "daily", NOW - timedelta(days=days), "moderate" if days == 1 else "none")
        record(store, "7", "weekly", NOW - timedelta(days=400))
        record(store, "70", "daily", NOW, "critical")
        record(store, "8", "daily", NOW, "critical")
        with store.reading() as connection:
            latest = read_latest_verdicts(connection, "leads", "7")
            week = HourRange.last(timedelta(days=7), NOW)
            history = read_verdicts(connection, "leads", "7", week, limit=2)
    assert [(found.detector, found.verdict.severity) for found in latest if found.verdict] == [
        ("daily", "moderate"),
        ("weekly", "none"),
    ]
    assert [found.verdict.window_end for found in history if found.verdict] == [
        NOW - timedelta(days=1),
        NOW - timedelta(days=2),
    ]


def test_a_damaged_record_is_unknown_and_not_absent(url: str) -> None:
    with EventStore(url) as store:
        store.record(Evidence("drift-x", "drift", "leads/7:daily", moment_us(NOW), '{"report": 3}'))
        with store.reading() as connection:
            (found,) = read_latest_verdicts(connection, "leads", "7")
    assert found.verdict is None
    assert found.detector == "daily"
