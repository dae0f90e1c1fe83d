"""PostgreSQL's protocol 3.0, as far as a proxy has to read it to know what is asked. Pure.

https://www.postgresql.org/docs/15/protocol-message-formats.html: a message is a letter, its length with
itself (4 bytes), and what it says; only the first of a connection has no letter. A client's messages up to a
`Q`uery or a `S`ync are one exchange, which the server ends with `Z` (ready for the next one).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from tests.faults.harness.calls import Call

Message = tuple[bytes, bytes]  # letter, what it says

TLS_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
# The server ends the session with these (class 57: operator intervention; 28: not let in; 53: no more
# connections).
_FATAL = ("57", "28", "53")
_WORDS = {
    "57P01": "terminating connection due to administrator command",
    "57P03": "the database system is starting up",
    "53300": "sorry, too many clients already",
    "28P01": 'password authentication failed for user "operator"',
    "25006": "cannot execute INSERT in a read-only transaction",
    "40001": "could not serialize access due to concurrent update",
}
_KIND = re.compile(r"\bevidence\.kind = \$(\d+)")
_ONE_DIMENSION = struct.pack("!i", 1)
_INSERT = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)")
_SELECT = re.compile(r"SELECT .*?\bFROM (\w+)\b", re.DOTALL)


def packed(message: Message) -> bytes:
    """A message as it is sent."""
    letter, said = message
    return letter + struct.pack("!I", len(said) + 4) + said


def refusal(state: str) -> Message:
    """An error with an SQLSTATE, as a server says it."""
    severity = "FATAL" if is_fatal(state) else "ERROR"
    fields = {"S": severity, "V": severity, "C": state, "M": _WORDS.get(state, "injected")}
    return b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0"


def is_fatal(state: str) -> bool:
    """Whether the session ends with it."""
    return state[:2] in _FATAL


class Session:
    """What is known of a connection: its prepared statements, and what its transaction has written."""

    def __init__(self, server: str) -> None:
        """`server`: for signatures."""
        self._server = server
        self._prepared: dict[bytes, str] = {}
        self._written = ""

    def understand(self, exchange: Sequence[Message]) -> Call:
        """The call that an exchange is."""
        statement, values = "", list[bytes]()
        bound = False
        for letter, said in exchange:
            if letter == b"Q":
                statement, bound = said.rstrip(b"\0").decode(), True
            elif letter == b"P":
                name, text = said.split(b"\0", 2)[:2]
                self._prepared[name] = statement = text.decode()
            elif letter == b"B":
                name, values = parameters(said)
                statement, bound = self._prepared.get(name, ""), True
        verb, resource = self._named(" ".join(statement.split()), values)
        return Call(verb if bound else "prepare", self._server, resource)

    def _named(self, statement: str, values: Sequence[bytes]) -> tuple[str, str]:
        word = statement.partition(" ")[0].upper().strip(";")
        if word in {"COMMIT", "ROLLBACK"}:
            # Only the end of a transaction that has written something can be lost.
            verb, written = ("commit" if word == "COMMIT" else "rollback"), self._written
            self._written = ""
            return (verb, written) if written else ("end", "transactions")
        if word == "BEGIN":
            return "begin", "transactions"
        if word == "":
            return "ping", "sessions"
        resource = _resource(statement, values)
        if word == "CREATE" or (word == "INSERT" and resource == "schema_version"):
            self._written = "schema"
            return "define", "schema"
        if word == "INSERT":
            self._written = resource
            return "insert", resource
        return ("read" if resource else "set"), resource or "sessions"


def _resource(statement: str, values: Sequence[bytes]) -> str:
    """A table; of evidence, also which kind of it."""
    found = _INSERT.search(statement)
    if found is not None:
        columns = [name.strip() for name in found[2].split(",")]
        number = columns.index("kind") if "kind" in columns else -1
        return _with_kind(found[1], number, values)
    found = _SELECT.search(statement)
    if found is None:
        return ""
    kind = _KIND.search(statement)
    table = "catalogue" if found[1].startswith("pg_") else found[1]
    return _with_kind(table, int(kind[1]) - 1 if kind is not None else -1, values)


def _with_kind(table: str, number: int, values: Sequence[bytes]) -> str:
    if not 0 <= number < len(values):
        return table
    return f"{table}/{_text(values[number])}"


def _text(value: bytes) -> str:
    """A bound text; of an array in binary form, as inserts bind them, its first element."""
    if not value.startswith(_ONE_DIMENSION):
        return value.decode().strip("{}")
    # Dimensions, whether there are nulls, type; size and lower bound of the dimension; then length and bytes
    # of each.
    (length,) = struct.unpack_from("!i", value, 20)
    return value[24 : 24 + length].decode()


def parameters(bind: bytes) -> tuple[bytes, list[bytes]]:
    """Name of the statement and the values of a Bind message; b"" for NULL."""
    _, name, rest = bind.split(b"\0", 2)
    (formats,) = struct.unpack_from("!H", rest)
    at = 2 + 2 * formats
    (count,) = struct.unpack_from("!H", rest, at)
    at += 2
    values: list[bytes] = []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", rest, at)
        at += 4
        values.append(rest[at : at + max(length, 0)])
        at += max(length, 0)
    return name, values
