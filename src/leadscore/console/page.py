"""What a page is: from a request (path, time range, filters, person, store) to what is shown.

A page module has one function `build(request) -> PageContent`. It reads through `request.store` (or the
registry of `request.home`), and leaves the rest to pure functions. It never catches what a store raises: the
shell shows such a page as unknown, with what it last knew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from dash.development.base_component import Component

from leadscore.durations import parse_duration
from leadscore.errors import BadInputError
from leadscore.events.store import EventStore
from leadscore.identity.approvers import Approvers
from leadscore.monitoring.measures import Measure
from leadscore.settings import Home

ConsoleRole = Literal["viewer", "approver", "admin"]
PageGroup = Literal["Sales", "Operations", "Model", "Compliance"]
VerdictLevel = Literal["good", "info", "warning", "critical", "unknown"]
NumberName = Literal["count", "share", "number", "index", "times", "milliseconds", "per_second"]

GROUPS: Final[tuple[PageGroup, ...]] = ("Sales", "Operations", "Model", "Compliance")
RANKS: Final[Mapping[ConsoleRole, int]] = {"viewer": 0, "approver": 1, "admin": 2}
RANGES: Final = ("1h", "24h", "7d", "30d", "90d", "365d")
# More tiles are not read: what matters is said in the sentence above them.
MOST_TILES: Final = 7
_LONGEST: Final = timedelta(days=3_660)
# Before it nobody scored leads, and a span before such a day could not be counted with.
_EARLIEST: Final = 1970
# Characters that change how the text around them is read, or that a store cannot keep.
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSTORED: Final = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Money:
    """The unit of revenue: a currency as ISO 4217 has it, or none where the contract does not say."""

    currency: str = ""


NumberUnit = NumberName | Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReader:
    """For whom a page is made: all that it may know of whoever looks, because equal readers share one.

    Attributes:
        kind: How they signed in: `key` or `oidc`.
        role: What they may do.
    """

    kind: Literal["key", "oidc"]
    role: ConsoleRole

    def may(self, role: ConsoleRole) -> bool:
        """Whether they may do what a role may."""
        return RANKS[self.role] >= RANKS[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePerson(PageReader):
    """Who is signed in.

    Attributes:
        name: Name of the key, or of the token's subject.
        address: Where they come from; empty if that is not known.
    """

    name: str
    address: str = ""

    @property
    def reader(self) -> PageReader:
        """What pages may know of them."""
        return PageReader(kind=self.kind, role=self.role)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What is asked of a page.

    Attributes:
        path: Of the URL, such as `/drift`.
        since: First moment of the time range (UTC).
        until: First moment after it.
        range_name: `24h` and the like; `custom` where the person gave two dates.
        filters: Every other parameter of the URL; "" is the same as absent.
        reader: For whom.
        model: Registered name of the model that the console is about.
        store: Event store to read; a statement that takes longer than the page may is ended.
        home: Where the registry and its verified cache are.
        approvers: Who may answer for a release, and whose answers count.
        now: This moment.
    """

    path: str
    since: datetime
    until: datetime
    range_name: str
    filters: Mapping[str, str]
    reader: PageReader
    model: str
    store: EventStore
    home: Home
    approvers: Approvers
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PageVerdict:
    """The sentence at the top of a page, and how good or bad it is."""

    level: VerdictLevel
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTile:
    """One of a page's few numbers.

    Attributes:
        label: What it is.
        measure: The number, or why it is unknown.
        unit: How to write it.
        level: Whether it is good; None: a number has no such side.
        note: A few words below, such as what it is compared with.
        href: The page that explains it.
    """

    label: str
    measure: Measure
    unit: NumberUnit = "count"
    level: VerdictLevel | None = None
    note: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFilter:
    """A choice or a text that narrows a page; it becomes a parameter of the URL.

    Attributes:
        name: Parameter.
        label: For people.
        value: As it is now.
        choices: Values and their words; empty: free text. The first should be ("", "All …").
    """

    name: str
    label: str
    value: str
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """What a page shows, in the order in which it is shown.

    Attributes:
        verdict: One sentence.
        tiles: At most seven numbers.
        body: What explains them.
        filters: What narrows the page, beside the time range.
        as_of: Until when the records behind it were read; None: never, or it does not matter.
    """

    verdict: PageVerdict
    tiles: Sequence[NumberTile] = ()
    body: Sequence[Component] = ()
    filters: Sequence[PageFilter] = ()
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.tiles) > MOST_TILES:
            raise ValueError(f"a page shows at most {MOST_TILES} numbers, not {len(self.tiles)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageExport:
    """Rows of a CSV file; numbers as they are, not as people read them."""

    name: str
    header: Sequence[str]
    rows: Iterable[Sequence[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """An entry of the console.

    Attributes:
        path: Of the URL.
        title: In the navigation, and the page's heading.
        group: Whose page it is.
        question: What the page answers, for the tooltip and the documentation.
        build: Makes its content.
        export: Makes its CSV file at `/export/…`; None: the file holds the tables that the page shows.
        span: Time range if none is given; "": the page has none.
        hidden: Whether it is reached from another page only, and stands in no navigation.
        asks: What it waits for, as a sentence begins that says it is slow.
    """

    path: str
    title: str
    group: PageGroup
    question: str
    build: Callable[[PageRequest], PageContent]
    export: Callable[[PageRequest], PageExport] | None = None
    span: str = "24h"
    hidden: bool = False
    asks: str = "The event store"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """What a person asks to be done, after the shell has found out who they are and that they may.

    Attributes:
        fields: Of the form, stripped. Never logged: one may be a credential.
        person: Who asks.
        store: Event store.
        home: Where the registry is.
        approvers: Who may answer for a release.
        now: This moment.
    """

    fields: Mapping[str, str]
    person: ConsolePerson
    store: EventStore
    home: Home
    approvers: Approvers
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionResult:
    """What was done; or what the person must first prove at the issuer.

    Attributes:
        sentence: For the person; "" if nothing is done yet.
        login_nonce: The nonce of a token that is needed; "": none is. The action is run again with the
            token as its field `credential`.
        login_fields: The other fields to run it with then.
    """

    sentence: str
    login_nonce: str = ""
    login_fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleAction:
    """Something that a page's form does, at `/actions/NAME`.

    Attributes:
        name: Of the URL.
        role: Who may, at least.
        run: Does it; raises a LeadScoreError if it cannot.
    """

    name: str
    role: ConsoleRole
    run: Callable[[ActionRequest], ActionResult]


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From a moment to a moment, and what it is called."""

    since: datetime
    until: datetime
    name: str = field(default="custom")


def read_range(given: Mapping[str, str], default: str, now: datetime) -> TimeRange:
    """The time range of a URL's parameters `range`, or `since` and `until` (dates or RFC 3339).

    Raises:
        BadInputError: It is none, empty, longer than ten years or begins in the future.
    """
    since, until = given.get("since", ""), given.get("until", "")
    if not (since or until):
        span = given.get("range", "") or default or "24h"
        length = parse_duration(span)
        if length > _LONGEST:
            raise BadInputError(f"{span} is longer than ten years.", hint="Choose a shorter range.")
        return TimeRange(now - length, now, span)
    start = _moment(since, "since") if since else None
    end = _moment(until, "until", end=True) if until else now
    if start is None:
        start = end - timedelta(days=1)
    if start > now:
        raise BadInputError("The time range lies in the future.", hint="Choose days that have been.")
    if since and until and start >= end:
        raise BadInputError(
            f"From ({since[:40]}) is after To ({until[:40]}).",
            hint="Choose a first day that is not after the last.",
        )
    if start >= end:
        raise BadInputError(
            f"The time range is empty: {start:%Y-%m-%d %H:%M} is not before {end:%Y-%m-%d %H:%M} (UTC).",
            hint="Choose a first day before the last.",
        )
    if end - start > _LONGEST:
        raise BadInputError("The time range is longer than ten years.", hint="Choose a shorter range.")
    return TimeRange(start, end)


def _moment(text: str, name: str, *, end: bool = False) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        if len(text) == 10 and end:  # the whole last day
            found += timedelta(days=1)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.year < _EARLIEST:
        raise BadInputError(
            f"{text[:40]!r} is no day, or none that can be counted with.",
            hint=f"Write {name} as 2026-11-29 or 2026-11-29T14:00:00Z.",
        )
    return found


def check_readable(given: Mapping[str, str], *, kept: bool) -> None:
    """Refuse texts with characters that cannot be stored or, where a text is kept, that nobody sees.

    Args:
        given: Names and texts, of a URL or a form.
        kept: Whether they are kept and shown to others, as a reason is; an id is only looked for.

    Raises:
        BadInputError: One has such a character.
    """
    for name, text in given.items():
        found = (_UNSEEN if kept else _UNSTORED).search(text)
        if found is not None:
            raise BadInputError(
                f"{name[:40]!r} has a character that cannot be seen (U+{ord(found[0]):04X}).",
                hint="Type the text instead of pasting it.",
            )
