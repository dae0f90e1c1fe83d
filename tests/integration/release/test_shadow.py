"""A shadow's report over a real log and real models, by function and by command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.support.approvers import KeyHolders
from tests.support.artefacts import sample_contract, sample_matrix
from tests.support.stores import fresh_url
from typer.testing import CliRunner

from leadscore.cli import main
from leadscore.contract import contract_version
from leadscore.errors import BadInputError, RefusedError
from leadscore.events.records import Outcome, Prediction
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.release import page
from leadscore.release.evidence import (
    SHADOW,
    binding_for,
    newest_comparison,
    observe_report,
    record_report,
)
from leadscore.release.report import Comparison
from leadscore.release.shadow import ShadowQuestion, TooFewLeadsError, compare_shadow
from leadscore.scoring.model import ScoringModel
from leadscore.settings import Home

SECOND = 1_000_000
ROWS, EVERY = 1_200, 4
BEGAN = datetime.now(UTC) - timedelta(hours=2)


def prediction(
    name: str, lead: int, version: int, model: ScoringModel, row: np.ndarray, at: int, request: str
) -> Prediction:
    scored = model.score_row(row)
    return Prediction(
        name, f"M-{lead}", "leads", str(version), contract_version(sample_contract()),
        "champion" if version == 1 else "shadow", at, scored.probability, scored.score, scored.grade,
        np.asarray(row, dtype="<f4").tobytes(), request,
    )  # fmt: skip


def log_copies(store: EventStore, registry: ModelRegistry, *, shadow: int = 2) -> None:
    """An hour of requests that version 1 answered.

    Every fourth was copied to the shadow, as a mirror at 25 % does.

    Every other request has the caller's own id; the others have what each pod has made up. A few leads come
    twice at once.
    """
    champion, candidate = (ScoringModel.load(registry.fetch(f"leads/{v}")) for v in (1, shadow))
    matrix = sample_matrix(sample_contract(), ROWS, seed=7)
    start = int(BEGAN.timestamp() * 1e6)
    said: list[Prediction] = []
    outcomes: list[Outcome] = []
    for n, row in enumerate(matrix):
        at = start + n * 3 * SECOND
        said.append(prediction(f"a{n}", n, 1, champion, row, at, f"r{n}" if n % 2 else f"a{n}"))
        if n % EVERY < 1:
            made_up = f"c{n}"
            said.append(prediction(made_up, n, 2, candidate, row, at + 2_000, f"r{n}" if n % 2 else made_up))
        if n % 50 == 0:
            # The same lead again a second later, with other data: another request, which was not copied.
            said.append(prediction(f"b{n}", n, 1, champion, matrix[(n + 1) % ROWS], at + SECOND, f"b{n}"))
        if n % 3 == 0:
            outcomes.append(
                Outcome(f"w{n}", f"M-{n}", None, n % 6 == 0, None, at + 5 * SECOND, at + 6 * SECOND, "test")
            )
    store.append(said, outcomes)


@pytest.fixture
def shadowed(
    published: Home, backend: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[EventStore]:
    home = replace(published, events_url=fresh_url(backend, request, tmp_path))
    with EventStore(home.events_url) as store:
        log_copies(store, ModelRegistry(home))
        yield store


@pytest.fixture
def models(published: Home) -> ModelRegistry:
    return ModelRegistry(published)


def asked(**changes: object) -> ShadowQuestion:
    usual = ShadowQuestion(since=BEGAN, now=datetime.now(UTC), minimum_leads=200, percent=25)
    return replace(usual, **changes)  # type: ignore[arg-type]


def compared(store: EventStore, models: ModelRegistry, **changes: object) -> Comparison:
    return compare_shadow(store, models, models.get("leads", 2), asked(**changes), clock=time.monotonic)


def test_every_copy_is_held_against_the_answer_to_its_original(
    shadowed: EventStore, models: ModelRegistry
) -> None:
    found = compared(shadowed, models)
    assert (found.kind, found.rows, found.unpaired, found.left_out) == ("shadow", ROWS // EVERY, 0, 0)
    # Both artefacts give again what is in the log under their names: the pairs are the right ones.
    assert (found.reproduced, found.shadow_reproduced) == (1.0, 1.0)
    # 24 requests came twice and were copied once.
    assert found.copied == pytest.approx(300 / (0.25 * (ROWS + 24)))
    assert found.known.rows == 100
    assert found.expected is not None
    assert found.expected.against == 1
    assert found.passed
    champion, candidate = (ScoringModel.load(models.fetch(f"leads/{v}")) for v in (1, 2))
    rows = sample_matrix(sample_contract(), ROWS, seed=7)[::EVERY]
    assert found.scores.champion_mean == pytest.approx(float(champion.score_rows(rows).mean()))
    assert found.scores.candidate_mean == pytest.approx(float(candidate.score_rows(rows).mean()))


def test_too_few_leads_are_refused_with_what_there_was(shadowed: EventStore, models: ModelRegistry) -> None:
    counts = "300 of them were answered by leads/1, 0 by another version, 0 by none, and 301 are needed"
    with pytest.raises(TooFewLeadsError, match=counts):
        compared(shadowed, models, minimum_leads=301)
    with pytest.raises(TooFewLeadsError, match="scored 0 leads of mirrored requests"):
        compared(shadowed, models, since=BEGAN + timedelta(hours=1, minutes=30))


def test_a_window_that_has_not_begun_is_said_to_be_so(shadowed: EventStore, models: ModelRegistry) -> None:
    with pytest.raises(BadInputError, match="Nothing can be compared since"):
        compared(shadowed, models, since=datetime.now(UTC))


def test_the_champion_is_not_compared_with_itself(shadowed: EventStore, models: ModelRegistry) -> None:
    with pytest.raises(RefusedError, match="is the champion"):
        compare_shadow(shadowed, models, models.get("leads", 1), asked(), clock=time.monotonic)


def test_a_shadow_of_other_bytes_than_the_registered_ones_is_refused(
    published: Home, models: ModelRegistry, tmp_path: Path
) -> None:
    with EventStore(f"sqlite:///{tmp_path}/other.db") as store:
        log_copies(store, models, shadow=3)
        found = compared(store, models)
    assert not found.passed
    assert "what was shadowed is not what is registered" in found.summary


def test_leads_answered_by_another_version_or_by_none_are_counted(
    shadowed: EventStore, models: ModelRegistry
) -> None:
    champion, candidate = (ScoringModel.load(models.fetch(f"leads/{v}")) for v in (1, 2))
    (row,) = sample_matrix(sample_contract(), 1, seed=8)
    at = int(BEGAN.timestamp() * 1e6) + SECOND
    other = msgspec.structs.replace(prediction("x1", 9_001, 1, champion, row, at, "x1"), model_version="9")
    late = prediction("x2", 9_002, 1, champion, row, at + 11 * SECOND, "same")
    copies = [prediction(f"y{n}", 9_000 + n, 2, candidate, row, at, "same") for n in (1, 2, 3)]
    shadowed.append([other, late, *copies], [])
    found = compared(shadowed, models)
    assert (found.rows, found.left_out, found.unpaired) == (300, 1, 2)
    assert "1 leads were answered by another version than the champion and left out." in found.remarks


def test_a_shadow_that_refuses_what_callers_send_is_refused(
    shadowed: EventStore, models: ModelRegistry
) -> None:
    found = compared(shadowed, models, percent=80)
    assert not found.passed
    assert "it scored only 31% of the requests that were copied to it" in found.summary


def test_a_release_s_shadow_is_recorded_once_and_is_what_an_approval_is_bound_to(
    shadowed: EventStore, models: ModelRegistry, tmp_path: Path
) -> None:
    found = compared(shadowed, models, release="uid-9")
    assert (
        record_report(shadowed, found.kind, found, 10)
        == record_report(shadowed, found.kind, found, 11)
        == "shadow-uid-9-1"
    )
    seen = observe_report(shadowed.evidence(kind=SHADOW, subject="leads/2"), SHADOW, "uid-9")
    assert (seen.state, seen.passed, seen.digest, seen.expected) == (
        "done",
        True,
        found.digest,
        found.expected,
    )
    newest = newest_comparison(shadowed, models.get("leads", 2))
    assert newest is not None
    assert newest[0].evidence_id == "shadow-uid-9-1"
    with pytest.raises(RefusedError, match="has no gate verdict"):
        binding_for(shadowed, models.get("leads", 2), KeyHolders(tmp_path).approvers, 0)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)  # a page of what was read
def test_the_page_says_that_it_is_a_shadow_s(shadowed: EventStore, models: ModelRegistry) -> None:
    found = compared(shadowed, models)
    for text in (page.html(found), page.markdown(found)):
        assert "Shadow of leads/2 against leads/1" in text
        assert "share of the copies that the shadow scored" in text


@pytest.fixture
def typed(shadowed: EventStore, published: Home, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command as a person types it, on that log."""
    monkeypatch.setenv("LEADSCORE_HOME", str(published.root))
    monkeypatch.delenv("LEADSCORE_TRACKING_URI", raising=False)
    monkeypatch.setenv("LEADSCORE_EVENTS_URL", shadowed._url.render_as_string(hide_password=False))
    command = ["release", "shadow", "--candidate", "leads/2", "--since", BEGAN.isoformat(), "--percent", "25"]
    return [*command, "--json"]


def test_the_command_shows_records_and_writes_the_report(typed: list[str], tmp_path: Path) -> None:
    out = tmp_path / "shadow.json"
    done = CliRunner().invoke(main.app, [*typed, "--minimum-leads", "200", "--out", str(out)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["evidence_id"].startswith("shadow-leads/2-")
    assert msgspec.json.decode(out.read_bytes(), type=Comparison).rows == told["shadow"]["rows"] == 300
    status = CliRunner().invoke(main.app, ["release", "status", "leads/2", "--json"])
    station = json.loads(status.stdout)["stations"][1]
    assert (station["name"], station["state"], station["evidence"]) == ("shadow", "yes", told["evidence_id"])


def test_too_few_leads_refuse_a_person_and_are_a_release_s_answer(
    typed: list[str], shadowed: EventStore
) -> None:
    few = CliRunner().invoke(main.app, [*typed, "--minimum-leads", "5000"])
    assert isinstance(few.exception, TooFewLeadsError)
    for _ in range(2):  # a Job may run its pod twice
        done = CliRunner().invoke(main.app, [*typed, "--minimum-leads", "5000", "--release", "uid-3"])
        assert done.exit_code == 0, done.output
    seen = observe_report(shadowed.evidence(kind=SHADOW, subject="leads/2"), SHADOW, "uid-3")
    assert (seen.state, seen.passed, seen.evidence) == ("done", False, "shadow-uid-3-1")
    assert "5,000 are needed" in seen.summary
    assert seen.too_few
    assert 100 < seen.leads < 5_000
    # The shadow runs on, and the next report is one more.
    again = [*typed, "--minimum-leads", "5000", "--release", "uid-3", "--number", "2"]
    assert CliRunner().invoke(main.app, again).exit_code == 0
    assert observe_report(shadowed.evidence(kind=SHADOW, subject="leads/2"), SHADOW, "uid-3").number == 2
