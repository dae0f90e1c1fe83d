"""Fitting the map from margin to probability on the calibration window."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.intervals import Flags, Floats
from leadscore.reliability import log_losses
from leadscore.scoring.calibration import Calibration

Fitter = Callable[[Floats, Flags, Floats], Calibration | None]

BLOCKS = 6
KNOTS = 40
# Below this isotonic regression follows the noise (Niculescu-Mizil & Caruana 2005).
MIN_ISOTONIC_ROWS = 1000
_MIN_CLASS = 10
_NEWTON_STEPS = 50
_ONE_SIDED = 1.645


class CalibrationFit(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen calibration and what the choice rests on.

    Attributes:
        calibration: The map, fitted on the whole window.
        rows: Leads in the calibration window.
        positives: Converted ones.
        log_loss: Log-loss per method that could be fitted, in nats, on the blocks that follow those it was
            fitted on.
        note: Why the choice was limited; empty if it was not.
    """

    calibration: Calibration
    rows: int
    positives: int
    log_loss: dict[str, float]
    note: str


def fit_calibration(
    margins: npt.NDArray[np.floating], converted: Flags, weights: Floats | None = None
) -> CalibrationFit:
    """Choose none, a shift, Platt, beta or isotonic by time-ordered validation.

    Each method is fitted on the first blocks of the window and judged on the next one, as the
    calibration will be used on leads that come later. A method replaces the margins only if
    its loss is lower by more than the difference is uncertain: where the base rate wanders,
    the window's own rate is not the next one's.

    Args:
        margins: Log-odds of the trees (n,), in order of time.
        converted: Labels (n,).
        weights: How much each lead counts (n,); None: all alike.
    """
    margins = np.asarray(margins, dtype=np.float64)
    each = np.ones(len(margins)) if weights is None else weights
    rows, positives = len(converted), int(converted.sum())

    def result(calibration: Calibration, losses: dict[str, float], note: str) -> CalibrationFit:
        return CalibrationFit(
            calibration=calibration, rows=rows, positives=positives, log_loss=losses, note=note
        )

    if min(positives, rows - positives) < _MIN_CLASS:
        loss = float(np.average(log_losses(converted, Calibration().probabilities(margins)), weights=each))
        note = f"{positives} of {rows} leads converted: too few of one kind to calibrate; margins are kept."
        return result(Calibration(), {"identity": loss}, note)
    fitters: dict[str, Fitter] = {"intercept": fit_shift, "platt": fit_platt, "beta": fit_beta}
    note = ""
    if rows >= MIN_ISOTONIC_ROWS:
        fitters["isotonic"] = fit_isotonic
    else:
        note = f"Isotonic calibration needs {MIN_ISOTONIC_ROWS} leads, the window has {rows}."
    judged = _in_order_of_time(fitters, margins, converted, each)
    losses = {name: loss for name, (loss, _) in judged.items()}
    for name in sorted(judged, key=lambda n: losses[n]):
        if name == "identity" or not judged[name][1]:
            continue
        chosen = fitters[name](margins, converted, each)
        if chosen is not None:
            return result(chosen, losses, note)
    return result(Calibration(), losses, note)


def fit_shift(margins: Floats, converted: Flags, weights: Floats) -> Calibration | None:
    """The intercept at which the mean probability is the conversion rate."""
    beta = _logistic(np.ones((len(margins), 1)), _smoothed(converted, weights), weights, offset=margins)
    return Calibration.shifted(float(beta[0]))


def fit_platt(margins: Floats, converted: Flags, weights: Floats | None = None) -> Calibration | None:
    """Logistic regression of the label on the margin, with Platt's smoothed targets; None unless it rises.

    Newton's method as in Lin, Lin & Weng (2007).
    """
    each = np.ones(len(margins)) if weights is None else weights
    center, scale = float(margins.mean()), float(margins.std())
    if scale == 0.0:
        return None
    x = np.column_stack([(margins - center) / scale, np.ones_like(margins)])
    beta = _logistic(x, _smoothed(converted, each), each)
    slope, intercept = beta[0] / scale, beta[1] - beta[0] * center / scale
    return Calibration.platt(slope, intercept) if slope > 0 else None


def fit_beta(margins: Floats, converted: Flags, weights: Floats) -> Calibration | None:
    """Beta calibration: logistic regression on ln p and -ln(1 - p); None unless it rises on both sides."""
    if float(margins.std()) == 0.0:
        return None
    x = np.column_stack([-np.logaddexp(0, -margins), np.logaddexp(0, margins), np.ones_like(margins)])
    spread = np.append(x[:, :2].std(axis=0), 1.0)
    if not spread.all():
        return None
    a, b, c = _logistic(x / spread, _smoothed(converted, weights), weights) / spread
    return Calibration.beta(float(a), float(b), float(c)) if min(a, b) >= 0 and max(a, b) > 0 else None


def fit_isotonic(margins: Floats, converted: Flags, weights: Floats | None = None) -> Calibration | None:
    """Centred isotonic regression on at most 40 bins of equal size: linear between the centres of the blocks.

    Pooled blocks become one knot at their mean margin (Oron & Flournoy 2017), so that the map rises between
    knots instead of stepping and keeps the order of the leads. Rates are smoothed towards the base rate by
    one lead per bin: no bin says 0 or 1.
    """
    each = np.ones(len(margins)) if weights is None else weights
    order = np.argsort(margins, kind="stable")
    base = float(np.average(converted, weights=each))
    blocks = [
        (
            float((each[part] * margins[part]).sum()),
            float((each[part] * converted[part]).sum()) + base,
            float(each[part].sum()),
        )
        for part in np.array_split(order, min(KNOTS, len(order)))
    ]
    pooled: list[tuple[float, float, float]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and not _rises(pooled[-2], pooled[-1]):
            right, left = pooled.pop(), pooled.pop()
            pooled.append((left[0] + right[0], left[1] + right[1] - base, left[2] + right[2]))
    if len(pooled) < 2:
        return None
    return Calibration.isotonic([b[0] / b[2] for b in pooled], [_rate(b) for b in pooled])


def _rate(block: tuple[float, float, float]) -> float:
    return block[1] / (block[2] + 1)


def _rises(left: tuple[float, float, float], right: tuple[float, float, float]) -> bool:
    return _rate(left) < _rate(right) and left[0] / left[2] < right[0] / right[2]


def _smoothed(converted: Flags, weights: Floats) -> Floats:
    """Platt's targets: a little less than 1 and a little more than 0."""
    positives = float(weights[converted].sum())
    negatives = float(weights.sum()) - positives
    return np.where(converted, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def _logistic(
    x: npt.NDArray[np.float64], targets: Floats, weights: Floats, offset: Floats | float = 0.0
) -> npt.NDArray[np.float64]:
    """Coefficients of a weighted logistic regression on x (n, k), by Newton's method with halved steps."""
    beta = np.zeros(x.shape[1])
    loss = _cross_entropy(x @ beta + offset, targets, weights)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta + offset, -30, 30)))
        gradient = x.T @ (weights * (p - targets))
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        shorter = 1.0
        new = _cross_entropy(x @ (beta - step) + offset, targets, weights)
        while new > loss and shorter > 1e-6:
            shorter /= 2
            new = _cross_entropy(x @ (beta - shorter * step) + offset, targets, weights)
        beta = beta - shorter * step
        if loss - new < 1e-10 * max(1.0, abs(loss)):
            break
        loss = new
    return beta


def _in_order_of_time(
    fitters: Mapping[str, Fitter], margins: Floats, converted: Flags, weights: Floats
) -> dict[str, tuple[float, bool]]:
    """Return per method its mean loss on later blocks, and whether that is significantly below the margins'.

    A method that cannot be fitted on some block is left out.
    """
    blocks = [b for b in np.array_split(np.arange(len(margins)), BLOCKS) if len(b)]
    parts = [
        (np.concatenate(blocks[:k]), blocks[k]) for k in range(1, len(blocks)) if _both(converted, blocks[:k])
    ]
    if not parts:
        return {}
    later = np.concatenate([after for _, after in parts])
    plain = log_losses(converted[later], Calibration().probabilities(margins[later]))
    result = {"identity": (float(np.average(plain, weights=weights[later])), False)}
    for name, fit in fitters.items():
        losses: list[Floats] = []
        for before, after in parts:
            fitted = fit(margins[before], converted[before], weights[before])
            if fitted is None:
                break
            losses.append(log_losses(converted[after], fitted.probabilities(margins[after])))
        else:
            found = np.concatenate(losses)
            gains = [
                float(np.average(plain[part] - found[part], weights=weights[later][part]))
                for part in np.split(np.arange(len(later)), np.cumsum([len(a) for _, a in parts])[:-1])
            ]
            result[name] = (
                float(np.average(found, weights=weights[later])),
                is_better(plain - found, gains),
            )
    return result


def is_better(gain: Floats, by_block: list[float]) -> bool:
    """Whether a gain in loss per lead is beyond its sampling error, in most blocks and in the newest.

    The test is one-sided, at 95 %.
    """
    error = float(gain.std() / np.sqrt(len(gain)))
    return float(gain.mean()) > _ONE_SIDED * error and float(np.median(by_block)) > 0 and by_block[-1] > 0


def _both(converted: Flags, blocks: list[npt.NDArray[np.intp]]) -> bool:
    seen = converted[np.concatenate(blocks)]
    return min(int(seen.sum()), int((~seen).sum())) >= _MIN_CLASS


def _cross_entropy(z: Floats, targets: Floats, weights: Floats) -> float:
    return float((weights * (np.logaddexp(0.0, z) - targets * z)).sum())
