from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from leadscore.errors import ConflictError, NotFoundError, RefusedError
from leadscore.registry.transitions import (
    Snapshot,
    champions,
    check_archival,
    check_nomination,
    check_promotion,
    has_happened,
    repairs,
    rollback_target,
)
from leadscore.registry.versions import StageAction, VersionDecision

VERSIONS = (1, 2, 3)


def decision(action: StageAction, version: int, from_version: int | None = None) -> VersionDecision:
    return VersionDecision(
        id="d",
        action=action,
        name="leads",
        version=version,
        from_version=from_version,
        digest="",
        by="x",
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def snapshot(
    aliases: dict[str, int], stages: dict[int, str] | None = None, pending: VersionDecision | None = None
) -> Snapshot:
    tags = dict.fromkeys(VERSIONS, "None") | (stages or {})
    return Snapshot("leads", aliases, tags, dict.fromkeys(tags, ""), pending)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    aliases = draw(
        st.dictionaries(st.sampled_from(["champion", "challenger", "previous"]), st.sampled_from(VERSIONS))
    )
    stages = {
        v: draw(st.sampled_from(["Production", "Staging", "Archived", "None", "", "odd"])) for v in VERSIONS
    }
    action = draw(st.sampled_from(["promote", "rollback", "nominate", "archive", None]))
    pending = None
    if action is not None:
        before = draw(st.sampled_from([None, *VERSIONS])) if action in {"promote", "rollback"} else None
        pending = decision(action, draw(st.sampled_from(VERSIONS)), before)
    return snapshot(aliases, stages, pending)


def repaired(state: Snapshot) -> Snapshot:
    plan = repairs(state)
    aliases = dict(state.aliases)
    for alias, version in plan.aliases.items():
        if version is None:
            del aliases[alias]
        else:
            aliases[alias] = version
    return Snapshot(state.name, aliases, {**state.stages, **plan.stages}, state.digests, None)


@given(snapshots())
def test_repair_makes_aliases_and_stages_agree(state: Snapshot) -> None:
    after = repaired(state)
    for version, stage in after.stages.items():
        assert (stage == "Production") == (after.champion == version)
        assert (stage == "Staging") == (after.aliases.get("challenger") == version)
        assert after.aliases.get("previous") != version or stage in {"None", "Staging"}


@given(snapshots())
def test_repair_is_idempotent_and_never_moves_the_champion(state: Snapshot) -> None:
    after = repaired(state)
    assert repaired(after) == after
    assert after.champion == state.champion


@given(snapshots())
def test_an_archived_version_returns_only_where_an_alias_already_uses_it(state: Snapshot) -> None:
    after = repaired(state)
    for version, stage in state.stages.items():
        in_use = version in {after.champion, after.aliases.get("challenger")}
        assert (after.stages[version] == "Archived") == (stage == "Archived" and not in_use)


def test_the_old_champion_becomes_previous_once_the_new_one_is_in() -> None:
    pending = decision("promote", 2, from_version=1)
    before = snapshot({"champion": 1, "previous": 3}, {1: "Production"}, pending)
    assert not has_happened(pending, before)
    assert repaired(before).aliases == {"champion": 1, "previous": 3}
    moved = snapshot({"champion": 2, "previous": 3, "challenger": 2}, {1: "Production"}, pending)
    assert has_happened(pending, moved)
    assert repaired(moved).aliases == {"champion": 2, "previous": 1}
    assert repaired(moved).stages == {1: "None", 2: "Production", 3: "None"}


def test_a_promotion_against_another_champion_conflicts() -> None:
    state = snapshot({"champion": 1})
    check_promotion(state, 2, expected=1)
    check_promotion(state, 2, expected=UNSET)
    for expected in (3, None):
        with pytest.raises(ConflictError, match="version 1"):
            check_promotion(state, 2, expected=expected)
    check_promotion(snapshot({}), 2, expected=None)


def test_archived_and_absent_versions_are_not_promoted_or_nominated() -> None:
    state = snapshot({"champion": 1}, {2: "Archived"})
    for version, error in ((2, RefusedError), (9, NotFoundError)):
        with pytest.raises(error):
            check_promotion(state, version, UNSET)
        with pytest.raises(error):
            check_nomination(state, version)


def test_the_champion_cannot_challenge_itself() -> None:
    with pytest.raises(RefusedError):
        check_nomination(snapshot({"champion": 1}), 1)


@pytest.mark.parametrize("aliases", [{}, {"champion": 1}, {"previous": 1}, {"champion": 1, "previous": 1}])
def test_without_a_previous_champion_there_is_no_rollback(aliases: dict[str, int]) -> None:
    with pytest.raises(RefusedError, match="no previous champion"):
        rollback_target(snapshot(aliases))


@given(st.lists(st.sampled_from([1, 2, 3, "back"]), max_size=12))
def test_rollbacks_walk_back_through_the_champions_and_end(steps: list[int | str]) -> None:
    """Whatever was promoted and rolled back before.

    Each further rollback is older, and the last one is refused.
    """
    state = snapshot({})
    for step in [*steps, *["back"] * len(steps)]:
        line = champions(state.history)
        try:
            version = rollback_target(state) if step == "back" else int(step)
        except RefusedError:
            continue
        if version == state.champion:
            continue
        action: StageAction = "rollback" if step == "back" else "promote"
        told = msgspec.structs.replace(
            decision(action, version, state.champion), id=f"d{len(state.history):03}"
        )
        after = repaired(replace(state, aliases={**state.aliases, "champion": version}, pending=told))
        state = replace(after, history=(*state.history, told))
        if action == "rollback":
            assert champions(state.history) == line[: len(champions(state.history))] != line
        usable = [v for v in champions(state.history)[:-1] if v != version]
        assert state.aliases.get("previous") == (usable[-1] if usable else None)
    with pytest.raises(RefusedError):
        rollback_target(state)


def test_champion_and_challenger_are_not_archived() -> None:
    state = snapshot({"champion": 1, "challenger": 2, "previous": 3})
    for version in (1, 2):
        with pytest.raises(RefusedError):
            check_archival(state, version)
    check_archival(state, 3)
    assert repaired(snapshot({"champion": 1, "previous": 3}, {3: "Archived"})).aliases == {"champion": 1}
