"""The gate's checks, as pure functions of two models' probabilities on the same leads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.contract.leaks import Suspicion, unexplained
from leadscore.intervals import (
    Estimate,
    Flags,
    Floats,
    auc_difference,
    auc_estimate,
    mean_estimate,
    percentile_estimate,
    replicates_for,
    stratified_weights,
)
from leadscore.reliability import CALIBRATION_BINS, bin_codes
from leadscore.training.doubts import say
from leadscore.training.fairness import REPLICATES, Slices, spreads
from leadscore.training.ranking import Ranking
from leadscore.training.verdict import LEAKS, Check, GateThresholds

# Converted (or other) leads under which a slice's AUC is noise.
_MIN_SLICE_CLASS = 10


@dataclass(frozen=True, slots=True, eq=False)
class GateSide:
    """One model on the window.

    Probabilities (n,), which leads it calls likely (n,), microseconds per lead, encoded leads.
    """

    probabilities: Floats
    likely: Flags
    microseconds: float
    matrix: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The window: labels (n,), revenue (n,; None without a value column), sensitive attributes."""

    converted: Flags
    value: Floats | None
    slices: tuple[Slices, ...]


def compare(
    champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds, *, seed: int = 0
) -> tuple[Check, ...]:
    """Every check of challenger against champion."""
    bootstrap = _bootstrap(champion, challenger, held, thresholds, seed)
    return (
        _auc(champion, challenger, held, thresholds),
        _kpi(bootstrap, held, thresholds),
        _brier(champion, challenger, held, thresholds),
        _ece(bootstrap, thresholds),
        *_slice_aucs(champion, challenger, held, thresholds),
        *_fairness(champion, challenger, held, thresholds, seed),
        _latency(champion, challenger, thresholds),
    )


def floors(challenger: GateSide, held: HeldOut, thresholds: GateThresholds) -> tuple[Check, ...]:
    """The absolute checks of a first model."""
    rows = len(held.converted)
    auc = auc_estimate(held.converted, challenger.probabilities, thresholds.confidence)
    ranks = auc is not None and auc.low > 0.5
    found = "undefined" if auc is None else f"{auc.value:.4f} ({auc.low:.4f} to {auc.high:.4f})"
    return (
        Check(
            name="AUC above chance",
            kind="floor",
            passed=ranks,
            champion=None,
            challenger=None if auc is None else auc.value,
            difference=None if auc is None else Estimate(auc.value - 0.5, auc.low - 0.5, auc.high - 0.5),
            threshold=0.5,
            why=f"AUC is {found}; its lower bound {'is' if ranks else 'is not'} above 0.5",
        ),
        rows_check(rows, thresholds),
    )


def rows_check(rows: int, thresholds: GateThresholds) -> Check:
    """Whether the window is large enough to judge anything on."""
    return Check(
        name="rows",
        kind="floor",
        passed=rows >= thresholds.min_rows,
        champion=None,
        challenger=float(rows),
        difference=None,
        threshold=float(thresholds.min_rows),
        why=f"the window has {rows:,} labelled leads ({thresholds.min_rows:,} are needed)",
    )


def leaks_check(suspicions: Sequence[Suspicion], accepted: str | None) -> Check:
    """Check that no leak is suspected, or that a person answered for it."""
    open_ones = unexplained(suspicions)
    if not suspicions:
        why = "no column, and not the model as a whole, knows more than a lead that has just come in can tell"
    elif not open_ones:
        why = "what looks like a leak is known before, says the contract: " + " ".join(map(say, suspicions))
    elif accepted is not None:
        why = f"accepted by {accepted}. " + " ".join(map(say, open_ones))
    else:
        why = (
            " ".join(map(say, open_ones))
            + " Leave such columns out, say `known_before: true` for them in the contract, or let a named "
            'person accept it (--accept-suspicion "NAME: reason")'
        )
    return Check(
        name=LEAKS,
        kind="guard",
        passed=not open_ones or accepted is not None,
        champion=None,
        challenger=float(len(open_ones)),
        difference=None,
        threshold=0.0,
        why=why,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Bootstrap:
    kpi: tuple[float, float]
    kpi_gain: Floats
    ece: tuple[float, float]
    ece_rise: Floats


def _bootstrap(
    champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds, seed: int
) -> _Bootstrap:
    """Measure both models on the same resamples, so that chance cancels in their difference."""
    amounts = held.converted.astype(np.float64) if _earned(held) is None else _earned(held)
    figures = [_PairFigures(side, held, amounts, thresholds.capacity) for side in (champion, challenger)]
    point = np.ones((1, len(held.converted)), dtype=np.float32)
    (kpi_1, ece_1), (kpi_2, ece_2) = (f.of(point) for f in figures)
    kpis: list[Floats] = []
    eces: list[Floats] = []
    rng = np.random.default_rng(seed)
    for weights in stratified_weights(held.converted, rng, replicates_for(len(held.converted))):
        (k_1, e_1), (k_2, e_2) = (f.of(weights) for f in figures)
        kpis.append(np.divide(k_2 - k_1, k_1, out=np.full(len(k_1), np.nan), where=k_1 > 0))
        eces.append(e_2 - e_1)
    return _Bootstrap(
        kpi=(float(kpi_1[0]), float(kpi_2[0])),
        kpi_gain=np.concatenate(kpis),
        ece=(float(ece_1[0]), float(ece_2[0])),
        ece_rise=np.concatenate(eces),
    )


class _PairFigures:
    def __init__(self, side: GateSide, held: HeldOut, amounts: Floats | None, capacity: float) -> None:
        self.ranking = Ranking.of(side.probabilities)
        self.amounts, self.capacity = amounts, capacity
        member = np.eye(CALIBRATION_BINS)[bin_codes(side.probabilities)]
        self.off = (member * (side.probabilities - held.converted)[:, None]).astype(np.float32)

    def of(self, weights: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Amount in the top and expected calibration error, each (r,)."""
        leads = self.ranking.cumulative(weights)
        top = self.ranking.in_top(leads, self.ranking.cumulative(weights, self.amounts), self.capacity)
        ece = np.abs((weights @ self.off).astype(np.float64)).sum(axis=1) / weights.shape[1]
        return top, ece


def _auc(champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds) -> Check:
    first = auc_estimate(held.converted, champion.probabilities, thresholds.confidence)
    second = auc_estimate(held.converted, challenger.probabilities, thresholds.confidence)
    gain = auc_difference(
        held.converted, champion.probabilities, challenger.probabilities, thresholds.confidence
    )
    if first is None or second is None or gain is None:
        return _undefined("AUC", thresholds.auc_gain, "AUC is undefined: the window lacks a class")
    relative = _scaled(gain, 1 / max(first.value, 1e-12))
    needed = min(thresholds.auc_gain, thresholds.headroom * (1 - first.value) / max(first.value, 1e-12))
    passed = relative.value >= needed and relative.value > 0 and relative.low > 0
    return Check(
        name="AUC",
        kind="improvement",
        passed=passed,
        champion=first.value,
        challenger=second.value,
        difference=relative,
        threshold=needed,
        why=_gain_sentence("AUC", relative, needed),
    )


def _kpi(bootstrap: _Bootstrap, held: HeldOut, thresholds: GateThresholds) -> Check:
    noun = "conversions" if _earned(held) is None else "revenue"
    name = f"{noun} in the top {thresholds.capacity:.0%}"
    first, second = bootstrap.kpi
    if first <= 0:
        return _undefined(name, thresholds.kpi_gain, f"the champion has no {noun} in the top to compare with")
    gain = percentile_estimate((second - first) / first, bootstrap.kpi_gain, thresholds.confidence)
    return Check(
        name=name,
        kind="improvement",
        passed=gain.value >= thresholds.kpi_gain and gain.low > 0,
        champion=first,
        challenger=second,
        difference=gain,
        threshold=thresholds.kpi_gain,
        why=_gain_sentence(name, gain, thresholds.kpi_gain),
    )


def _brier(champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds) -> Check:
    losses = [(side.probabilities - held.converted) ** 2 for side in (champion, challenger)]
    first, second = (float(loss.mean()) for loss in losses)
    rise = mean_estimate(losses[1] - losses[0], held.converted, thresholds.confidence)
    return _guard("Brier score", first, second, _scaled(rise, 1 / max(first, 1e-12)), thresholds.brier_rise)


def _ece(bootstrap: _Bootstrap, thresholds: GateThresholds) -> Check:
    first, second = bootstrap.ece
    rise = percentile_estimate(second - first, bootstrap.ece_rise, thresholds.confidence)
    return _guard("calibration error", first, second, rise, thresholds.ece_rise)


def _slice_aucs(
    champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds
) -> Iterator[Check]:
    """Check per attribute the slice that lost most; tell how many slices are too small to judge."""
    for attribute in held.slices:
        worst: tuple[str, float, float, Estimate] | None = None
        unjudged = 0
        for code, name in enumerate(attribute.names):
            rows = attribute.codes == code
            labels = held.converted[rows]
            positives, size = int(labels.sum()), int(rows.sum())
            if size < thresholds.min_group or min(positives, size - positives) < _MIN_SLICE_CLASS:
                unjudged += size > 0
                continue
            p_1, p_2 = champion.probabilities[rows], challenger.probabilities[rows]
            first, second = (auc_estimate(labels, p) for p in (p_1, p_2))
            change = auc_difference(labels, p_1, p_2, thresholds.confidence)
            if first is None or second is None or change is None:
                continue
            # A loss that its interval supports counts before a larger one that it does not.
            if worst is None or (change.high, change.value) < (worst[3].high, worst[3].value):
                worst = (name, first.value, second.value, change)
        note = f" ({unjudged} slice(s) too small to judge)" if unjudged else ""
        title = f"AUC by {attribute.attribute}"
        if worst is None:
            yield _unjudged(title, thresholds.slice_auc_drop, "no slice is large enough to judge")
            continue
        name, first_auc, second_auc, change = worst
        loss = Estimate(-change.value, -change.high, -change.low)
        check = _guard(f"{title}: {name}", first_auc, second_auc, loss, thresholds.slice_auc_drop, "loss")
        yield msgspec.structs.replace(check, why=check.why + note, difference=change)


def _fairness(
    champion: GateSide, challenger: GateSide, held: HeldOut, thresholds: GateThresholds, seed: int
) -> Iterator[Check]:
    for attribute in held.slices:
        cell = 4 * (~held.converted).astype(np.intp) + 2 * ~champion.likely + ~challenger.likely
        groups = len(attribute.names)
        counts = np.bincount(attribute.codes * 8 + cell, minlength=groups * 8).reshape(groups, 8)
        kept = counts[counts.sum(axis=1) >= thresholds.min_group].astype(np.float64)
        if len(kept) < 2:
            yield _unjudged(
                f"fairness by {attribute.attribute}",
                thresholds.fairness_rise,
                "fewer than two groups are large enough",
            )
            continue
        sizes = kept.sum(axis=1)
        rng = np.random.default_rng(seed)
        draws = rng.multinomial(
            sizes.astype(np.int64), kept / sizes[:, None], size=(REPLICATES, len(kept))
        ).astype(np.float64)
        for name, index in (("demographic parity", 0), ("equalized odds", 2)):
            title = f"{name} by {attribute.attribute}"
            first, second = (float(spreads(c)[index]) for c in _marginals(kept))
            drawn = [spreads(c)[index] for c in _marginals(draws)]
            if not (np.isfinite(first) and np.isfinite(second)):
                yield _unjudged(title, thresholds.fairness_rise, "no two groups have the rates to compare")
                continue
            rise = percentile_estimate(second - first, drawn[1] - drawn[0], thresholds.confidence)
            yield _guard(f"{title} (difference)", first, second, rise, thresholds.fairness_rise)


def _marginals(cells: Floats) -> tuple[Floats, Floats]:
    """Counts (…, 8) of (label, champion, challenger) as one model's (label, likely) counts (…, 4) each."""
    cube = cells.reshape(*cells.shape[:-1], 2, 2, 2)
    shape = (*cells.shape[:-1], 4)
    return cube.sum(axis=-1).reshape(shape), cube.sum(axis=-2).reshape(shape)


def _latency(champion: GateSide, challenger: GateSide, thresholds: GateThresholds) -> Check:
    bound = max(thresholds.latency_ratio * champion.microseconds, thresholds.latency_free_us)
    passed = challenger.microseconds <= bound
    return Check(
        name="latency (µs per lead)",
        kind="guard",
        passed=passed,
        champion=champion.microseconds,
        challenger=challenger.microseconds,
        difference=None,
        threshold=bound,
        why=f"{challenger.microseconds:.1f} µs per lead, champion {champion.microseconds:.1f};"
        f" {'within' if passed else 'over'} the bound of {bound:.1f}",
    )


_OPPOSITE: Final = {"rise": "fall", "loss": "gain"}


def _guard(
    name: str, first: float, second: float, rise: Estimate, tolerance: float, noun: str = "rise"
) -> Check:
    """A regression counts when it is over the tolerance and its interval excludes none at all."""
    worse = rise.value > tolerance and rise.low > 0
    said = f"{noun} {rise.value:.4f} ({rise.low:+.4f} to {rise.high:+.4f})"
    if rise.value < 0:
        said = f"{_OPPOSITE[noun]} {-rise.value:.4f} ({-rise.high:+.4f} to {-rise.low:+.4f})"
    return Check(
        name=name,
        kind="guard",
        passed=not worse,
        champion=first,
        challenger=second,
        difference=rise,
        threshold=tolerance,
        why=f"{said}, {'over' if worse else 'no supported regression beyond'} the tolerance of {tolerance:g}",
    )


def _gain_sentence(name: str, gain: Estimate, needed: float) -> str:
    support = "the interval excludes no gain" if gain.low > 0 else "the interval does not exclude no gain"
    return (
        f"{name} changed by {gain.value:+.2%} ({gain.low:+.2%} to {gain.high:+.2%}), "
        f"{needed:.2%} needed; {support}"
    )


def _undefined(name: str, threshold: float, why: str) -> Check:
    return Check(
        name=name,
        kind="improvement",
        passed=False,
        champion=None,
        challenger=None,
        difference=None,
        threshold=threshold,
        why=why,
    )


def _unjudged(name: str, threshold: float, why: str) -> Check:
    return Check(
        name=name,
        kind="guard",
        passed=True,
        champion=None,
        challenger=None,
        difference=None,
        threshold=threshold,
        why=f"not judged: {why}",
    )


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(estimate.value * factor, estimate.low * factor, estimate.high * factor)


def _earned(held: HeldOut) -> Floats | None:
    """Revenue of the converted leads; None if there is none."""
    if held.value is None:
        return None
    earned = np.where(held.converted, np.nan_to_num(held.value, nan=0.0), 0.0)
    return earned if earned.sum() > 0 else None
