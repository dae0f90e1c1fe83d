from __future__ import annotations

import numpy as np
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
)

from leadscore.contract import Boolean, Categorical, Numeric
from leadscore.training.fairness import Slices, measure_fairness, sensitive_contract, slice_features


def groups(seed: int, n: int = 1500) -> tuple[Slices, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, n)
    converted = rng.random(n) < 0.2 + 0.1 * codes
    likely = rng.random(n) < 0.1 + 0.15 * codes + 0.3 * converted
    return Slices("region", codes.astype(np.intp), ("north", "south", "west")), converted, likely


@pytest.mark.parametrize("seed", range(5))
def test_differences_equal_fairlearn(seed: int) -> None:
    slices, converted, likely = groups(seed)
    found = measure_fairness(slices, converted, likely, min_group=1)
    assert found.demographic_parity_difference is not None
    assert found.demographic_parity_ratio is not None
    assert found.equalized_odds_difference is not None
    arguments = {"sensitive_features": slices.codes}
    assert found.demographic_parity_difference.value == pytest.approx(
        demographic_parity_difference(converted, likely, **arguments)
    )
    assert found.demographic_parity_ratio.value == pytest.approx(
        demographic_parity_ratio(converted, likely, **arguments)
    )
    assert found.equalized_odds_difference.value == pytest.approx(
        equalized_odds_difference(converted, likely, **arguments)
    )


def test_rates_are_those_of_the_slice() -> None:
    slices, converted, likely = groups(7)
    south = measure_fairness(slices, converted, likely).slices[1]
    rows = slices.codes == 1
    assert south.rows == rows.sum()
    assert south.true_positive_rate is not None
    assert south.true_positive_rate.value == pytest.approx(likely[rows & converted].mean())
    assert south.true_positive_rate.low < south.true_positive_rate.value < south.true_positive_rate.high


def test_small_groups_are_named_not_hidden_and_not_compared() -> None:
    slices, converted, likely = groups(8)
    codes = slices.codes.copy()
    codes[:30] = 3
    likely[:30] = True
    small = Slices("region", codes, ("north", "south", "west", "island"))
    found = measure_fairness(small, converted, likely, min_group=100)
    island = found.slices[3]
    assert (island.name, island.rows, island.too_few, island.selection_rate) == ("island", 30, True, None)
    assert "1 group(s) have fewer than 100 leads" in found.note
    assert found.demographic_parity_difference is not None
    assert found.demographic_parity_difference.value < 0.9


def test_one_group_cannot_be_compared_and_says_so() -> None:
    slices = Slices("region", np.zeros(200, np.intp), ("north", "south"))
    found = measure_fairness(slices, np.arange(200) % 2 == 0, np.arange(200) % 3 == 0)
    assert found.demographic_parity_difference is None
    assert "fewer than two groups" in found.note


def test_a_group_without_converted_leads_has_no_true_positive_rate() -> None:
    slices = Slices("region", np.repeat([0, 1], 200).astype(np.intp), ("north", "south"))
    converted = np.arange(400) < 50
    found = measure_fairness(slices, converted, np.arange(400) % 4 == 0)
    assert found.slices[1].true_positive_rate is None
    assert found.equalized_odds_difference is not None


def test_slices_follow_the_kind_of_the_feature() -> None:
    features = (
        Numeric(name="age"),
        Boolean(name="vip"),
        Categorical(name="region", categories=("north", "south")),
    )
    matrix = np.array([[20, 0, 0], [30, 1, 1], [40, np.nan, np.nan], [50, 1, 0], [np.nan, 0, 1]], np.float32)
    age, vip, region = slice_features(features, matrix)
    assert len(age.names) == 5
    assert [age.names[c] for c in age.codes][-1] == "(missing)"
    assert [vip.names[c] for c in vip.codes] == ["false", "true", "(missing)", "true", "false"]
    assert [region.names[c] for c in region.codes] == ["north", "south", "(missing)", "north", "south"]


def test_audit_only_attributes_are_measured_though_they_never_enter_the_model(contract) -> None:
    audited = sensitive_contract(contract)
    assert audited is not None
    assert "contact_gender" in [f.name for f in audited.inputs]
    assert "contact_gender" not in [f.name for f in contract.inputs]
