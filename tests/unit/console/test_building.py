"""A page that cannot be made is a page that says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import console

from leadscore.console.building import BuiltPage, PageBuilder, known_at
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.page import PageContent, PageReader, PageRequest, PageVerdict, VerdictLevel
from leadscore.errors import NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers

NOW = datetime(2026, 11, 29, 14, 3, tzinfo=UTC)


class World:
    """A builder whose clock and pages a test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.fails: Exception | None = None
        self.hold: threading.Event | None = None
        self.asked: list[PageRequest] = []
        made = console.settings(folder, page_seconds=0.2)
        store = EventStore(made.home.events_url)
        approvers = Approvers(made.api_keys)
        self.builder = PageBuilder(made, store, approvers, ConsoleMetrics(), clock=lambda: self.now)

    def page(self, request: PageRequest) -> PageContent:
        self.asked.append(request)
        if self.hold is not None:
            self.hold.wait(30)
        if self.fails is not None:
            raise self.fails
        return console.content("All is <b>well</b>.")

    def look(self, reader: PageReader = console.PERSON.reader, **given: str) -> BuiltPage:
        return self.builder.build(console.page(build=self.page), given, reader)


def text(component: Any) -> str:
    if component is None or isinstance(component, str | int | float):
        return str(component or "")
    if isinstance(component, list | tuple):
        return " ".join(text(part) for part in component)
    return text(getattr(component, "children", None))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    if made.hold is not None:
        made.hold.set()


def test_a_page_is_made_of_what_it_asked(world: World) -> None:
    built = world.look(range="7d", version="leads/2", empty="")
    assert built.result == "fresh"
    assert "All is <b>well</b>." in text(built.children)
    asked = world.asked[0]
    assert (asked.until - asked.since, dict(asked.filters)) == (timedelta(days=7), {"version": "leads/2"})


def test_equal_pages_at_once_are_made_once(world: World) -> None:
    assert [world.look().result for _ in range(5)] == ["fresh"] * 5
    assert len(world.asked) == 1


def test_only_equal_readers_share_a_page_and_a_page_knows_no_more_of_them(world: World) -> None:
    by_key, by_issuer = PageReader(kind="key", role="approver"), PageReader(kind="oidc", role="approver")
    for reader in (by_key, by_issuer, console.PERSON.reader, by_key):
        world.look(reader)
    assert [asked.reader for asked in world.asked] == [by_key, by_issuer, console.PERSON.reader]
    assert {field.name for field in fields(PageReader)} == {"kind", "role"}


def test_a_page_that_was_begun_before_a_change_is_shown_to_nobody_after_it(world: World) -> None:
    world.hold = threading.Event()
    assert world.look().result == "unknown"
    [under_way] = world.builder._running.values()
    world.builder.forget()
    world.hold.set()
    under_way.result(30)
    world.hold = None
    assert world.look().result == "fresh"
    assert len(world.asked) == 2


def test_a_store_that_is_gone_is_said_and_nothing_is_invented(world: World) -> None:
    world.fails = UnavailableError("The event store does not answer.")
    built = world.look()
    assert built.result == "unknown"
    assert "The event store does not answer. Nothing is known yet." in " ".join(text(built.children).split())
    assert "12" not in text(built.children)


def test_a_store_that_is_slow_is_given_up_and_what_was_known_is_shown_with_its_age(world: World) -> None:
    assert world.look().result == "fresh"
    world.now += timedelta(minutes=5)
    world.hold = threading.Event()
    # It was made a minute ago, so it is not shared any more.
    for key, known in list(world.builder._known.items()):
        world.builder._known[key] = replace(known, finished=known.finished - 60)
    built = world.look()
    said = " ".join(text(built.children).split())
    assert built.result == "unknown"
    assert "has not answered within 0.2 s" in said
    assert "2026-11-29 14:03 UTC, 5 min ago" in said
    assert "All is <b>well</b>." in said


def test_a_page_under_way_is_waited_for_and_not_begun_again(world: World) -> None:
    world.hold = threading.Event()
    assert [world.look().result for _ in range(3)] == ["unknown"] * 3
    assert len(world.asked) == 1


def test_what_is_not_there_is_an_empty_page_not_a_broken_store(world: World) -> None:
    world.fails = NotFoundError("There is no lead 'x'.", hint="Look for another.")
    built = world.look()
    assert built.result == "refused"
    assert "There is no lead 'x'." in text(built.children)


@pytest.mark.parametrize("level", ["good", "info", "warning", "critical", "unknown"])
def test_what_was_good_when_records_ended_is_not_known_now(level: VerdictLevel) -> None:
    tile = replace(console.content().tiles[0], level=level)
    content = replace(console.content("It holds."), as_of=NOW, tiles=[tile])
    content = replace(content, verdict=PageVerdict(level=level, sentence="It holds."))
    soon, late = known_at(content, NOW + timedelta(minutes=4)), known_at(content, NOW + timedelta(hours=3))
    assert soon == content
    if level in {"good", "info"}:
        assert (late.verdict.level, late.tiles[0].level) == ("unknown", None)
        assert "3 h ago" in late.verdict.sentence
        assert late.verdict.sentence.endswith("Then it was: It holds.")
    else:
        assert late == content


def test_a_range_that_is_none_is_said_without_asking_the_store(world: World) -> None:
    built = world.look(since="2026-11-03", until="2026-11-01")
    assert built.result == "refused"
    assert "From (2026-11-03) is after To (2026-11-01)" in text(built.children)
    assert world.asked == []


def test_the_last_day_of_a_range_is_shown_as_it_was_given(world: World) -> None:
    shown = str(world.look(since="2026-11-01", until="2026-11-20").children)
    assert "defaultValue='2026-11-01'" in shown
    assert "defaultValue='2026-11-20'" in shown
    # A moment of a day is of that day.
    assert "defaultValue='2026-11-19'" in str(world.look(until="2026-11-19T10:00:00Z").children)


def test_who_asks_for_what_is_not_there_finds_the_way_back(world: World) -> None:
    world.fails = NotFoundError("There is no version 9.", hint="Look for another.")
    assert "href='/'" in str(world.look(version="9").children)
    assert "href='/'" not in str(world.look().children)
    assert "href='/'" in str(world.look(range="soon").children)


def test_an_address_with_a_character_that_no_store_keeps_is_a_sentence(world: World) -> None:
    built = world.look(id="L\0")
    assert (built.result, world.asked) == ("refused", [])
    assert "U+0000" in text(built.children)


def test_what_is_slow_is_called_by_its_name(world: World) -> None:
    world.hold = threading.Event()
    page = console.page(build=world.page, asks="The registry")
    built = world.builder.build(page, {}, console.PERSON.reader)
    assert "The registry has not answered within 0.2 s" in text(built.children)


def test_a_page_that_fails_does_not_take_the_shell_with_it(world: World) -> None:
    world.fails = ZeroDivisionError("secret")
    built = world.look()
    assert built.result == "unknown"
    assert "ZeroDivisionError" in text(built.children)
    assert "secret" not in text(built.children)
