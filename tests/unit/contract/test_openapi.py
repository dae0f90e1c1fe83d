from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, meta
from tests.unit.contract.leads import CONTRACT, leads

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target, dump_contract
from leadscore.contract.openapi import example_lead, json_schema, lead_schema
from leadscore.contract.request import LeadDecoder
from leadscore.errors import BadInputError

WARNING = msgspec.structs.replace(CONTRACT, unknown_fields="warn")

_spoilers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "web", "2026-01-01", "12", "a\tb", "x" * 257, "  ", "\u00a0", " x"]),
    st.sampled_from([[], {}, [1], {"a": 1}]),
)
_names = [
    "lead_id",
    "created_at",
    *(f.name for f in CONTRACT.features),
    "unknown",
    "converted",
    "closed_at",
    "revenue",
]


@pytest.mark.parametrize("contract", [CONTRACT, WARNING])
@given(lead=leads, changes=st.dictionaries(st.sampled_from(_names), _spoilers, max_size=2), data=st.data())
def test_the_schema_accepts_exactly_what_the_decoder_accepts(
    contract: FeatureContract, lead: dict[str, object], changes: dict[str, object], data: st.DataObject
) -> None:
    lead = lead | changes
    for name in data.draw(st.sets(st.sampled_from(sorted(lead)), max_size=1)):
        del lead[name]
    try:
        LeadDecoder(contract).decode(json.dumps(lead).encode())
        accepted = True
    except BadInputError:
        accepted = False
    assert Draft202012Validator(lead_schema(contract)).is_valid(lead) == accepted


_ends = st.none() | st.floats(-1e6, 1e6) | st.integers(-50, 50).map(float)


@given(_ends, _ends, st.booleans())
def test_the_example_fits_every_range_that_holds_a_fitting_number(
    low: float | None, high: float | None, integer: bool
) -> None:
    if low is not None and high is not None:
        low, high = min(low, high), max(low, high)
        integer = integer and high - low >= 1.0
    contract = FeatureContract(
        name="n",
        id="i",
        target=Target(column="t"),
        features=(Numeric(name="x", range=(low, high), integer=integer),),
    )
    lead = LeadDecoder(contract).decode(json.dumps(example_lead(contract)).encode())
    assert lead.warnings == ()


def test_the_example_holds_every_field() -> None:
    lead = LeadDecoder(CONTRACT).decode(json.dumps(example_lead(CONTRACT)).encode())
    assert lead.warnings == ()
    assert set(example_lead(CONTRACT)) == {"lead_id", "created_at", *(f.name for f in CONTRACT.features)}


def test_categories_and_ranges_are_told_but_not_constraints() -> None:
    properties = lead_schema(CONTRACT)["properties"]
    assert properties["source"]["x-categories"] == ["web", "referral", "fair"]
    assert properties["budget"]["x-expected-range"] == [0.0, 500_000.0]
    assert properties["gender"]["x-sensitive"]
    assert "enum" not in properties["source"]
    assert "maximum" not in properties["budget"]


def test_contract_files_fit_the_schema_of_contracts() -> None:
    import yaml

    schema = json_schema()
    meta.validate(schema)
    Draft202012Validator(schema).validate(yaml.safe_load(dump_contract(CONTRACT)))


def test_the_schema_of_contracts_describes_every_property() -> None:
    definitions = json_schema()["$defs"]
    for kind in (Numeric, Categorical, Boolean, Target, FeatureContract):
        definition = definitions[kind.__name__]
        assert "Attributes" not in definition["description"]
    assert definitions["Numeric"]["properties"]["required"]["description"].startswith("A lead without it")
    assert definitions["FeatureContract"]["properties"]["unknownFields"]["description"]
