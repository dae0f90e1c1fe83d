"""What was written is read back, and each way in which a CRM can disagree is told apart."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa
from tests.support.crm_world import FIELDS, SCORED_AT, CrmWorld, record_id

from leadscore.crm.tables import crm_states
from leadscore.crm.vendors.reconcile import reconcile_target
from leadscore.errors import BadInputError
from leadscore.events.records import Prediction


def written(world: CrmWorld, count: int) -> None:
    """Scores that were given, chosen and delivered."""
    world.add_leads(count)
    world.put(range(count))
    updates = [world.update(n) for n in range(count)]
    with world.store.writing() as connection:
        rows = [
            {
                "target": world.target.name, "lead_id": u.lead_id, "chosen_at": u.scored_at,
                "chosen_id": u.prediction_id, "digest": "",
            }
            for u in updates
        ]  # fmt: skip
        connection.execute(sa.insert(crm_states), rows)
    predictions = [
        Prediction(
            prediction_id=u.prediction_id, lead_id=u.lead_id, model_name="leads", model_version="7",
            contract_version="c", role="champion", scored_at=SCORED_AT, probability=u.probability,
            score=u.score, grade=u.grade, features=b"",
        )
        for u in updates
    ]  # fmt: skip
    world.store.append(predictions, ())
    assert world.deliver().delivered == count


def test_what_was_written_is_there(world: CrmWorld) -> None:
    written(world, 700)
    found = reconcile_target(world.store, world.target, world.link)
    assert (found.looked_at, found.counts, found.mismatches) == (700, {}, ())


def test_each_disagreement_is_told_apart_and_named(world: CrmWorld) -> None:
    written(world, 8)
    fields, records = FIELDS[world.kind], world.crm.records
    names = [record_id(world.kind, n) for n in range(8)]
    del records[names[1]]
    records[names[2]] = {"Company": "kept"}
    records[names[3]][fields["prediction_id"]] = "p-older"
    records[names[4]][fields["score"]] = 99.0
    records[names[5]][fields["grade"]] = "A"
    records[names[6]][fields["score"]] = 25.504
    found = reconcile_target(world.store, world.target, world.link)
    assert {m.lead_id: m.kind for m in found.mismatches} == {
        names[1]: "missing", names[2]: "empty", names[3]: "other score", names[4]: "changed",
        names[5]: "changed",
    }  # fmt: skip
    assert found.counts == {"changed": 2, "empty": 1, "missing": 1, "other score": 1}
    short = reconcile_target(world.store, world.target, world.link, most=2)
    assert (len(short.mismatches), short.counts) == (2, found.counts)


def test_an_older_score_does_not_follow_a_newer_one(world: CrmWorld) -> None:
    written(world, 1)
    world.put([0], at=60, score=80.0)
    world.deliver()
    world.put([0], at=30, score=40.0)
    world.deliver()
    assert float(world.score_of(0)) == 80.0
    assert world.backlog.waiting == 0


def test_a_mapping_without_anything_to_compare_is_said(world: CrmWorld) -> None:
    target = msgspec.structs.replace(world.target, fields={"reasons": "x"})
    with pytest.raises(BadInputError, match="maps neither"):
        reconcile_target(world.store, target, world.link)
