"""What pages read besides the store, and how their URL becomes a selection of predictions."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTimeError
from datetime import timedelta
from threading import Lock
from typing import Final

import sqlalchemy as sa

from leadscore.console.page import PageFilter, PageRequest
from leadscore.durations import parse_duration
from leadscore.errors import LeadScoreError
from leadscore.monitoring.model_facts import ModelFacts, find_model_facts
from leadscore.monitoring.queries.counts import CountsRow, group_counts, read_counts, version_order
from leadscore.monitoring.queries.ranges import MATURITY, HourRange, Selection
from leadscore.registry.store import ModelRegistry
from leadscore.settings import Home

# A registry that does not answer must not keep a page whose other numbers are there.
_PATIENCE_SECONDS: Final = 1.0
_MATURITIES: Final = ("7d", "14d", "30d", "60d", "90d")
_DEFAULT_MATURITY: Final = f"{MATURITY.days}d"

_Key = tuple[Home, str, str]


class FactsShelf:
    """What versions' artefacts say, read once each beside the pages. Safe between threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="facts")
        self._lock = Lock()
        self._found: dict[_Key, Future[ModelFacts]] = {}

    def find(self, home: Home, model: str, version: str) -> tuple[ModelFacts | None, str]:
        """Return a version's facts, or None and why they cannot be had now; the next page asks again."""
        key = (home, model, version)
        with self._lock:
            asked = self._found.get(key)
            if asked is None:
                registry = ModelRegistry(home, with_mlflow=False)
                asked = self._pool.submit(find_model_facts, registry, model, version)
                self._found[key] = asked
        try:
            return asked.result(_PATIENCE_SECONDS), ""
        except NotInTimeError:
            return None, f"The registry has not given {model}/{version} yet."
        except LeadScoreError as error:
            with self._lock:
                self._found.pop(key, None)
            return None, f"{model}/{version} cannot be read: {error.message}"


SHELF: Final = FactsShelf()


def selection_of(
    request: PageRequest, *, roles: tuple[str, ...] = ("champion",), version: str = ""
) -> Selection:
    """Return the predictions that a page is about: its model, time range, version and age of outcomes.

    Args:
        request: Of the page.
        roles: Parts that the model played.
        version: That scored them; "": all of them.

    Raises:
        BadInputError: The age of outcomes is no duration.
    """
    return Selection(
        model=request.model,
        time=HourRange.of(request.since, request.until),
        versions=(version,) if version else (),
        roles=roles,
        maturity=parse_duration(request.filters.get("outcomes") or _DEFAULT_MATURITY),
    )


def maturity_filter(request: PageRequest) -> PageFilter:
    """Choose after how long the outcome of a lead should be known."""
    given = request.filters.get("outcomes") or _DEFAULT_MATURITY
    known = _MATURITIES if given in _MATURITIES else (given, *_MATURITIES)
    choices = [(name, f"after {parse_duration(name) / timedelta(days=1):g} days") for name in known]
    return PageFilter(name="outcomes", label="Outcomes known", value=given, choices=choices)


def version_filter(request: PageRequest, versions: tuple[str, ...], *, every: bool) -> PageFilter:
    """Choose a version among those that scored in the time range.

    Args:
        request: Of the page.
        versions: That there are.
        every: Whether all of them together can be shown.
    """
    given = request.filters.get("version", "")
    listed = versions if not given or given in versions else (given, *versions)
    choices = [*([("", "All versions")] if every else []), *((v, f"Version {v}") for v in listed)]
    value = given or ("" if every else next(iter(listed), ""))
    return PageFilter(name="version", label="Version", value=value, choices=choices)


def read_versions(connection: sa.Connection, request: PageRequest) -> tuple[tuple[str, ...], str]:
    """Return the versions that scored in the time, and which of them the page is about; "" if none scored."""
    versions = versions_by_traffic(read_counts(connection, selection_of(request), ("version",)))
    return versions, request.filters.get("version") or next(iter(versions), "")


def versions_by_traffic(rows: tuple[CountsRow, ...]) -> tuple[str, ...]:
    """Return versions, the one with most predictions first."""
    counted = group_counts(rows, lambda row: row.version)
    return tuple(sorted(counted, key=lambda v: (-counted[v].predictions, tuple(reversed(version_order(v))))))


def currency_of(request: PageRequest, version: str) -> str:
    """The currency that a version's contract names for revenue; empty if it names none, or cannot be read."""
    facts = SHELF.find(request.home, request.model, version)[0] if version else None
    return "" if facts is None else facts.contract.currency or ""


def currency_note(currency: str) -> str:
    """What stands below revenue where the contract names no currency, or cannot be read; else empty."""
    return "" if currency else "currency not known"
