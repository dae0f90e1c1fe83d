"""Streams of the synthetic CRM with and without a change, and detectors that read them window by window.

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
from leadscore.drift.sequential.boundary import simulate_boundary
from leadscore.drift.sequential.calibration import (
    CalibrationChart,
    CalibrationPaths,
    log_ratios,
    mean_log,
)
from leadscore.drift.sequential.chart import HistogramChart, design_chart
from leadscore.drift.sequential.histograms import Layout, cell_codes, faded, histograms_of
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile

REFERENCE, WINDOW, BURN_IN = 10_000, 25, 100
# Leads from one look of the charts to the next. Grouping leads only delays what each of them says (Reynolds & Stoumbos 2004,
# "Should observations be grouped for effective process monitoring?"), so the charts look after every lead.
LOOK = 1
# Cochran's rule: Pearson's statistic is chi-square only where cells expect a lead or more. The rarest cell that a shape look
# takes in has 1 % (a quarter of a lead in 25), so the shortest memory is 100 leads; a second is four times as long. A memory
# of `n` effective leads has weight 2 / (n / LOOK + 1).
_MEMORIES = tuple(2 / (leads / LOOK + 1) for leads in (100, 400))
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


# A detector gives one figure per window; the first above its cut is the alarm.
Detector = Callable[[Leads], Floats]


def windows_of(leads: Leads) -> list[slice]:
    """The stream's windows; a rest that fills none is left out."""
    return [slice(i, i + WINDOW) for i in range(0, len(leads.time) - WINDOW + 1, WINDOW)]


def cells(profile: ReferenceProfile, watched: Matrix) -> list[list[int]]:
    """A window's rows per cell of each histogram: the features with missing, then the score."""
    counts = [_feature_cells(f, watched[:, i]) for i, f in enumerate(profile.features)]
    scores = np.searchsorted(profile.score_edges, watched[:, -1], side="right")
    return [*counts, np.bincount(scores, minlength=len(profile.score_counts)).tolist()]


def _feature_cells(feature: FeatureProfile, column: npt.NDArray[np.float32]) -> list[int]:
    missing = np.isnan(column)
    present = column[~missing]
    numeric = feature.kind == "numeric"
    codes = np.searchsorted(feature.edges, present, side="right") if numeric else present.astype(np.intp)
    return [*np.bincount(codes, minlength=len(feature.counts)).tolist(), int(missing.sum())]


def fixed_psi(world: World) -> Detector:
    """Largest PSI over the columns, half a row in each bin."""
    profile = world.profile
    reference = [np.array([*f.counts, f.missing]) for f in profile.features] + [
        np.array(profile.score_counts)
    ]

    def read(leads: Leads) -> Floats:
        found = [cells(profile, leads.watched[w]) for w in windows_of(leads)]
        return np.array([max(map(_psi, reference, window)) for window in found])

    return read


def _psi(reference: npt.NDArray[np.integer], window: Sequence[int]) -> float:
    p, q = reference + 0.5, np.array(window) + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def ks_per_window(world: World) -> Detector:
    """-log of the smallest two-sample KS p-value over the columns: what alibi-detect's KSDrift decides by."""
    reference = np.sort(filled(world.reference.watched), axis=0)

    def smallest(window: Matrix) -> float:
        p = [ks_p_value(reference[:, i], window[:, i]) for i in range(window.shape[1])]
        return -float(np.log(max(min(p), 1e-300)))

    return lambda leads: np.array([smallest(filled(leads.watched[w])) for w in windows_of(leads)])


def ks_p_value(reference: Matrix, window: Matrix) -> float:
    """SciPy's `ks_2samp(method="asymp")`, for a reference that was sorted once."""
    from scipy.stats import kstwo  # noqa: PLC0415

    values, counts = np.unique(window, return_counts=True)
    n, m = len(reference), len(window)
    after = np.cumsum(counts) / m
    # Between two values of the window its distribution rests and the reference's rises: the gap is widest at the ends.
    gaps = (
        np.searchsorted(reference, values, side="right") / n - after,
        np.searchsorted(reference, values, side="left") / n - np.concatenate([[0.0], after[:-1]]),
    )
    return float(kstwo.sf(np.abs(gaps).max(), round(m * n / (m + n))))


def filled(watched: Matrix) -> Matrix:
    """Missing values as a value of their own, below all others."""
    return np.where(np.isnan(watched), -1.0, watched)


def ours(world: World, run_length: float) -> Detector:
    """QT-EWMA on the columns beside the calibration chart on outcomes as they come, half of the alarms each.

    The figure after each lead is the larger excess over the two charts' levels: its cut is 0 by design. A chart that
    speaks is not started anew, so that cuts above 0 can be read as well.

    Args:
        world: Whose reference it is.
        run_length: In leads.
    """
    looks = 2 * run_length / LOOK
    codes = world.codes(world.reference)
    chart = design_chart(
        histograms_of(world.profile, WINDOW),
        window_rows=LOOK,
        run_length=looks,
        sample=codes,
        memories=_MEMORIES,
    )
    probabilities = world.reference.watched[:, -1].astype(np.float64)
    base = float(world.reference.converted.mean())
    outcomes = CalibrationChart(run_length=looks, centre=float(np.log(base / (1 - base))))
    paths = CalibrationPaths(outcomes, probabilities, LOOK, 2_000)
    boundary = simulate_boundary(paths, looks, np.random.default_rng(5))
    outcomes = msgspec.structs.replace(outcomes, boundary=boundary)

    def read(leads: Leads) -> Floats:
        figures = chart_figures(chart, world.codes(leads))
        order = np.argsort(leads.known, kind="stable")
        # The first lead that is scored when an outcome is known already; outcomes of after the stream are left out.
        seen_at = np.searchsorted(leads.time, leads.known[order])
        order, seen_at = order[seen_at < len(figures)], seen_at[seen_at < len(figures)]
        excess = outcome_figures(
            outcomes, leads.converted[order], leads.watched[order, -1].astype(np.float64)
        )
        np.maximum.at(figures, seen_at, excess)
        return figures

    return read


def chart_figures(chart: HistogramChart, codes: npt.NDArray[np.intp]) -> Floats:
    """Statistic less level after each lead, (leads,): what `HistogramDetector` gives until it alarms.

    Args:
        chart: Of windows of one lead.
        codes: From `cell_codes`, (leads, histograms).
    """
    layout = Layout(chart.histograms, chart.memories)
    flat = codes + np.array([piece.start for piece in layout.slices])
    means = np.tile(layout.shares, (len(layout.memories), 1))
    spread = np.zeros(len(layout.memories))
    every = np.empty((len(flat), *means.shape))
    spreads = np.empty((len(flat), len(spread)))
    for i, cells_ in enumerate(flat):
        shares = np.zeros(means.shape[1])
        shares[cells_] = 1.0
        means, spread = faded(means, spread, shares, 1, layout.memories)
        every[i], spreads[i] = means, spread
    levels = np.array([chart.boundary.at(i + 1) for i in range(len(flat))])
    return layout.loudest(every, spreads) - levels


def outcome_figures(chart: CalibrationChart, converted: npt.NDArray[np.bool_], p: Floats) -> Floats:
    """Statistic less level after each outcome, (n,): what `watch_calibration` gives until it alarms."""
    logs = np.full(len(chart.alternatives), -np.inf)
    otherwise, won = log_ratios(chart, p)
    every = np.empty((len(p), len(logs)))
    for i, gained in enumerate(np.where(converted[:, None], won, otherwise)):
        logs = np.logaddexp(logs, 0.0) + gained
        every[i] = logs
    boundary = chart.boundary
    levels = [np.log(chart.run_length) if boundary is None else boundary.at(i + 1) for i in range(len(p))]
    return mean_log(every) - np.array(levels)


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
