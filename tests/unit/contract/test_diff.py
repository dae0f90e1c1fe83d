from __future__ import annotations

import msgspec
import pytest
from tests.unit.contract.leads import CONTRACT

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.contract.diff import diff_contracts

change = msgspec.structs.replace


def with_feature(name: str, **fields: object) -> FeatureContract:
    features = tuple(change(f, **fields) if f.name == name else f for f in CONTRACT.features)
    return change(CONTRACT, features=features)


def without(name: str) -> FeatureContract:
    return change(CONTRACT, features=tuple(f for f in CONTRACT.features if f.name != name))


def test_equal_contracts_have_no_changes() -> None:
    found = diff_contracts(CONTRACT, CONTRACT)
    assert found.changes == ()
    assert found.compatible


@pytest.mark.parametrize(
    ("new", "place", "breaks"),
    [
        (change(CONTRACT, name="x"), "name", ()),
        (change(CONTRACT, id="key"), "id", ("callers",)),
        (change(CONTRACT, time=None), "time", ("callers",)),
        (change(CONTRACT, target=Target(column="won", known_at="closed_at")), "target", ("model",)),
        (change(CONTRACT, target=Target(column="converted")), "target.known_at", ()),
        (change(CONTRACT, value=None), "value", ()),
        (change(CONTRACT, currency="EUR"), "currency", ()),
        (change(CONTRACT, unknown_fields="warn"), "unknownFields", ()),
        (without("balance"), "balance", ("callers", "model")),
        (without("gender"), "gender", ("callers",)),
        (with_feature("balance", required=True), "balance", ("callers",)),
        (with_feature("budget", required=False), "budget", ()),
        (with_feature("gender", input=True), "gender", ("model",)),
        (with_feature("gender", sensitive=False), "gender", ()),
        (with_feature("budget", unit="USD"), "budget", ("callers", "model")),
        (with_feature("budget", range=(0.0, 100.0)), "budget", ()),
        (with_feature("visits", integer=False), "visits", ()),
        (with_feature("balance", integer=True), "balance", ("callers",)),
        (with_feature("balance", description="of the account"), "balance", ()),
        (with_feature("source", categories=("web", "referral", "fair", "ad")), "source", ("model",)),
        (with_feature("source", categories=("referral", "web", "fair")), "source", ("model",)),
        (with_feature("source", categories=("web", "ad")), "source", ("model",)),
    ],
)
def test_each_change_says_whom_it_breaks(new: FeatureContract, place: str, breaks: tuple[str, ...]) -> None:
    found = diff_contracts(CONTRACT, new)
    assert [(c.place, c.breaks) for c in found.changes] == [(place, breaks)]
    assert found.compatible == (not breaks)
    assert found.changes[0].why


def test_stricter_unknown_fields_break_callers() -> None:
    found = diff_contracts(change(CONTRACT, unknown_fields="warn"), CONTRACT)
    assert found.breaks("callers")
    assert not found.breaks("model")


@pytest.mark.parametrize(
    ("feature", "breaks"),
    [
        (Boolean(name="new"), ("model",)),
        (Numeric(name="new", required=True), ("callers", "model")),
        (Categorical(name="new", categories=("a",), input=False), ()),
    ],
)
def test_an_added_feature_breaks_who_lacks_it(feature: Boolean, breaks: tuple[str, ...]) -> None:
    found = diff_contracts(CONTRACT, change(CONTRACT, features=(*CONTRACT.features, feature)))
    assert [c.breaks for c in found.changes] == [breaks]


def test_another_type_breaks_both() -> None:
    features = tuple(Boolean(name=f.name) if f.name == "balance" else f for f in CONTRACT.features)
    assert [c.breaks for c in diff_contracts(CONTRACT, change(CONTRACT, features=features)).changes] == [
        ("callers", "model")
    ]


def test_another_order_of_features_breaks_the_model_only() -> None:
    found = diff_contracts(CONTRACT, change(CONTRACT, features=CONTRACT.features[::-1]))
    assert [(c.place, c.breaks) for c in found.changes] == [("features", ("model",))]
