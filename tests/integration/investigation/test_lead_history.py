"""One lead's story from the store, on both databases, with models from the cache alone."""

from __future__ import annotations

import numpy as np
import pytest
from tests.integration.investigation.conftest import CachedHome
from tests.support.artefacts import sample_matrix
from tests.support.events import outcome, prediction

from leadscore.contract import contract_version
from leadscore.errors import NotFoundError
from leadscore.events.records import Prediction
from leadscore.events.store import EventStore
from leadscore.investigation.lead_history import read_lead

HOUR = 3_600_000_000


def answered(
    cached: CachedHome, name: str, version: str, row: np.ndarray, *, at: int, role: str = "champion",
    lead_id: str = "L-1",
) -> Prediction:  # fmt: skip
    model = cached.shelf.open("leads", version)
    return prediction(
        name, lead_id, scored_at=at * HOUR, role=role, model_name="leads", model_version=version,
        contract_version=contract_version(model.contract), features=row.tobytes(),
        probability=model.score_row(row).probability,
    )  # fmt: skip


def rows(cached: CachedHome, version: str, count: int = 3) -> np.ndarray:
    return sample_matrix(cached.shelf.open("leads", version).contract, count, seed=3)


def test_a_lead_scored_by_three_versions_says_why_each_time(store: EventStore, cached: CachedHome) -> None:
    first, second, _ = rows(cached, "1")
    store.append(
        [
            answered(cached, "p1", "1", first, at=1),
            answered(cached, "p2", "2", second, at=2),
            answered(cached, "p2s", "1", second, at=2, role="shadow"),
            answered(cached, "p3", "3", rows(cached, "3")[0], at=3),
        ],
        [outcome("o1", "L-1", converted=False, occurred_at=5 * HOUR, recorded_at=6 * HOUR),
         outcome("o2", "L-1", converted=True, value=900.0, occurred_at=5 * HOUR, recorded_at=7 * HOUR)],
    )  # fmt: skip

    found = read_lead(store, cached.shelf, "L-1")

    assert [(a.prediction_id, a.version, a.shadow) for a in found.answers if not a.shadow] == [
        ("p3", "3", False), ("p2", "2", False), ("p1", "1", False),
    ]  # fmt: skip
    assert sum(a.shadow for a in found.answers) == 1
    assert all(a.reasons and not a.unexplained for a in found.answers)
    assert [(c.before, c.after) for c in found.changes] == [("p2", "p3"), ("p1", "p2")]
    to_third, to_second = (c.change for c in found.changes)
    assert to_third is not None
    assert to_second is not None
    assert "another list of fields" in to_third.not_comparable[0]
    assert to_second.split is not None
    assert [(o.converted, o.value, o.counts) for o in found.outcomes] == [
        (True, 900.0, True), (False, None, False),
    ]  # fmt: skip


def test_a_version_that_cannot_be_had_leaves_the_history_and_says_so(
    store: EventStore, cached: CachedHome
) -> None:
    row = rows(cached, "1")[0]
    lost = prediction("p2", scored_at=2 * HOUR, model_name="leads", model_version="77")
    store.append([answered(cached, "p1", "1", row, at=1), lost], [])
    found = read_lead(store, cached.shelf, "L-1")
    assert found.answers[0].reasons == ()
    assert "leads/77 cannot be read" in found.answers[0].unexplained
    assert found.answers[1].reasons
    [change] = found.changes
    assert change.change is None
    assert "leads/77" in change.unexplained


def test_a_damaged_row_is_said_to_be_one(store: EventStore, cached: CachedHome) -> None:
    store.append([prediction("p1", model_name="leads", model_version="1", features=b"\0" * 8)], [])
    [only] = read_lead(store, cached.shelf, "L-1").answers
    assert only.reasons == ()
    assert "8 bytes" in only.unexplained


def test_only_the_newest_answers_are_read_and_the_others_counted(
    store: EventStore, cached: CachedHome
) -> None:
    row = rows(cached, "1")[0]
    store.append([answered(cached, f"p{i}", "1", row, at=i + 1) for i in range(9)], [])
    found = read_lead(store, cached.shelf, "L-1", most=4)
    assert [a.prediction_id for a in found.answers] == ["p8", "p7", "p6", "p5"]
    assert found.more == 5
    assert len(found.changes) == 3


@pytest.mark.parametrize("asked", ["L-100 ", "L-1O", "<script>alert(1)</script>", "", "nobody", "L-1%"])
def test_an_unknown_lead_gets_a_helpful_answer(store: EventStore, cached: CachedHome, asked: str) -> None:
    row = rows(cached, "1")[0]
    store.append([answered(cached, "p1", "1", row, at=1, lead_id="L-100")], [])
    with pytest.raises(NotFoundError) as error:
        read_lead(store, cached.shelf, asked)
    assert repr(asked) in error.value.message
    assert "letter by letter" in error.value.hint
    assert ("L-100" in error.value.hint.replace(repr(asked), "")) == asked.startswith("L-1")
