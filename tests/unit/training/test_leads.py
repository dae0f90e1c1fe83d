"""When outcomes became known, as far as a table tells."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from leadscore.contract import FeatureContract
from leadscore.training.leads import arrange, days_to_outcome, label_state, lead_times, newest_moment


def test_a_table_without_dates_of_outcomes_does_not_tell_how_long_they_took(
    leads: pa.Table, contract: FeatureContract
) -> None:
    undated = msgspec.structs.replace(
        contract, target=msgspec.structs.replace(contract.target, known_at=None)
    )
    few = leads.slice(0, 50)
    outcome, known_at = label_state(undated, few, None)
    arranged = arrange(undated, few, outcome, lead_times(undated, few, no_time=False), known_at, threads=1)
    assert known_at is None
    assert np.isnan(days_to_outcome(arranged, np.arange(50))).all()


def test_an_outcome_without_a_date_took_nobody_knows_how_long(
    leads: pa.Table, contract: FeatureContract
) -> None:
    few = leads.slice(0, 3)
    outcome, _ = label_state(contract, few, None)
    time = lead_times(contract, few, no_time=False)
    assert time is not None
    known = np.array([time[0] + np.timedelta64(36, "h"), np.datetime64("NaT"), time[2]], dtype=time.dtype)
    arranged = arrange(contract, few, outcome, time, known, threads=1)
    days = days_to_outcome(arranged, np.arange(3))
    assert days[[0, 2]] == pytest.approx([1.5, 0.0])
    assert np.isnan(days[1])
    same = dataclasses.replace(arranged, known=None)
    assert np.isnan(days_to_outcome(same, np.arange(3))).all()


def test_leads_were_followed_until_the_newest_lead_or_known_outcome() -> None:
    time = np.array(["2026-01-01", "2026-01-05"], dtype="datetime64[us]")
    known_at = np.array(["2026-02-01", "2026-03-01"], dtype="datetime64[us]")

    def newest(*known: bool) -> datetime:
        found = newest_moment(time, known_at, np.array(known))
        assert found is not None
        return datetime.fromtimestamp(found / 1e6, UTC)

    assert newest(True, True) == datetime(2026, 3, 1, tzinfo=UTC)
    # What was hidden as of a moment does not tell that the table goes on.
    assert newest(True, False) == datetime(2026, 2, 1, tzinfo=UTC)
    assert newest(False, False) == datetime(2026, 1, 5, tzinfo=UTC)
    assert newest_moment(None, None, np.array([True])) is None
