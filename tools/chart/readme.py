"""The README's table of values, between two markers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from tools.chart.errors import ValuesError
from tools.chart.values import Plain, Value

BEGIN: Final = "<!-- values:begin (python -m tools.chart writes this table from values.yaml) -->"
END: Final = "<!-- values:end -->"
_LONGEST: Final = 60


def readme_with(values: tuple[Value, ...], readme: str) -> str:
    """The README with a fresh table; ValuesError if it has no markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValuesError(
            "The chart's README has no markers.", hint=f"Write {BEGIN} and {END} where the table belongs."
        )
    return f"{before}{BEGIN}\n{_table(values)}\n{END}{after}"


def _table(values: tuple[Value, ...]) -> str:
    rows = (
        f"| `{value.name}` | {_default(value.default)} | {_cell(value.sentence)} |"
        for value in _leaves(values)
    )
    return "\n".join(("| value | default | what it is |", "|---|---|---|", *rows))


def _leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    for value in values:
        if value.children:
            yield from _leaves(value.children)
        else:
            yield value


def _default(default: Plain) -> str:
    text = json.dumps(default, ensure_ascii=False)
    return f"`{_cell(text)}`" if len(text) <= _LONGEST else "see values.yaml"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
