"""From scores to messages, on both databases: exactly what has changed, once, and the newest only."""

from __future__ import annotations

import dataclasses
import threading

import pytest
import sqlalchemy as sa
from tests.support.scored_leads import no_models, score_leads

from leadscore.crm.choose import Subscriber, choose_scores, tell_anew
from leadscore.crm.status import read_target_statuses
from leadscore.crm.sync import sync_targets
from leadscore.crm.targets import CrmTargets
from leadscore.crm.updates import ScoreUpdate, parse_update
from leadscore.errors import ConflictError, NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.tables import lead_scores
from leadscore.outbox.tables import outbox
from leadscore.scoring.model import ScoringModel

TARGET = Subscriber(
    name="sf", channel="crm:sf", model="", told=("score", "grade", "prediction_id"), mapping={"score": "S"}
)
NOW = 1_900_000_000_000_000


def choose(store: EventStore, target: Subscriber = TARGET, *, steps: int = 40) -> tuple[int, int]:
    found = choose_scores(store, target, no_models, lambda: NOW, steps=steps)
    return found.looked_at, found.chosen


def waiting(store: EventStore, target: Subscriber = TARGET) -> list[ScoreUpdate]:
    query = sa.select(outbox.c.payload).where(outbox.c.channel == target.channel, outbox.c.state == "waiting")
    with store.reading() as connection:
        found = connection.execute(query.order_by(outbox.c.number)).scalars().all()
    return [parse_update(payload) for payload in found]


def test_every_lead_once_then_only_what_changed(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10), ("b", 0.2, 20)])
    assert choose(store) == (2, 2)
    assert choose(store) == (0, 0)
    score_leads(store, [("a", 0.1, 30), ("b", 0.7, 30)])
    assert choose(store) == (2, 1)
    assert {(u.lead_id, u.score, u.grade) for u in waiting(store)} == {("a", 10.0, "B"), ("b", 70.0, "A")}


def test_only_the_newest_waits(store: EventStore) -> None:
    for at in (10, 20, 30):
        score_leads(store, [("a", at / 100, at)])
        choose(store)
    assert [(u.prediction_id, u.score) for u in waiting(store)] == [("p-a-30", 30.0)]


def test_a_score_that_came_late_is_not_sent_after_a_newer_one(store: EventStore) -> None:
    score_leads(store, [("a", 0.9, 50)])
    choose(store)
    score_leads(store, [("a", 0.1, 40)])
    assert choose(store) == (1, 0)
    # The newer one was erased: the older is the newest there is, and the CRM keeps what it has.
    with store.writing() as connection:
        connection.execute(
            sa.update(lead_scores).values(
                prediction_id="p-a-40", scored_at=40, score=10.0, grade="B", change=99
            )
        )
    assert choose(store) == (1, 0)
    assert [u.prediction_id for u in waiting(store)] == ["p-a-50"]


def test_shadow_scores_and_leads_of_the_past_are_nobodys_news(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10)], role="shadow")
    score_leads(store, [("b", 0.1, 10)], source="backfill")
    score_leads(store, [("c", 0.1, 10)], role="batch", source="batch")
    choose(store)
    assert [u.lead_id for u in waiting(store)] == ["c"]


def test_more_than_a_step_is_gone_through_in_steps(store: EventStore) -> None:
    score_leads(store, [(f"L{n:04}", n / 2_000, 10) for n in range(1_234)])
    assert choose(store, steps=1) == (500, 500)
    assert choose(store) == (734, 734)
    assert len({u.lead_id for u in waiting(store)}) == 1_234


def test_what_a_monitor_of_the_release_before_wrote_is_found(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10), ("b", 0.1, 10)])
    choose(store)
    score_leads(store, [("b", 0.9, 20)])
    with store.writing() as connection:
        connection.execute(sa.update(lead_scores).where(lead_scores.c.lead_id == "b").values(change=None))
    assert choose(store) == (1, 1)
    assert choose(store) == (0, 0)


def test_two_models_need_a_name(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10)])
    assert choose(store, dataclasses.replace(TARGET, model="other")) == (0, 0)
    with store.writing() as connection:
        row = connection.execute(sa.select(lead_scores)).one()._asdict()
        connection.execute(sa.insert(lead_scores).values(**{**row, "model_name": "zzz"}))
    with pytest.raises(ConflictError, match="leads and zzz both score"):
        choose(store)
    assert choose(store, dataclasses.replace(TARGET, model="zzz")) == (1, 1)


def test_another_mapping_tells_of_every_lead_again(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10)])
    choose(store)
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="delivered", settled_at=NOW))
    other = dataclasses.replace(TARGET, mapping={"score": "T"})
    assert choose(store, other) == (1, 1)
    assert choose(store, other) == (0, 0)
    assert len(waiting(store)) == 1


def test_a_crm_that_lost_what_it_had_is_told_again(store: EventStore) -> None:
    score_leads(store, [("a", 0.1, 10)])
    choose(store)
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="delivered", settled_at=NOW))
        tell_anew(connection, "sf", "crm:sf", NOW)
    assert choose(store) == (1, 1)


def test_two_at_once_put_in_each_once(store: EventStore) -> None:
    score_leads(store, [(f"L{n:04}", n / 4_000, 10) for n in range(2_000)])
    threads = [threading.Thread(target=choose, args=(store,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    choose(store)
    with store.reading() as connection:
        states = connection.execute(sa.select(outbox.c.state)).scalars().all()
    assert states == ["waiting"] * 2_000


def test_a_model_that_is_away_is_waited_for_and_one_that_is_gone_is_said(store: EventStore) -> None:
    explained = dataclasses.replace(TARGET, told=("reasons", "score"))
    score_leads(store, [("a", 0.1, 10)])

    def away(name: str, version: str) -> ScoringModel:
        raise UnavailableError("The registry does not answer.")

    with pytest.raises(UnavailableError):
        choose_scores(store, explained, away, lambda: NOW)
    assert waiting(store) == []
    assert choose(store, explained) == (1, 1)
    assert waiting(store)[0].reasons == ("The reasons cannot be said.",)


def test_by_hand_only_a_target_that_is_on(store: EventStore) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        sync_targets(store, CrmTargets(), no_models, lambda: NOW, only="nobody")
    with store.reading() as connection:
        assert read_target_statuses(connection, CrmTargets(), 0) == ()
