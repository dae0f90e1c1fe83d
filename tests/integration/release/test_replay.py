"""A replay over a real log and real models, and the commands that a person types around it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.support.approvers import KeyHolders
from typer.testing import CliRunner

from leadscore.cli import main
from leadscore.errors import RefusedError, UnauthorizedError
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.release import page, replay
from leadscore.release.evidence import REPLAY, binding_for, observe_report, record_report
from leadscore.release.report import Comparison


def replayed(store: EventStore, registry: ModelRegistry, ref: str, release: str = "") -> Comparison:
    return replay.replay(
        store,
        registry,
        registry.resolve(ref),
        now=datetime.now(UTC),
        clock=time.monotonic,
        release=release,
    )


def test_a_replay_scores_every_answered_request_and_no_shadow(
    store: EventStore, registry: ModelRegistry
) -> None:
    found = replayed(store, registry, "leads/2")
    assert (found.rows, found.left_out, found.champion, found.reproduced) == (600, 0, 1, 1.0)
    assert sum(map(sum, found.grades.matrix)) == 600
    assert found.known.rows == 300
    assert found.known.difference is not None
    assert found.known.difference.value > 0
    assert found.known.completeness is None  # nothing is thirty days old
    assert found.passed
    assert any("early outcomes" in remark for remark in found.remarks)


def test_a_worse_model_is_objected_to_with_its_interval(store: EventStore, registry: ModelRegistry) -> None:
    found = replayed(store, registry, "leads/3")
    assert not found.passed
    assert "on 300 known outcomes its AUC is lower by" in found.summary


def test_a_release_s_replay_is_recorded_once(store: EventStore, registry: ModelRegistry) -> None:
    first = replayed(store, registry, "leads/2", release="uid-9")
    again = replayed(store, registry, "leads/2", release="uid-9")
    assert (
        record_report(store, first.kind, first, 10)
        == record_report(store, again.kind, again, 11)
        == "replay-uid-9-1"
    )
    seen = observe_report(store.evidence(kind=REPLAY, subject="leads/2"), REPLAY, "uid-9")
    assert (seen.state, seen.number, seen.passed, seen.digest) == ("done", 1, True, first.digest)


def test_the_champion_is_not_compared_with_itself(store: EventStore, registry: ModelRegistry) -> None:
    with pytest.raises(RefusedError, match="is the champion"):
        replayed(store, registry, "leads/1")


def test_a_log_too_short_is_refused_not_averaged(registry: ModelRegistry, url: str) -> None:
    with (
        EventStore(url) as empty,
        pytest.raises(RefusedError, match="has 0 logged requests"),
    ):
        replayed(empty, registry, "leads/2")


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)  # a page of what was read
def test_the_page_loads_nothing_and_shows_every_section(store: EventStore, registry: ModelRegistry) -> None:
    found = replayed(store, registry, "leads/2")
    html = page.html(found)
    assert not [load for load in ("http://", "https://", "url(", " src=") if load in html]
    for title in ("What was compared", "What changes", "Outcomes known already", "Time per lead", "Grades"):
        assert title in html
        assert title in page.markdown(found)


def test_replay_approve_status_and_a_second_answer_as_typed(
    environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CliRunner().invoke
    monkeypatch.setenv("LEADSCORE_API_KEYS", str(tmp_path / "api-keys.yaml"))
    keys = {
        name: run(main.app, ["keys", "create", name, "--scope", "approve"]).stdout.strip()
        for name in ("ada.lovelace", "grace.hopper")
    }
    monkeypatch.setenv("LEADSCORE_API_KEY", keys["ada.lovelace"])
    out = tmp_path / "replay.json"
    done = run(main.app, ["release", "replay", "--candidate", "leads/2", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    evidence_id = json.loads(done.stdout)["evidence_id"]
    assert msgspec.json.decode(out.read_bytes(), type=Comparison).rows == 600

    status = run(main.app, ["release", "status", "leads/2", "--json"])
    assert json.loads(status.stdout)["next"] == "leadscore approve leads/2 --key-file KEY --reason …"

    approve = ["approve", "leads/2", "--reason", "replay is fine", "--json"]
    approved = json.loads(run(main.app, approve).stdout)
    assert approved["new"]
    assert set(approved["approval"]["binding"]["evidence"]) == {"gate-leads/2", evidence_id}
    assert not json.loads(run(main.app, approve).stdout)["new"]

    deny = ["release", "deny", "leads/2", "--reason", "no", "--key-file", "-"]
    denied = run(main.app, deny, input=keys["grace.hopper"])
    assert isinstance(denied.exception, RefusedError)
    assert "was approved by ada.lovelace" in denied.exception.message

    listed = json.loads(run(main.app, ["release", "list", "leads", "--json"]).stdout)
    assert [r["kind"] for r in listed] == ["approval"]
    shown = run(main.app, ["release", "show", "leads/2"])
    assert "approved by ada" in " ".join(shown.stdout.split())


def test_a_version_without_a_passed_gate_cannot_be_approved(
    store: EventStore, registry: ModelRegistry, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match="has no gate verdict"):
        binding_for(store, registry.get("leads", 3), KeyHolders(tmp_path).approvers, 0)


def test_who_says_nothing_about_themselves_approves_nothing(environment: Path) -> None:
    done = CliRunner().invoke(main.app, ["approve", "leads/2", "--reason", "fine"])
    assert isinstance(done.exception, UnauthorizedError)
    assert "LEADSCORE_API_KEY" in done.exception.hint


def test_an_approval_of_bytes_that_one_did_not_look_at_is_refused(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSCORE_API_KEY", "lsk_any")
    wrong = ["approve", "leads/2", "--reason", "fine", "--digest", "00000000"]
    done = CliRunner().invoke(main.app, wrong)
    assert isinstance(done.exception, RefusedError)
    assert "look again" in done.exception.hint
