"""What is said again is one outcome, unless something else was said in between."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadscore.events.records import Outcome, outcome_id_of
from leadscore.events.retelling import is_undated, retold_outcomes
from leadscore.events.shipping import Shipper, ShipperOptions
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore
from leadscore_service.outcomes import read_outcomes

DAY = 86_400_000_000
START = 1_790_000_000_000_000


def told(
    converted: bool, at: int, lead: str = "L-1", *, occurred: int | None = None, **more: object
) -> Outcome:
    """What the API makes of an outcome that does not say when it was recorded."""
    fields: dict = {"prediction_id": None, "value": None, **more}
    said = (lead, fields["prediction_id"], converted, fields["value"], occurred)
    return Outcome(
        outcome_id=outcome_id_of(*said, None),
        lead_id=lead,
        converted=converted,
        occurred_at=at if occurred is None else occurred,
        recorded_at=at,
        source="api",
        **fields,
    )


def stored(tmp_path: Path, *batches: Sequence[Outcome]) -> list[tuple[bool, int]]:
    """What a store holds of L-1 after these batches, the first said first: won or lost, and when."""
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}") as store:
        for batch in batches:
            store.append((), batch)
        return [(each.converted, each.recorded_at) for each in reversed(store.outcomes_of("L-1"))]


def test_won_lost_and_won_again_is_won(tmp_path) -> None:
    said = [told(True, 1), told(False, 2), told(True, 3)]
    assert stored(tmp_path, *([each] for each in said)) == [(True, 1), (False, 2), (True, 3)]


def test_all_of_it_in_one_batch_is_the_same(tmp_path) -> None:
    said = [told(True, 1), told(False, 2), told(True, 3), told(False, 4), told(True, 5)]
    assert [at for _, at in stored(tmp_path, said)] == [1, 2, 3, 4, 5]


def test_a_request_that_is_sent_again_is_stored_once(tmp_path) -> None:
    said = [told(True, 1), told(True, 2), told(False, 3), told(False, 4), told(True, 5), told(True, 6)]
    assert stored(tmp_path, *([each] for each in said)) == [(True, 1), (False, 3), (True, 5)]


def test_a_batch_that_is_shipped_again_adds_nothing(tmp_path) -> None:
    said = [told(True, 1), told(False, 2), told(True, 3), told(False, 4)]
    once = stored(tmp_path / "once", said)
    for start, end in itertools.combinations(range(5), 2):
        assert stored(tmp_path / f"{start}-{end}", said, said[start:end], said) == once


def test_repetitions_by_two_pods_are_one_outcome_in_either_order(tmp_path) -> None:
    first = [told(True, 1), told(False, 2)]
    again = [told(True, 3), told(True, 4)]
    assert stored(tmp_path / "a", first, again[:1], again[1:]) == [(True, 1), (False, 2), (True, 3)]
    assert stored(tmp_path / "b", first, again[1:], again[:1]) == [(True, 1), (False, 2), (True, 4)]
    # The first of all, shipped after its own repetition.
    assert stored(tmp_path / "c", [told(True, 4)], [told(True, 1)]) == [(True, 4)]


def test_a_corrected_revenue_that_comes_back_is_news(tmp_path) -> None:
    said = [told(True, 1, value=100.0), told(True, 2, value=120.0), told(True, 3, value=100.0)]
    assert [at for _, at in stored(tmp_path, said)] == [1, 2, 3]


def test_outcomes_of_two_predictions_are_no_news_to_each_other(tmp_path) -> None:
    night = [told(True, 1, prediction_id="p1"), told(False, 2, prediction_id="p2")]
    next_night = [msgspec.structs.replace(each, recorded_at=DAY, occurred_at=DAY) for each in night]
    assert [at for _, at in stored(tmp_path, night, next_night)] == [1, 2]


def test_what_happened_before_is_not_said_anew_every_night(tmp_path) -> None:
    night = [told(True, 10, occurred=1), told(False, 11, occurred=5)]
    next_night = [told(True, DAY, occurred=1), told(False, DAY + 1, occurred=5)]
    assert [at for _, at in stored(tmp_path, night, next_night)] == [10, 11]


def test_a_result_of_the_same_day_that_comes_back_is_news(tmp_path) -> None:
    said = [told(True, 10, occurred=9), told(False, 11, occurred=9), told(True, 12, occurred=9)]
    assert [at for _, at in stored(tmp_path, said)] == [10, 11, 12]


def test_a_dated_outcome_and_one_of_another_source_stay_as_they_are() -> None:
    dated = msgspec.structs.replace(told(True, 3), outcome_id=outcome_id_of("L-1", None, True, None, None, 3))
    imported = msgspec.structs.replace(told(True, 3), source="import")
    before = [told(True, 1), told(False, 2)]
    assert not is_undated(dated)
    assert not is_undated(imported)
    assert retold_outcomes([dated, imported], before) == []
    assert len(retold_outcomes([told(True, 3)], before)) == 1


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, 1.0, 2.0])), min_size=1, max_size=12),
    st.data(),
)
def test_the_newest_is_what_was_said_last_however_it_is_shipped(said, data) -> None:
    outcomes = [told(won, at, value=value) for at, (won, value) in enumerate(said, 1)]
    rows: dict[str, Outcome] = {}

    def append(batch: Sequence[Outcome]) -> None:
        for each in batch:
            rows.setdefault(each.outcome_id, each)
        rows.update({each.outcome_id: each for each in retold_outcomes(batch, list(rows.values()))})

    shipped = 0
    while shipped < len(outcomes):
        end = data.draw(st.integers(shipped + 1, len(outcomes)))
        # A shipper that was killed begins again at an earlier place.
        append(outcomes[data.draw(st.integers(0, shipped)) : end])
        shipped = end
    changes = [key for key, _ in itertools.groupby(said)]
    history = sorted(rows.values(), key=lambda each: each.recorded_at)
    assert [(each.converted, each.value) for each in history] == changes


@pytest.mark.parametrize("batch", [1, 2, 2_000])
def test_from_the_request_through_the_spool_to_the_store(tmp_path, batch) -> None:
    bodies = [
        b'{"lead_id": "L-1", "converted": %s}' % said for said in (b"true", b"false", b"false", b"true")
    ]
    with SpoolWriter(tmp_path / "spool") as writer:
        for number, body in enumerate(bodies):
            for each in read_outcomes(body, START + number):
                writer.append_outcome(each)
        for each in read_outcomes(b"[%s]" % b", ".join(bodies[::-1]), START + DAY):
            writer.append_outcome(each)
    options = ShipperOptions(batch_records=batch)
    with (
        EventStore(f"sqlite:///{tmp_path / 'events.db'}") as store,
        Shipper(tmp_path / "spool", store, options) as shipper,
    ):
        while not shipper.ship_once().idle:
            pass
        found = [each.converted for each in reversed(store.outcomes_of("L-1"))]
    # Of a list that says both, the last counts.
    assert found == [True, False, True, False, True]
