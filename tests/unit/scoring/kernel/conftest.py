"""Small models of both libraries, and rows that try to break an evaluator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pytest
import xgboost as xgb

from leadscore.scoring.forest import Forest
from leadscore.scoring.lightgbm_text import read_lightgbm
from leadscore.scoring.xgboost_ubj import read_xgboost

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Trained:
    """A forest as we read it, and what its own library says of rows."""

    forest: Forest
    source: bytes
    margins: Callable[[Matrix], npt.NDArray[np.float32]]
    contributions: Callable[[Matrix], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Leads:
    """Training rows: the first `numeric` columns are numbers, the others category codes."""

    rows: Matrix
    converted: npt.NDArray[np.int64]
    numeric: int
    cardinality: int

    @property
    def categorical(self) -> list[int]:
        return list(range(self.numeric, self.rows.shape[1]))

    @property
    def types(self) -> list[str]:
        return ["q"] * self.numeric + ["c"] * len(self.categorical)

    def hostile(self, seed: int = 0) -> Matrix:
        """Rows with extreme and tiny numbers, both zeros, unseen and impossible codes, everything missing."""
        rng = np.random.default_rng(seed)
        rows = self.rows[:200].copy()
        limits = np.finfo(np.float32)
        odd = np.array([3e38, -3e38, limits.max, limits.min, 1e-40, -1e-40, 1e-35, -0.0, 0.0], np.float32)
        for column in range(self.numeric):
            hit = rng.random(len(rows)) < 0.3
            rows[hit, column] = rng.choice(odd, hit.sum())
        for column in self.categorical:
            hit = rng.random(len(rows)) < 0.3
            rows[hit, column] = rng.choice(
                np.array([self.cardinality, self.cardinality + 40, 5e6, -1], np.float32), hit.sum()
            )
        rows[0], rows[1], rows[2] = np.nan, 0.0, -0.0
        return rows


def _leads(seed: int, *, n: int = 400, numeric: int = 4, categorical: int = 2, cardinality: int = 6) -> Leads:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, numeric + categorical)).astype(np.float32)
    rows[:, numeric:] = rng.integers(0, cardinality, (n, categorical))
    signal = rows[:, :numeric].sum(axis=1) + (rows[:, numeric:] % 3).sum(axis=1) + rng.normal(size=n)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return Leads(rows, (signal > np.median(signal)).astype(np.int64), numeric, cardinality)


def _train_xgboost(leads: Leads, *, rounds: int = 8, **parameters: Any) -> Trained:
    def wrapped(rows: Matrix, label: npt.NDArray[np.int64] | None = None) -> xgb.DMatrix:
        return xgb.DMatrix(rows, label, feature_types=leads.types, enable_categorical=True)

    settings = {"objective": "binary:logistic", "nthread": 1, "min_child_weight": 0, **parameters}
    booster = xgb.train(settings, wrapped(leads.rows, leads.converted), rounds)
    source = bytes(booster.save_raw("ubj"))
    return Trained(
        read_xgboost(source),
        source,
        lambda rows: booster.predict(wrapped(rows), output_margin=True),
        lambda rows: booster.predict(wrapped(rows), pred_contribs=True),
    )


def _train_lightgbm(leads: Leads, *, rounds: int = 8, **parameters: Any) -> Trained:
    settings = {
        "objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 3,
        "min_data_per_group": 5, "cat_smooth": 1, **parameters,
    }  # fmt: skip
    data = lgb.Dataset(leads.rows, leads.converted, categorical_feature=leads.categorical)
    booster = lgb.train(settings, data, rounds)
    text = booster.model_to_string()
    return Trained(
        read_lightgbm(text),
        text.encode(),
        lambda rows: booster.predict(rows, raw_score=True, num_threads=1).astype(np.float32),
        lambda rows: booster.predict(rows, pred_contrib=True, num_threads=1),
    )


@pytest.fixture(scope="session")
def make_leads() -> Callable[..., Leads]:
    return _leads


@pytest.fixture(scope="session")
def train_xgboost() -> Callable[..., Trained]:
    return _train_xgboost


@pytest.fixture(scope="session")
def train_lightgbm() -> Callable[..., Trained]:
    return _train_lightgbm


@pytest.fixture(scope="session")
def leads() -> Leads:
    return _leads(1)


@pytest.fixture(scope="session")
def xgboost_model(leads: Leads) -> Trained:
    return _train_xgboost(leads, max_depth=4)


@pytest.fixture(scope="session")
def lightgbm_model(leads: Leads) -> Trained:
    return _train_lightgbm(leads, num_leaves=12)
