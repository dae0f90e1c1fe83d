"""Reading YAML and JSON that somebody else wrote: bounded in size, depth, nodes and numbers, never a traceback.

YAML is checked as a stream of events before anything is built from it, so that a document of a few lines cannot
become gigabytes (aliases and merge keys count as often as they are used) and a deep one cannot exhaust the stack.
Messages say what is wrong and in which line; they never quote the document, which may hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import msgspec
import yaml

from leadscore.errors import BadInputError, LeadScoreError

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 64
MAX_NUMBER: Final = 64
"""Characters of a number, a time or another plain scalar that is not text."""

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec's `decode` raises for bytes that are not the document: malformed, not UTF-8, or nested too deeply."""

# The compiled parser where PyYAML has it: ten times as fast, the same results.
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT: Final = "tag:yaml.org,2002:str"
_RESOLVER: Final = yaml.resolver.Resolver()
_NO_SUCH_VALUE: Final = (ValueError, OverflowError)
"""From the constructors of dates and numbers, such as 2026-13-01 or 0b_."""


def read_yaml(
    data: str | bytes, source: str, error: type[LeadScoreError] = BadInputError, *, hint: str = ""
) -> object:
    """Parse one YAML (or JSON) document of plain values.

    Args:
        data: The document.
        source: What the message calls it: the file's name.
        error: What to raise.
        hint: Of the error.

    Returns:
        Dicts, lists, text, numbers, dates, booleans and None.

    Raises:
        LeadScoreError: Of the type `error`: not YAML, not UTF-8, too long, too deep, too many nodes, a key that
            stands twice, a tag, a number or date that is none; the message names the line.
    """
    try:
        encoded = data.encode() if isinstance(data, str) else data
        _check(encoded)
        return cast("object", yaml.load(encoded, _Loader))  # noqa: S506 - a safe loader
    except _RefusedError as refused:
        reason = str(refused)
    except yaml.MarkedYAMLError as failed:
        mark = failed.problem_mark or failed.context_mark
        reason = (failed.problem or failed.context or "malformed") + _in_line(mark)
        if "Unicode character escape" in reason:
            reason = f"it holds half of a surrogate pair, which is no character{_in_line(mark)}"
    except yaml.reader.ReaderError:
        reason = "it holds bytes or characters that YAML does not have (NUL, control characters, not UTF-8)"
    except yaml.YAMLError:
        reason = "malformed"
    except UnicodeEncodeError:
        reason = "it holds half of a surrogate pair, which is no character"
    except _NO_SUCH_VALUE:
        reason = f"a date or number does not exist{_in_line(_no_such_value(data))}"
    raise error(f"{source} is not valid YAML: {reason}.", hint=hint)


class _Mark(Protocol):
    """A place in the document, of the compiled parser or of the other; from 0."""

    line: int
    column: int


class _RefusedError(Exception):
    """Why a document is not taken; without its content."""


@dataclass(frozen=True, slots=True)
class _Extent:
    """How much an anchor stands for: nodes and levels."""

    nodes: int
    levels: int


@dataclass(slots=True)
class _Open:
    """A collection that is being read.

    Attributes:
        before: Nodes before it.
        anchor: Its name, if it has one.
        keys: Of a mapping, those seen; None for a sequence.
        is_key: Whether the next child is a key.
        levels: Levels below it so far.
    """

    before: int
    anchor: str | None
    keys: set[str] | None
    is_key: bool = True
    levels: int = 0


@dataclass(slots=True)
class _Walk:
    nodes: int = 0
    stack: list[_Open] = field(default_factory=list["_Open"])
    anchors: dict[str, _Extent] = field(default_factory=dict[str, "_Extent"])

    def add(self, extent: _Extent, event: yaml.Event) -> None:
        """Count a node and what is below it."""
        self.nodes += extent.nodes
        if self.nodes > MAX_NODES:
            raise _RefusedError(f"it has more than {MAX_NODES} nodes{_in_line(event.start_mark)}")
        if len(self.stack) + extent.levels > MAX_DEPTH:
            raise _RefusedError(f"it is nested deeper than {MAX_DEPTH} levels{_in_line(event.start_mark)}")

    def placed(self, extent: _Extent) -> None:
        """Tell the collection around a complete child of it."""
        if self.stack:
            around = self.stack[-1]
            around.levels = max(around.levels, extent.levels)
            around.is_key = not around.is_key


def _check(data: bytes) -> None:
    if len(data) > MAX_BYTES:
        raise _RefusedError(f"it is longer than {MAX_BYTES} bytes")
    walk = _Walk()
    events: Iterator[yaml.Event] = yaml.parse(data, _Loader)
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            extent = walk.anchors.get(event.anchor or "")
            if extent is None:
                raise _RefusedError(f"an alias refers to itself or to nothing{_in_line(event.start_mark)}")
            walk.add(extent, event)
            walk.placed(extent)
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event)
            _check_key(walk, event)
            _complete(walk, event.anchor, _Extent(1, 1), event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            _check_tag(event)
            walk.add(_Extent(1, 1), event)
            keys = set[str]() if isinstance(event, yaml.MappingStartEvent) else None
            walk.stack.append(_Open(walk.nodes - 1, event.anchor, keys))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = walk.stack.pop()
            extent = _Extent(walk.nodes - ended.before, ended.levels + 1)
            if ended.anchor is not None:
                walk.anchors[ended.anchor] = extent
            walk.placed(extent)


def _complete(walk: _Walk, anchor: str | None, extent: _Extent, event: yaml.Event) -> None:
    walk.add(extent, event)
    if anchor is not None:
        walk.anchors[anchor] = extent
    walk.placed(extent)


def _check_key(walk: _Walk, event: yaml.ScalarEvent) -> None:
    around = walk.stack[-1] if walk.stack else None
    if around is None or around.keys is None or not around.is_key:
        return
    if event.value in around.keys:
        raise _RefusedError(f"a key stands twice in one mapping{_in_line(event.start_mark)}")
    around.keys.add(event.value)


def _check_scalar(event: yaml.ScalarEvent) -> None:
    _check_tag(event)
    plain, _ = event.implicit
    if plain and len(event.value) > MAX_NUMBER and _resolved(event) != _TEXT:
        raise _RefusedError(
            f"a number or date of more than {MAX_NUMBER} characters{_in_line(event.start_mark)}"
        )


def _resolved(event: yaml.ScalarEvent) -> str:
    return _RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit)  # pyright: ignore[reportUnknownMemberType]


def _no_such_value(data: str | bytes) -> _Mark | None:
    """Where the first value stands that cannot be made."""
    construct = yaml.SafeLoader("")
    for event in yaml.parse(data, _Loader):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            try:
                construct.construct_object(yaml.ScalarNode(_resolved(event), event.value))
            except _NO_SUCH_VALUE:
                return event.start_mark
            except yaml.YAMLError:
                continue
    return None


def _check_tag(event: yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
    # PyYAML's constructors of tagged values are not made for strangers: `!!int ''` is an IndexError.
    if event.tag not in (None, "!", _TEXT):
        raise _RefusedError(f"tags (`!…`) are not taken{_in_line(event.start_mark)}")


def _in_line(mark: _Mark | None) -> str:
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
