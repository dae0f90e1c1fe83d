from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from leadscore.contract import Boolean, Categorical, FeatureContract, Numeric, Target
from leadscore.contract.leaks import (
    Suspicion,
    column_suspicion,
    later_suspicion,
    matrix_suspicions,
    model_suspicions,
    unexplained,
)

ROWS = 3000
Codes = np.ndarray


def outcomes(rate: float = 0.2, rows: int = ROWS, seed: int = 1) -> Codes:
    return (np.random.default_rng(seed).random(rows) < rate).astype(np.float64)


def suspect(codes: Codes, labels: Codes, *names: str) -> Suspicion | None:
    return column_suspicion("x", codes.astype(np.float64), labels, names=names)


# --- one column ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.02, 0.2, 0.5, 0.8])
@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("tells_outcome", lambda y, _: y * 7 + 3),
        ("tells_outcome", lambda y, _: 1 - y),
        ("tells_outcome", lambda y, r: y + r.normal(0, 0.3, len(y))),
        ("tells_outcome", lambda y, r: np.where(y == 1, r.choice([-5.0, 5.0], len(y)), 0.0)),
        ("presence", lambda y, r: np.where(y == 1, r.normal(size=len(y)), np.nan)),
        ("presence", lambda y, r: np.where(y == 0, r.integers(0, 4, len(y)), np.nan)),
    ],
)
def test_what_happened_told_in_another_way_is_a_leak(
    kind: str, plant: Callable[[Codes, np.random.Generator], Codes], rate: float
) -> None:
    labels = outcomes(rate)
    found = suspect(plant(labels, np.random.default_rng(2)), labels)
    assert found is not None
    assert (found.kind, found.strength) == (kind, "leak")


def test_notes_filled_after_part_of_the_sales_are_a_leak() -> None:
    random, labels = np.random.default_rng(3), outcomes()
    filled = (labels == 1) & (random.random(ROWS) < 0.4)
    found = suspect(np.where(filled, random.integers(0, 200, ROWS), np.nan), labels)
    assert found is not None
    assert (found.kind, found.strength) == ("presence", "leak")
    assert "in which it is filled in" in found.sentence


def test_one_value_that_means_won_is_a_leak_and_is_named() -> None:
    random, labels = np.random.default_rng(3), outcomes()
    stage = random.integers(0, 4, ROWS)
    stage[(labels == 1) & (random.random(ROWS) < 0.3)] = 4
    found = suspect(stage, labels, "New", "Contacted", "Demo", "Offer", "Closed")
    assert found is not None
    assert (found.kind, found.strength) == ("value", "leak")
    assert "“Closed”" in found.sentence


def test_a_reason_that_only_lost_leads_have_is_suspicious() -> None:
    random, labels = np.random.default_rng(3), outcomes()
    found = suspect(
        np.where((labels == 0) & (random.random(ROWS) < 0.5), random.integers(0, 5, ROWS), np.nan), labels
    )
    assert found is not None
    assert found.kind == "presence"


def test_a_zero_that_only_lost_leads_have_is_found_among_amounts() -> None:
    random, labels = np.random.default_rng(3), outcomes()
    paid = np.where((labels == 1) & (random.random(ROWS) < 0.5), random.lognormal(8, 1, ROWS), 0.0)
    found = suspect(paid, labels)
    assert found is not None
    assert found.strength == "leak"


def test_a_column_above_0_85_alone_is_suspicious_but_no_leak() -> None:
    labels = outcomes()
    found = suspect(labels + np.random.default_rng(4).normal(0, 0.6, ROWS), labels)
    assert found is not None
    assert (found.kind, found.strength) == ("tells_outcome", "suspicion")
    assert 0.85 <= found.figure < 0.95


@pytest.mark.parametrize("rate", [0.03, 0.2, 0.6])
@pytest.mark.parametrize("rows", [120, 2000])
def test_honest_columns_are_suspected_in_at_most_two_of_a_hundred_tables(rate: float, rows: int) -> None:
    wrong = total = 0
    for seed in range(15):
        random = np.random.default_rng(seed)
        signal = random.normal(size=rows)
        labels = (random.random(rows) < 1 / (1 + np.exp(-signal - np.log(rate / (1 - rate))))).astype(float)
        columns = [
            signal,
            np.round(signal),
            random.normal(size=rows),
            random.integers(0, 45, rows).astype(float),
            np.where(random.random(rows) < 0.3, np.nan, signal),
            np.where(signal > random.normal(0, 1, rows), 1.0, np.nan),
            np.arange(rows, dtype=float),
        ]
        wrong += sum(suspect(column, labels) is not None for column in columns)
        total += len(columns)
    assert wrong <= 0.02 * total


def test_too_few_outcomes_give_no_verdict() -> None:
    labels = np.array([1.0] * 19 + [0.0] * 500)
    assert suspect(labels, labels) is None


def test_rows_without_an_outcome_do_not_count() -> None:
    labels = np.array([0.0, 0.0, 1.0, 1.0, np.nan] * 100)
    found = suspect(np.where(np.isnan(labels), 7.0, labels), labels)
    assert found is not None
    assert found.figure == 1.0


def test_the_order_of_the_rows_does_not_matter() -> None:
    labels = np.array([1.0, 0.0] * 100)
    assert suspect(labels, labels) is not None
    assert suspect(np.arange(200) // 2, labels) is None


def test_a_column_with_one_value_or_none_is_no_leak() -> None:
    labels = outcomes()
    assert suspect(np.full(ROWS, np.nan), labels) is None
    assert suspect(np.ones(ROWS), labels) is None


def test_times_after_the_lead_are_a_leak() -> None:
    created = np.array(["2026-01-01", "2026-01-02", "2026-01-03", "NaT"], "datetime64[us]")
    assert later_suspicion("x", created, created) is None
    found = later_suspicion("x", created + np.timedelta64(1, "D"), created)
    assert found is not None
    assert (found.kind, found.figure) == ("later", 1.0)


# --- a contract and its matrix ------------------------------------------------------------------------------


def test_a_matrix_is_judged_by_the_contracts_names_and_answers() -> None:
    labels = outcomes()
    contract = FeatureContract(
        name="crm",
        id="id",
        target=Target(column="y"),
        features=(
            Numeric(name="visits"),
            Categorical(name="stage", categories=("open", "closed")),
            Boolean(name="invoice", known_before=True),
            Numeric(name="kept out", input=False),
        ),
    )
    noise = np.random.default_rng(5).normal(size=ROWS)
    matrix = np.column_stack([noise, labels, labels]).astype(np.float32)
    found = matrix_suspicions(contract, matrix, labels.astype(np.float32))
    assert [(s.column, s.known_before) for s in found] == [("stage", False), ("invoice", True)]
    assert [s.column for s in unexplained(found)] == ["stage"]


# --- a model ------------------------------------------------------------------------------------------------


def kinds(**figures: float | None) -> list[str]:
    given = {"auc": 0.8, "converted": 300, "others": 3000} | figures
    return [s.kind for s in model_suspicions(**given)]  # type: ignore[arg-type]


def test_a_model_that_is_too_good_is_suspected() -> None:
    assert kinds() == []
    assert kinds(auc=0.97) == ["model_auc"]
    assert kinds(auc=0.96, converted=4, others=20) == []


def test_a_hold_out_far_above_cross_validation_is_suspected() -> None:
    assert kinds(auc=0.985, validation_auc=0.69) == ["model_auc", "validation_gap"]
    assert kinds(auc=0.85, validation_auc=0.7) == ["validation_gap"]
    assert kinds(auc=0.85, validation_auc=0.7, validation_error=0.06) == []
    assert kinds(auc=0.85, validation_auc=0.7, converted=8, others=40) == []


def test_a_hold_out_below_cross_validation_is_drift_and_no_leak() -> None:
    assert kinds(auc=0.6, validation_auc=0.8) == []


def test_figures_that_are_not_there_are_not_judged() -> None:
    assert kinds(auc=float("nan")) == []
    assert kinds(auc=0.85, validation_auc=float("nan")) == []
    assert kinds(auc=0.99, converted=0) == []
