"""The product's calibration against none, on tables whose conversion rate does not stand still."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench, Suite
from benchmarks.funnels import ALL_KNOWN, seeds
from benchmarks.row import Row, Section, at_most

if TYPE_CHECKING:
    import pyarrow as pa

    from leadscore.contract import FeatureContract

_RUNS, _TREES, _REPLICATES = 20, 120, 400
_SHOPPERS = "online_shoppers_intention.csv"
# One-sided: of a hundred runs in which nothing is gained or lost, one is outside.
_NOISE = 0.01

Matrix = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Compared:
    """Expected calibration error without and with calibration, the lower end of its rise, and the method."""

    none: float
    ours: float
    rise_low: float
    method: str


def _measure(bench: Bench, wanted: frozenset[str]) -> list[Row]:
    del wanted
    count = _RUNS if bench.effort.trials > 10 else 2
    sources: dict[str, Callable[[int], Iterator[tuple[Matrix, Flags, tuple[bool, ...]]]]] = {
        "synthetic CRM, season": _synthetic("seasonal_cycle", "2025-01-01"),
        "synthetic CRM, weaker market": _synthetic("prior_shift", "2025-07-01:1:120"),
    }
    shoppers = bench.bank_data.parent / _SHOPPERS
    if bench.bank_data.exists():
        sources["bank calls, months"] = lambda n: _bank(bench.bank_data, n)
    if shoppers.exists():
        sources["shoppers"] = lambda n: _shoppers(shoppers, n)
    found: dict[str, list[Compared]] = {}
    for name, tables in sources.items():
        bench.say(f"calibration: {name}")
        found[name] = [_compare(*table, seed) for seed, table in enumerate(tables(count))]
    bench.sections.append(
        Section(
            "Expected calibration error on later leads, without and with calibration",
            ("table", "runs", "none (median)", "ours (median)", "worse beyond noise", "methods"),
            tuple(_line(name, runs) for name, runs in found.items()),
            f"XGBoost, {_TREES} trees, 65 % of the leads to train, 15 % to calibrate, "
            "the newest 20 % to measure.",
        )
    )
    every = [run for runs in found.values() for run in runs]
    worse = sum(run.rise_low > 0 for run in every)
    ratio = max(
        np.median([r.ours for r in runs]) / np.median([r.none for r in runs]) for runs in found.values()
    )
    return [
        Row(
            "calibration-worse",
            "runs in which calibration made the expected calibration error worse beyond noise",
            float(worse),
            "",
            at_most(np.ceil(_NOISE * len(every))),
            beside=f"of {len(every)} on {len(found)} tables",
        ),
        Row(
            "calibration-median",
            "median expected calibration error against none: the table with the least gain",
            float(ratio),
            "x",
            at_most(1.0),
        ),
    ]


def _compare(matrix: Matrix, converted: Flags, categorical: tuple[bool, ...], seed: int) -> Compared:
    import xgboost as xgb  # noqa: PLC0415

    from leadscore.intervals import stratified_weights  # noqa: PLC0415
    from leadscore.reliability import CALIBRATION_BINS, bin_codes  # noqa: PLC0415
    from leadscore.scoring.calibration import Calibration  # noqa: PLC0415
    from leadscore.training.calibrate import fit_calibration  # noqa: PLC0415
    from leadscore.training.parameters import ForestParameters, xgboost_settings  # noqa: PLC0415

    first, second = int(0.65 * len(converted)), int(0.8 * len(converted))
    kinds = ["c" if c else "q" for c in categorical]

    def data(rows: slice) -> xgb.DMatrix:
        return xgb.DMatrix(
            matrix[rows], converted[rows], feature_types=kinds, enable_categorical=True, nthread=1
        )

    settings = xgboost_settings(ForestParameters(algorithm="xgboost"), seed=seed)
    booster = xgb.train(settings, data(slice(0, first)), _TREES)
    margins = booster.predict(data(slice(first, None)), output_margin=True).astype(np.float64)
    before, after = margins[: second - first], margins[second - first :]
    came = converted[second:]
    fitted = fit_calibration(before, converted[first:second]).calibration

    def off(calibration: Calibration) -> npt.NDArray[np.float32]:
        said = calibration.probabilities(after)
        return (np.eye(CALIBRATION_BINS)[bin_codes(said)] * (said - came)[:, None]).astype(np.float32)

    def ece(weights: npt.NDArray[np.float32], errors: npt.NDArray[np.float32]) -> Floats:
        return np.abs((weights @ errors).astype(np.float64)).sum(axis=1) / weights.shape[1]

    plain, ours = off(Calibration()), off(fitted)
    point = np.ones((1, len(came)), dtype=np.float32)
    none, with_ours = float(ece(point, plain)[0]), float(ece(point, ours)[0])
    draws = np.concatenate(
        [
            ece(w, ours) - ece(w, plain)
            for w in stratified_weights(came, np.random.default_rng(seed), _REPLICATES)
        ]
    )
    return Compared(none, with_ours, float(np.quantile(draws, _NOISE)), fitted.method)


def _synthetic(scenario: str, when: str) -> Callable[[int], Iterator[tuple[Matrix, Flags, tuple[bool, ...]]]]:
    def worlds(count: int) -> Iterator[tuple[Matrix, Flags, tuple[bool, ...]]]:
        from leadscore.contract import Categorical  # noqa: PLC0415
        from leadscore.data.matrix import encode_table, labels  # noqa: PLC0415
        from leadscore.data.synthetic import generate, parse_scenario, synthetic_contract  # noqa: PLC0415

        contract = synthetic_contract()
        start = datetime(2025, 1, 1, tzinfo=UTC)
        # A wave from the first day, or a market that weakens over four months.
        change = parse_scenario(f"{scenario}@{when}", start)
        for seed in seeds(count):
            # Windows that end at another season each.
            table = generate(
                rows=12_000, seed=seed, start=start, months=12, scenarios=[change], as_of=ALL_KNOWN
            ).slice(seed % 4 * 1000, 9_000)
            kinds = tuple(isinstance(f, Categorical) for f in contract.inputs)
            yield encode_table(contract, table), labels(contract, table) > 0.5, kinds

    return worlds


def _bank(path: Path, count: int) -> Iterator[tuple[Matrix, Flags, tuple[bool, ...]]]:
    """Windows of twelve months that end with each of the later months."""
    from leadscore.contract.infer import infer_contract  # noqa: PLC0415
    from leadscore.data.matrix import matrix_times  # noqa: PLC0415
    from leadscore.data.tables import read_table  # noqa: PLC0415

    table = read_table(path)
    contract = infer_contract(
        table, target="converted", id="lead_id", time="contact_month", name="bank"
    ).contract
    month = matrix_times(contract, table).astype("datetime64[M]")
    for last in np.unique(month)[-count:]:
        yield _encoded(contract, table.filter((month <= last) & (month > last - 12)))


def _shoppers(path: Path, count: int) -> Iterator[tuple[Matrix, Flags, tuple[bool, ...]]]:
    """Four in five sessions, drawn anew for each run, in their order."""
    import pyarrow as pa  # noqa: PLC0415

    from leadscore.contract.infer import infer_contract  # noqa: PLC0415
    from leadscore.data.tables import read_table  # noqa: PLC0415

    table = read_table(path)
    table = table.append_column("session", pa.array([f"S{i}" for i in range(table.num_rows)]))
    contract = infer_contract(table, target="Revenue", id="session", name="shoppers").contract
    for seed in seeds(count):
        chosen = np.random.default_rng(seed).random(table.num_rows) < 0.8
        yield _encoded(contract, table.filter(chosen))


def _encoded(contract: FeatureContract, table: pa.Table) -> tuple[Matrix, Flags, tuple[bool, ...]]:
    from leadscore.contract import Categorical  # noqa: PLC0415
    from leadscore.data.matrix import encode_table, labels  # noqa: PLC0415

    kinds = tuple(isinstance(f, Categorical) for f in contract.inputs)
    return encode_table(contract, table), labels(contract, table) > 0.5, kinds


def _line(name: str, runs: list[Compared]) -> tuple[str, ...]:
    methods = ", ".join(f"{m} {n}" for m, n in Counter(r.method for r in runs).most_common())
    return (
        name,
        str(len(runs)),
        f"{np.median([r.none for r in runs]):.4f}",
        f"{np.median([r.ours for r in runs]):.4f}",
        str(sum(r.rise_low > 0 for r in runs)),
        methods,
    )


SUITES = (Suite(("calibration-worse", "calibration-median"), _measure),)
