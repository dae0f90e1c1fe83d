from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from leadscore.errors import ArtefactError, BadInputError, ConflictError, NotFoundError, RefusedError
from leadscore.registry.backend import Backend
from leadscore.registry.store import ModelRegistry
from leadscore.scoring.artefact import artefact_digest, verify_artefact
from leadscore.settings import Home


def _state(registry: ModelRegistry) -> dict[int, tuple[tuple[str, ...], str]]:
    return {v.version: (v.aliases, v.stage) for v in registry.versions("leads")}


def test_an_empty_registry_has_no_models_and_says_what_is_missing(registry: ModelRegistry) -> None:
    assert registry.names() == []
    for call in (registry.versions, registry.resolve, registry.rollback, registry.fetch):
        with pytest.raises(NotFoundError, match="leads"):
            call("leads")


def test_a_published_version_says_what_it_is(registry: ModelRegistry, artefacts: tuple[Path, ...]) -> None:
    version = registry.publish(artefacts[1], "leads", by="tester")
    manifest = verify_artefact(artefacts[1])
    assert (version.name, version.version, version.stage, version.aliases) == ("leads", 1, "None", ())
    assert version.digest == artefact_digest(manifest)
    assert version.contract_version == manifest.contract_version
    assert version.metrics["auc"].value == pytest.approx(0.81)
    assert version.metrics["auc"].low == pytest.approx(0.79)
    assert version.tags["published_by"] == "tester"
    assert registry.names() == ["leads"]


def test_publishing_the_same_artefact_again_makes_no_version(
    registry: ModelRegistry, artefacts: tuple[Path, ...]
) -> None:
    first = registry.publish(artefacts[0], "leads")
    again = registry.publish(artefacts[0], "leads", alias="champion")
    assert again.version == first.version
    assert again.aliases == ("champion",)
    assert len(registry.versions("leads")) == 1


def test_a_damaged_folder_is_not_published(
    registry: ModelRegistry, artefacts: tuple[Path, ...], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(artefacts[0], tmp_path / "copy"))
    (folder / "golden.json").write_bytes(b"{}")
    with pytest.raises(ArtefactError, match=r"golden\.json"):
        registry.publish(folder, "leads")
    assert registry.names() == []


def test_versions_come_newest_first_with_aliases_and_stages(three: ModelRegistry) -> None:
    assert [v.version for v in three.versions("leads")] == [3, 2, 1]
    assert _state(three) == {
        3: ((), "None"),
        2: (("challenger",), "Staging"),
        1: (("champion",), "Production"),
    }


def test_references_resolve(three: ModelRegistry) -> None:
    resolved = {ref: three.resolve(ref).version for ref in ("leads", "leads@challenger", "leads/3")}
    assert resolved == {"leads": 1, "leads@challenger": 2, "leads/3": 3}
    for ref in ("leads@previous", "leads/9", "other"):
        with pytest.raises(NotFoundError):
            three.resolve(ref)


def test_promotion_moves_champion_previous_and_stages(three: ModelRegistry) -> None:
    decision = three.promote("leads", 2, reason="gate passed", by="ann", expected_champion=1)
    assert (decision.from_version, decision.version, decision.by) == (1, 2, "ann")
    assert _state(three) == {3: ((), "None"), 2: (("champion",), "Production"), 1: (("previous",), "None")}
    assert three.get("leads", 2).decisions[-1] == decision
    assert decision.digest == three.get("leads", 2).digest


def test_promoting_the_champion_again_changes_nothing(three: ModelRegistry) -> None:
    first = three.promote("leads", 2, reason="once")
    assert three.promote("leads", 2, reason="twice") == first
    assert three.resolve("leads@previous").version == 1


def test_a_stale_promotion_conflicts_and_changes_nothing(three: ModelRegistry) -> None:
    before = _state(three)
    with pytest.raises(ConflictError):
        three.promote("leads", 2, expected_champion=3)
    assert _state(three) == before


def test_each_rollback_goes_further_back_and_none_goes_forward_again(three: ModelRegistry) -> None:
    with pytest.raises(RefusedError):
        three.rollback("leads")
    three.promote("leads", 2)
    three.promote("leads", 3)
    assert three.rollback("leads", reason="worse").version == 2
    assert {v: aliases for v, (aliases, _) in _state(three).items()} == {
        1: ("previous",),
        2: ("champion",),
        3: (),
    }
    assert three.rollback("leads").version == 1
    assert {v: aliases for v, (aliases, _) in _state(three).items()} == {1: ("champion",), 2: (), 3: ()}
    before = _state(three)
    with pytest.raises(RefusedError, match=r"no previous champion from before leads/1"):
        three.rollback("leads")
    assert _state(three) == before
    three.promote("leads", 3)
    assert three.rollback("leads").version == 1, "a new promotion has what it replaced behind it"


def test_two_who_leave_a_champion_at_once_go_back_once(three: ModelRegistry) -> None:
    three.promote("leads", 2)
    three.promote("leads", 3)
    assert three.rollback("leads", expected_champion=3).version == 2
    before = _state(three)
    with pytest.raises(ConflictError, match="somebody changed it meanwhile"):
        three.rollback("leads", expected_champion=3)
    assert _state(three) == before


def test_a_rollback_skips_a_champion_that_was_archived_meanwhile(three: ModelRegistry) -> None:
    three.promote("leads", 2)
    three.promote("leads", 3)
    three.archive("leads", 2)
    assert three.rollback("leads").version == 1


def test_a_rollback_of_a_champion_that_was_set_by_hand_goes_to_previous(
    three: ModelRegistry, home: Home
) -> None:
    three.promote("leads", 2)
    backend = Backend.open(home)
    backend.set_alias("leads", "champion", 3)
    backend.set_alias("leads", "previous", 2)
    assert three.rollback("leads").version == 2
    assert three.rollback("leads").version == 1


def test_an_archived_version_stays_out(three: ModelRegistry) -> None:
    three.archive("leads", 3, reason="old")
    assert _state(three)[3] == ((), "Archived")
    with pytest.raises(RefusedError):
        three.promote("leads", 3)
    with pytest.raises(RefusedError):
        three.archive("leads", 1)


def test_a_previous_champion_that_was_archived_is_no_way_back(three: ModelRegistry) -> None:
    three.promote("leads", 2)
    three.archive("leads", 1)
    with pytest.raises(RefusedError):
        three.rollback("leads")


def test_every_change_is_on_record(three: ModelRegistry) -> None:
    three.promote("leads", 2, reason="a", by="ann")
    three.rollback("leads", reason="b", by="bob")
    three.archive("leads", 3, reason="c", by="cid")
    told = {
        v.version: [(d.action, d.from_version, d.by, d.reason) for d in v.decisions if d.reason]
        for v in three.versions("leads")
    }
    assert told == {
        1: [("rollback", 2, "bob", "b")],
        2: [("promote", 1, "ann", "a")],
        3: [("archive", None, "cid", "c")],
    }


def test_an_endless_reason_is_refused(three: ModelRegistry) -> None:
    with pytest.raises(BadInputError, match="reason"):
        three.promote("leads", 2, reason="x" * 2001)


def test_two_models_do_not_mix(three: ModelRegistry, artefacts: tuple[Path, ...]) -> None:
    three.publish(artefacts[2], "other", alias="champion")
    assert three.names() == ["leads", "other"]
    assert three.resolve("other").version == 1
    assert three.resolve("leads").version == 1


def test_comparison_shows_metrics_contract_and_size(three: ModelRegistry) -> None:
    found = three.compare("leads", 1, 2)
    (auc,) = found.metrics
    assert auc.difference == pytest.approx(0.01)
    assert auc.a is not None
    assert auc.a.low == pytest.approx(0.78)
    assert found.contract.changes == ()
    assert found.a.size > 10_000
