"""Where losses become known later than wins.

What training sees of the truth, and what learning the delays is worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.funnels import ALL_KNOWN, START, Funnel, seeds, seller_funnel, synthetic_funnel
from benchmarks.row import Row, Section, at_least, at_most

if TYPE_CHECKING:
    import pyarrow as pa

    from leadscore.intervals import Estimate
    from leadscore.training.options import TrainOptions

_DELAYS = (60.0, 180.0, 360.0)
_SEEDS, _WORLDS = 5, 20
_CHANGE_MONTHS, _WAIT_DAYS, _AHEAD_DAYS = 6, 30, 60
_SELLER = "crm_sales_pipeline.csv"
Matrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
_XGBOOST = {
    "objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "eta": 0.08, "subsample": 0.8,
    "colsample_bytree": 0.8, "nthread": 1, "verbosity": 0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """One funnel: ours less XGBoost on the same hold-out, and training's rate beside the true one."""

    name: str
    difference: Estimate
    auc: float
    known: float
    rate: float
    true: Estimate

    @property
    def inside(self) -> bool:
        """Whether training's rate lies in the interval of the true one."""
        return self.true.low <= self.rate <= self.true.high


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    count = _SEEDS if bench.effort.trials > 10 else 1
    found = [_hold(bench, synthetic_funnel(seed, d), seed) for d in _DELAYS for seed in seeds(count)]
    seller = bench.bank_data.parent / _SELLER
    if seller.exists():
        found.append(_hold(bench, seller_funnel(seller), 0))
    worst = min(found, key=lambda h: h.difference.high)
    bench.sections.append(
        Section(
            "Funnels whose losses become known later than wins",
            (
                "losses after (median)",
                "AUC",
                "less XGBoost's",
                "interval",
                "known",
                "training's rate",
                "true rate",
            ),
            tuple(_line(h) for h in found),
            "XGBoost: depth 4, 120 trees, all leads before the calibration window that are old "
            "enough, same hold-out window.",
        )
    )
    outside = sum(not h.inside for h in found)
    return [
        Row(
            "label-delay-auc",
            "AUC less XGBoost's on all mature leads, same split: least upper end of an interval",
            worst.difference.high,
            "",
            at_least(0.0),
            beside=(
                f"mean difference {np.mean([h.difference.value for h in found]):+.4f} "
                f"over {len(found)} funnels"
            ),
        ),
        Row(
            "label-delay-rate",
            "funnels in which training's conversion rate is outside the 95 % interval of the true one",
            float(outside),
            "",
            # One in twenty is outside by chance.
            at_most(np.ceil(0.05 * len(found))),
            beside=f"of {len(found)}; by the known outcomes alone "
            f"{sum(not h.true.low <= h.known <= h.true.high for h in found)}",
        ),
    ]


def _hold(bench: Bench, funnel: Funnel, seed: int) -> Held:
    import xgboost as xgb  # noqa: PLC0415

    from leadscore.data.matrix import encode_table, labels, matrix_times  # noqa: PLC0415
    from leadscore.intervals import auc_difference, auc_estimate  # noqa: PLC0415
    from leadscore.scoring.model import ScoringModel  # noqa: PLC0415
    from leadscore.training.options import TrainOptions  # noqa: PLC0415
    from leadscore.training.pipeline import train  # noqa: PLC0415
    from leadscore.training.rates import wilson  # noqa: PLC0415

    bench.say(f"label delay: {funnel.name}, seed {seed}")
    options = TrainOptions(name="late", months=24, min_records=500, trials=4, folds=3, seed=seed)
    out = bench.folder / f"late-{funnel.name.replace(' ', '-')}-{seed}"
    model = train(funnel.table, funnel.contract, options, out=out)
    window = model.evidence.window
    time = matrix_times(funnel.contract, funnel.table)
    begin, cut, end = (
        np.datetime64(t.rstrip("Z")) for t in (window.start, window.calibration_start, window.end)
    )
    matrix, known = encode_table(funnel.contract, funnel.table), labels(funnel.contract, funnel.table)
    older = (time >= begin) & (time < cut) & ~np.isnan(known)
    booster = xgb.train({**_XGBOOST, "seed": seed}, xgb.DMatrix(matrix[older], known[older]), 120)
    held = encode_table(funnel.contract, model.holdout)
    converted = labels(funnel.contract, model.holdout) > 0.5
    theirs = booster.predict(xgb.DMatrix(held)).astype(np.float64)
    ours = ScoringModel.load(model.directory).score_rows(held)
    difference, auc = auc_difference(converted, theirs, ours), auc_estimate(converted, ours)
    if difference is None or auc is None:
        raise AssertionError("the hold-out window lacks a class")
    truth = funnel.truth[(time >= begin) & (time <= end)]
    truth = truth[~np.isnan(truth)]
    training = window.rates[0]
    return Held(
        funnel.name,
        difference,
        auc.value,
        training.known,
        training.rate,
        wilson(float(truth.mean()), len(truth)),
    )


def _line(held: Held) -> tuple[str, ...]:
    return (
        held.name,
        f"{held.auc:.4f}",
        f"{held.difference.value:+.4f}",
        f"{held.difference.low:+.4f} to {held.difference.high:+.4f}",
        f"{held.known:.1%}",
        f"{held.rate:.1%}",
        f"{held.true.value:.1%} ({held.true.low:.1%} to {held.true.high:.1%})",
    )


def _after_change(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    """Twenty worlds in which people begin to buy for other reasons: the first retraining, a month later."""
    del wanted
    count = _WORLDS if bench.effort.trials > 10 else 2
    gains = {
        "changed": [_gain(bench, seed, changed=True) for seed in seeds(count)],
        # That nothing is lost where nothing changes shows on fewer.
        "no_drift": [_gain(bench, seed, changed=False) for seed in seeds(max(2, count // 3))],
    }
    lines: list[tuple[str, ...]] = []
    for name, found in gains.items():
        mature, aware, gain = (np.array([g[i] for g in found]) for i in range(3))
        lines.append(
            (
                name,
                f"{mature.mean():.4f}",
                f"{aware.mean():.4f}",
                _mean(gain),
                f"{(gain > 0).sum()} of {len(gain)}",
            )
        )
    seller = bench.bank_data.parent / _SELLER
    if seller.exists():
        lines.extend(_seller_lines(bench, seller))
    bench.sections.append(
        Section(
            "The first retraining, delay-aware against mature-only",
            ("world", "AUC mature-only", "AUC delay-aware", "gain (95 % interval)", "better in"),
            tuple(lines),
            f"Retrained {_WAIT_DAYS} days after the change on six months of leads, outcomes after a median "
            f"of two weeks; judged on the leads of the {_AHEAD_DAYS} days after.",
        )
    )
    gain = np.array([g[2] for g in gains["changed"]])
    low = float(gain.mean() - 2.093 * gain.std(ddof=1) / np.sqrt(len(gain)))
    return [
        Row(
            "label-delay-change",
            "AUC that the first retraining after a change gains by learning the delays: "
            "lower end of the interval",
            low,
            "",
            at_least(0.0),
            beside=f"mean {_mean(gain)}",
        )
    ]


def _gain(bench: Bench, seed: int, *, changed: bool) -> tuple[float, float, float]:
    from leadscore.data.matrix import encode_table, labels, matrix_times  # noqa: PLC0415
    from leadscore.data.synthetic import Scenario, after_months, generate, synthetic_contract  # noqa: PLC0415
    from leadscore.training.options import TrainOptions  # noqa: PLC0415

    change = after_months(START, _CHANGE_MONTHS)
    now = change + timedelta(days=_WAIT_DAYS)
    contract = synthetic_contract()
    scenarios = [Scenario("concept_drift", change)] if changed else []

    def world(as_of: datetime) -> pa.Table:
        return generate(rows=16_000, seed=seed, start=START, months=10, scenarios=scenarios, as_of=as_of)

    told, later = world(now), world(ALL_KNOWN)
    time = matrix_times(contract, later)
    moment = np.datetime64(now.replace(tzinfo=None), "us")
    ahead = (time > moment) & (time <= moment + np.timedelta64(_AHEAD_DAYS, "D"))
    options = TrainOptions(name="change", months=6, min_records=500, trials=1, folds=2, seed=seed, as_of=now)
    truth = labels(contract, later)
    known = Funnel(f"change-{changed}-{seed}", told, contract, truth)
    return _both(bench, known, options, encode_table(contract, later)[ahead], truth[ahead] > 0.5)


def _both(
    bench: Bench, known: Funnel, options: TrainOptions, matrix: Matrix, converted: Flags
) -> tuple[float, float, float]:
    """AUC on later leads of both ways to train, and the gain of the second."""
    import dataclasses  # noqa: PLC0415

    from leadscore.intervals import auc_estimate  # noqa: PLC0415
    from leadscore.scoring.model import ScoringModel  # noqa: PLC0415
    from leadscore.training.pipeline import train  # noqa: PLC0415

    name = known.name
    # Both tune alike: the second finds the trials of the first.
    options = dataclasses.replace(options, study_storage=f"sqlite:///{bench.folder / name}.db")
    aucs: list[float] = []
    for aware in (False, True):
        bench.say(f"label delay: {name}, {'delay-aware' if aware else 'mature-only'}")
        out = bench.folder / f"{name}-{aware}"
        made = train(known.table, known.contract, dataclasses.replace(options, delay_aware=aware), out=out)
        estimate = auc_estimate(converted, ScoringModel.load(made.directory).score_rows(matrix))
        aucs.append(np.nan if estimate is None else estimate.value)
    bench.say(f"label delay: {name}, AUC {aucs[0]:.4f} mature-only, {aucs[1]:.4f} delay-aware")
    return aucs[0], aucs[1], aucs[1] - aucs[0]


def _seller_lines(bench: Bench, path: Path) -> list[tuple[str, ...]]:
    """A real funnel's shape.

    Retrained at the end of three months, judged on the deals that were begun in the next.
    """
    from datetime import UTC  # noqa: PLC0415

    from leadscore.data.matrix import encode_table, matrix_times  # noqa: PLC0415
    from leadscore.training.options import TrainOptions  # noqa: PLC0415

    funnel = seller_funnel(path)
    time, matrix = matrix_times(funnel.contract, funnel.table), encode_table(funnel.contract, funnel.table)
    found: list[tuple[float, float, float]] = []
    for month in (9, 10, 11):
        now = datetime(2017, month, 1, tzinfo=UTC)
        moment = np.datetime64(now.replace(tzinfo=None), "us")
        ahead = (time > moment) & (time <= moment + np.timedelta64(31, "D")) & ~np.isnan(funnel.truth)
        options = TrainOptions(
            name="seller", months=12, min_records=200, trials=2, folds=2, as_of=now, min_completeness=0.6
        )
        known = Funnel(f"seller-{month}", funnel.table, funnel.contract, funnel.truth)
        found.append(_both(bench, known, options, matrix[ahead], funnel.truth[ahead] > 0.5))
    mature, aware, gain = (np.array([f[i] for f in found]) for i in range(3))
    return [
        (
            funnel.name,
            f"{mature.mean():.4f}",
            f"{aware.mean():.4f}",
            _mean(gain),
            f"{(gain > 0).sum()} of {len(gain)}",
        )
    ]


def _mean(gain: np.ndarray) -> str:
    from scipy.stats import t  # noqa: PLC0415

    half = float(t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain)))
    return f"{gain.mean():+.4f} ({gain.mean() - half:+.4f} to {gain.mean() + half:+.4f})"


SUITES = (
    Suite(("label-delay-auc", "label-delay-rate"), _measure),
    Suite(("label-delay-change",), _after_change),
)
