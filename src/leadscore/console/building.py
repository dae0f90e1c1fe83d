"""Making a page in bounded time: what is slow or dead becomes a page that says so, with what it last knew."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTimeError
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import urlencode

from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import (
    empty_block,
    error_block,
    filters_block,
    tiles_block,
    verdict_block,
)
from leadscore.console.metrics import ConsoleMetrics
from leadscore.console.numbers import age_text, moment_text
from leadscore.console.page import (
    ConsolePage,
    PageContent,
    PageReader,
    PageRequest,
    PageVerdict,
    TimeRange,
    check_readable,
    read_range,
)
from leadscore.console.page_tables import has_tables
from leadscore.console.settings import ConsoleSettings
from leadscore.errors import BadInputError, NotFoundError, UnavailableError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.monitoring.queries.freshness import STALE

_log = logging.getLogger(__name__)

_PAGES_KEPT: Final = 256
_THREADS: Final = 8
# Viewers of one page are shown the same one between their refreshes, which come each five seconds.
_SHARED_SECONDS: Final = 4.0
_RANGE_NAMES: Final = frozenset(("range", "since", "until"))

_Key = tuple[str, tuple[tuple[str, str], ...], PageReader]


@dataclass(frozen=True, slots=True)
class BuiltPage:
    """A page's components, and what came of making them."""

    children: tuple[Component, ...]
    result: Literal["fresh", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class _Known:
    content: PageContent
    chosen: TimeRange
    at: datetime
    finished: float


def _way_out(page: ConsolePage, given: Mapping[str, str]) -> tuple[Component, ...]:
    """A link to the page without what was refused; none if nothing was asked for."""
    if not any(given.values()):
        return ()
    return (html.P(html.A(f"Show {page.title} without these choices", href=page.path), className="hint"),)


def known_at(content: PageContent, now: datetime) -> PageContent:
    """A page at a moment: what records said that end long before it was good then, and is not known now.

    What was wrong then is still said, and so is what a page itself says of records that are old.
    """
    as_of = content.as_of
    if as_of is None or now - as_of <= STALE:
        return content
    verdict = content.verdict
    if verdict.level in {"good", "info"}:
        age = f"{moment_text(as_of)} ({age_text(as_of, now)})"
        verdict = PageVerdict(
            level="unknown",
            sentence=f"What is so now is not known: records were read last at {age}. "
            f"Check that `leadscore monitor` runs. Then it was: {verdict.sentence}",
        )
    tiles = [replace(tile, level=None) if tile.level in {"good", "info"} else tile for tile in content.tiles]
    return replace(content, verdict=verdict, tiles=tiles)


class PageBuilder:
    """Makes pages beside the threads that answer browsers, and remembers the last good one of each.

    Args:
        settings: The console's.
        store: Event store that pages read.
        approvers: Whose answers count.
        metrics: Counters.
        clock: This moment (UTC).
    """

    def __init__(
        self,
        settings: ConsoleSettings,
        store: EventStore,
        approvers: Approvers,
        metrics: ConsoleMetrics,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._store = store
        self._approvers = approvers
        self._metrics = metrics
        self._clock = clock
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="page")
        self._lock = threading.Lock()
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._running: dict[_Key, Future[_Known]] = {}
        # Grows with each change; a page that was begun before the newest one is shared with nobody.
        self._changes = 0

    def request(self, page: ConsolePage, given: Mapping[str, str], reader: PageReader) -> PageRequest:
        """What a URL and its reader ask of a page.

        Raises:
            BadInputError: The time range is none.
        """
        now = self._clock()
        check_readable(given, kept=False)
        chosen = read_range(given, page.span, now)
        return PageRequest(
            path=page.path,
            since=chosen.since,
            until=chosen.until,
            range_name=chosen.name,
            filters={name: value for name, value in given.items() if value and name not in _RANGE_NAMES},
            reader=reader,
            model=self._settings.model,
            store=self._store,
            home=self._settings.home,
            approvers=self._approvers,
            now=now,
        )

    def build(self, page: ConsolePage, given: Mapping[str, str], reader: PageReader) -> BuiltPage:
        """Make a page; never raises, and takes no longer than the settings allow."""
        began = time.monotonic()
        try:
            built = self._build(page, given, reader)
        except Exception as error:  # noqa: BLE001 (whatever fails, its reader is told in a sentence)
            _log.error("a page could not be made", exc_info=error, extra={"fields": {"page": page.path}})
            why = f"This page could not be made ({type(error).__name__}); see the log."
            built = BuiltPage((error_block(why, hint="Open it anew."),), "unknown")
        self._metrics.pages.labels(page.path, built.result).observe(time.monotonic() - began)
        return built

    def _build(self, page: ConsolePage, given: Mapping[str, str], reader: PageReader) -> BuiltPage:
        try:
            request = self.request(page, given, reader)
        except BadInputError as error:
            usual = read_range({}, page.span, self._clock())
            shown = filters_block(page.path, (), usual if page.span else None)
            refused = error_block(error.message, hint=error.hint)
            return BuiltPage((shown, refused, *_way_out(page, given)), "refused")
        key = (page.path, tuple(sorted((k, v) for k, v in given.items() if v)), reader)
        try:
            found = self._begin(page, request, key).result(self._settings.page_seconds)
        except (NotInTimeError, UnavailableError) as error:
            late = f"{page.asks} has not answered within {self._settings.page_seconds:g} s."
            why = error.message if isinstance(error, UnavailableError) else late
            return self._last_known(page, key, why)
        except (NotFoundError, BadInputError) as error:
            shown = filters_block(page.path, (), self._chosen(page, request))
            refused = empty_block(error.message, hint=error.hint)
            return BuiltPage((shown, refused, *_way_out(page, given)), "refused")
        except Exception as error:  # noqa: BLE001 (a page's fault must not take the shell with it)
            _log.error("a page failed", exc_info=error, extra={"fields": {"page": page.path}})
            return self._last_known(page, key, f"This page failed ({type(error).__name__}); see the log.")
        return BuiltPage(self._show(page, found, given), "fresh")

    def forget(self) -> None:
        """Show nobody what was read before this moment, except as last known: something was changed."""
        with self._lock:
            self._changes += 1
            self._running.clear()
            for key, known in self._known.items():
                self._known[key] = replace(known, finished=-math.inf)

    def _begin(self, page: ConsolePage, request: PageRequest, key: _Key) -> Future[_Known]:
        """The making of this page that is under way or has just ended, else a new one."""
        with self._lock:
            known = self._known.get(key)
            if known is not None and time.monotonic() - known.finished < _SHARED_SECONDS:
                ready: Future[_Known] = Future()
                ready.set_result(known)
                return ready
            running = self._running.get(key)
            if running is None:
                running = self._running[key] = self._pool.submit(
                    self._make, page, request, key, self._changes
                )
            return running

    def _make(self, page: ConsolePage, request: PageRequest, key: _Key, changes: int) -> _Known:
        try:
            content = page.build(request)
            chosen = TimeRange(request.since, request.until, request.range_name)
            known = _Known(content, chosen, request.now, time.monotonic())
            with self._lock:
                if changes == self._changes:
                    self._known[key] = known
                    self._known.move_to_end(key)
                    while len(self._known) > _PAGES_KEPT:
                        self._known.popitem(last=False)
            return known
        finally:
            with self._lock:
                if changes == self._changes:  # else another one may be under way by now
                    self._running.pop(key, None)

    @staticmethod
    def _chosen(page: ConsolePage, request: PageRequest) -> TimeRange | None:
        return TimeRange(request.since, request.until, request.range_name) if page.span else None

    def _show(self, page: ConsolePage, known: _Known, given: Mapping[str, str]) -> tuple[Component, ...]:
        now = self._clock()
        content = known_at(known.content, now)
        query = urlencode({name: value for name, value in given.items() if value})
        exports = page.export is not None or has_tables(content)
        export = f"/export{'/overview' if page.path == '/' else page.path}?{query}" if exports else ""
        tiles = [tiles_block(content.tiles, now)] if content.tiles else []
        as_of = content.as_of
        age = (
            []
            if as_of is None
            else [html.P(f"Read up to {moment_text(as_of)} ({age_text(as_of, now)}).", className="age")]
        )
        chosen = known.chosen if page.span else None
        return (
            filters_block(page.path, content.filters, chosen, export),
            verdict_block(content.verdict),
            *tiles,
            *content.body,
            *age,
        )

    def _last_known(self, page: ConsolePage, key: _Key, why: str) -> BuiltPage:
        """What is wrong, and under it what was last known of this page, with its age."""
        with self._lock:
            known = self._known.get(key)
        if known is None:
            hint = "Nothing is known yet. The page is asked for again by itself as long as it is open."
            return BuiltPage((error_block(why, hint=hint),), "unknown")
        hint = (
            f"What follows is of {moment_text(known.at)}, {age_text(known.at, self._clock())}: "
            "it may not be true any more."
        )
        shown = self._show(page, known, dict(key[1]))
        return BuiltPage((error_block(why, hint=hint), html.Div(list(shown), className="stale")), "unknown")
