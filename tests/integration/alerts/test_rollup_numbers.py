"""Numbers of alerts out of the roll-ups' own tables, and rules looked back at, on both databases."""

from __future__ import annotations

import sqlalchemy as sa

from leadscore.alerts.backtest import backtest_rule
from leadscore.alerts.measures import RollupReader
from leadscore.alerts.rules import AlertRule, default_rules
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.tables import HOUR_US, rollup_hours, rollup_progress

DAY = 24 * HOUR_US
NOW = 1_800_000_000_000_000 // DAY * DAY + 12 * HOUR_US
DAYS = 150
LABELS = (("model", "leads"),)


def fill(store: EventStore, *, drop_at: int | None) -> None:
    """A thousand leads a day, of which a tenth converts; from a day on, three tenths fewer of them."""
    rows = []
    for number in range(DAYS):
        hour = NOW - (DAYS - number) * DAY
        converted = 70 if drop_at is not None and number >= drop_at else 100
        row = {column.name: 0 for column in rollup_hours.columns}
        row |= {
            "hour": hour, "model_name": "leads", "model_version": "1", "role": "champion", "source": "api",
            "grade": "A", "predictions": 1000, "labelled": 1000, "converted": converted,
        }  # fmt: skip
        rows.append(row)
    with store.writing() as connection:
        connection.execute(sa.insert(rollup_hours), rows)
        progress = [{"name": name, "at": NOW} for name in ("caught_up", "seen")]
        connection.execute(sa.insert(rollup_progress), progress)


def rule(name: str) -> AlertRule:
    found = default_rules().named(name)
    assert found is not None
    return found


def test_a_drop_is_measured_once_its_leads_are_old_enough(store: EventStore) -> None:
    # The newest week that is 30 days old lies after the drop.
    fill(store, drop_at=DAYS - 38)
    measure = RollupReader(store, lambda *_: None).at(rule("LeadScoringConversionDrop"), NOW)[LABELS]
    assert measure.value is not None
    assert measure.high is not None
    assert -0.31 < measure.value < -0.2
    assert measure.high < 0
    assert measure.n == 7000


def test_looking_back_finds_the_drop_once_and_nothing_in_a_calm_time(store: EventStore) -> None:
    fill(store, drop_at=60)
    reader = RollupReader(store, lambda *_: None)
    found = backtest_rule(rule("LeadScoringConversionDrop"), reader.at, NOW - 90 * DAY, NOW)
    assert found.looks == 91
    assert len(found.episodes) == 1
    begun = (found.episodes[0].started_at - (NOW - DAYS * DAY)) / DAY
    # Day 60, and 30 days until its outcomes are known, and a few that the week needs.
    assert 90 < begun <= 98


def test_calm_is_within_bounds_and_an_artefact_that_is_not_there_is_unknown(store: EventStore) -> None:
    fill(store, drop_at=None)
    reader = RollupReader(store, lambda *_: None)
    calm = reader.at(rule("LeadScoringConversionDrop"), NOW)[LABELS]
    assert calm.value == 0
    psi = reader.at(rule("LeadScoringFeatureDrift"), NOW - 10 * HOUR_US)
    assert all(each.value is None and each.unknown for each in psi.values())
    assert reader.at(rule("LeadScoringRollupLag"), NOW)[()].value == 0
