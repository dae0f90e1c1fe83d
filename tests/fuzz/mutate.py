"""Ways to spoil a document: bytes, words of a text, values of a JSON tree, arrays of a UBJSON model."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes]

_NUMBERS = (
    *("0", "-0", "-1", "1", "2", "64", "255", "65535", "65536", "2147483647", "2147483648", "-2147483648"),
    *("4294967295", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808"),
    *(
        "18446744073709551615",
        "18446744073709551616",
        "1e308",
        "1e309",
        "-1e309",
        "1e-400",
        "1e38",
        "3.5e38",
        "0.5",
    ),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "inf",
        ".nan",
        ".inf",
        "1_000",
        "0x7fffffff",
        "0b_",
        "1:30",
        "9" * 5000,
    ),
    *("2026-13-01", "2026-02-30T25:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
)
_WORDS = (
    *(
        '""',
        "null",
        "true",
        "[]",
        "{}",
        '"\\u0000"',
        '"\\ud800"',
        '"x"',
        "~",
        "=",
        "<<",
        "*a",
        "&a",
        "!!int ''",
        "? ",
    ),
    *(
        "[" * 200,
        "{a: " * 200,
        '{"a":' * 200,
        "[" * 100_000,
        "xgboost",
        "lightgbm",
        "numeric",
        "categorical",
        "boolean",
    ),
)
_TREE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63), 1e308, 1e38, 1e-320),
    *(
        float("nan"),
        float("inf"),
        "",
        "x",
        "\0",
        "a\nb",
        "\x1b[2J",
        "\ud800",
        "é" * 50,
        "x" * 10_000,
        [],
        {},
        [[]],
    ),
    *([None], [1, 1], {"": 0}, [0] * 1000),
)
_WORD = re.compile(rb"[A-Za-z0-9_.+-]+")
_EXTREMES = (b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff" * 4)
_EXTREMES_LONG = (b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7, b"\xff" * 8, b"\x7f\x80\0\0", b"\x7f\xc0\0\0")


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut out, repeat, insert or cut off, once or a few times."""
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(buffer) + 1)
        length = min(len(buffer) - at, rng.choice((1, 2, 4, 8, 32, 256)))
        match rng.randrange(6):
            case 0:
                if at < len(buffer):
                    buffer[at] ^= 1 << rng.randrange(8)
            case 1:
                extreme = rng.choice(_EXTREMES + _EXTREMES_LONG)
                buffer[at : at + len(extreme)] = extreme
            case 2:
                del buffer[at : at + length]
            case 3:
                buffer[at:at] = bytes(buffer[at : at + length]) * rng.choice((1, 2, 50, 2000))
            case 4:
                buffer[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
            case _:
                if rng.random() < 0.2:
                    del buffer[at:]
    return bytes(buffer)


def mutate_words(data: bytes, rng: random.Random) -> bytes:
    """Exchange words of a text for odd ones, or cut, repeat and exchange its lines."""
    if rng.random() < 0.3:
        lines = data.split(b"\n")
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(3):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = [lines[other]] * rng.choice((1, 2, 100))
            case _:
                lines[at], lines[other] = lines[other], lines[at]
        data = b"\n".join(lines)
    words = list(_WORD.finditer(data))
    for _ in range(rng.choice((1, 1, 2, 5)) if words else 0):
        chosen = rng.choice(words)
        odd = rng.choice(_NUMBERS if rng.random() < 0.6 else _WORDS).encode()
        data = data[: chosen.start()] + odd + data[chosen.end() :]
        words = [word for word in words if word.end() < chosen.start()]
        if not words:
            break
    return data


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Exchange, remove, repeat or wrap a value of the tree."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return mutate_words(data, rng)
    for _ in range(rng.choice((1, 1, 1, 3))):
        places = list(_places(tree))
        if not places:
            return rng.choice(_NUMBERS).encode()
        parent, key = rng.choice(places)
        match rng.randrange(5):
            case 0 | 1:
                parent[key] = rng.choice(_TREE)
            case 2:
                del parent[key]
            case 3:
                value: Any = parent[key]
                for _ in range(rng.choice((1, 40, 400))):
                    value = [value]
                parent[key] = value
            case _:
                other, name = rng.choice(places)
                if name in other if isinstance(other, dict) else name < len(other):
                    parent[key] = json.loads(json.dumps(other[name]))
    try:
        return json.dumps(tree).encode()
    except RecursionError:
        return mutate_words(data, rng)


def mutate_ubjson(data: bytes, rng: random.Random) -> bytes:
    """Overwrite a number, the count or the type of a typed array."""
    starts = [found.end() for found in re.finditer(rb"\[\$[iUIlLdD]#", data)]
    if not starts:
        return mutate_bytes(data, rng)
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.choice(starts)
        match rng.randrange(4):
            case 0:
                extreme = rng.choice(_EXTREMES_LONG)
                buffer[at + 1 : at + 1 + len(extreme)] = extreme
            case 1:
                buffer[at - 2 : at - 1] = rng.choice(b"iUIlLdDSZTCNH").to_bytes(1, "big")
            case _:
                place = at + 9 + 4 * rng.randrange(24)
                number = rng.choice(
                    (rng.randrange(64), rng.randrange(2**32), 0x7F800000, 0xFFC00000, 0xFFFFFFFF)
                )
                buffer[place : place + 4] = number.to_bytes(4, "big")
    return bytes(buffer[: len(data)])


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container of the tree with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            found.append((node, key))
            waiting.append(node[key])
    return found
