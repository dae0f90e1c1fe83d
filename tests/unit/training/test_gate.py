from __future__ import annotations

import json

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from leadscore.contract import Numeric
from leadscore.errors import RefusedError
from leadscore.scoring.model import ScoringModel
from leadscore.training.fairness import Slices
from leadscore.training.gate import judge_challenger, with_missing_columns
from leadscore.training.gate_checks import GateSide, HeldOut, compare, floors
from leadscore.training.pipeline import TrainedModel
from leadscore.training.verdict import Check, GateThresholds, GateVerdict, conclude

THRESHOLDS = GateThresholds()
N = 6000


def truth(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    margin = rng.normal(-2, 1.5, N)
    return margin, rng.random(N) < 1 / (1 + np.exp(-margin))


def side(margin: np.ndarray, *, noise: float = 0.0, seed: int = 1, microseconds: float = 5.0) -> GateSide:
    z = margin + np.random.default_rng(seed).normal(0, 1, N) * noise
    z = np.quantile(margin, np.argsort(np.argsort(z)) / (N - 1))
    probabilities = 1 / (1 + np.exp(-z))
    return GateSide(probabilities, probabilities >= np.quantile(probabilities, 0.9), microseconds)


def held(converted: np.ndarray, *, value: bool = True, codes: np.ndarray | None = None) -> HeldOut:
    codes = np.arange(N) % 2 if codes is None else codes
    revenue = np.where(converted, 100.0, np.nan) if value else None
    return HeldOut(converted, revenue, (Slices("region", codes.astype(np.intp), ("north", "south")),))


def named(checks: tuple[Check, ...], start: str) -> Check:
    return next(c for c in checks if c.name.startswith(start))


def test_a_clearly_better_challenger_passes() -> None:
    margin, converted = truth()
    checks = compare(side(margin, noise=2.0), side(margin), held(converted), THRESHOLDS)
    assert conclude(checks)[0]
    auc = named(checks, "AUC")
    assert auc.passed
    assert auc.difference is not None
    assert auc.difference.low > 0
    assert all(c.passed for c in checks)


def test_the_same_model_twice_is_refused_for_want_of_a_gain() -> None:
    margin, converted = truth()
    passed, summary = conclude(compare(side(margin), side(margin), held(converted), THRESHOLDS))
    assert not passed
    assert "no supported improvement" in summary


def test_a_gain_on_a_window_too_small_to_support_it_is_refused() -> None:
    margin, converted = truth(3)
    few = np.arange(150)

    def cut(s: GateSide) -> GateSide:
        return GateSide(s.probabilities[few], s.likely[few], s.microseconds)

    window = HeldOut(converted[few], None, ())
    auc = named(compare(cut(side(margin, noise=0.5)), cut(side(margin)), window, THRESHOLDS), "AUC")
    assert auc.difference is not None
    assert auc.difference.low < 0
    assert not auc.passed


def test_business_gain_alone_is_enough() -> None:
    rng = np.random.default_rng(5)
    margin, converted = truth()
    worth = rng.random(N) < 0.3
    value = np.where(converted, np.where(worth, 1000.0, 1.0), np.nan)
    champion, plain = side(margin), side(margin)
    lifted = np.where(worth, plain.probabilities * 0.5 + 0.45, plain.probabilities * 0.9)
    challenger = GateSide(lifted, lifted >= np.quantile(lifted, 0.9), 5.0)
    checks = compare(champion, challenger, HeldOut(converted, value, ()), THRESHOLDS)
    assert named(checks, "revenue").passed
    assert not named(checks, "AUC").passed


def test_without_value_the_kpi_is_conversions() -> None:
    margin, converted = truth()
    checks = compare(side(margin, noise=2.0), side(margin), held(converted, value=False), THRESHOLDS)
    assert named(checks, "conversions in the top 10%").passed


def test_a_slice_that_loses_stops_a_better_challenger() -> None:
    margin, converted = truth()
    codes = (np.arange(N) % 5 == 0).astype(int)
    better = side(margin)
    champion = side(margin, noise=1.5)
    spoiled = better.probabilities.copy()
    south = codes == 1
    spoiled[south] = np.random.default_rng(2).permutation(spoiled[south])
    checks = compare(
        champion,
        GateSide(spoiled, spoiled >= np.quantile(spoiled, 0.9), 5.0),
        held(converted, codes=codes),
        THRESHOLDS,
    )
    check = named(checks, "AUC by region")
    assert not check.passed
    assert "south" in check.name
    assert not conclude(checks)[0]


def test_worse_calibration_stops_a_better_challenger() -> None:
    margin, converted = truth()
    better = side(margin)
    inflated = np.clip(better.probabilities * 1.6, 0, 1)
    checks = compare(
        side(margin, noise=2.0), GateSide(inflated, better.likely, 5.0), held(converted), THRESHOLDS
    )
    assert named(checks, "AUC").passed
    assert not named(checks, "calibration error").passed
    assert not conclude(checks)[0]


def test_worse_fairness_stops_a_better_challenger() -> None:
    margin, converted = truth()
    codes = np.arange(N) % 2
    better = side(margin)
    biased = GateSide(better.probabilities, better.likely & (codes == 0), 5.0)
    checks = compare(side(margin, noise=2.0), biased, held(converted, codes=codes), THRESHOLDS)
    assert not named(checks, "equalized odds by region").passed
    assert not conclude(checks)[0]


def test_a_slow_challenger_is_stopped_but_microseconds_below_the_free_bound_are_not() -> None:
    margin, converted = truth()
    champion = side(margin, noise=2.0, microseconds=40.0)
    slow = named(compare(champion, side(margin, microseconds=81.0), held(converted), THRESHOLDS), "latency")
    fine = named(compare(champion, side(margin, microseconds=79.0), held(converted), THRESHOLDS), "latency")
    quick = side(margin, noise=2.0, microseconds=2.0)
    free = named(compare(quick, side(margin, microseconds=45.0), held(converted), THRESHOLDS), "latency")
    assert (slow.passed, fine.passed, free.passed) == (False, True, True)


def test_near_auc_one_half_of_the_distance_is_enough() -> None:
    rng = np.random.default_rng(1)
    converted = np.arange(N) % 4 == 0
    strong = converted * 4.0 + rng.normal(size=N)
    stronger = converted * 6.0 + rng.normal(size=N)
    sides = [GateSide(1 / (1 + np.exp(-(z - 2))), z > 2, 5.0) for z in (strong, stronger)]
    check = named(compare(sides[0], sides[1], held(converted), THRESHOLDS), "AUC")
    assert check.champion is not None
    assert check.champion > 0.99
    assert check.threshold < 0.01
    assert check.passed


def test_slices_too_small_to_judge_are_said() -> None:
    margin, converted = truth()
    codes = (np.arange(N) >= 50).astype(int)
    checks = compare(side(margin, noise=2.0), side(margin), held(converted, codes=codes), THRESHOLDS)
    assert "1 slice(s) too small" in named(checks, "AUC by region").why
    assert "not judged" in named(checks, "fairness by region").why


def test_a_first_model_must_rank_better_than_chance() -> None:
    margin, converted = truth()
    assert conclude(floors(side(margin), held(converted), THRESHOLDS))[0]
    guessing = side(np.random.default_rng(9).normal(size=N))
    passed, summary = conclude(floors(guessing, held(converted), THRESHOLDS))
    assert not passed
    assert "is not above 0.5" in summary


def fixed(_model: ScoringModel, _rows: np.ndarray) -> float:
    return 5.0


def test_verdict_of_a_first_model_says_that_there_is_no_champion(trained: TrainedModel) -> None:
    model = ScoringModel.load(trained.directory)
    verdict = judge_challenger(None, model, trained.holdout, latency=fixed)
    assert verdict.passed
    assert verdict.champion is None
    assert verdict.challenger == model.digest
    assert verdict.rows == trained.evidence.holdout.rows
    assert "no champion" in verdict.notes[0]
    assert verdict.start == trained.evidence.window.holdout_start


def test_verdict_is_a_record_that_survives_json(trained: TrainedModel) -> None:
    model = ScoringModel.load(trained.directory)
    verdict = judge_challenger(model, model, trained.holdout, latency=fixed)
    assert not verdict.passed
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=GateVerdict) == verdict
    assert {"name", "passed", "champion", "challenger", "difference", "threshold", "why"} <= set(
        json.loads(msgspec.json.encode(verdict))["checks"][0]
    )


def test_auc_on_the_holdout_is_the_one_in_the_evidence(trained: TrainedModel) -> None:
    model = ScoringModel.load(trained.directory)
    verdict = judge_challenger(None, model, trained.holdout, latency=fixed)
    assert named(verdict.checks, "AUC").challenger == pytest.approx(
        trained.evidence.metrics.auc.value, abs=1e-6
    )


def test_a_champion_with_another_contract_reads_the_table_by_its_own(trained: TrainedModel) -> None:
    model = ScoringModel.load(trained.directory)
    lacking = trained.holdout.drop_columns(["budget"])
    narrow = tuple(f for f in model.contract.features if f.name != "budget")
    assert with_missing_columns(model.contract, lacking).column("budget").null_count == lacking.num_rows
    verdict = judge_challenger(model, _Narrow(model, narrow), lacking, latency=fixed)  # type: ignore[arg-type]
    assert any("different contracts" in note for note in verdict.notes)
    assert any("budget" in note for note in verdict.notes)


class _Narrow:
    """The same model published under a contract without one column."""

    def __init__(self, model: ScoringModel, features: tuple) -> None:
        self.contract = msgspec.structs.replace(model.contract, features=features)
        self.manifest, self.digest, self.grades = model.manifest, model.digest, model.grades

    def score_rows(self, matrix: np.ndarray) -> np.ndarray:
        return np.linspace(0, 1, len(matrix))


def test_missing_columns_get_the_kind_of_their_feature(contract) -> None:
    empty = with_missing_columns(contract, pa.table({"lead_id": ["a"]}))
    assert set(empty.column_names) == {"lead_id", *(f.name for f in contract.inputs)}
    assert all(
        empty.schema.field(f.name).type == pa.float64() for f in contract.inputs if isinstance(f, Numeric)
    )


def test_a_window_without_labels_is_refused(trained: TrainedModel) -> None:
    with pytest.raises(RefusedError, match="no labelled lead"):
        judge_challenger(
            None, ScoringModel.load(trained.directory), trained.holdout.slice(0, 0), latency=fixed
        )
