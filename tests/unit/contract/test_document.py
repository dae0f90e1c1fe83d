from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.contract.leads import CONTRACT

from leadscore.contract import (
    Boolean,
    Categorical,
    FeatureContract,
    Numeric,
    Target,
    contract_version,
    dump_contract,
    load_contract,
    parse_contract,
)
from leadscore.data.synthetic import synthetic_contract
from leadscore.errors import ContractError

_texts = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters='"\\'), min_size=1, max_size=8
)
_common = {"required": st.booleans(), "sensitive": st.booleans(), "description": _texts}
_ranges = st.tuples(
    st.none() | st.floats(max_value=0, allow_infinity=False),
    st.none() | st.floats(min_value=0, allow_infinity=False),
)


@st.composite
def contracts(draw: st.DrawFn) -> FeatureContract:
    names = [f"f {name}" for name in draw(st.lists(_texts, min_size=1, max_size=4, unique=True))]
    kinds = st.sampled_from(["numeric", "categorical", "boolean"])
    features = []
    for name in names:
        common = {"name": name} | {key: draw(values) for key, values in _common.items()}
        match draw(kinds):
            case "numeric":
                features.append(Numeric(range=draw(_ranges), integer=draw(st.booleans()), **common))
            case "categorical":
                categories = draw(st.lists(st.text(max_size=6), min_size=1, unique=True))
                features.append(Categorical(categories=tuple(categories), **common))
            case _:
                features.append(Boolean(**common))
    positive = draw(st.booleans() | st.integers(-3, 3) | _texts)
    return FeatureContract(
        name=draw(_texts), id="id", target=Target(column="y", positive=positive), features=tuple(features)
    )


@given(contracts())
def test_a_dumped_contract_reads_back_the_same(contract: FeatureContract) -> None:
    again = parse_contract(dump_contract(contract))
    assert again == contract
    assert contract_version(again) == contract_version(contract)


def test_the_version_follows_the_content() -> None:
    other = msgspec.structs.replace(CONTRACT, unknown_fields="warn")
    assert contract_version(CONTRACT) != contract_version(other)
    assert len(contract_version(CONTRACT)) == 12


def test_the_version_does_not_depend_on_how_numbers_are_written() -> None:
    contracts = [
        FeatureContract(
            name="n", id="i", target=Target(column="y"), features=(Numeric(name="x", range=(low, high)),)
        )
        for low, high in [(0, 1), (0.0, 1.0), (-0.0, 1.0)]
    ]
    assert len({contract_version(contract) for contract in contracts}) == 1


def test_people_read_name_and_type_first_and_no_defaults() -> None:
    assert "- name: balance\n  type: numeric\n- name: source\n" in dump_contract(CONTRACT)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "not valid YAML"),
        ('name: "\\ud800"\nid: i\ntarget: {column: y}\nfeatures: [{type: boolean, name: a}]', "surrogate"),
        ("[]", "object"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: text, name: a}]", "features"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: []", "no feature"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: boolean, name: i}]",
            "both a feature and an id"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: boolean, name: score}]", "reserved"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: boolean, name: 'a\"b'}]", "quote"),
        (("name: n\nid: i\ntarget: {column: y}\n"
            "features: [{type: boolean, name: a}, {type: boolean, name: a}]"), "twice"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: boolean, name: a, input: false}]",
            "no feature"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: categorical, name: a, categories: []}]",
            "no categories"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: categorical, name: a, categories: [b, b]}]",
            "twice"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: numeric, name: a, range: [2, 1]}]",
            "smaller end"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: numeric, name: a, range: [.nan, 1]}]",
            "finite"),
        ("name: n\nid: i\ntarget: {column: y}\nfeatures: [{type: numeric, name: a, rnge: [0, 1]}]", "rnge"),
        (("name: n\nid: i\nvalue: v\ncurrency: EURO\n"
            "target: {column: y}\nfeatures: [{type: boolean, name: a}]"),
            "no code of ISO 4217"),
        (("name: n\nid: i\nvalue: v\ncurrency: eur\n"
            "target: {column: y}\nfeatures: [{type: boolean, name: a}]"),
            "EUR, USD"),
        ("name: n\nid: i\ncurrency: EUR\ntarget: {column: y}\nfeatures: [{type: boolean, name: a}]",
            "no `value` column"),
    ],
)  # fmt: skip
def test_a_bad_contract_says_what_is_wrong(text: str, told: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_contract(text)
    assert told in str(caught.value)


def test_a_missing_file_is_a_contract_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError):
        load_contract(tmp_path / "none.yaml")


def test_a_contract_without_a_currency_has_the_version_that_it_had_before_there_was_one() -> None:
    # As the README shows it, and as artefacts of earlier releases have it.
    assert contract_version(synthetic_contract()) == "d4bb0f4072d1"
    assert "currency" not in dump_contract(synthetic_contract())


def test_a_currency_is_part_of_the_contract_and_is_read_back() -> None:
    text = (
        "name: n\nid: i\nvalue: v\ncurrency: CHF\ntarget: {column: y}\nfeatures: [{type: boolean, name: a}]"
    )
    contract = parse_contract(text)
    assert contract.currency == "CHF"
    assert parse_contract(dump_contract(contract)) == contract
    without = msgspec.structs.replace(contract, currency=None)
    assert contract_version(contract) != contract_version(without)
