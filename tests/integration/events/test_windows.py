"""Windows and the label rule, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from tests.support.events import outcome, prediction

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target, contract_version
from leadscore.errors import BadInputError, ConflictError
from leadscore.events.errors import DamagedRowError
from leadscore.events.labels import PredictionSelection
from leadscore.events.store import EventStore
from leadscore.events.windows import (
    feature_matrix,
    iter_labelled,
    iter_predictions,
    labelled_window,
    to_microseconds,
)

START = datetime(1970, 1, 1, tzinfo=UTC)
END = START + timedelta(seconds=1)
CONTRACT = FeatureContract(
    name="leads",
    id="lead_id",
    target=Target(column="won"),
    features=(
        Numeric(name="role"),
        Categorical(name="source", categories=("web", "fair")),
        Boolean(name="vip"),
    ),
)


def scored(store: EventStore, *, contract: FeatureContract | None = None, **only: str) -> pa.Table:
    selection = PredictionSelection(to_microseconds(START), to_microseconds(END), **only)
    return pa.Table.from_batches(iter_predictions(store, selection, contract=contract))


def labels(store: EventStore, known_by: datetime | None = None) -> dict[str, bool | None]:
    table = labelled_window(store, START, END, known_by=known_by)
    return dict(zip(table["prediction_id"].to_pylist(), table["converted"].to_pylist(), strict=True))


def test_a_window_is_half_open_ordered_and_filtered(store: EventStore) -> None:
    store.append(
        [
            prediction("late", scored_at=1_000_000),
            prediction("b", scored_at=10),
            prediction("a", scored_at=10),
            prediction("first", scored_at=0),
            prediction("shadow", scored_at=5, role="shadow"),
            prediction("other", scored_at=6, model_version="8"),
        ],
        [],
    )
    ids = scored(store, role="champion", model_version="7")["prediction_id"]
    assert ids.to_pylist() == ["first", "a", "b"]


def test_features_come_as_float32_columns_by_contract(store: EventStore) -> None:
    row = np.array([1.5, np.nan, 1.0], dtype="<f4")
    version = contract_version(CONTRACT)
    store.append([prediction("p1", features=row.tobytes(), contract_version=version)], [])
    table = scored(store, contract=CONTRACT)
    assert table["role"].to_pylist() == ["champion"]
    assert table["features.role"].to_pylist() == [1.5]
    matrix = feature_matrix(table, CONTRACT)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, row.reshape(1, 3))


def test_an_empty_window_has_the_columns_of_a_full_one(store: EventStore) -> None:
    empty = labelled_window(store, START, END, contract=CONTRACT)
    row = np.zeros(3, dtype="<f4").tobytes()
    store.append([prediction("p1", features=row, contract_version=contract_version(CONTRACT))], [])
    assert labelled_window(store, START, END, contract=CONTRACT).schema == empty.schema
    assert feature_matrix(empty, CONTRACT).shape == (0, 3)


def test_another_contract_in_the_window_is_refused_not_skipped(store: EventStore) -> None:
    store.append([prediction("p1", contract_version="other")], [])
    with pytest.raises(ConflictError, match="1 under other"):
        scored(store, contract=CONTRACT)


def test_a_feature_row_of_the_wrong_length_is_named(store: EventStore) -> None:
    store.append([prediction("p1", features=b"1234", contract_version=contract_version(CONTRACT))], [])
    with pytest.raises(DamagedRowError, match="4 bytes"):
        scored(store, contract=CONTRACT)


def test_a_time_without_zone_is_refused(store: EventStore) -> None:
    with pytest.raises(BadInputError):
        labelled_window(store, datetime(2026, 1, 1), END)  # noqa: DTZ001


def test_an_outcome_that_names_a_prediction_belongs_to_it(store: EventStore) -> None:
    store.append(
        [prediction("p1", scored_at=10), prediction("p2", scored_at=20)],
        [outcome("o1", prediction_id="p1", occurred_at=30)],
    )
    assert labels(store) == {"p1": True, "p2": None}


def test_an_outcome_by_lead_belongs_to_the_newest_prediction_before_it(store: EventStore) -> None:
    store.append(
        [prediction("p1", scored_at=10), prediction("p2", scored_at=20), prediction("p3", scored_at=40)],
        [outcome("o1", occurred_at=30)],
    )
    assert labels(store) == {"p1": None, "p2": True, "p3": None}


def test_an_outcome_before_the_first_score_labels_nothing(store: EventStore) -> None:
    store.append([prediction("p1", scored_at=10)], [outcome("o1", occurred_at=9)])
    assert labels(store) == {"p1": None}


def test_the_latest_record_counts_and_the_earlier_ones_are_kept(store: EventStore) -> None:
    store.append(
        [prediction("p1", scored_at=10)],
        [
            outcome("o2", converted=False, recorded_at=200),
            outcome("o1", converted=True, recorded_at=100),
            outcome("o0", converted=True, recorded_at=200),
        ],
    )
    assert labels(store) == {"p1": False}
    assert [o.outcome_id for o in store.outcomes_of("L-1")] == ["o2", "o0", "o1"]


def test_an_outcome_that_arrives_before_its_prediction_joins_later(store: EventStore) -> None:
    store.append([], [outcome("o1", prediction_id="p1", occurred_at=5)])
    assert labels(store) == {}
    store.append([prediction("p1", scored_at=10)], [])
    assert labels(store) == {"p1": True}


def test_shadow_predictions_share_the_outcome_of_the_champions(store: EventStore) -> None:
    store.append(
        [prediction("c1", scored_at=10), prediction("s1", scored_at=11, role="shadow")],
        [outcome("o1", prediction_id="c1", occurred_at=30)],
    )
    assert labels(store) == {"c1": True, "s1": True}


def test_a_window_can_be_read_as_of_an_earlier_moment(store: EventStore) -> None:
    store.append(
        [prediction("p1", scored_at=10)],
        [outcome("o1", converted=False, recorded_at=100), outcome("o2", converted=True, recorded_at=200)],
    )
    assert labels(store, known_by=START + timedelta(microseconds=150)) == {"p1": False}
    assert labels(store, known_by=START + timedelta(microseconds=50)) == {"p1": None}


def test_large_windows_come_in_batches_from_one_snapshot(store: EventStore) -> None:
    store.append([prediction(f"p{n:03d}", f"L-{n}", scored_at=n) for n in range(25)], [outcome("o1", "L-3")])
    batches = iter_labelled(store, PredictionSelection(0, 1_000), batch_rows=10)
    sizes = [next(batches).num_rows]
    store.append([prediction("p999", scored_at=999)], [])
    sizes += [batch.num_rows for batch in batches]
    assert sizes == [10, 10, 5]
