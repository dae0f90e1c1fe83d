"""The CRM page: what stands still is said first, and only administrators have forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.support import console
from tests.support.scored_leads import no_models, score_leads

from leadscore.console.building import known_at
from leadscore.console.page import ActionRequest, ConsolePerson, PageContent, PageRequest
from leadscore.console.pages import crm
from leadscore.crm.choose import choose_scores
from leadscore.crm.endpoints import find_endpoint
from leadscore.errors import BadInputError, NotFoundError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.monitoring.queries.ranges import moment_us
from leadscore.monitoring.rollups.progress import SEEN, set_moment
from leadscore.outbox import queue
from leadscore.outbox.tables import outbox

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)
ADA = ConsolePerson(kind="key", name="ada.lovelace", role="admin")
URL = "https://crm.example.com/hooks"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventStore]:
    for name in ("LEADSCORE_CRM", "LEADSCORE_CRM_KEY"):
        monkeypatch.delenv(name, raising=False)
    with EventStore(console.settings(tmp_path).home.events_url) as opened:
        yield opened


def look(
    store: EventStore, tmp_path: Path, person: ConsolePerson = ADA, *, at: datetime = NOW
) -> PageContent:
    settings = console.settings(tmp_path)
    return crm.build(
        PageRequest(
            path="/crm", since=at - timedelta(days=1), until=at, range_name="24h", filters={}, reader=person,
            model="leads", store=store, home=settings.home, approvers=Approvers(settings.api_keys), now=at,
        )
    )  # fmt: skip


def act(store: EventStore, tmp_path: Path, what: str, /, **fields: str) -> str:
    settings = console.settings(tmp_path)
    action = next(action for action in crm.CRM_ACTIONS if action.name == what)
    assert action.role == "admin"
    asked = ActionRequest(
        fields=fields, person=ADA, store=store, home=settings.home,
        approvers=Approvers(settings.api_keys), now=NOW,
    )  # fmt: skip
    return action.run(asked).sentence


def work(store: EventStore, at: datetime) -> None:
    """The monitor looks what there is to do."""
    with store.writing() as connection:
        set_moment(connection, SEEN, moment_us(at))


def wait(store: EventStore, tmp_path: Path) -> None:
    work(store, NOW)
    act(store, tmp_path, "add-endpoint", name="ours", url=URL)
    score_leads(store, [("L-1", 0.7, 10)])
    with store.reading() as connection:
        target = find_endpoint(connection, "ours").subscriber
    choose_scores(store, target, no_models, lambda: int(NOW.timestamp() * 1e6))


def test_without_a_target_it_says_how_to_get_one(store: EventStore, tmp_path: Path) -> None:
    content = look(store, tmp_path)
    assert (content.verdict.level, content.verdict.sentence) == ("info", "No system is told of scores yet.")
    assert "LEADSCORE_CRM" in str(content.body)


def test_what_waits_too_long_is_off_or_given_up_is_said(store: EventStore, tmp_path: Path) -> None:
    wait(store, tmp_path)
    assert look(store, tmp_path).verdict.level == "good"
    late = look(store, tmp_path, at=NOW + timedelta(minutes=16))
    assert late.verdict.sentence == "Scores wait for too long to be taken by ours."
    assert act(store, tmp_path, "change-endpoint", name="ours", change="disable").startswith(
        "Nothing is sent to ours"
    )
    assert look(store, tmp_path).verdict.sentence == "Nothing is sent to ours."
    act(store, tmp_path, "change-endpoint", name="ours", change="enable")
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="dead", settled_at=1, last_error="HTTP 500"))
    content = look(store, tmp_path)
    assert "somebody has to decide" in content.verdict.sentence
    assert content.tiles[3].measure.value == 1
    assert act(store, tmp_path, "resend-scores", target="ours") == "1 scores for ours are tried again."
    assert look(store, tmp_path).verdict.level == "good"


def test_targets_have_the_newest_scores_only_while_somebody_sends_them(
    store: EventStore, tmp_path: Path
) -> None:
    act(store, tmp_path, "add-endpoint", name="ours", url=URL)
    never = look(store, tmp_path)
    assert never.verdict.level == "unknown"
    assert "leadscore monitor" in never.verdict.sentence
    work(store, NOW - timedelta(hours=2))
    stopped = known_at(look(store, tmp_path), NOW)
    assert stopped.verdict.level == "unknown"
    assert "2 h ago" in stopped.verdict.sentence
    work(store, NOW)
    assert known_at(look(store, tmp_path), NOW).verdict.level == "good"


def test_a_broken_file_of_targets_is_unknown_not_good(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crm.yaml").write_text("targets: 3")
    monkeypatch.setenv("LEADSCORE_CRM", str(tmp_path / "crm.yaml"))
    content = look(store, tmp_path)
    assert content.verdict.level == "unknown"
    assert content.tiles[0].measure.value is None
    assert "crm.yaml" in str(content.body[0])


def test_a_target_with_a_label_in_place_of_a_name_is_said(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "name: sf, kind: salesforce, url: 'https://sf.example', credentials: /c, object: Lead"
    (tmp_path / "crm.yaml").write_text(f"targets: [{{{target}, fields: {{score: Lead Score}}}}]")
    monkeypatch.setenv("LEADSCORE_CRM", str(tmp_path / "crm.yaml"))
    content = look(store, tmp_path)
    assert content.verdict.level == "unknown"
    assert "write the API name, such as LeadScore__c" in str(content.body[0])


def test_a_number_that_was_not_counted_to_its_end_is_at_least_so_many(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait(store, tmp_path)
    with store.writing() as connection:
        connection.execute(sa.update(outbox).values(state="delivered", settled_at=1))
    assert look(store, tmp_path).tiles[2].label == "Delivered in 30 days"
    for module in (queue, crm):
        monkeypatch.setattr(module, "DELIVERED_MOST", 1)
    tile = look(store, tmp_path).tiles[2]
    assert (tile.label, tile.measure.value) == ("Delivered in 30 days, at least", 1)
    with store.reading() as connection:
        (found,) = queue.backlogs(connection)
    assert queue.delivered_words(found) == "at least 1"
    assert queue.delivered_words(replace(found, delivered=0)) == "0"


def test_only_an_administrator_has_forms(store: EventStore, tmp_path: Path) -> None:
    wait(store, tmp_path)
    shown = str(look(store, tmp_path).body)
    assert "/actions/change-endpoint" in shown
    assert URL in shown
    others = str(look(store, tmp_path, replace(ADA, role="approver")).body)
    assert "/actions/" not in others
    assert URL not in others
    assert "crm.example.com" in others


def test_a_secret_is_shown_once_and_never_on_the_page(store: EventStore, tmp_path: Path) -> None:
    first = act(store, tmp_path, "add-endpoint", name="ours", url=URL)
    second = act(store, tmp_path, "change-endpoint", name="ours", change="rotate")
    assert "whsec_" in first
    assert "whsec_" in second
    assert first != second
    assert "whsec_" not in str(look(store, tmp_path).body)
    assert act(store, tmp_path, "change-endpoint", name="ours", change="remove") == "ours is removed."
    with pytest.raises(BadInputError, match="not said what to do"):
        act(store, tmp_path, "change-endpoint", name="ours", change="")
    with pytest.raises(NotFoundError):
        act(store, tmp_path, "change-endpoint", name="ours", change="rotate")
    with pytest.raises(BadInputError):
        act(store, tmp_path, "add-endpoint", name="ours", url="nowhere")
