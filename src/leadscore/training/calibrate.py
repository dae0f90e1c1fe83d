"""Fitting the map from margin to probability on the calibration window."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from leadscore.intervals import Flags, Floats
from leadscore.reliability import log_losses
from leadscore.scoring.calibration import Calibration

Fitter = Callable[[Floats, Flags], Calibration | None]

FOLDS = 5
KNOTS = 40
# Below this isotonic regression follows the noise (Niculescu-Mizil & Caruana 2005).
MIN_ISOTONIC_ROWS = 1000
_MIN_CLASS = 10
_NEWTON_STEPS = 50


class CalibrationFit(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen calibration and what the choice rests on.

    Attributes:
        calibration: The map, fitted on the whole window.
        rows: Leads in the calibration window.
        positives: Converted ones.
        log_loss: Cross-validated log-loss per method that could be fitted, in nats.
        note: Why the choice was limited; empty if it was not.
    """

    calibration: Calibration
    rows: int
    positives: int
    log_loss: dict[str, float]
    note: str


def fit_calibration(margins: npt.NDArray[np.floating], converted: Flags) -> CalibrationFit:
    """Choose identity, Platt or isotonic by cross-validated log-loss over consecutive blocks of the window.

    Args:
        margins: Log-odds of the trees (n,), in order of time.
        converted: Labels (n,).
    """
    margins = np.asarray(margins, dtype=np.float64)
    rows, positives = len(converted), int(converted.sum())
    losses = {"identity": float(log_losses(converted, Calibration().probabilities(margins)).mean())}
    if min(positives, rows - positives) < _MIN_CLASS:
        note = f"{positives} of {rows} leads converted: too few of one kind to calibrate; margins are kept."
        return CalibrationFit(
            calibration=Calibration(), rows=rows, positives=positives, log_loss=losses, note=note
        )
    fitters: dict[str, Fitter] = {"platt": fit_platt}
    note = ""
    if rows >= MIN_ISOTONIC_ROWS:
        fitters["isotonic"] = fit_isotonic
    else:
        note = f"Isotonic calibration needs {MIN_ISOTONIC_ROWS} leads, the window has {rows}."
    losses |= _cross_validated(fitters, margins, converted)
    for name in sorted(losses, key=lambda n: losses[n]):
        chosen = Calibration() if name == "identity" else fitters[name](margins, converted)
        if chosen is not None:
            return CalibrationFit(
                calibration=chosen, rows=rows, positives=positives, log_loss=losses, note=note
            )
    return CalibrationFit(
        calibration=Calibration(), rows=rows, positives=positives, log_loss=losses, note=note
    )


def fit_platt(margins: Floats, converted: Flags) -> Calibration | None:
    """Logistic regression of the label on the margin, with Platt's smoothed targets; None unless it rises.

    Newton's method as in Lin, Lin & Weng (2007).
    """
    positives = float(converted.sum())
    negatives = len(converted) - positives
    targets = np.where(converted, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    center, scale = float(margins.mean()), float(margins.std())
    if scale == 0.0:
        return None
    x = np.column_stack([(margins - center) / scale, np.ones_like(margins)])
    beta = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _cross_entropy(x @ beta, targets)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (p - targets)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        shorter = 1.0
        while (new := _cross_entropy(x @ (beta - shorter * step), targets)) > loss and shorter > 1e-6:
            shorter /= 2
        beta = beta - shorter * step
        if loss - new < 1e-10 * max(1.0, abs(loss)):
            break
        loss = new
    slope, intercept = beta[0] / scale, beta[1] - beta[0] * center / scale
    return Calibration.platt(slope, intercept) if slope > 0 else None


def fit_isotonic(margins: Floats, converted: Flags) -> Calibration | None:
    """Centred isotonic regression on at most 40 bins of equal size: linear between the centres of the blocks.

    Pooled blocks become one knot at their mean margin (Oron & Flournoy 2017), so that the map rises between
    knots instead of stepping and keeps the order of the leads. Rates are smoothed towards the base rate by
    one lead per bin: no bin says 0 or 1.
    """
    order = np.argsort(margins, kind="stable")
    base = float(converted.mean())
    blocks = [
        (float(margins[part].sum()), float(converted[part].sum()) + base, len(part))
        for part in np.array_split(order, min(KNOTS, len(order)))
    ]
    pooled: list[tuple[float, float, int]] = []
    for block in blocks:
        pooled.append(block)
        while len(pooled) > 1 and not _rises(pooled[-2], pooled[-1]):
            right, left = pooled.pop(), pooled.pop()
            pooled.append((left[0] + right[0], left[1] + right[1] - base, left[2] + right[2]))
    if len(pooled) < 2:
        return None
    return Calibration.isotonic([b[0] / b[2] for b in pooled], [_rate(b) for b in pooled])


def _rate(block: tuple[float, float, int]) -> float:
    return block[1] / (block[2] + 1)


def _rises(left: tuple[float, float, int], right: tuple[float, float, int]) -> bool:
    return _rate(left) < _rate(right) and left[0] / left[2] < right[0] / right[2]


def _cross_validated(fitters: Mapping[str, Fitter], margins: Floats, converted: Flags) -> dict[str, float]:
    """Mean held-out log-loss per method; a method that cannot be fitted on some block is left out."""
    blocks = np.array_split(np.arange(len(margins)), FOLDS)
    result: dict[str, float] = {}
    for name, fit in fitters.items():
        losses: list[Floats] = []
        for block in blocks:
            rest = np.setdiff1d(np.arange(len(margins)), block, assume_unique=True)
            fitted = fit(margins[rest], converted[rest])
            if fitted is None:
                break
            losses.append(log_losses(converted[block], fitted.probabilities(margins[block])))
        else:
            result[name] = float(np.concatenate(losses).mean())
    return result


def _cross_entropy(z: Floats, targets: Floats) -> float:
    return float((np.logaddexp(0.0, z) - targets * z).sum())
