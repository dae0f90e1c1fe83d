from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.events import outcome, prediction

from leadscore.events.records import OUTCOME, PREDICTION, Outcome, Prediction, decode_record, new_id
from leadscore.identity.caller import Caller


@given(st.builds(prediction, st.text(min_size=1, max_size=20), features=st.binary(max_size=100)))
def test_a_prediction_survives_the_wire(record: Prediction) -> None:
    assert decode_record(PREDICTION, msgspec.msgpack.encode(record)) == record


@given(st.builds(outcome, st.text(min_size=1, max_size=20), value=st.none() | st.floats(allow_nan=False)))
def test_an_outcome_survives_the_wire(record: Outcome) -> None:
    assert decode_record(OUTCOME, msgspec.msgpack.encode(record)) == record


def test_an_older_release_left_out_the_last_fields() -> None:
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(prediction("p1")))
    decoded = decode_record(PREDICTION, msgspec.msgpack.encode(fields[:11]))
    assert isinstance(decoded, Prediction)
    assert (decoded.request_id, decoded.warnings) == ("", ())
    assert (decoded.latency_us, decoded.source, decoded.caller) == (None, "", None)


def test_a_newer_release_adds_fields_at_the_end() -> None:
    record = prediction("p1", caller=Caller("key", "crm", "10.0.0.7"))
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
    fields[-1].append("a field of the caller")
    assert decode_record(PREDICTION, msgspec.msgpack.encode([*fields, "a field", 7])) == record


@pytest.mark.parametrize("kind", [0, 3, 255])
def test_an_unknown_kind_does_not_decode(kind: int) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_record(kind, msgspec.msgpack.encode(prediction("p1")))


def test_a_time_in_nanoseconds_does_not_decode() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_record(OUTCOME, msgspec.msgpack.encode(outcome("o1", occurred_at=1_800_000_000_000_000_000)))


def test_ids_are_unique_ordered_in_time_and_uuid_version_7() -> None:
    ids = [new_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)
    assert {i[12] for i in ids} == {"7"}
    assert {i[16] for i in ids} <= set("89ab")
