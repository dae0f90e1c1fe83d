"""The release machine's stories, and what holds in every one of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.support.release_world import DIGEST, SPEC, START, World

from leadscore.release.machine import decide_step
from leadscore.release.states import (
    FINAL,
    PatchRollout,
    Promote,
    ReleaseSpec,
    ReleaseStatus,
    ReportObservation,
    RolloutObservation,
    Wait,
)
from leadscore.release.traffic import reports_due

HOUR = timedelta(hours=1)
OTHER = "f" * 64


def approved(world: World | None = None) -> World:
    """A release whose canary has begun."""
    world = world or World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    world.settle()
    return world


def watched(world: World | None = None) -> World:
    """A release that is watched at 100 %."""
    world = approved(world)
    for _ in range(4):
        world.roll()
        world.settle()
    return world


def test_gate_replay_approval_canary_watch_promotion() -> None:
    world = World()
    assert "No gate" in world.settle().reason  # type: ignore[union-attr]
    assert world.challenger == 7
    world.judge()
    world.settle()
    assert world.status.phase == "Replay"
    world.evaluate()
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    assert waiting.reason == "Waits for a person: leadscore approve leads/7 --key-file KEY --reason …"
    assert world.requested == (DIGEST, ("gate-1", "replay-1"))
    world.answer()
    world.settle()
    assert (world.status.phase, world.patches, world.status.previous) == ("Canary", [7], 6)
    for _ in range(4):
        world.roll()
        world.settle()
    assert world.status.phase == "Watching"
    for _ in range(48):
        world.pass_time(HOUR)
        world.settle()
        world.report()
    assert world.champion == 6
    world.settle()
    assert (world.status.phase, world.champion, world.patches) == ("Promoted", 7, [7])


def test_the_watch_s_reports_are_one_per_interval() -> None:
    world = watched()
    numbers = set[int]()
    for _ in range(12):
        world.pass_time(HOUR / 3)
        world.settle()
        numbers.add(world.kpi.number)
        world.report()
    assert numbers == {0, 1, 2, 3, 4}


def test_a_refused_gate_rejects_and_touches_nothing() -> None:
    world = World()
    world.judge(passed=False)
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Rejected", "Refused: no supported improvement.")
    assert world.patches == []


def test_a_gate_against_another_champion_does_not_count() -> None:
    world = World()
    world.judge(champion="a" * 64)
    world.settle()
    assert world.status.phase == "Rejected"
    assert "against the champion aaaaaaaaaaaa; the champion is leads/6 now" in world.status.reason


def test_a_denied_approval_rejects_with_the_person_s_words() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer("denied")
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Rejected", "Ada denied it: read the report")


def test_an_approval_of_another_digest_is_no_approval() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer(digest=OTHER)
    world.settle()
    assert (world.status.phase, world.patches) == ("AwaitingApproval", [])


def test_an_approval_of_other_evidence_is_no_approval() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    assert world.approval is not None
    world.approval = msgspec.structs.replace(world.approval, bound_to=("gate-1", "replay-0"))
    world.settle()
    assert (world.status.phase, world.patches) == ("AwaitingApproval", [])


def test_nobody_s_approval_ends_in_rejection() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    assert waiting.until == START + timedelta(days=7)
    world.pass_time(timedelta(days=7))
    world.settle()
    assert world.status.phase == "Rejected"
    assert "Nobody approved leads/7" in world.status.reason


def test_an_aborted_canary_goes_back_and_says_why() -> None:
    world = approved()
    world.roll()
    world.settle()
    world.abort()
    world.settle()
    assert (world.status.phase, world.patches) == ("Aborted", [7, 6])
    assert world.status.reason == "Argo sent it back: error rate 0.31 > 0.02"


def test_an_abort_that_was_seen_is_not_forgotten_when_somebody_retries_the_canary() -> None:
    world = approved()
    world.roll()
    world.settle()
    world.abort()
    world.step()
    world.someone_sets(7)
    world.roll()
    world.settle()
    world.roll()
    world.settle()
    assert (world.status.phase, world.champion) == ("Aborted", 6)


def test_a_fall_of_the_kpi_in_the_watch_returns_to_the_previous_version() -> None:
    world = watched()
    world.pass_time(20 * HOUR)
    world.settle()
    world.report(passed=False)
    world.settle()
    assert world.rollout.desired == 6
    for _ in range(4):
        world.roll()
    world.settle()
    assert (world.status.phase, world.champion) == ("RolledBack", 6)
    assert world.status.reason == "conversion fell by 30 %"
    assert world.status.kpi == "kpi-20"


def test_a_fall_found_after_the_alias_moved_takes_the_alias_back_too() -> None:
    world = watched()
    world.pass_time(48 * HOUR)
    world.settle()
    world.report()
    action = world.step(crash="after")
    assert isinstance(action, Promote)
    assert world.champion == 7
    world.kpi = msgspec.structs.replace(world.kpi, passed=False, summary="revenue fell")
    world.settle()
    for _ in range(4):
        world.roll()
    world.settle()
    assert (world.status.phase, world.champion, world.rollout.stable) == ("RolledBack", 6, 6)


def test_without_a_report_of_the_whole_watch_nothing_is_promoted() -> None:
    world = watched()
    world.pass_time(47 * HOUR)
    world.settle()
    world.report()
    world.pass_time(100 * HOUR)
    for _ in range(5):
        world.settle()
        world.fail_report()
        world.pass_time(HOUR)
    assert (world.status.phase, world.champion) == ("Watching", 6)
    assert "could not be made" in world.status.reason or "is being made" in world.status.reason


def seen_too_little(hours: int = 48, *, leads: int = 12, judged: bool = False) -> World:
    """A release whose watch has lasted some hours, with hourly reports that saw too little."""
    world = watched()
    for _ in range(hours):
        world.pass_time(HOUR)
        world.settle()
        world.report(leads=leads, judged=judged)
    world.settle()
    return world


@pytest.mark.parametrize(
    ("leads", "judged", "lacking"),
    [
        (199, True, "199 of at least 200 leads had their exposure"),
        (0, False, "0 of at least 200 leads had their exposure"),
        (200, False, "200 leads are too few to find even a loss of all conversions"),
    ],
)
def test_a_watch_that_could_see_nothing_supports_nothing(leads: int, judged: bool, lacking: str) -> None:
    world = seen_too_little(leads=leads, judged=judged)
    assert (world.status.phase, world.champion) == ("Watching", 6)
    assert world.status.reason == (
        f"Too little seen: {lacking}. Watched on; from 2026-03-05 00:00 UTC on a person must decide."
    )


def test_a_watch_that_goes_on_promotes_once_it_has_seen_enough() -> None:
    world = seen_too_little(60)
    world.pass_time(HOUR)
    world.settle()
    world.report(leads=200)
    world.settle()
    assert (world.status.phase, world.champion) == ("Promoted", 7)
    assert "supports nothing" not in world.status.reason


def test_after_twice_the_watch_a_person_is_asked_and_told_how_to_answer() -> None:
    world = seen_too_little(95)
    assert "a person must decide" in world.status.reason
    world.pass_time(HOUR)
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    world.report(leads=13)
    world.settle()
    assert (world.status.phase, world.champion) == ("Watching", 6)
    assert world.status.reason == (
        "A person must decide: 13 of at least 200 leads had their exposure. To keep it:"
        " leadscore models promote leads/7 --reason …; to take it back: abort: true in the release."
        " Looked at again at 2026-03-05 01:00 UTC."
    )
    asked = world.settle()
    assert isinstance(asked, Wait)
    assert asked.needs_human_since == (world.status.watch_since or world.now) + 96 * HOUR


def test_a_watch_that_nobody_answers_makes_ever_fewer_reports() -> None:
    since = datetime(2026, 3, 1, tzinfo=UTC)
    counts = [reports_due(SPEC, since, since + hours * HOUR)[0] for hours in range(24 * 365)]
    assert counts[:50] == [*range(48), 49, 50]
    assert counts[96] == 97
    made = [hour for hour in range(97, len(counts)) if counts[hour] != counts[hour - 1]]
    assert made[:5] == [97, 99, 103, 111, 127]
    assert counts[-1] == 97 + len(made) == 97 + 13


def test_the_next_report_is_when_the_number_grows() -> None:
    since = datetime(2026, 3, 1, tzinfo=UTC)
    spec = msgspec.structs.replace(SPEC, soak_seconds=100.0, soak_every_seconds=30.0)
    for seconds in range(1200):
        now = since + timedelta(seconds=seconds)
        number, upcoming = reports_due(spec, since, now)
        assert upcoming > now
        assert reports_due(spec, since, upcoming)[0] == number + 1
        assert reports_due(spec, since, upcoming - timedelta(seconds=1))[0] == number
    assert reports_due(spec, since, since - timedelta(seconds=5)) == (0, since + timedelta(seconds=30))


def test_a_person_s_promotion_ends_a_watch_that_could_not_decide() -> None:
    world = seen_too_little(97)
    world.someone_promotes()
    world.settle()
    assert (world.status.phase, world.champions) == ("Promoted", [7])
    assert world.status.reason.endswith(
        "A person promoted it; the soak supports nothing: 12 of at least 200 leads had their exposure."
    )


def test_a_person_s_promotion_in_the_midst_of_a_watch_does_not_end_it() -> None:
    world = seen_too_little(20, leads=1_000, judged=True)
    world.someone_promotes()
    world.settle()
    assert world.status.phase == "Watching"


def test_a_person_s_abort_ends_a_watch_that_could_not_decide() -> None:
    world = seen_too_little(97)
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    for _ in range(5):
        world.settle()
        world.roll()
    world.settle()
    assert (world.status.phase, world.champion, world.rollout.stable) == ("RolledBack", 6, 6)


def test_a_fall_is_found_after_the_end_of_a_watch_that_could_not_decide() -> None:
    world = seen_too_little(120)
    # The next report after that of hour 111.
    world.pass_time(7 * HOUR)
    world.settle()
    world.report(passed=False)
    world.settle()
    assert (world.status.retreat, world.rollout.desired) == ("RolledBack", 6)


def test_without_a_least_number_of_leads_the_end_of_the_watch_is_enough() -> None:
    spec = msgspec.structs.replace(SPEC, soak_minimum_leads=0)
    world = watched(World(spec=spec))
    world.pass_time(48 * HOUR)
    world.settle()
    world.report(leads=0, judged=False)
    world.settle()
    assert (world.status.phase, world.champion) == ("Promoted", 7)
    assert "A person promoted it" not in world.status.reason


def test_a_candidate_changed_after_approval_never_gets_traffic() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    world.step()
    assert world.status.phase == "Canary"
    world.digest = OTHER
    world.settle()
    assert (world.status.phase, world.patches) == ("Aborted", [])


def test_a_rollout_that_somebody_else_took_is_left_to_them() -> None:
    world = approved()
    world.someone_sets(9)
    world.settle()
    assert (world.status.phase, world.rollout.desired) == ("Aborted", 9)
    assert "leads/9" in world.status.reason


def test_a_person_s_undo_of_the_canary_is_not_fought() -> None:
    world = approved()
    world.someone_sets(6)
    world.settle()
    assert (world.status.phase, world.patches) == ("Aborted", [7])


def test_a_crash_right_after_the_patch_does_not_patch_again_what_a_person_undid() -> None:
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    world.step()
    assert isinstance(world.step(crash="after"), PatchRollout)
    world.someone_sets(6)
    world.settle()
    assert (world.status.phase, world.patches) == ("Aborted", [7])


def test_a_first_model_has_nothing_to_return_to_and_says_so() -> None:
    world = World(champion=None, rollout=RolloutObservation(desired=7, stable=7, weight=100, state="Healthy"))
    world.judge(champion=None)
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    world.settle()
    assert world.status.phase == "Watching"
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    world.settle()
    assert world.status.phase == "RolledBack"
    assert "a person must decide" in world.status.reason


def test_a_first_model_is_promoted_after_its_watch() -> None:
    world = World(champion=None, rollout=RolloutObservation(desired=7, stable=7, weight=100, state="Healthy"))
    world.judge(champion=None)
    world.settle()
    world.evaluate()
    world.settle()
    world.answer()
    world.settle()
    world.pass_time(48 * HOUR)
    world.settle()
    assert (world.status.phase, world.champion) == ("Promoted", 7)


def test_a_shadow_runs_its_time_is_reported_and_is_gone_before_approval() -> None:
    spec = msgspec.structs.replace(SPEC, evaluation="shadow")
    world = World(spec=spec)
    world.judge()
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    assert waiting.until == START + timedelta(days=1)
    world.pass_time(timedelta(days=1))
    world.settle()
    world.evaluate()
    world.settle()
    assert (world.status.phase, world.shadow) == ("AwaitingApproval", None)


def prolonged(**spec: object) -> World:
    """A shadow of a day that has seen 40 of 1,000 leads."""
    world = World(spec=msgspec.structs.replace(SPEC, evaluation="shadow", **spec))
    world.judge()
    world.settle()
    world.pass_time(timedelta(days=1))
    world.settle()
    world.evaluate(too_few=40)
    return world


def test_a_shadow_with_too_few_leads_runs_on_and_passes_when_there_are_enough() -> None:
    world = prolonged()
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    assert (waiting.until, waiting.needs_human_since) == (START + timedelta(days=2), None)
    assert "40 leads. Gets a copy of the traffic until 2026-03-03" in waiting.reason
    assert world.shadow is not None, "it goes on scoring"
    world.pass_time(timedelta(days=1))
    world.settle()
    assert world.evaluation.number == 2
    world.evaluate()
    world.settle()
    assert (world.status.phase, world.shadow) == ("AwaitingApproval", None)


def test_at_its_limit_a_person_decides_on_a_shadow_with_too_few_leads() -> None:
    world = prolonged()
    for days in (1, 2):
        world.settle()
        world.pass_time(timedelta(days=days))
        world.settle()
        world.evaluate(too_few=90)
    waiting = world.settle()
    assert isinstance(waiting, Wait)
    assert waiting.needs_human_since == START + timedelta(days=4)
    assert waiting.reason.startswith("A person must decide: 90 of at least 1,000 leads")
    assert world.evaluation.number == 3, "after one, two and four days"
    world.pass_time(timedelta(days=300))
    assert world.settle() == waiting, "nothing is rejected, and no Job is made, while nobody answers"


@pytest.mark.parametrize("word", [{"shadow_minimum_leads": 90}, {"shadow_extend_seconds": 9 * 86_400.0}])
def test_a_person_allows_more_time_or_asks_for_fewer_leads(word: dict[str, object]) -> None:
    world = prolonged(shadow_extend_seconds=0.0)
    world.settle()
    world.spec = msgspec.structs.replace(world.spec, **word)
    world.evaluation = msgspec.structs.replace(world.evaluation, leads=90)
    world.pass_time(timedelta(days=1))
    world.settle()
    assert world.evaluation == msgspec.structs.replace(world.evaluation, state="running", number=2)
    world.evaluate()
    world.settle()
    assert world.status.phase == "AwaitingApproval"


def test_a_person_stops_a_shadow_that_waits_for_a_decision() -> None:
    world = prolonged(shadow_extend_seconds=0.0)
    world.settle()
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    world.settle()
    assert (world.status.phase, world.shadow) == ("Aborted", None)


def test_a_rejected_release_leaves_no_shadow_behind() -> None:
    world = World(spec=msgspec.structs.replace(SPEC, evaluation="shadow"))
    world.judge()
    world.settle()
    world.spec = msgspec.structs.replace(world.spec, abort=True)
    world.settle()
    assert (world.status.phase, world.shadow) == ("Aborted", None)


def test_a_second_release_waits_for_the_first() -> None:
    world = World()
    world.judge()
    seen = msgspec.structs.replace(world.look(), blocked_by="release leads-5")
    action = decide_step(world.spec, world.status, seen, world.now).action
    assert action == Wait("release leads-5 came first; one release at a time changes a Rollout.")


@pytest.mark.parametrize("phase", sorted(FINAL))
def test_what_has_ended_stays_ended(phase: str) -> None:
    status = msgspec.convert({"phase": phase, "reason": "so"}, ReleaseStatus)
    step = decide_step(SPEC, status, World().look(), START)
    assert isinstance(step.action, Wait)
    assert step.status == status


def test_deciding_twice_from_the_same_view_is_the_same_decision() -> None:
    world = watched()
    first = decide_step(world.spec, world.status, world.look(), world.now)
    assert decide_step(world.spec, world.status, world.look(), world.now) == first


class AnyRelease(RuleBasedStateMachine):
    """Steps, crashes, people, Argo, Jobs and the clock in any order."""

    world: World
    fell: bool
    retreated: bool
    ended: str
    approvals: set[str]

    @initialize(
        evaluation=st.sampled_from(["replay", "shadow", "none"]),
        champion=st.sampled_from([6, None]),
    )
    def begin(self, evaluation: str, champion: int | None) -> None:
        spec = msgspec.convert(msgspec.to_builtins(SPEC) | {"evaluation": evaluation}, ReleaseSpec)
        self.world = World(spec=spec, champion=champion)
        self.fell = self.retreated = False
        self.ended = ""
        self.approvals = set()

    @rule(crash=st.sampled_from(["", "", "", "before", "after"]))
    def step(self, crash: str) -> None:
        before = len(self.world.patches), self.world.champion
        action = self.world.step(crash=crash)
        w = self.world
        if isinstance(action, PatchRollout):
            assert action.version == 7
            assert w.gate is not None
            assert w.gate.passed
            assert w.approval is not None
            assert w.approval.verdict == "approved"
            assert w.approval.digest == w.digest == w.gate.digest
        if w.champion == 7 and before[1] != 7:
            assert isinstance(action, Promote)
            assert w.gate is not None
            assert w.gate.passed
            assert w.approval is not None
            assert w.approval.verdict == "approved"
            assert w.approval.digest == w.digest
            assert w.kpi.judged
            assert w.kpi.leads >= w.spec.soak_minimum_leads
            assert not self.retreated
            assert not self.fell
        if w.status.approval:
            self.approvals.add(w.status.approval)
        if w.status.retreat:
            self.retreated = True
        if not self.ended and w.status.phase in FINAL:
            self.ended = w.status.phase

    @rule(passed=st.booleans(), against=st.sampled_from(["c" * 64, None]))
    def gate(self, passed: bool, against: str | None) -> None:
        if self.world.gate is None:
            self.world.judge(passed=passed, champion=against)

    @rule(passed=st.sampled_from([True, True, False]))
    def evaluation(self, passed: bool) -> None:
        self.world.evaluate(passed=passed)

    @rule()
    def evaluation_fails(self) -> None:
        if self.world.evaluation.state == "running":
            self.world.evaluation = ReportObservation(state="failed")

    @rule(back=st.booleans())
    def shadow_goes_or_stumbles(self, back: bool) -> None:
        """A person deletes it, or its pods are not ready for a while, or are again."""
        shadow = self.world.shadow
        if shadow is not None and back:
            self.world.shadow = msgspec.structs.replace(
                shadow, ready_since=None if shadow.ready_since else self.world.now
            )
        elif shadow is not None:
            self.world.shadow = None

    @rule(verdict=st.sampled_from(["approved", "approved", "denied"]), wrong=st.booleans())
    def person_answers(self, verdict: str, wrong: bool) -> None:
        self.world.answer(verdict, digest=OTHER if wrong else None)

    @rule(times=st.integers(1, 4))
    def argo_rolls(self, times: int) -> None:
        for _ in range(times):
            self.world.roll()

    @rule()
    def argo_aborts(self) -> None:
        self.world.abort()

    @rule(
        passed=st.sampled_from([True, True, False]),
        leads=st.sampled_from([0, 199, 200, 1_000]),
        judged=st.sampled_from([True, True, False]),
    )
    def kpi_report(self, passed: bool, leads: int, judged: bool) -> None:
        running = self.world.kpi.state == "running"
        self.world.report(passed=passed, leads=leads, judged=judged)
        # From here on no promotion may happen; a fall that is reported after the alias moved rolls back
        # instead.
        self.fell = self.fell or (running and not passed)

    @rule()
    def kpi_report_fails(self) -> None:
        self.world.fail_report()

    @rule(hours=st.sampled_from([-2, 0, 1, 24, 48, 200]))
    def clock_steps(self, hours: int) -> None:
        self.world.pass_time(hours * HOUR)

    @precondition(lambda self: self.world.status.phase in {"Canary", "Watching"})
    @rule(version=st.sampled_from([6, 7, 9]))
    def person_sets_rollout(self, version: int) -> None:
        self.world.someone_sets(version)

    @precondition(lambda self: self.world.status.phase in {"Canary", "Watching"})
    @rule()
    def person_promotes(self) -> None:
        self.world.someone_promotes()

    @rule()
    def somebody_tampers(self) -> None:
        if self.world.status.digest:
            self.world.digest = OTHER

    @invariant()
    def one_end_one_approval(self) -> None:
        if not hasattr(self, "world"):
            return
        assert len(self.approvals) <= 1
        if self.ended:
            assert self.world.ended is not None
            assert self.world.status.phase == self.ended == self.world.ended.phase
        if self.world.status.phase == "Promoted":
            assert self.world.champion == 7

    def teardown(self) -> None:
        """Whatever happened: once Argo and Jobs work, the machine comes to rest and never works in vain."""
        if not hasattr(self, "world"):
            return
        w = self.world
        for _ in range(80):
            w.settle()
            if w.status.phase in FINAL:
                break
            if w.gate is None:
                w.judge()
            if w.shadow is not None and w.shadow.ready_since is None:
                w.shadow = msgspec.structs.replace(w.shadow, ready_since=w.now)
            w.evaluate()
            w.answer()
            w.roll()
            w.report()
            # More than the clock can have been set back by, in all.
            w.pass_time(4 * HOUR)
            if w.status.phase == "AwaitingApproval":
                w.pass_time(timedelta(days=7))
        if w.status.phase in {"RolledBack", "Aborted"} and w.rollout.desired == 7 and 7 in w.patches:
            assert "a person must decide" in w.status.reason
        assert w.status.phase == "Shadow" or w.shadow is None
        if w.status.phase in {"Shadow", "Watching"}:
            raise AssertionError(f"goes on for ever: {w.status} {w.kpi} {w.shadow}")


AnyRelease.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)
TestAnyRelease = AnyRelease.TestCase
