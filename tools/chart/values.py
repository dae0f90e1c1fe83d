"""Read values.yaml with its comments: every value, its default, what it is, what it may hold.

The comment right above a key documents it: `# -- ` begins the sentence (further lines go on), `# @schema `
adds JSON Schema keywords that the default does not show, as YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import yaml

from tools.chart.errors import ValuesError

_SENTENCE: Final = "# -- "
_SCHEMA: Final = "# @schema "

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Value:
    """One key of values.yaml.

    Attributes:
        path: From the root, such as `("model", "image", "tag")`.
        default: What the file holds.
        sentence: What it is; empty if it has no comment.
        keywords: JSON Schema keywords given by hand.
        line: Where it is, from 1.
        children: Documented keys below it; empty for a leaf, and for a free-form mapping.
    """

    path: tuple[str, ...]
    default: Plain
    sentence: str
    keywords: dict[str, Plain]
    line: int
    children: tuple[Value, ...]

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


def read_values(text: str) -> tuple[Value, ...]:
    """Every top-level value with what is below it.

    Raises:
        ValuesError: No mapping, a key without a sentence, or schema keywords that are no mapping.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValuesError("values.yaml holds no mapping.", hint="Write `key: value` lines.")
    return _mapping(root, (), text.splitlines())


def _mapping(node: yaml.MappingNode, path: tuple[str, ...], lines: list[str]) -> tuple[Value, ...]:
    return tuple(_value(key, content, path, lines) for key, content in node.value)


def _value(key: yaml.Node, content: yaml.Node, path: tuple[str, ...], lines: list[str]) -> Value:
    here = (*path, str(key.value))
    line = key.start_mark.line
    comment = _comment_above(lines, line, key.start_mark.column)
    sentence = " ".join(
        part.removeprefix(_SENTENCE).removeprefix("# ") for part in comment if not part.startswith(_SCHEMA)
    )
    if not any(part.startswith(_SENTENCE) for part in comment):
        raise ValuesError(
            f"values.yaml, line {line + 1}: {'.'.join(here)} is not documented.",
            hint=f"Write a line `{_SENTENCE}what it is` above it.",
        )
    documented = isinstance(content, yaml.MappingNode) and any(
        _comment_above(lines, child.start_mark.line, child.start_mark.column) for child, _ in content.value
    )
    return Value(
        path=here,
        default=_plain(content),
        sentence=sentence,
        keywords=_keywords(comment, ".".join(here), line),
        line=line + 1,
        children=_mapping(cast("yaml.MappingNode", content), here, lines) if documented else (),
    )


def _comment_above(lines: list[str], line: int, column: int) -> list[str]:
    comment: list[str] = []
    while line > 0 and lines[line - 1].startswith(" " * column + "#"):
        line -= 1
        comment.insert(0, lines[line].strip())
    return comment


def _keywords(comment: list[str], name: str, line: int) -> dict[str, Plain]:
    keywords: dict[str, Plain] = {}
    for part in comment:
        if part.startswith(_SCHEMA):
            given = yaml.safe_load(part.removeprefix(_SCHEMA))
            if not isinstance(given, dict):
                raise ValuesError(
                    f"values.yaml, line {line + 1}: the schema keywords of {name} are no mapping.",
                    hint="Write `# @schema minimum: 1`.",
                )
            keywords.update(cast("dict[str, Plain]", given))
    return keywords


def _plain(node: yaml.Node) -> Plain:
    return cast("Plain", yaml.safe_load(yaml.serialize(node, Dumper=yaml.SafeDumper)))
