"""Streams of the synthetic CRM with and without a change, and what an alarm on them is.

Everybody sees the same: the eight features that the model leans on most, and its score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract import Categorical, FeatureContract, Numeric
from leadscore.data.synthetic import Scenario, ScenarioName, simulate, synthetic_contract
from leadscore.drift.reference import build_profile
from leadscore.drift.sequential.histograms import cell_codes
from leadscore.scoring.profile import ReferenceProfile

REFERENCE, WINDOW, BURN_IN = 10_000, 25, 100
LEADS_A_DAY = 20
WATCHED = 8
START = datetime(2025, 3, 1, tzinfo=UTC)

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Leads:
    """A stream in order of time.

    Attributes:
        watched: The watched features and the probability as the last column, float32 (n, 9).
        converted: Outcomes (n,).
        time: Of the lead, datetime64[ms] (n,).
        known: Of the outcome (n,).
    """

    watched: Matrix
    converted: npt.NDArray[np.bool_]
    time: npt.NDArray[np.datetime64]
    known: npt.NDArray[np.datetime64]


class World:
    """The model, its reference, and streams drawn like it until something happens.

    Args:
        seeds: Of the leads that the model is trained on, and of those of its reference.
    """

    def __init__(self, seeds: tuple[int, int]) -> None:
        import xgboost  # noqa: PLC0415

        contract = synthetic_contract()
        trained, reference = (self._raw(contract, REFERENCE, seed) for seed in seeds)
        types = ["c" if isinstance(f, Categorical) else "q" for f in contract.inputs]
        self._options = {"feature_types": types, "enable_categorical": True}
        settings = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.06, "nthread": 1, "seed": 1}
        data = xgboost.DMatrix(trained[0], trained[1], **self._options)
        self._booster = xgboost.train(settings, data, 120)
        shares = np.abs(self._booster.predict(data, pred_contribs=True)[:, :-1]).mean(axis=0)
        self._columns = np.sort(np.argsort(shares)[::-1][:WATCHED])
        self._contract = contract
        # An independent sample, unseen by the model: live scores are like these.
        self.reference = self._leads(reference)

    @cached_property
    def contract(self) -> FeatureContract:
        """Of the watched columns, for adapters; the score is a number among them."""
        chosen = tuple(self._contract.inputs[i] for i in self._columns)
        return msgspec.structs.replace(self._contract, features=(*chosen, Numeric(name="model_score")))

    @cached_property
    def profile(self) -> ReferenceProfile:
        """Of the watched features and the score."""
        features = msgspec.structs.replace(self.contract, features=self.contract.features[:-1])
        watched = self.reference.watched
        return build_profile(features, watched[:, :-1], watched[:, -1].astype(np.float64))

    def codes(self, leads: Leads) -> npt.NDArray[np.intp]:
        """Cells of the leads in the profile's histograms, (n, 9)."""
        return cell_codes(self.profile, leads.watched[:, :-1], leads.watched[:, -1].astype(np.float64))

    def stream(self, rows: int, seed: int, scenarios: Sequence[Scenario] = ()) -> Leads:
        """Leads from `START` on, twenty a day."""
        return self._leads(self._raw(self._contract, rows, seed, scenarios))

    def changed(self, name: ScenarioName, magnitude: float, rows: int, seed: int) -> tuple[Leads, int]:
        """A stream that changes after about `BURN_IN` leads, and the exact number."""
        at = START + timedelta(days=BURN_IN / LEADS_A_DAY)
        leads = self.stream(BURN_IN + rows, seed, [Scenario(name, at, magnitude)])
        return leads, int((leads.time < np.datetime64(at.replace(tzinfo=None))).sum())

    @staticmethod
    def _raw(contract: FeatureContract, rows: int, seed: int, scenarios: Sequence[Scenario] = ()):
        from leadscore.data.matrix import encode_table  # noqa: PLC0415

        months = rows / LEADS_A_DAY / (365.25 / 12)
        later = START + timedelta(days=months * 31 + 500)
        table = simulate(
            rows=rows, seed=seed, start=START, months=months, scenarios=scenarios, as_of=later
        ).table
        outcome = table.column("converted").to_numpy() == 1
        times = [
            table.column(n).to_numpy().astype("datetime64[ms]") for n in ("created_at", "outcome_known_at")
        ]
        return encode_table(contract, table, threads=1), outcome, *times

    def _leads(self, raw) -> Leads:
        import xgboost  # noqa: PLC0415

        matrix, converted, time, known = raw
        probability = self._booster.predict(xgboost.DMatrix(matrix, **self._options))
        watched = np.column_stack([matrix[:, self._columns], probability]).astype(np.float32)
        return Leads(watched, converted, time, known)


# A detector gives one figure per look; the first above its cut is the alarm.
Detector = Callable[[Leads], Floats]


def first_alarm(figures: Floats, cut: float) -> int | None:
    """Number of the first window above the cut, from 1."""
    above = np.flatnonzero(figures > cut)
    return int(above[0]) + 1 if len(above) else None


def run_length(streams: Sequence[Floats], cut: float) -> float:
    """Windows watched per alarm, each stream up to its first one; infinite without any."""
    alarms = [first_alarm(figures, cut) for figures in streams]
    watched = sum(alarm or len(figures) for alarm, figures in zip(alarms, streams, strict=True))
    hits = sum(alarm is not None for alarm in alarms)
    return watched / hits if hits else float("inf")


def cut_for(streams: Sequence[Floats], wanted: float) -> float:
    """The cut at which the run length on these streams is the wanted one, as nearly as they tell."""
    candidates = np.unique(np.concatenate([np.maximum.accumulate(figures) for figures in streams]))
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        if run_length(streams, float(candidates[middle])) < wanted:
            low = middle + 1
        else:
            high = middle
    return float(candidates[low])
