"""Reading YAML and JSON that somebody else wrote.

Bounded in size, depth, nodes and numbers, never a traceback.

YAML is built from the parser's events, counted as they come: a document of a few lines cannot become
gigabytes (aliases and merge keys count as often as they are used), a deep one cannot exhaust the stack,
and no constructor of tagged objects is ever reached. Messages say what is wrong and in which line; they
never quote the document, which may hold a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec
import yaml

from leadscore.errors import BadInputError, LeadScoreError

_Document = TypeVar("_Document")

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_YAML_NODES: Final = 1_000_000
MAX_YAML_DEPTH: Final = 64
MAX_NUMBER: Final = 64
"""Characters of a number, a time or another plain scalar that is not text."""

DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec's `decode` raises for bytes that are not the document.

Malformed, not UTF-8, or nested too deeply.
"""

# The compiled parser where PyYAML has it: ten times as fast, the same events.
_Loader: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_TEXT: Final = _TAG + "str"
_MERGE: Final = _TAG + "merge"
_RESOLVER: Final = yaml.resolver.Resolver()
_SCALARS: Final = yaml.constructor.SafeConstructor()
# Everything else that the resolver finds (`=`) is text.
_CONSTRUCTORS: Final[dict[str, Callable[[yaml.ScalarNode], object]]] = {
    _TAG + "null": _SCALARS.construct_yaml_null,
    _TAG + "bool": _SCALARS.construct_yaml_bool,
    _TAG + "int": _SCALARS.construct_yaml_int,
    _TAG + "float": _SCALARS.construct_yaml_float,
    _TAG + "timestamp": _SCALARS.construct_yaml_timestamp,
}


def decode_json(data: bytes | str, type: type[_Document]) -> _Document:  # noqa: A002 - as msgspec calls it
    """Msgspec's `decode`, for documents.

    A key that stands twice is refused, where msgspec takes the last one.

    Raises:
        msgspec.DecodeError: Malformed, not of that type, or a key that stands twice in one object.
        UnicodeDecodeError: Not UTF-8.
        RecursionError: Nested too deeply.
    """
    decoded = msgspec.json.decode(data, type=type)
    # Of integers only their number of digits could be a problem.
    json.loads(data, object_pairs_hook=_keys_once, parse_int=float)
    return decoded


def _keys_once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise msgspec.DecodeError("a key stands twice in one object")


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
        Dicts, lists, text, numbers, dates, booleans and None; None for an empty document.

    Raises:
        LeadScoreError: Of the type `error`: not YAML, not UTF-8, too long, too deep, too many nodes, a key
            that stands twice, a tag, a number or date that is none; the message names the line.
    """
    try:
        return _build(data.encode() if isinstance(data, str) else data)
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
    raise error(f"{source} is not valid YAML: {reason}.", hint=hint)


class _Mark(Protocol):
    """A place in the document, of the compiled parser or of the other; from 0."""

    line: int
    column: int


class _RefusedError(Exception):
    """Why a document is not taken; without its content."""

    def __init__(self, reason: str, mark: _Mark | None = None) -> None:
        super().__init__(reason + _in_line(mark))


@dataclass(frozen=True, slots=True)
class _Built:
    """A complete value with what it weighs.

    Nodes and levels, those of aliases counted wherever they stand.
    """

    value: object
    nodes: int = 1
    levels: int = 1
    is_merge: bool = False


@dataclass(slots=True)
class _Open:
    """A collection that is being read.

    Attributes:
        anchor: Its name, if it has one.
        before: Nodes before it.
        is_mapping: Or a list.
        children: Of a list.
        pairs: Of a mapping.
        merged: What `<<` brings into a mapping, which its own pairs override; the first one wins.
        key: Of a mapping, waiting for its value.
        levels: Levels below it so far.
    """

    anchor: str | None
    before: int
    is_mapping: bool
    children: list[object] = field(default_factory=list[object])
    pairs: dict[Hashable, object] = field(default_factory=dict[Hashable, object])
    merged: list[dict[Hashable, object]] = field(default_factory=list[dict[Hashable, object]])
    key: _Built | None = None
    levels: int = 0

    def take(self, child: _Built, mark: _Mark | None) -> None:
        self.levels = max(self.levels, child.levels)
        if not self.is_mapping:
            self.children.append(child.value)
        elif self.key is None:
            self.key = child
            if not isinstance(child.value, Hashable):
                raise _RefusedError("a list or mapping is a key", mark)
            if child.value in self.pairs and not child.is_merge:
                raise _RefusedError("a key stands twice in one mapping", mark)
        else:
            key, self.key = self.key, None
            if key.is_merge:
                self.merged += _mappings(child.value, mark)
            else:
                self.pairs[cast("Hashable", key.value)] = child.value

    def value(self) -> object:
        if not self.is_mapping:
            return self.children
        if not self.merged:
            return self.pairs
        result: dict[Hashable, object] = {}
        for mapping in (*reversed(self.merged), self.pairs):
            result |= mapping
        return result


@dataclass(slots=True)
class _Builder:
    result: object = None
    documents: int = 0
    nodes: int = 0
    stack: list[_Open] = field(default_factory=list[_Open])
    anchors: dict[str, _Built] = field(default_factory=dict[str, _Built])

    def count(self, nodes: int, levels: int, mark: _Mark | None) -> None:
        self.nodes += nodes
        if self.nodes > MAX_YAML_NODES:
            raise _RefusedError(f"it has more than {MAX_YAML_NODES} nodes", mark)
        if len(self.stack) + levels > MAX_YAML_DEPTH:
            raise _RefusedError(f"it is nested deeper than {MAX_YAML_DEPTH} levels", mark)

    def complete(self, built: _Built, anchor: str | None, mark: _Mark | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = built
        if self.stack:
            self.stack[-1].take(built, mark)
        else:
            self.result = built.value

    def see(self, event: yaml.Event) -> None:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            known = self.anchors.get(event.anchor or "")
            if known is None:
                raise _RefusedError("an alias refers to itself or to nothing", mark)
            self.count(known.nodes, known.levels, mark)
            self.complete(known, None, mark)
        elif isinstance(event, yaml.ScalarEvent):
            self.count(1, 1, mark)
            self.complete(_scalar(event), event.anchor, mark)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            _check_tag(event)
            self.count(1, 1, mark)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            self.stack.append(_Open(event.anchor, self.nodes - 1, is_mapping))
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = self.stack.pop()
            built = _Built(ended.value(), self.nodes - ended.before, ended.levels + 1)
            self.complete(built, ended.anchor, mark)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _RefusedError("another document follows", mark)


def _build(data: bytes) -> object:
    if len(data) > MAX_BYTES:
        raise _RefusedError(f"it is longer than {MAX_BYTES} bytes")
    builder = _Builder()
    events: Iterator[yaml.Event] = yaml.parse(data, _Loader)
    for event in events:
        builder.see(event)
    return builder.result


def _mappings(value: object, mark: _Mark | None) -> list[dict[Hashable, object]]:
    """What a merge key names: one mapping or a list of them."""
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise _RefusedError("a merge key (`<<`) needs a mapping or a list of mappings", mark)
    return cast("list[dict[Hashable, object]]", found)


def _scalar(event: yaml.ScalarEvent) -> _Built:
    _check_tag(event)
    text, (plain, _) = event.value, event.implicit
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) if plain else _TEXT  # pyright: ignore[reportUnknownMemberType]
    construct = _CONSTRUCTORS.get(tag)
    if construct is None:
        return _Built(text, is_merge=tag == _MERGE)
    if len(text) > MAX_NUMBER:
        raise _RefusedError(f"a number or date of more than {MAX_NUMBER} characters", event.start_mark)
    try:
        return _Built(construct(yaml.ScalarNode(tag, text)))
    except (ValueError, OverflowError):
        raise _RefusedError("a date or number does not exist", event.start_mark) from None


def _check_tag(event: yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
    if event.tag not in (None, "!", _TEXT):
        raise _RefusedError("tags (`!…`) are not taken", event.start_mark)


def _in_line(mark: _Mark | None) -> str:
    return "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
