"""alibi-detect 0.11.4 for real, in its own environment (made on first use, kept in the user's cache)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from leadscore.contract import Categorical, FeatureContract, Numeric, Target
from leadscore.drift.multivariate.alibi import alibi_python, run_alibi

ROOT = Path(__file__).parents[3]
CONTRACT = FeatureContract(
    name="two",
    id="lead_id",
    target=Target(column="converted"),
    features=(Numeric(name="budget"), Categorical(name="source", categories=("web", "fair", "call"))),
)


@pytest.fixture(scope="module", autouse=True)
def environment() -> Path:
    subprocess.run([str(ROOT / "tools" / "setup" / "alibi.sh")], check=True, capture_output=True, timeout=280)
    return alibi_python()


def leads(rows: int, seed: int, *, shift: float = 0.0, calls: float = 1 / 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    budget = rng.normal(shift, 1, rows)
    budget[rng.random(rows) < 0.1] = np.nan
    source = rng.choice(3, rows, p=[(1 - calls) / 2, (1 - calls) / 2, calls])
    return np.column_stack([budget, source]).astype(np.float32)


@pytest.mark.timeout(290)
def test_offline_detectors_see_a_shift_and_stay_silent_without_one() -> None:
    reference = leads(1_000, 1)
    calm, shifted, calling = leads(500, 2), leads(500, 3, shift=1.0), leads(500, 4, calls=0.7)
    ks = run_alibi("KSDrift", CONTRACT, reference, [calm, shifted], {"p_val": 0.01})
    assert [w.drift for w in ks.windows] == [False, True]
    assert ks.windows[1].p_values[0] < 1e-6
    chi = run_alibi("ChiSquareDrift", CONTRACT, reference, [calm, calling], {"p_val": 0.01})
    assert [w.drift for w in chi.windows] == [False, True]


@pytest.mark.timeout(290)
def test_online_detector_reads_row_by_row_and_says_at_which_it_alarmed() -> None:
    options = {"ert": 40, "window_sizes": [10], "n_bootstraps": 200, "seed": 1}
    result = run_alibi("CVMDriftOnline", CONTRACT, leads(200, 1), [leads(100, 5, shift=3.0)], options)
    row = result.windows[0].alarm_row
    assert row is not None
    assert 5 <= row <= 40
