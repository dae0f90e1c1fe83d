"""Everything that holds a release back, or ends it, whatever else is seen.

Each guard alone makes the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from tests.support.release_world import DIGEST, OLD_DIGEST, SPEC, START, World

from leadscore.release.binding import is_bound
from leadscore.release.machine import decide_step
from leadscore.release.mirror import MirrorObservation, ShadowObservation
from leadscore.release.states import (
    FINAL,
    Action,
    EndObservation,
    Finish,
    Nominate,
    Note,
    Observations,
    PatchRollout,
    Promote,
    ReleaseStatus,
    ReportKpi,
    ReportObservation,
    ReportShadow,
    ReturnAlias,
    RollBack,
    RolloutObservation,
    StartReplay,
    StartShadow,
    Step,
    StopShadow,
    VersionObservation,
    Wait,
)

HOUR = timedelta(hours=1)
OTHER = "f" * 64
CANDIDATE = VersionObservation(version=7, digest=DIGEST, challenger=True)
SHADOWED = msgspec.structs.replace(SPEC, evaluation="shadow")


def world(spec: object = SPEC) -> World:
    """A candidate that passed the gate and is the challenger."""
    found = World(spec=spec)  # type: ignore[arg-type]
    found.judge()
    return found


def replaying() -> World:
    found = world()
    found.settle()
    assert found.status.phase == "Replay"
    return found


def awaiting() -> World:
    found = replaying()
    found.evaluate()
    found.settle()
    assert found.status.phase == "AwaitingApproval"
    return found


def granted() -> World:
    found = awaiting()
    found.answer()
    return found


def in_canary() -> World:
    found = granted()
    found.settle()
    assert found.status.phase == "Canary"
    return found


def watching() -> World:
    found = in_canary()
    for _ in range(4):
        found.roll()
        found.settle()
    assert found.status.phase == "Watching"
    return found


def about(found: World, **seen: object) -> Step:
    """The next step if one thing were seen otherwise."""
    look: Observations = msgspec.structs.replace(found.look(), **seen)
    return decide_step(found.spec, found.status, look, found.now)


def ends(found: World, phase: str, *words: str, **seen: object) -> None:
    step = about(found, **seen)
    action = step.action
    assert isinstance(action, Finish), action
    assert action.phase == phase
    assert (step.status.phase, step.status.reason) == (action.phase, action.reason)
    for word in words:
        assert word in action.reason


def waits(found: World, *words: str, **seen: object) -> None:
    action = about(found, **seen).action
    assert isinstance(action, Wait), action
    for word in words:
        assert word in action.reason


# --- Whatever the phase -----------------------------------------------------------------------------------


def test_the_first_look_says_since_when() -> None:
    found = World()
    found.settle()
    assert found.status.since == START


@pytest.mark.parametrize("make", [World, replaying, awaiting, in_canary, watching])
def test_an_end_on_record_is_the_end_whatever_is_seen_now(make: Callable[[], World]) -> None:
    found = make()
    step = about(found, ended=EndObservation(phase="Aborted", reason="so it was"))
    assert isinstance(step.action, Note)
    assert (step.status.phase, step.status.reason) == ("Aborted", "so it was")


# --- Before traffic ---------------------------------------------------------------------------------------


def test_a_version_that_is_not_there_yet_is_waited_for() -> None:
    waits(world(), "leads/7 is not in the registry yet", candidate=None)


@pytest.mark.parametrize("make", [replaying, awaiting, granted])
@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"candidate": None}, "not in the registry any more"),
        ({"candidate": msgspec.structs.replace(CANDIDATE, archived=True)},
            "archived models do not come back"),
        ({"candidate": msgspec.structs.replace(CANDIDATE, digest=OTHER)}, "somebody tampered with it"),
        ({"champion": CANDIDATE}, "is the champion already"),
        ({"champion": VersionObservation(version=5, digest=OTHER)},
            "The champion is leads/5; leads/7 was judged against leads/6"),
        ({"champion": None}, "The champion is none; leads/7 was judged against leads/6"),
    ],
    ids=["gone", "archived", "tampered", "champion", "another", "none"],
)  # fmt: skip
def test_what_ends_a_release_before_traffic(
    make: Callable[[], World], seen: dict[str, object], words: str
) -> None:
    ends(make(), "Rejected", words, **seen)


def test_every_step_says_in_the_status_what_it_does_and_since_when() -> None:
    found = world()
    found.pass_time(HOUR)
    found.settle()
    assert (found.status.since, found.status.reason) == (START + HOUR, "The replay is running.")
    found.pass_time(HOUR)
    found.evaluate()
    step = about(found)
    assert (step.status.phase, step.status.since) == ("AwaitingApproval", START + 2 * HOUR)
    assert step.status.reason == "Waits for a person's approval."
    ended = about(found, candidate=None).status
    assert (ended.phase, ended.reason) == ("Rejected", "leads/7 is not in the registry any more.")


def test_an_archived_version_is_never_begun_with() -> None:
    ends(world(), "Rejected", "archived", candidate=msgspec.structs.replace(CANDIDATE, archived=True))


def test_a_verdict_about_other_bytes_is_no_verdict() -> None:
    found = world()
    found.step()
    assert found.gate is not None
    waits(found, "is about ffffffffffff", gate=msgspec.structs.replace(found.gate, digest=OTHER))


def test_the_challenger_is_not_nominated_again() -> None:
    found = world()
    assert isinstance(found.step(), Nominate)
    assert isinstance(about(found).action, Note)


def test_a_first_model_s_gate_is_one_against_nothing() -> None:
    found = World(champion=None)
    found.judge(champion=None)
    found.settle()
    assert (found.status.phase, found.status.champion) == ("Replay", None)
    ends(
        found,
        "Rejected",
        "The champion is leads/6",
        champion=VersionObservation(version=6, digest=OLD_DIGEST),
    )
    late = World(champion=None)
    late.judge(champion=OLD_DIGEST)
    late.settle()
    assert "against the champion cccccccccccc; the champion is none now" in late.status.reason


def test_a_gate_against_nothing_does_not_count_once_there_is_a_champion() -> None:
    found = World()
    found.judge(champion=None)
    found.settle()
    assert found.status.phase == "Rejected"
    assert "against no champion; the champion is leads/6 now" in found.status.reason


def test_no_evaluation_goes_to_the_person_with_the_gate_alone() -> None:
    found = world(msgspec.structs.replace(SPEC, evaluation="none"))
    found.settle()
    assert found.status.phase == "AwaitingApproval"
    assert found.requested == (DIGEST, ("gate-1",))


def test_a_replay_is_started_once_and_waited_for() -> None:
    found = world()
    while not isinstance(action := found.step(), StartReplay):
        pass
    assert action == StartReplay(7, 14, "replay")
    waits(found, "replay is running")


@pytest.mark.parametrize("spec", [SPEC, SHADOWED])
def test_a_report_against_the_candidate_rejects_it_in_the_report_s_words(spec: object) -> None:
    found = world(spec)
    found.settle()
    said = ReportObservation(state="done", evidence="r", digest=DIGEST, passed=False, summary="AUC is lower.")
    action = about(found, evaluation=said, shadow=None).action
    assert action == Finish("Rejected", "AUC is lower.")


def test_a_report_about_other_bytes_rejects() -> None:
    said = ReportObservation(state="done", evidence="r", digest=OTHER, passed=True)
    ends(replaying(), "Rejected", "The report is about ffffffffffff, not leads/7", evaluation=said)


@pytest.mark.parametrize(
    ("summary", "words"),
    [("", "The replay report could not be made: its Job gave up."), ("no log", "be made: no log.")],
)
def test_a_report_that_cannot_be_made_rejects_and_says_why(summary: str, words: str) -> None:
    ends(replaying(), "Rejected", words, evaluation=ReportObservation(state="failed", summary=summary))


# --- The shadow -------------------------------------------------------------------------------------------


OURS = ShadowObservation(version=7, ready_since=START, release=SPEC.release)
OTHERS = ShadowObservation(version=5, ready_since=START, release="uid-0")
LIKE_OURS = ShadowObservation(version=7, ready_since=START)


def shadowing() -> World:
    found = world(SHADOWED)
    found.settle()
    assert (found.status.phase, found.shadow, found.status.shadow_since) == ("Shadow", OURS, START)
    return found


def without_a_shadow() -> World:
    """A release whose shadow's phase has just begun."""
    found = world(SHADOWED)
    while found.status.phase != "Shadow":
        found.step()
    assert found.shadow is None
    return found


def test_another_release_s_shadow_is_waited_for() -> None:
    waits(without_a_shadow(), "busy with leads/5.", shadow=OTHERS)


@pytest.mark.parametrize("version", [7, 5, None])
def test_a_shadow_that_no_release_has_started_is_left_alone_and_a_person_is_asked(
    version: int | None,
) -> None:
    foreign = ShadowObservation(version=version, ready_since=START)
    step = about(without_a_shadow(), shadow=foreign)
    assert isinstance(step.action, Wait)
    assert "which no release has started: take it away (shadow.version=0 in the chart)" in step.action.reason
    assert step.action.needs_human_since == START


def test_without_a_mirror_no_shadow_is_started_and_a_person_is_told_what_to_set() -> None:
    lacks = "There is no Service: set shadow.enabled=true."
    step = about(without_a_shadow(), mirror=MirrorObservation(lacks=lacks))
    assert step.action == Wait(lacks, needs_human_since=START)
    assert isinstance(about(without_a_shadow()).action, StartShadow)


def test_a_first_model_has_nobody_to_be_compared_with_in_a_shadow() -> None:
    found = World(spec=SHADOWED, champion=None)
    found.judge(champion=None)
    found.settle()
    assert found.status.phase == "Rejected"
    assert "There is no champion whose answers" in found.status.reason


def test_without_a_rollout_no_shadow_is_started() -> None:
    waits(without_a_shadow(), "no Rollout yet whose pods", rollout=None)


def test_a_shadow_s_time_begins_when_it_is_first_ready() -> None:
    found = without_a_shadow()
    unready = msgspec.structs.replace(OURS, ready_since=None)
    waits(found, "not ready yet", shadow=unready)
    later = START + HOUR
    step = about(found, shadow=msgspec.structs.replace(OURS, ready_since=later))
    assert isinstance(step.action, Note)
    assert step.status.shadow_since == later


def test_a_shadow_that_is_ready_again_goes_on_and_does_not_begin_anew() -> None:
    found = shadowing()
    again = msgspec.structs.replace(OURS, ready_since=START + 20 * HOUR)
    found.pass_time(23 * HOUR)
    waits(found, "Gets a copy of the traffic until 2026-03-02 00:00 UTC.", shadow=again)
    found.pass_time(HOUR)
    assert about(found, shadow=again).action == ReportShadow(7, START, 10, 1)
    assert about(found, shadow=None).action == StartShadow(7)


def test_a_shadow_that_does_not_become_ready_says_why_and_asks_a_person() -> None:
    stuck = msgspec.structs.replace(OURS, ready_since=None, trouble="Exceeded quota.")
    step = about(without_a_shadow(), shadow=stuck)
    assert isinstance(step.action, Wait)
    assert step.action.reason.startswith("The shadow does not become ready: Exceeded quota. Fix it,")
    assert step.action.needs_human_since == START


def test_a_shadow_that_is_reported_on_stays_until_the_report_is_there() -> None:
    found = shadowing()
    waits(found, "being compared", evaluation=ReportObservation(state="running"))
    done = ReportObservation(state="done", evidence="r", digest=DIGEST, passed=True)
    assert isinstance(about(found, evaluation=done).action, StopShadow)
    for shadow in (OTHERS, LIKE_OURS, None):
        assert about(found, evaluation=done, shadow=shadow).status.phase == "AwaitingApproval"


def test_another_s_shadow_is_not_taken_down_at_the_end() -> None:
    failed = ReportObservation(state="failed")
    assert isinstance(about(shadowing(), evaluation=failed).action, StopShadow)
    for shadow in (OTHERS, LIKE_OURS, None):
        ends(shadowing(), "Rejected", evaluation=failed, shadow=shadow)
    ends(awaiting(), "Rejected", candidate=None, shadow=LIKE_OURS)


@pytest.mark.parametrize("phase", ["AwaitingApproval", "Canary", "Watching", *sorted(FINAL)])
def test_a_shadow_that_a_late_write_has_brought_back_goes_whatever_the_phase(phase: str) -> None:
    found = shadowing()
    found.status = msgspec.convert(msgspec.to_builtins(found.status) | {"phase": phase}, ReleaseStatus)
    step = about(found)
    assert isinstance(step.action, StopShadow)
    assert step.status == found.status
    assert not isinstance(about(found, shadow=OTHERS).action, StopShadow)


def test_a_shadow_goes_before_an_end_that_is_on_record_is_told() -> None:
    ended = EndObservation(phase="Rejected", reason="so")
    assert isinstance(about(shadowing(), ended=ended).action, StopShadow)
    assert about(shadowing(), ended=ended, shadow=None).status.phase == "Rejected"


# --- From approval to traffic -----------------------------------------------------------------------------


def test_an_approved_candidate_waits_for_the_release_before_it() -> None:
    waits(granted(), "Approved by Ada; release leads-5 came first", blocked_by="release leads-5")


def test_an_approved_candidate_waits_for_a_rollout_at_rest() -> None:
    waits(granted(), "there is no Rollout yet", rollout=None)
    moving = RolloutObservation(desired=5, stable=6, weight=10, state="Progressing")
    waits(granted(), "on its way to leads/5", rollout=moving)
    waits(granted(), "on its way to leads/6", rollout=msgspec.structs.replace(moving, desired=6, stable=None))


def test_no_answer_is_bound_to_a_release_that_has_no_bytes_yet() -> None:
    found = granted()
    assert found.approval is not None
    empty = msgspec.structs.replace(found.approval, digest="", bound_to=())
    assert not is_bound(empty, found.spec, ReleaseStatus())
    assert is_bound(found.approval, found.spec, found.status)


def test_the_status_keeps_who_approved_and_what_served_before() -> None:
    found = in_canary()
    assert found.approval is not None
    assert (found.status.approval, found.status.approved_by) == (found.approval.evidence, "Ada")
    assert (found.status.gate, found.status.evaluation, found.status.previous) == ("gate-1", "replay-1", 6)
    assert found.status.digest == DIGEST


def test_the_request_for_approval_ends_at_its_hour() -> None:
    found = awaiting()
    found.pass_time(timedelta(days=7) - timedelta(seconds=1))
    waits(found, "Waits for a person")
    found.pass_time(timedelta(seconds=1))
    ends(found, "Rejected", "Nobody approved")


def begun() -> World:
    """In the canary's phase, with nothing patched."""
    found = granted()
    found.step()
    assert (found.status.phase, found.patches) == ("Canary", [])
    return found


def test_traffic_begins_with_an_approval_only() -> None:
    found = begun()
    assert about(found).action == PatchRollout(7, "uid-1", "Canary of leads/7, approved by Ada.")
    assert found.approval is not None
    for other in (
        None,
        msgspec.structs.replace(found.approval, verdict="denied"),
        msgspec.structs.replace(found.approval, digest=OTHER),
        msgspec.structs.replace(found.approval, version=8),
        msgspec.structs.replace(found.approval, model="others"),
    ):
        waits(found, "No approval of leads/7 with digest dddddddddddd", approval=other)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"candidate": None}, "not in the registry any more"),
        ({"candidate": msgspec.structs.replace(CANDIDATE, archived=True)}, "was archived"),
        ({"candidate": msgspec.structs.replace(CANDIDATE, digest=OTHER)}, "it was tampered with"),
        ({"champion": VersionObservation(version=5, digest=OTHER)}, "Somebody made leads/5 champion"),
        ({"champion": None}, "Somebody made none champion"),
    ],
    ids=["gone", "archived", "tampered", "another", "none"],
)  # fmt: skip
def test_what_turns_a_release_in_traffic_back(seen: dict[str, object], words: str) -> None:
    ends(begun(), "Aborted", words, **seen)
    for found, retreat in ((in_canary(), "Aborted"), (watching(), "RolledBack")):
        step = about(found, **seen)
        assert isinstance(step.action, Note)
        assert step.status.retreat == retreat
        assert words in step.status.reason


def test_a_person_s_abort_turns_back_from_traffic() -> None:
    for found, retreat in ((in_canary(), "Aborted"), (watching(), "RolledBack")):
        found.spec = msgspec.structs.replace(found.spec, abort=True)
        assert about(found).status.retreat == retreat


def test_argo_s_abort_is_heeded_in_the_watch_too() -> None:
    found = watching()
    aborted = msgspec.structs.replace(found.rollout, aborted=True, message="")
    step = about(found, rollout=aborted)
    assert (step.status.retreat, step.status.reason) == ("RolledBack", "Argo sent it back: no message")


@pytest.mark.parametrize("make", [begun, in_canary, watching])
def test_without_a_rollout_nothing_is_decided(make: Callable[[], World]) -> None:
    waits(make(), "The Rollout is gone", rollout=None)


@pytest.mark.parametrize("make", [in_canary, watching])
def test_a_rollout_that_others_took_is_theirs(make: Callable[[], World]) -> None:
    found = make()
    step = about(found, rollout=msgspec.structs.replace(found.rollout, desired=9))
    assert isinstance(step.action, Finish)
    assert step.status.reason == "Somebody else set the Rollout to leads/9; it is left as it is."


def test_a_rollout_that_others_took_before_the_canary_is_theirs() -> None:
    taken = RolloutObservation(desired=9, stable=6, weight=10, state="Progressing")
    ends(begun(), "Aborted", "Somebody else set the Rollout to leads/9", rollout=taken)


def test_a_watch_ends_if_another_release_patched_the_rollout() -> None:
    found = watching()
    ends(
        found, "RolledBack", "left as it is", rollout=msgspec.structs.replace(found.rollout, release="uid-2")
    )


def test_the_watch_begins_with_all_traffic_whether_or_not_argo_calls_it_stable() -> None:
    found = in_canary()
    found.status = msgspec.structs.replace(found.status, since=START - HOUR)
    for rollout in (
        RolloutObservation(desired=7, stable=6, weight=100, state="Paused", release="uid-1"),
        RolloutObservation(desired=7, stable=7, weight=0, state="Healthy", release="uid-1"),
    ):
        step = about(found, rollout=rollout)
        assert (step.status.phase, step.status.since, step.status.watch_since) == ("Watching", START, START)
        assert step.status.reason.startswith(
            "Has all traffic; its business figures are watched from 2026-03-01 00:00"
        )
    partly = RolloutObservation(
        desired=7, stable=6, weight=99, state="Paused", message="step 3", release="uid-1"
    )
    waits(found, "Canary at 99 %, Paused: step 3.", rollout=partly)
    waits(found, "Canary at 99 %, Paused.", rollout=msgspec.structs.replace(partly, message=""))


# --- The soak's reports -----------------------------------------------------------------------------------


def reported(after: timedelta, **report: object) -> World:
    """A watch whose newest report is this, so long after its begin."""
    found = watching()
    found.pass_time(after)
    number = int(after / HOUR) + (after >= 48 * HOUR)
    said = ReportObservation(
        state="done", number=number, digest=DIGEST, passed=True, at=found.now, summary="no fall"
    )
    found.kpi = msgspec.structs.replace(said, **report)
    return found


@pytest.mark.parametrize(
    ("every", "after", "then"),
    [
        (HOUR, timedelta(minutes=20), HOUR),
        (HOUR, HOUR, 2 * HOUR),
        (HOUR, timedelta(hours=47, minutes=30), 48 * HOUR),
        (5 * HOUR, 46 * HOUR, 48 * HOUR),
        (HOUR, timedelta(hours=48, minutes=30), 49 * HOUR),
        (HOUR, 60 * HOUR, 61 * HOUR),
        (5 * HOUR, 48 * HOUR, 50 * HOUR),
    ],
    ids=str,
)
def test_the_next_look_is_at_the_next_interval_or_the_end_of_the_watch(
    every: timedelta, after: timedelta, then: timedelta
) -> None:
    found = reported(after, number=1_000)
    found.spec = msgspec.structs.replace(found.spec, soak_every_seconds=every.total_seconds())
    action = about(found).action
    assert isinstance(action, Wait)
    assert found.status.watch_since is not None
    assert action.until == found.status.watch_since + then


def test_at_the_end_of_the_watch_one_more_report_is_due_at_once() -> None:
    found = reported(48 * HOUR, number=48)
    since = found.status.watch_since
    assert since is not None
    early = msgspec.structs.replace(found.kpi, at=found.now - timedelta(minutes=5), leads=1_000, judged=True)
    assert about(found, kpi=early).action == ReportKpi(7, 6, since, 49)


def test_a_report_that_is_being_made_is_not_overtaken_by_the_next() -> None:
    found = reported(5 * HOUR, state="running", number=1, digest="")
    waits(found, "KPI report 1 is being made")


@pytest.mark.parametrize("after", [5 * HOUR, 50 * HOUR])
def test_a_report_that_could_not_be_made_is_named_with_the_time_of_the_next(after: timedelta) -> None:
    found = reported(after, state="failed", digest="", summary="no log")
    then = START + after + HOUR
    words = f"could not be made (no log); the next is due at {then:%Y-%m-%d %H:%M} UTC."
    waits(found, words)
    silent = msgspec.structs.replace(found.kpi, summary="")
    waits(found, "could not be made (its Job gave up)", kpi=silent)


def test_without_a_report_the_time_of_the_first_is_named() -> None:
    waits(watching(), "No KPI report yet; the next is due at 2026-03-01 01:00 UTC.")


def test_during_the_watch_the_report_s_own_words_are_told_however_little_it_saw() -> None:
    assert about(reported(5 * HOUR)).status.reason == "no fall"
    assert about(reported(5 * HOUR, leads=1_000, judged=True)).status.reason == "no fall"


def test_a_first_model_s_promotion_is_nobody_s_decision_against_the_watch() -> None:
    found = World(champion=None, rollout=RolloutObservation(desired=7, stable=7, weight=100, state="Healthy"))
    found.judge(champion=None)
    found.settle()
    found.evaluate()
    found.settle()
    found.answer()
    found.settle()
    waits(found, "No other version to compare with; watched until 2026-03-03 00:00 UTC")
    step = about(found, champion=VersionObservation(version=5, digest=OTHER))
    assert step.status.retreat == "RolledBack"
    found.pass_time(48 * HOUR)
    found.settle()
    assert found.status.reason == "leads/7 is champion: approved by Ada, watched until 2026-03-03 00:00 UTC."


def test_a_first_model_returns_to_a_champion_that_somebody_made_meanwhile() -> None:
    found = watching()
    found.status = msgspec.structs.replace(found.status, previous=7, champion=None, retreat="RolledBack")
    action = about(found, champion=VersionObservation(version=5, digest=OTHER)).action
    assert isinstance(action, RollBack)
    assert action.to == 5


# --- The end of the watch ---------------------------------------------------------------------------------


def watched_through() -> World:
    """The last report is there and speaks for the candidate."""
    found = watching()
    found.pass_time(48 * HOUR)
    found.settle()
    found.report()
    return found


def test_only_a_healthy_rollout_is_promoted() -> None:
    found = watched_through()
    assert isinstance(about(found).action, Promote)
    for change in ({"stable": 6}, {"state": "Progressing"}):
        waits(found, "The soak is over", rollout=msgspec.structs.replace(found.rollout, **change))


def test_a_report_about_other_bytes_supports_nothing_and_condemns_nothing() -> None:
    found = watched_through()
    for passed in (True, False):
        other = msgspec.structs.replace(found.kpi, digest=OTHER, passed=passed)
        step = about(found, kpi=other)
        assert isinstance(step.action, Wait)
        assert (step.status.phase, step.status.retreat) == ("Watching", None)


def test_a_report_that_ends_before_the_watch_does_supports_nothing_yet() -> None:
    found = watched_through()
    assert found.kpi.at is not None
    early = msgspec.structs.replace(found.kpi, at=found.kpi.at - timedelta(seconds=1))
    assert isinstance(about(found, kpi=early).action, Wait)
    assert isinstance(about(found, kpi=msgspec.structs.replace(early, at=None)).action, Wait)


def test_an_alias_that_somebody_holds_is_not_overwritten() -> None:
    found = watched_through()
    action = about(found).action
    assert isinstance(action, Promote)
    assert (action.version, action.expected) == (7, 6)
    assert "approval of Ada" in action.reason


def actions(found: World, limit: int = 20) -> list[Action]:
    """What is done until the machine waits."""
    done: list[Action] = []
    for _ in range(limit):
        done.append(found.step())
        if isinstance(done[-1], Wait):
            break
    return done


def test_the_way_back_goes_to_what_served_before_even_if_the_champion_is_another() -> None:
    found = in_canary()
    found.status = msgspec.structs.replace(found.status, previous=4)
    found.spec = msgspec.structs.replace(found.spec, abort=True)
    actions(found)
    assert found.rollout.desired == 4


@pytest.mark.parametrize(("champion", "to"), [(6, 6), (None, 4)])
def test_the_alias_goes_back_to_the_champion_before_if_there_was_one(champion: int | None, to: int) -> None:
    found = watching()
    found.status = msgspec.structs.replace(
        found.status, previous=4, champion=champion, retreat="RolledBack", reason="conversion fell"
    )
    back = RolloutObservation(desired=4, stable=7, weight=0, state="Progressing", release="uid-1")
    action = about(found, champion=CANDIDATE, rollout=back).action
    assert action == ReturnAlias(to, 7, "conversion fell")


def test_the_way_back_waits_until_the_old_version_serves() -> None:
    found = watching()
    found.spec = msgspec.structs.replace(found.spec, abort=True)
    actions(found)
    assert (found.status.phase, found.rollout.desired) == ("Watching", 6)
    waits(found, "Returning to leads/6")
    healthy = RolloutObservation(desired=6, stable=6, weight=100, state="Healthy", release="uid-1")
    waits(found, "Returning", rollout=msgspec.structs.replace(healthy, state="Progressing"))
    waits(found, "Returning", rollout=msgspec.structs.replace(healthy, stable=7))
    ends(found, "RolledBack", "A person stopped it", rollout=healthy)
    waits(found, "A person stopped it. (The Rollout is gone.)", rollout=None)
    assert about(found, rollout=None).status.reason == "A person stopped it."
    ends(
        found,
        "RolledBack",
        "A person stopped it. Somebody else set",
        rollout=msgspec.structs.replace(healthy, desired=9),
    )


def test_an_unfinished_status_names_no_previous_version_and_the_champion_is_returned_to() -> None:
    found = watching()
    found.status = ReleaseStatus(
        phase="Watching",
        digest=DIGEST,
        champion=6,
        watch_since=START,
        since=START,
        retreat="RolledBack",
        reason="so",
    )
    action = about(found).action
    assert isinstance(action, RollBack)
    assert action.to == 6


# --- approvals that do not count ---------------------------------------------------------------------------

UNPROVEN = "The answer approval-1 (approved by 'Ada') does not count: it carries no proof of who made it."


def unproven(found: World) -> World:
    """What an upgrade finds whose release before believed a name: the answer on record counts no more."""
    found.approval, found.unproven = None, UNPROVEN
    return found


def test_an_answer_without_proof_lets_nothing_through_and_a_person_is_told_why() -> None:
    found = unproven(granted())
    waits(found, f"{UNPROVEN} Waits for a person: leadscore approve leads/7 --key-file KEY --reason …")
    waiting = found.step()
    assert isinstance(waiting, Wait)
    assert (waiting.unproven, waiting.needs_human_since) == (UNPROVEN, found.status.since)


def test_a_canary_that_has_traffic_goes_on_although_its_approval_proves_nothing() -> None:
    for found in (unproven(in_canary()), unproven(watching())):
        phase, patches = found.status.phase, list(found.patches)
        waiting = found.settle()
        assert isinstance(waiting, Wait)
        assert waiting.unproven == ""
        assert (found.status.phase, found.patches, found.status.retreat) == (phase, patches, None)


def test_a_release_approved_by_a_name_but_without_traffic_waits_for_a_proven_approval() -> None:
    found = begun()
    answer = found.approval
    unproven(found)
    waiting = found.settle()
    assert isinstance(waiting, Wait)
    assert UNPROVEN in waiting.reason
    assert "leadscore approve leads/7 --key-file KEY --reason" in waiting.reason
    assert (waiting.unproven, waiting.needs_human_since, found.patches) == (UNPROVEN, found.status.since, [])
    assert answer is not None
    found.approval = msgspec.structs.replace(answer, evidence="approval-2", by="Grace")
    found.settle()
    assert found.patches == [7]
    assert (found.status.approval, found.status.approved_by) == ("approval-2", "Grace")
