"""The pages for sales over a real store, kept by the monitor's worker, with models from the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from plotly.utils import PlotlyJSONEncoder
from tests.integration.investigation.conftest import CachedHome
from tests.support.artefacts import sample_matrix
from tests.support.console import PERSON
from tests.support.events import outcome, prediction
from typer.testing import CliRunner

from leadscore.alerts.episodes import write_episodes
from leadscore.alerts.evaluate import Episode
from leadscore.cli.main import app
from leadscore.console.page import ActionRequest, ConsolePage, PageContent, PageRequest, read_range
from leadscore.console.pages import investigations, lead, leads
from leadscore.contract import contract_version
from leadscore.errors import BadInputError, ConflictError, NotFoundError
from leadscore.events.records import Prediction
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.investigation.reading import observe
from leadscore.investigation.request import InvestigationRequest, LeadSegment
from leadscore.monitoring.model_facts import find_model_facts
from leadscore.monitoring.queries.ranges import HourRange, moment_us
from leadscore.monitoring.rollups.cells import VersionCells
from leadscore.monitoring.rollups.worker import RollupWorker
from leadscore.registry.store import ModelRegistry

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
HOSTILE = "<img src=x onerror=alert(1)>"


def ask(
    page: ConsolePage,
    store: EventStore,
    cached: CachedHome,
    given: Mapping[str, str] = {},
) -> PageRequest:
    chosen = read_range(given, page.span or "24h", NOW)
    return PageRequest(
        path=page.path, since=chosen.since, until=chosen.until, range_name=chosen.name,
        filters={k: v for k, v in given.items() if k not in {"range", "since", "until"}}, reader=PERSON,
        model="leads", store=store, home=cached.home, approvers=Approvers(cached.home.api_keys), now=NOW,
    )  # fmt: skip


def shown(content: PageContent) -> str:
    """Everything that is written on a page, as the browser gets it: children are text, never markup."""
    body = json.dumps(list(content.body), cls=PlotlyJSONEncoder, ensure_ascii=False)
    return content.verdict.sentence + body.replace('\\"', '"')


def answered(
    cached: CachedHome, name: str, lead_id: str, row: np.ndarray, at: datetime, version: str = "1"
) -> Prediction:
    model = cached.shelf.open("leads", version)
    found = model.score_row(row)
    made = prediction(
        name, lead_id, scored_at=moment_us(at), model_name="leads", model_version=version,
        contract_version=contract_version(model.contract), features=row.tobytes(),
        probability=found.probability,
    )  # fmt: skip
    fields = {name: getattr(made, name) for name in made.__struct_fields__}
    return Prediction(**{**fields, "score": found.score, "grade": found.grade})


def count(store: EventStore, cached: CachedHome) -> None:
    registry = ModelRegistry(cached.home)
    RollupWorker(store, VersionCells(partial(find_model_facts, registry))).run(seconds=60)


@pytest.fixture
def filled(store: EventStore, cached: CachedHome) -> EventStore:
    """Sixty leads, one with a hostile id, one scored by three versions, one closed."""
    model = cached.shelf.open("leads", "1")
    matrix = sample_matrix(model.contract, 60, seed=3)
    other = sample_matrix(cached.shelf.open("leads", "3").contract, 1, seed=4)[0]
    given = [answered(cached, f"p{i}", f"L-{i:02}", row, NOW - 3 * DAY) for i, row in enumerate(matrix)]
    given += [
        answered(cached, "h1", HOSTILE, matrix[0], NOW - DAY / 2),
        answered(cached, "t1", "thrice", matrix[1], NOW - 5 * DAY),
        answered(cached, "t2", "thrice", matrix[2], NOW - 4 * DAY, "2"),
        answered(cached, "t3", "thrice", other, NOW - 2 * DAY, "3"),
    ]
    at = moment_us(NOW - DAY)
    store.append(given, [outcome("o1", "L-01", value=1200.0, occurred_at=at, recorded_at=at)])
    count(store, cached)
    return store


def test_the_list_says_who_is_first_and_why(filled: EventStore, cached: CachedHome) -> None:
    content = leads.build(ask(leads.PAGE, filled, cached))
    assert "grade A" in content.verdict.sentence
    assert "1 new since yesterday" in content.verdict.sentence
    assert len(content.tiles) == 7
    said = shown(content)
    assert "the score." in said
    assert "Next leads" in said
    assert "/lead?id=L-0" in said


def test_a_hostile_id_is_text_in_list_and_page(filled: EventStore, cached: CachedHome) -> None:
    said = shown(leads.build(ask(leads.PAGE, filled, cached, {"news": "new"})))
    assert HOSTILE in said
    assert "dangerously" not in said
    assert "/lead?id=%3Cimg+src%3Dx+onerror%3Dalert%281%29%3E" in said
    content = lead.build(ask(lead.PAGE, filled, cached, {"id": HOSTILE}))
    assert content.verdict.sentence.startswith(f"Lead {HOSTILE} has grade ")


def test_the_list_is_narrowed_by_grade_state_and_segment(filled: EventStore, cached: CachedHome) -> None:
    won = shown(leads.build(ask(leads.PAGE, filled, cached, {"state": "won"})))
    assert "id=L-01" in won
    assert "id=L-02" not in won
    assert "No lead fits" in shown(leads.build(ask(leads.PAGE, filled, cached, {"range": "1h"})))


@pytest.mark.parametrize(
    "given",
    [{"grade": "Z"}, {"news": "x"}, {"state": "'"}, {"page": "0"}, {"page": "x"}, {"page": "99999999999"},
     {"page": "3"}, {"segment": "country"}],
)  # fmt: skip
def test_a_choice_that_is_none_is_refused(
    filled: EventStore, cached: CachedHome, given: dict[str, str]
) -> None:
    with pytest.raises(BadInputError):
        leads.build(ask(leads.PAGE, filled, cached, given))


def test_the_export_has_every_lead_with_its_reasons(filled: EventStore, cached: CachedHome) -> None:
    found = leads.export(ask(leads.PAGE, filled, cached))
    rows = list(found.rows)
    assert len(rows) == 61
    assert all(len(row) == len(found.header) for row in rows)
    assert rows[0][-1]


def test_before_anything_is_counted_the_list_is_unknown(store: EventStore, cached: CachedHome) -> None:
    content = leads.build(ask(leads.PAGE, store, cached))
    assert content.verdict.level == "unknown"
    assert all(tile.measure.value is None for tile in content.tiles)


def test_a_lead_scored_by_three_versions_has_one_page(filled: EventStore, cached: CachedHome) -> None:
    said = shown(lead.build(ask(lead.PAGE, filled, cached, {"id": "thrice"})))
    assert "Scored by 3 versions of the model." in said
    assert "Why the score changed" in said
    assert "another list of fields" in said
    assert "Another model weighs the lead (version 2 instead of version 1)" in said
    assert "Nothing has been told yet" in said


def test_a_closed_lead_says_what_became_of_it(filled: EventStore, cached: CachedHome) -> None:
    content = lead.build(ask(lead.PAGE, filled, cached, {"id": "L-01"}))
    assert "it became a customer on" in content.verdict.sentence


def test_without_an_id_the_page_says_how_to_find_one(filled: EventStore, cached: CachedHome) -> None:
    assert "Type the id" in lead.build(ask(lead.PAGE, filled, cached)).verdict.sentence


def test_an_unknown_id_is_said_with_a_hint(filled: EventStore, cached: CachedHome) -> None:
    content = lead.build(ask(lead.PAGE, filled, cached, {"id": "L-99"}))
    assert content.verdict.sentence == "No score of a lead 'L-99' is stored."
    assert "L-01" in shown(content)
    # What was typed stands in its field, to be mended.
    assert [(given.name, given.value) for given in content.filters] == [("id", "L-99")]


def action(store: EventStore, cached: CachedHome, **fields: str) -> ActionRequest:
    return ActionRequest(
        fields={"model": "leads", **fields}, person=PERSON, store=store, home=cached.home,
        approvers=Approvers(cached.home.api_keys), now=NOW,
    )  # fmt: skip


def test_an_investigation_is_begun_kept_and_read_again(filled: EventStore, cached: CachedHome) -> None:
    empty = investigations.build(ask(investigations.PAGE, filled, cached))
    assert "No complaint has been investigated yet." in empty.verdict.sentence
    since = f"{NOW - 6 * DAY:%Y-%m-%d}"
    done = investigations.start_investigation(action(filled, cached, since=since))
    assert "stands first in the list" in done.sentence
    [record] = filled.evidence(kind="investigation")
    assert record.caller is not None
    assert record.caller.name == PERSON.name
    listed = investigations.build(ask(investigations.PAGE, filled, cached))
    assert record.evidence_id in shown(listed)
    assert PERSON.name in shown(listed)
    one = investigations.build(ask(investigations.PAGE, filled, cached, {"id": record.evidence_id}))
    assert one.verdict.level == "unknown"
    assert "is 30 days old yet" in shown(one)
    assert f"Asked by {PERSON.name} on " in shown(one)
    assert "other fields" not in shown(one)
    assert "6. Proposed resolution" in shown(one)
    with pytest.raises(NotFoundError):
        investigations.build(ask(investigations.PAGE, filled, cached, {"id": HOSTILE}))


@pytest.mark.parametrize(
    "fields",
    [{}, {"since": "x"}, {"since": "2001-01-01"}, {"since": "2026-01-01", "segment": "country"},
     {"since": "2026-10-01", "segment": "country=XX"}, {"since": "2026-10-01", "segment": "budget=3"}],
)  # fmt: skip
def test_a_question_that_is_none_is_refused_and_nothing_kept(
    filled: EventStore, cached: CachedHome, fields: dict[str, str]
) -> None:
    with pytest.raises(BadInputError):
        investigations.start_investigation(action(filled, cached, **fields))
    assert filled.evidence(kind="investigation") == ()


def test_a_time_before_the_first_lead_is_refused_with_the_day_of_that_lead(
    filled: EventStore, cached: CachedHome
) -> None:
    with pytest.raises(BadInputError, match="The first stored lead of leads is of 20"):
        investigations.start_investigation(
            action(filled, cached, since="2020-01-01", until="2020-02-01", model="leads")
        )
    assert filled.evidence(kind="investigation") == ()


def test_only_one_investigation_runs_at_a_time(filled: EventStore, cached: CachedHome) -> None:
    with investigations._RUNNING, pytest.raises(ConflictError):
        investigations.start_investigation(action(filled, cached, since=f"{NOW - 6 * DAY:%Y-%m-%d}"))


def test_a_segment_is_investigated_by_its_own_leads(filled: EventStore, cached: CachedHome) -> None:
    since = f"{NOW - 6 * DAY:%Y-%m-%d}"
    investigations.start_investigation(action(filled, cached, since=since, segment="country=DE"))
    said = shown(investigations.build(ask(investigations.PAGE, filled, cached, {
        "id": filled.evidence(kind="investigation")[0].evidence_id})))  # fmt: skip
    assert "leads with country=DE" in said


def test_only_leads_of_the_segment_are_looked_at(filled: EventStore, cached: CachedHome) -> None:
    model = cached.shelf.open("leads", "1")
    column = [feature.name for feature in model.contract.inputs].index("country")
    matrix = sample_matrix(model.contract, 60, seed=3)
    german = int((matrix[:, column] == 0.0).sum()) + int(matrix[0, column] == 0.0)
    registry = ModelRegistry(cached.home)
    request = InvestigationRequest(
        model="leads", time=HourRange.of(NOW - 6 * DAY, NOW), asked_at=NOW,
        segment=LeadSegment("country", "DE"),
    )  # fmt: skip
    seen = observe(filled, registry, cached.shelf, request)
    assert seen.now.sample is not None
    assert 0 < german < 60
    assert len(seen.now.sample) == german == seen.now.segment_leads
    assert set(seen.now.sample.rows[:, column]) == {0.0}
    assert {sum(cells) for cells in seen.now.cells.values()} == {german}
    assert "http" not in seen.no_registry
    assert "does not answer" in seen.no_registry


def test_alerts_that_fired_are_among_what_changed(filled: EventStore, cached: CachedHome) -> None:
    def fired(name: str, days: float, **labels: str) -> Episode:
        at = moment_us(NOW - days * DAY)
        return Episode(
            episode_id=name, fingerprint=name, rule="LeadScoringErrorRate", severity="critical",
            labels=labels, state="resolved", started_at=at, seen_at=at, fired_at=at,
            ended_at=at + 3_600_000_000, summary="3 of 100 calls fail.",
        )  # fmt: skip

    episodes = [
        fired("ours", 2), fired("before", 9, model="leads"), fired("other", 2, model="churn"),
        fired("long-ago", 60),
    ]  # fmt: skip
    with filled.writing() as connection:
        write_episodes(connection, {}, {episode.fingerprint: episode for episode in episodes})
    request = InvestigationRequest(model="leads", time=HourRange.of(NOW - 6 * DAY, NOW), asked_at=NOW)
    seen = observe(filled, ModelRegistry(cached.home), cached.shelf, request)
    told = {change.evidence: change.what for change in seen.changes}
    assert set(told) == {"ours", "before"}
    assert told["ours"].startswith("The critical alert LeadScoringErrorRate fired (until ")
    assert told["ours"].endswith("): 3 of 100 calls fail.")


def test_a_lead_whose_id_has_spaces_around_it_is_found_and_said(
    filled: EventStore, cached: CachedHome
) -> None:
    row = sample_matrix(cached.shelf.open("leads", "1").contract, 1, seed=9)[0]
    filled.append([answered(cached, "s1", " L-01 ", row, NOW - DAY)], [])
    count(filled, cached)
    spaced = lead.build(ask(lead.PAGE, filled, cached, {"id": " L-01 "})).verdict.sentence
    assert "“ L-01 ” (with the spaces around it)" in spaced
    # What was typed with spaces that are not part of the id.
    typed = lead.build(ask(lead.PAGE, filled, cached, {"id": " L-02  "})).verdict.sentence
    assert typed.startswith("Lead L-02 has grade")


@pytest.mark.parametrize("model", ["", "<script>alert(1)</script>", "other", "x" * 100_000])
def test_a_model_that_scored_no_lead_is_refused_and_nothing_kept(
    filled: EventStore, cached: CachedHome, model: str
) -> None:
    since = f"{NOW - 6 * DAY:%Y-%m-%d}"
    with pytest.raises((BadInputError, NotFoundError)):
        investigations.start_investigation(action(filled, cached, since=since, model=model))
    assert filled.evidence(kind="investigation") == ()


def test_a_text_without_end_is_refused(filled: EventStore, cached: CachedHome) -> None:
    since = f"{NOW - 6 * DAY:%Y-%m-%d}"
    with pytest.raises(BadInputError, match="too long"):
        investigations.start_investigation(
            action(filled, cached, since=since, segment="country=" + "D" * 300)
        )


@pytest.mark.parametrize("blocked", [False, True])
def test_the_folder_of_a_report_is_made_before_anything_is_kept(
    filled: EventStore, cached: CachedHome, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    blocked: bool,
) -> None:  # fmt: skip
    monkeypatch.setenv("LEADSCORE_HOME", str(cached.home.root))
    monkeypatch.setenv("LEADSCORE_TRACKING_URI", "http://127.0.0.1:9")
    folder = tmp_path / "new" / "reports"
    if blocked:
        folder.parent.write_text("a file")
    asked = f"{NOW - 6 * DAY:%Y-%m-%d}"
    given = ["investigate", "--since", asked, "--out", str(folder), "--events-url", url]
    done = CliRunner().invoke(app, given)
    kept = filled.evidence(kind="investigation")
    if blocked:
        assert done.exit_code != 0
        assert kept == ()
    else:
        assert done.exit_code == 0, done.output
        assert len(kept) == 1
        assert {path.suffix for path in folder.iterdir()} == {".html", ".md"}
