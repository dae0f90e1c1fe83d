"""What stands where an answer is given: the form, what was decided, or why there is none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.support.console import PERSON
from tests.unit.console.test_building import text

from leadscore.console.pages.releases import _answer, _Seen
from leadscore.events.records import Evidence
from leadscore.registry.versions import ModelVersion
from leadscore.release.approval import Approval, Binding

APPROVER = replace(PERSON, role="approver")
ABOUT = Binding(model="leads", version=2, digest="d" * 64, evidence=("gate-1", "replay-1"))


def version() -> ModelVersion:
    return ModelVersion(
        name="leads", version=2, aliases=("challenger",), stage="Staging", digest="d" * 64,
        algorithm="xgboost", contract_version="c", created_at=datetime(2026, 11, 29, tzinfo=UTC), metrics={},
        tags={}, decisions=(),
    )  # fmt: skip


def seen(**changes: Any) -> _Seen:
    given: dict[str, Any] = {
        "records": (), "versions": (), "why": "", "progress": (), "shown": version(), "binding": ABOUT,
        "lacking": "",
    }  # fmt: skip
    return _Seen(**(given | changes))


def answered(about: Binding = ABOUT, verdict: Any = "approved") -> tuple[Evidence, Approval]:
    said = Approval(verdict=verdict, by="ada", reason="The replay is fine", binding=about)
    at = int(datetime(2026, 11, 29, 14, 3, tzinfo=UTC).timestamp() * 1e6)
    return Evidence("e", "approval", "leads/2", at, "{}"), said


def said(given: _Seen, person: Any = APPROVER) -> str:
    return " ".join(text(_answer(given, version(), person)).split())


def has_form(given: _Seen) -> bool:
    return "/actions/answer" in str(_answer(given, version(), APPROVER))


def test_a_version_that_the_gate_refused_says_so() -> None:
    lacking = "leads/2 did not pass the gate: no supported improvement. Approval needs evidence."
    given = seen(binding=None, lacking=lacking)
    assert said(given).startswith("It cannot be approved. leads/2 did not pass the gate")
    assert not has_form(given)


def test_what_was_decided_stands_instead_of_the_form() -> None:
    assert has_form(seen())
    given = seen(answer=answered())
    assert not has_form(given)
    assert "Approved by ada on 2026-11-29 14:03 UTC: The replay is fine. Its release goes on" in said(given)
    denied = seen(answer=answered(verdict="denied"))
    assert "Denied by ada" in said(denied)
    assert not has_form(denied)


def test_newer_evidence_is_a_new_question_and_the_earlier_answer_stays_in_sight() -> None:
    earlier = Binding(model="leads", version=2, digest="d" * 64, evidence=("gate-1",))
    given = seen(answer=answered(earlier))
    assert has_form(given)
    assert "Approved by ada" in said(given)
    assert "newer evidence since" in said(given)
