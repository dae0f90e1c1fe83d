"""The alerts page: what fires is said first, and rules that nobody evaluates are never "no alert"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.support import console

from leadscore.alerts.episodes import read_open, write_episodes
from leadscore.alerts.evaluate import Episode, RuleStatus
from leadscore.alerts.silences import read_silences
from leadscore.alerts.tables import alert_rules
from leadscore.console.page import ActionRequest, ConsolePerson, PageContent, PageRequest
from leadscore.console.pages import alerts
from leadscore.errors import BadInputError, ConflictError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)
ADA = ConsolePerson(kind="key", name="ada.lovelace", role="approver")


def us(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6)


EPISODE = Episode(
    episode_id="e1", fingerprint="f1", rule="LeadScoringErrorRate", severity="critical", labels={},
    state="firing", started_at=us(NOW - timedelta(minutes=9)), fired_at=us(NOW - timedelta(minutes=8)),
    seen_at=us(NOW), summary="3 of 100 requests fail <b>now</b>",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    with EventStore(console.settings(tmp_path).home.events_url) as opened:
        yield opened


def evaluated(store: EventStore, at: datetime, state: Any = "ok") -> None:
    with store.writing() as connection:
        document = msgspec.json.encode(
            RuleStatus(rule="LeadScoringErrorRate", state=state, unknown="")
        ).decode()
        connection.execute(sa.delete(alert_rules))
        connection.execute(
            sa.insert(alert_rules).values(rule="LeadScoringErrorRate", evaluated_at=us(at), document=document)
        )


def fire(store: EventStore, episode: Episode = EPISODE) -> None:
    with store.writing() as connection:
        write_episodes(connection, {}, {episode.fingerprint: episode})


def look(store: EventStore, tmp_path: Path, person: ConsolePerson = ADA) -> PageContent:
    settings = console.settings(tmp_path)
    return alerts.build(
        PageRequest(
            path="/alerts", since=NOW - timedelta(days=7), until=NOW, range_name="7d", filters={},
            reader=person,
            model="leads", store=store, home=settings.home, approvers=Approvers(settings.api_keys), now=NOW,
        )
    )  # fmt: skip


def act(store: EventStore, tmp_path: Path, name: str, *, at: datetime = NOW, **fields: str) -> str:
    settings = console.settings(tmp_path)
    action = next(action for action in alerts.ALERT_ACTIONS if action.name == name)
    asked = ActionRequest(
        fields=fields, person=ADA, store=store, home=settings.home,
        approvers=Approvers(settings.api_keys), now=at,
    )  # fmt: skip
    return action.run(asked).sentence


def forms(content: PageContent) -> list[str]:
    found = [str(part) for part in content.body]
    return [
        name
        for name in ("acknowledge", "silence", "end-silence")
        if any(f"/actions/{name}'" in s for s in found)
    ]


def test_rules_that_nobody_evaluates_are_unknown_not_calm(store: EventStore, tmp_path: Path) -> None:
    never = look(store, tmp_path)
    assert never.verdict.level == "unknown"
    assert "never" in never.verdict.sentence
    evaluated(store, NOW - timedelta(minutes=12))
    stale = look(store, tmp_path)
    assert stale.verdict.level == "unknown"
    assert "12 min ago" in stale.verdict.sentence
    assert stale.tiles[0].measure.value is None
    assert "badge good" not in str(stale.body)
    assert "was within bounds" in str(stale.body)
    assert "No alert is open." not in str(stale.body)


def test_rules_within_bounds_are_good_only_if_each_has_its_number(store: EventStore, tmp_path: Path) -> None:
    evaluated(store, NOW)
    assert look(store, tmp_path).verdict.level == "good"
    evaluated(store, NOW, "unknown")
    assert look(store, tmp_path).verdict.level == "unknown"


def test_what_fires_is_the_sentence_and_a_viewer_has_no_forms(store: EventStore, tmp_path: Path) -> None:
    evaluated(store, NOW, "firing")
    fire(store)
    content = look(store, tmp_path)
    assert (content.verdict.level, content.tiles[0].measure.value) == ("critical", 1)
    assert content.verdict.sentence.startswith("LeadScoringErrorRate: 3 of 100 requests fail <b>now</b>")
    assert forms(content) == ["acknowledge", "silence"]
    assert forms(look(store, tmp_path, replace(ADA, role="viewer"))) == []


def test_somebody_looks_after_it_once_and_by_name(store: EventStore, tmp_path: Path) -> None:
    evaluated(store, NOW, "firing")
    fire(store)
    assert "ada.lovelace looks after" in act(
        store, tmp_path, "acknowledge", episode="e1", reason="rolling back"
    )
    with store.reading() as connection:
        (episode,) = read_open(connection)
    assert episode.acknowledged is not None
    assert (episode.acknowledged.by.name, episode.acknowledged.reason) == ("ada.lovelace", "rolling back")
    assert "acknowledge" not in forms(look(store, tmp_path))
    with pytest.raises(ConflictError):
        act(store, tmp_path, "acknowledge", episode="e1", reason="again")


def test_an_alert_is_silenced_for_a_time_and_the_silence_is_ended(store: EventStore, tmp_path: Path) -> None:
    evaluated(store, NOW)
    said = act(store, tmp_path, "silence", alert="LeadScoringErrorRate", length="2h", reason="load test")
    assert "2026-11-29 16:03 UTC" in said
    with store.reading() as connection:
        (silence,) = read_silences(connection, us(NOW))
    assert silence.covers(EPISODE, us(NOW) + 1)
    assert "end-silence" in forms(look(store, tmp_path))
    later = NOW + timedelta(minutes=1)
    act(store, tmp_path, "end-silence", at=later, silence=silence.silence_id)
    with store.reading() as connection:
        assert read_silences(connection, us(later)) == ()
    with pytest.raises(BadInputError):
        act(store, tmp_path, "silence", alert="LeadScoringErrorRate", length="2h", reason=" ")


def test_a_broken_rules_file_hides_nothing_and_is_said(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(store, NOW, "firing")
    fire(store)
    (tmp_path / "broken.yaml").write_text("rules: [")
    monkeypatch.setenv("LEADSCORE_ALERT_RULES", str(tmp_path / "broken.yaml"))
    content = look(store, tmp_path)
    assert "broken.yaml is not valid YAML" in str(content.body[0])
    assert content.verdict.sentence.startswith("LeadScoringErrorRate")
    act(store, tmp_path, "silence", alert="LeadScoringErrorRate", length="2h", reason="load test")
    act(store, tmp_path, "acknowledge", episode="e1", reason="rolling back")
    with store.reading() as connection:
        assert all(episode.acknowledged for episode in read_open(connection))


def test_a_silence_of_an_alert_that_there_is_not_is_refused(store: EventStore, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="No alert is called"):
        act(store, tmp_path, "silence", alert="LeadScoringLatencyy", length="2h", reason="load test")
