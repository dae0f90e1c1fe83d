from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.release_world import DIGEST, SPEC, World

from leadscore.release.binding import expected_of
from leadscore.release.canary_psi import ERRORS, NEWEST, expected_psi, gate_psi
from leadscore.release.expected import ExpectedPsi, allowance
from leadscore.release.states import PatchRollout, ReleaseStatus, ReportObservation

FOUND = ExpectedPsi(against=6, scores=0.93, grades=0.41)


def replayed(champion: Any, candidate: Any) -> ExpectedPsi:
    grades = [(p < 0.5).astype(np.intp) * 3 for p in (champion, candidate)]
    return expected_psi(champion, candidate, *grades, against=6)


def test_the_psi_of_two_bins_is_what_paper_says() -> None:
    one, other = np.array([2000, 6000, 0]), np.array([4000, 4000, 0])
    on_paper = 0.25 * np.log(2) - 0.25 * np.log(2 / 3)
    assert gate_psi(one, other) == pytest.approx(on_paper, rel=1e-3)


def test_a_candidate_that_scores_alike_is_expected_to_differ_by_nothing() -> None:
    scores = np.random.default_rng(1).beta(1, 8, 20_000)
    found = replayed(scores, scores)
    assert (found.scores, found.grades) == (0.0, 0.0)


def test_what_is_expected_covers_what_canaries_on_other_leads_of_that_market_show() -> None:
    rng = np.random.default_rng(2)

    def both(n: int) -> tuple[Any, Any]:
        quality = rng.normal(size=n)
        champion = 1 / (1 + np.exp(2 - quality))
        return champion, 1 / (1 + np.exp(1 - 1.5 * quality + 0.3 * rng.normal(size=n)))

    found = replayed(*both(20_000))
    assert found.scores > 0.25
    for n, m in ((150, 1350), (150, 150), (1000, 1000), (5000, 5000)):
        left = []
        for _ in range(500):
            counts = [_bins(p) for p in (both(m)[0], both(n)[1])]
            # The chart's query on paper.
            per_lead = 1 / n + 1 / m
            chance = (np.count_nonzero(counts[0] + counts[1]) - 1) * per_lead
            sure = 4 * np.sqrt(found.scores_spread * per_lead)
            left.append(gate_psi(*counts) - chance - found.scores - sure)
        assert max(left) < 0.2, (n, m)
    # And it does not become blind: with many leads the room is that of maxPsi.
    assert 4 * np.sqrt(found.scores_spread * 2 / 5000) < 0.25


def _bins(p: Any) -> Any:
    from leadscore.scoring.probability_bins import PROBABILITY_EDGES

    edges = np.array(PROBABILITY_EDGES)
    return np.bincount(np.searchsorted(edges, p, side="left"), minlength=len(edges) + 1)


def test_a_market_that_turned_a_moment_ago_counts_by_its_newest_requests() -> None:
    rng = np.random.default_rng(3)
    old = rng.beta(2, 8, 18 * NEWEST)
    new = rng.beta(2, 8, NEWEST)
    turned = replayed(np.concatenate([old, new]), np.concatenate([old, np.clip(new * 2.5, 0, 1)]))
    alone = replayed(new, np.clip(new * 2.5, 0, 1))
    assert turned.scores == pytest.approx(alone.scores)


def test_fewer_requests_are_surer_of_less() -> None:
    rng = np.random.default_rng(4)
    errors = []
    for n in (200, 20_000):
        p = rng.beta(2, 8, n)
        found = replayed(p, np.clip(p * 1.5, 0, 1))
        errors.append(found.scores_error)
        assert found.scores > ERRORS * found.scores_error
    assert errors[0] > 2 * errors[1]


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_what_is_no_psi_is_refused(wrong: float) -> None:
    with pytest.raises(msgspec.ValidationError, match="PSI"):
        msgspec.convert({"against": 6, "scores": wrong, "grades": 0.0}, ExpectedPsi)


def approved(expected: ExpectedPsi | None) -> World:
    """A release up to the question to a person."""
    world = World()
    world.judge()
    world.settle()
    world.evaluate()
    world.evaluation = msgspec.structs.replace(world.evaluation, expected=expected)
    world.settle()
    return world


def test_the_person_is_told_what_approving_lets_the_canary_differ() -> None:
    world = approved(FOUND)
    assert world.status.phase == "AwaitingApproval"
    assert world.status.reason.endswith(allowance(FOUND))
    assert "0.93" in allowance(FOUND)
    assert "PSI" not in approved(None).status.reason
    alike = ExpectedPsi(against=6, scores=0.02, grades=0.01)
    assert "PSI" not in approved(alike).status.reason


@pytest.mark.parametrize("expected", [FOUND, None])
def test_the_patch_that_starts_the_canary_carries_what_was_approved(expected: ExpectedPsi | None) -> None:
    world = approved(expected)
    world.answer()
    actions = [world.step() for _ in range(4)]
    (patch,) = (a for a in actions if isinstance(a, PatchRollout))
    assert patch.expected == expected


@pytest.mark.parametrize(
    "other",
    [{"evidence": "replay-2"}, {"digest": "f" * 64}, {"state": "running"}],
    ids=["another report", "other bytes", "no report"],
)
def test_only_the_report_that_was_approved_allows_anything(other: dict[str, Any]) -> None:
    status = ReleaseStatus(digest=DIGEST, evaluation="replay-1")
    report = ReportObservation(state="done", evidence="replay-1", digest=DIGEST, passed=True, expected=FOUND)
    world = World(spec=SPEC, evaluation=report)
    assert expected_of(status, world.look()) == FOUND
    world.evaluation = msgspec.structs.replace(report, **other)
    assert expected_of(status, world.look()) is None
    # A release without a replay has no evidence of one.
    world.evaluation = msgspec.structs.replace(report, evidence="")
    assert expected_of(ReleaseStatus(digest=DIGEST), world.look()) is None
