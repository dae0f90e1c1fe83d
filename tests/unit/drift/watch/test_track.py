from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest
from tests.unit.drift.streams import leads, probabilities, reference

from leadscore.drift.sequential import cell_codes
from leadscore.drift.watch.design import ChartBaseline, WatchDesign, design_watch
from leadscore.drift.watch.follow import Track, follow_leads
from leadscore.drift.watch.plan import WatchPlan

EVERY = 20
PROFILE = reference().profile


@cache
def design() -> WatchDesign:
    sample = leads(1_000, 1)
    return design_watch(
        ChartBaseline(PROFILE, sample, probabilities(sample)),
        WatchPlan.of(2_000, every=EVERY),
    )


def stream(rows: int, seed: int, *, turns: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Cells of leads that visit thrice as often from lead `turns` on, and their times.

    Pairs have the same.
    """
    matrix = leads(rows, seed)
    if turns is not None:
        matrix[turns:, 1] *= 3
    at = 1_780_000_000_000_000 + np.arange(rows, dtype=np.int64) // 2 * 1_000_000
    return cell_codes(PROFILE, matrix, probabilities(matrix)), at


def test_unchanged_streams_alarm_about_as_often_as_was_asked():
    tracks = [follow_leads(design(), Track(), *stream(410, seed)) for seed in range(100, 140)]
    alarmed = sum(track.alarms.count > 0 for track in tracks)
    # 20 evaluations, of which one in 100 may alarm: 7.3 of 40 streams, with a standard deviation of 2.4.
    assert 1 <= alarmed <= 14
    silent = next(track for track in tracks if not track.alarms.count)
    assert (silent.seen, silent.evaluation.lead) == (400, 400)
    assert 0 < silent.evaluation.statistic < silent.evaluation.level


def test_a_stream_that_turns_alarms_on_the_feature_that_moved():
    track = follow_leads(design(), Track(), *stream(600, 3, turns=400))
    first = track.alarms.first
    assert first.signs[0].feature == "visits"
    assert 400 < first.lead <= 500
    assert first.statistic > first.level
    assert track.alarms.count >= 1
    assert track.alarms.last.lead >= first.lead


@pytest.mark.parametrize("cuts", [(1,), (19, 20, 21), (137, 401, 402), tuple(range(0, 600, 37))])
def test_a_stream_followed_in_pieces_is_the_stream_followed_at_once(cuts):
    codes, at = stream(615, 5, turns=300)
    whole = follow_leads(design(), Track(), codes, at)
    track = Track()
    for cut in (*cuts, len(codes)):
        # As a source reads it again: from the moment of the last lead on, without those of that moment that
        # were followed.
        begin = 0 if not track.seen else int(np.searchsorted(at, track.at)) + track.at_rows
        assert begin == track.seen
        track = follow_leads(design(), track, codes[begin:cut], at[begin:cut])
        track = msgspec.json.decode(msgspec.json.encode(track), type=Track)
    assert track == whole
