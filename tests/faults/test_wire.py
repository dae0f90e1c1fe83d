"""PostgreSQL's messages are understood as calls that have the same name in every replay."""

from __future__ import annotations

import struct

from tests.faults.harness.wire import Session, is_fatal, packed, parameters, refusal

READ = (
    b"\0SELECT evidence.at \nFROM evidence \n"
    b"WHERE evidence.kind = $1::VARCHAR AND evidence.subject = $2::VARCHAR\0"
)
WRITE = (
    b"\0INSERT INTO evidence (evidence_id, kind, subject) "
    b"SELECT * FROM unnest($1::text[], $2::text[], $3::text[])\0"
)
SYNC = (b"S", b"")


def bind(*values: bytes | None, name: bytes = b"") -> bytes:
    sent = b"".join(struct.pack("!i", -1) if v is None else struct.pack("!i", len(v)) + v for v in values)
    formats = struct.pack("!HHH", 2, 0, 1)
    return b"\0" + name + b"\0" + formats + struct.pack("!H", len(values)) + sent + struct.pack("!H", 0)


def query(text: str) -> list[tuple[bytes, bytes]]:
    return [(b"Q", text.encode() + b"\0")]


def test_values_are_read_from_a_bind_message() -> None:
    assert parameters(bind(b"gate", None, b"", name=b"_pg3_0")) == (b"_pg3_0", [b"gate", b"", b""])


def test_a_read_of_evidence_is_named_by_its_kind_and_not_by_whom_it_is_about() -> None:
    session = Session("store")
    exchange = [(b"P", READ), (b"B", bind(b"gate", b"leads-17/2")), SYNC]
    assert session.understand(exchange).signature == "read evidence/gate.store"


def test_a_prepared_statement_is_known_by_its_name() -> None:
    session = Session("store")
    prepare = [(b"P", b"_pg3_0" + READ), SYNC]
    assert session.understand(prepare).verb == "prepare"
    again = [(b"B", bind(b"replay", b"leads-17/2", name=b"_pg3_0")), SYNC]
    assert session.understand(again).signature == "read evidence/replay.store"


def test_a_commit_is_named_by_what_it_commits_and_one_of_nothing_only_ends() -> None:
    session = Session("store")
    assert session.understand(query("BEGIN ISOLATION LEVEL READ COMMITTED")).verb == "begin"
    write = [(b"P", WRITE), (b"B", bind(b"{id}", b"{approval-request}", b"{leads/2}")), SYNC]
    assert session.understand(write).signature == "insert evidence/approval-request.store"
    assert session.understand(query("COMMIT")).signature == "commit evidence/approval-request.store"
    assert session.understand(query("COMMIT")).signature == "end transactions.store"
    session.understand(write)
    assert session.understand(query("ROLLBACK")).signature == "rollback evidence/approval-request.store"


def test_the_schema_is_defined_and_committed_and_the_rest_is_the_drivers() -> None:
    session = Session("store")
    statements = [
        "CREATE TABLE evidence (…)",
        "COMMIT",
        ";",
        "SET LOCAL x = 1",
        "select pg_catalog.version()",
    ]
    found = [session.understand(query(text)).signature for text in statements]
    assert found == [
        "define schema.store", "commit schema.store", "ping sessions.store", "set sessions.store",
        "set sessions.store",
    ]  # fmt: skip


def test_an_error_is_worded_as_a_server_words_it_and_some_end_the_session() -> None:
    letter, said = refusal("57P01")
    assert packed((letter, said)) == b"E" + struct.pack("!I", len(said) + 4) + said
    assert b"SFATAL\0" in said
    assert b"C57P01\0" in said
    assert [is_fatal(state) for state in ("57P01", "28P01", "53300", "25006", "40001")] == [True] * 3 + [
        False
    ] * 2
