"""Looking up many keys at once, by the indexes, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa

# Fewer than the variables that one statement may have (SQLite: 999 before 3.32); PostgreSQL takes an array.
_MOST_VARIABLES: Final = 900
_MOST_IN_AN_ARRAY: Final = 10_000

Key = TypeVar("Key", int, str)


def in_parts(connection: sa.Connection, keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """Cut keys into as many as one statement takes."""
    size = _MOST_IN_AN_ARRAY if connection.dialect.name == "postgresql" else _MOST_VARIABLES
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def is_among(
    connection: sa.Connection, column: sa.ColumnElement[Any], keys: Sequence[Key]
) -> sa.ColumnElement[bool]:
    """Whether a column is one of these keys, of which there are no more than one part has."""
    if connection.dialect.name == "postgresql":
        # One parameter, so that the statement is prepared once for every number of keys.
        return column == sa.func.any(sa.literal(list(keys), sa.ARRAY(column.type)))
    return column.in_(keys)


def look_up(
    connection: sa.Connection, wanted: sa.ColumnElement[Any], key: sa.ColumnElement[Any], keys: set[str]
) -> set[Any]:
    """The different values of a column in the rows whose key is among some."""
    found: set[Any] = set()
    for part in in_parts(connection, sorted(keys)):
        query = sa.select(wanted).where(is_among(connection, key, part)).distinct()
        found.update(connection.execute(query).scalars())
    return found
