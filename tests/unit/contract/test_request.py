from __future__ import annotations

import contextlib
import json
import math
import unicodedata

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contract.leads import CONTRACT, MINIMAL, bodies, leads, writings

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.contract.request import DecodedLead, LeadDecoder
from leadscore.errors import BadInputError, BodyTooLargeError, InvalidLeadError, MalformedBodyError

DECODER = LeadDecoder(CONTRACT)
WARNING_DECODER = LeadDecoder(msgspec.structs.replace(CONTRACT, unknown_fields="warn"))
NAMES = [f.name for f in CONTRACT.inputs]
FLOAT32_MAX = float(np.finfo(np.float32).max)


def body(**changes: object) -> bytes:
    return json.dumps(MINIMAL | changes).encode()


def value(lead: DecodedLead, name: str) -> float:
    return float(lead.row[NAMES.index(name)])


def problems(data: bytes, decoder: LeadDecoder = DECODER) -> dict[str, str]:
    with pytest.raises(InvalidLeadError) as caught:
        decoder.decode(data)
    return {p.field: p.reason for p in caught.value.problems}


def same(a: DecodedLead, b: DecodedLead) -> bool:
    return (
        a.lead_id == b.lead_id and a.warnings == b.warnings and np.array_equal(a.row, b.row, equal_nan=True)
    )


# --- what a valid lead becomes ------------------------------------------------------------------------------


def test_a_lead_becomes_a_float32_row_in_the_order_of_inputs() -> None:
    lead = DECODER.decode(
        body(visits=7, balance=-1.5, **{"größe": "groß", "existing customer": False, "gender": "f"})
    )
    assert lead.lead_id == "L-1"
    assert lead.row.dtype == np.float32
    assert lead.row.tolist() == [1000.0, 7.0, -1.5, 0.0, 2.0, 1.0, 0.0]
    assert lead.warnings == ()


def test_missing_and_null_are_nan() -> None:
    absent, null = DECODER.decode(body()), DECODER.decode(body(visits=None, balance=None))
    assert math.isnan(value(absent, "visits"))
    assert np.array_equal(absent.row, null.row, equal_nan=True)


@pytest.mark.parametrize("required", [True, False])
def test_unseen_category_is_scored_and_flagged(required: bool) -> None:
    name = "source" if required else "größe"
    lead = DECODER.decode(body(**{name: "never seen"}))
    assert math.isnan(value(lead, name))
    assert [(w.field, w.reason) for w in lead.warnings] == [(name, "unseen_category")]
    assert "never seen" not in lead.warnings[0].message


@pytest.mark.parametrize(("number", "code"), [(-1, -1.0), (500_001, 500_001.0), (1e300, FLOAT32_MAX)])
def test_out_of_range_number_is_scored_and_flagged(number: float, code: float) -> None:
    lead = DECODER.decode(body(budget=number))
    assert value(lead, "budget") == code
    assert [(w.field, w.reason) for w in lead.warnings] == [("budget", "out_of_range")]


@pytest.mark.parametrize("literal", [b"1e999", b"1" + b"0" * 400, b"9" * 5000])
def test_number_beyond_float64_is_clipped_and_flagged(literal: bytes) -> None:
    lead = DECODER.decode(body(balance=0).replace(b'"balance": 0', b'"balance": ' + literal))
    assert value(lead, "balance") == FLOAT32_MAX
    assert [w.reason for w in lead.warnings] == ["out_of_range"]


@pytest.mark.parametrize("number", [-42, -42.0])
def test_integer_id_becomes_text(number: float) -> None:
    assert DECODER.decode(body(lead_id=number)).lead_id == "-42"


def test_iso_time_is_accepted_and_ignored() -> None:
    assert same(DECODER.decode(body(created_at="2026-03-31T09:30:00Z")), DECODER.decode(body()))


def test_unknown_field_warns_where_the_contract_says_so() -> None:
    lead = WARNING_DECODER.decode(body(extra={"deep": [1]}))
    assert [(w.field, w.reason) for w in lead.warnings] == [("extra", "unknown_field")]


OPEN = LeadDecoder(
    FeatureContract(
        name="open",
        id="id",
        target=Target(column="won"),
        unknown_fields="warn",
        features=(
            Numeric(name="budget"),
            Categorical(name="source", categories=("web", "fair")),
            Boolean(name="known"),
            Numeric(name="age", sensitive=True, input=False),
        ),
    )
)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, ["no_features"]),
        ({"budget": None, "source": None, "known": None}, ["no_features"]),
        ({"age": 30}, ["no_features"]),
        ({"source": "radio"}, ["unseen_category", "no_features"]),
        ({"bugdet": 3}, ["no_features", "unknown_field"]),
        ({"budget": 0}, []),
        ({"known": False}, []),
    ],
)
def test_a_lead_of_which_the_model_knows_nothing_is_scored_and_says_so(
    fields: dict[str, object], reasons: list[str]
) -> None:
    lead = {"id": "L-1", **fields}
    one = OPEN.decode(json.dumps(lead).encode())
    many = OPEN.decode_many(json.dumps({"leads": [lead, lead]}).encode(), 2)
    # An escaped quote sends the lead down the plain path.
    plain = OPEN.decode(json.dumps({**lead, "id": 'L"1'}).encode())
    columns = OPEN.columns_to_rows({name: [value] for name, value in lead.items()})
    for warnings in (one.warnings, *many.warnings, plain.warnings, *columns.warnings):
        assert [w.reason for w in warnings] == reasons
    assert all(w.field == "id" for w in one.warnings if w.reason == "no_features")


# --- what is refused ----------------------------------------------------------------------------------------


def test_every_bad_field_is_named_at_once() -> None:
    found = problems(b'{"lead_id":"","budget":"12","visits":1.5,"newsletter":1,"bugdet":2,"converted":1}')
    assert found == {
        "lead_id": "empty",
        "budget": "wrong_type",
        "visits": "not_whole",
        "source": "missing",
        "newsletter": "wrong_type",
        "bugdet": "unknown_field",
        "converted": "leak",
    }


@pytest.mark.parametrize("blank", [" ", "   ", "\u00a0\u2003"])
def test_an_id_of_blanks_is_no_id(blank: str) -> None:
    lead = {"lead_id": blank, "budget": 1.0, "visits": 1, "source": "web", "newsletter": True}
    assert problems(json.dumps(lead).encode()) == {"lead_id": "empty"}


def test_a_problem_says_what_came_and_what_is_allowed_but_not_the_value() -> None:
    with pytest.raises(InvalidLeadError) as caught:
        DECODER.decode(body(budget="secret", sorce="x"))
    number, unknown = caught.value.problems
    assert (number.received, number.allowed) == ("string", "a number, expected from 0 to 500000")
    assert unknown.allowed == "did you mean 'source'?"
    assert "secret" not in repr(caught.value.problems)


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"lead_id": None}, "lead_id", "missing"),
        ({"lead_id": "x" * 257}, "lead_id", "too_long"),
        ({"lead_id": 2**63}, "lead_id", "too_long"),
        ({"lead_id": "a\nb"}, "lead_id", "control_characters"),
        ({"lead_id": "a\n"}, "lead_id", "control_characters"),
        ({"lead_id": 1.5}, "lead_id", "wrong_type"),
        ({"lead_id": True}, "lead_id", "wrong_type"),
        ({"budget": None}, "budget", "missing"),
        ({"budget": True}, "budget", "wrong_type"),
        ({"budget": [1]}, "budget", "wrong_type"),
        ({"source": {"a": 1}}, "source", "wrong_type"),
        ({"source": 3}, "source", "wrong_type"),
        ({"newsletter": "true"}, "newsletter", "wrong_type"),
        ({"balance": math.nan}, "balance", "not_finite"),
        ({"balance": -math.inf}, "balance", "not_finite"),
        ({"created_at": "yesterday"}, "created_at", "wrong_format"),
        ({"created_at": 1700000000}, "created_at", "wrong_type"),
        ({"closed_at": "2026-01-01"}, "closed_at", "leak"),
        ({"revenue": 10}, "revenue", "leak"),
    ],
)
@pytest.mark.parametrize("decoder", [DECODER, WARNING_DECODER])
def test_bad_value_is_refused(
    decoder: LeadDecoder, changes: dict[str, object], field: str, reason: str
) -> None:
    assert problems(body(**changes), decoder) == {field: reason}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  \n",
        b"null",
        b"1",
        b'"lead"',
        b"[]",
        b"[" * 100_000,
        b'{"lead_id":' + b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"lead_id":' + b"[" * 20 + b"]" * 20 + b"}",
        b'"' + b'\\"' * 200_000,
        b"\xef\xbb\xbf" + body(),
        body().decode().encode("utf-16"),
        body() + b" {}",
        body() + b"\x00",
        body()[:-1],
        body().replace(b"1000", b"01"),
        body().replace(b"1000", b"+1"),
        body().replace(b"1000", b"1."),
        body().replace(b"1000", b"0x10"),
        body().replace(b"L-1", b"L-\xff"),
        body().replace(b"L-1", b"L-\xed\xa0\x80"),
        body().replace(b"L-1", b"L-\\ud800"),
        body().replace(b"web", b"\\udc00web"),
        body().replace(b'"budget"', b'"budget\\ud800"'),
        body().replace(b"web", b"w\teb"),
        body().replace(b'"', b"'"),
        b"\x80\x05\x95",
    ],
)
def test_malformed_body_is_a_clear_error(data: bytes) -> None:
    with pytest.raises(MalformedBodyError) as caught:
        DECODER.decode(data)
    assert caught.value.message.endswith(".")


def test_endless_unknown_fields_stay_bounded() -> None:
    data = body(**{f"unknown {i}": i for i in range(5000)})
    assert len(problems(data)) == 1000


# --- properties ---------------------------------------------------------------------------------------------


@given(bodies())
def test_fast_and_plain_path_agree_on_every_valid_lead(data: bytes) -> None:
    assert same(DECODER.decode(data), DECODER._decode_plain(data))


@given(leads)
def test_plainly_written_leads_take_the_fast_path(lead: dict[str, object]) -> None:
    data = json.dumps(lead, ensure_ascii=False).encode()
    try:
        parsed = DECODER._parse(data)
    except msgspec.ValidationError:  # a number beyond float64
        return
    quotes = DECODER._encode(parsed, bytearray(4 * len(NAMES)), 0, [])
    escaped = sum(text.count('"') for text in lead.values() if isinstance(text, str))
    assert data.count(b'"') == quotes + escaped


@given(leads, st.data())
def test_duplicate_key_is_never_accepted(lead: dict[str, object], data: st.DataObject) -> None:
    items = list(lead.items())
    name, first = data.draw(st.sampled_from(items))
    again = data.draw(st.sampled_from([first, None, 1, "x", "", True, 0.5, '"']))
    items.insert(data.draw(st.integers(0, len(items))), (name, again))
    text = data.draw(writings(items))
    with pytest.raises(InvalidLeadError) as caught:
        DECODER.decode(text)
    assert (name, "duplicate") in {(p.field, p.reason) for p in caught.value.problems}
    with pytest.raises(InvalidLeadError):
        DECODER.decode_many(b'{"leads":[' + body() + b"," + text + b"]}", 10)


@given(
    st.binary(max_size=60)
    | st.text(alphabet='{}[]":,\\ue0123456789.-+ntrfalsNI ', max_size=60).map(str.encode)
)
def test_arbitrary_bytes_give_a_clear_error(data: bytes) -> None:
    for decode in (DECODER.decode, lambda b: DECODER.decode_many(b, 10)):
        with pytest.raises(BadInputError):
            decode(data)


@given(bodies(), st.data())
def test_a_damaged_lead_gives_a_lead_or_a_clear_error(good: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 4)))
    damaged = (
        good[:start]
        + data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{", b"1e999", b",", b"NaN"]))
        + good[end:]
    )
    try:
        fast = DECODER.decode(damaged)
    except BadInputError:
        with pytest.raises(BadInputError):
            DECODER._decode_plain(damaged)
    else:
        assert same(fast, DECODER._decode_plain(damaged))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*MINIMAL, "converted", "x"]), inner),
    max_leaves=8,
)


@given(_json)
def test_arbitrary_json_gives_a_lead_or_a_clear_error(document: object) -> None:
    data = json.dumps(document).encode()
    for decode in (DECODER.decode, WARNING_DECODER.decode, lambda b: DECODER.decode_many(b, 10)):
        with contextlib.suppress(BadInputError):
            decode(data)


# --- many leads ---------------------------------------------------------------------------------------------


@given(st.lists(bodies(), max_size=5))
def test_many_leads_are_what_each_is_alone(each: list[bytes]) -> None:
    many = DECODER.decode_many(b'{"leads": [' + b",".join(each) + b"]}", 5)
    assert many.rows.shape == (len(each), len(NAMES))
    for i, one in enumerate(each):
        assert same(DecodedLead(many.lead_ids[i], many.rows[i], many.warnings[i]), DECODER.decode(one))


def test_bad_leads_are_named_by_their_place() -> None:
    with pytest.raises(InvalidLeadError) as caught:
        DECODER.decode_many(b'{"leads":[' + body() + b",7," + body(budget="1", x=1) + b"]}", 10)
    assert [(p.field, p.reason) for p in caught.value.problems] == [
        ("leads[1]", "wrong_type"),
        ("leads[2].budget", "wrong_type"),
        ("leads[2].x", "unknown_field"),
    ]


@pytest.mark.parametrize("spoil", [{}, {"x": 1}])
def test_too_many_leads_are_refused(spoil: dict[str, object]) -> None:
    leads_text = b",".join([body(**spoil)] * 3)
    with pytest.raises(BodyTooLargeError):
        DECODER.decode_many(b'{"leads":[' + leads_text + b"]}", 2)


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"leads":{}}', b'{"leads":null}', b""])
def test_bulk_body_without_a_list_of_leads_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedBodyError):
        DECODER.decode_many(data, 10)


@pytest.mark.parametrize("data", [b'{"leads":[],"x":1}', b'{"leads":[],"leads":[]}'])
def test_bulk_body_with_other_or_repeated_keys_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidLeadError):
        DECODER.decode_many(data, 10)


def test_no_leads_give_no_rows() -> None:
    assert DECODER.decode_many(b'{"leads":[]}', 10).rows.shape == (0, len(NAMES))


# --- contracts ----------------------------------------------------------------------------------------------


def test_column_names_never_reach_the_generated_source() -> None:
    hostile = "x); import os #'''{}\u2028"
    features = msgspec.structs.replace(CONTRACT.features[2], name=hostile.replace("\u2028", ""))
    contract = FeatureContract(name="n", id="i", target=CONTRACT.target, features=(features,))
    lead = LeadDecoder(contract).decode(json.dumps({"i": 1, features.name: 2}).encode())
    assert lead.row.tolist() == [2.0]


@pytest.mark.parametrize("word", ["", " ", "N/A", "-", "None", "(blank)"])
def test_a_word_for_no_value_is_no_category(word: str) -> None:
    sent = {**MINIMAL, "größe": word}
    many = DECODER.decode_many(json.dumps({"leads": [sent]}).encode(), 10)
    columns = DECODER.columns_to_rows({name: [cell] for name, cell in sent.items()})
    lead = DECODER.decode(json.dumps(sent).encode())
    assert math.isnan(value(lead, "größe"))
    assert (lead.warnings, many.warnings, columns.warnings) == ((), [()], [()])
    assert problems(body(source=word)) == {"source": "missing"}
    with pytest.raises(InvalidLeadError, match="source"):
        DECODER.columns_to_rows({name: [cell] for name, cell in (MINIMAL | {"source": word}).items()})


def test_the_same_text_in_another_form_is_the_category() -> None:
    plan = Categorical(name="plan", categories=("Größe", "3", "true"))
    decoder = LeadDecoder(msgspec.structs.replace(CONTRACT, features=(plan, *CONTRACT.features)))
    for text, code in ((unicodedata.normalize("NFD", "Größe"), 0.0), ("3.0", 1.0), ("True", 2.0)):
        lead = decoder.decode(body(plan=text))
        assert (lead.row[0], lead.warnings) == (code, ())
        columns = {name: [cell] for name, cell in (MINIMAL | {"plan": text}).items()}
        assert decoder.columns_to_rows(columns).rows[0, 0] == code
