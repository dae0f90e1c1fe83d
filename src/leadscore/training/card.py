"""The model card: what people should know before they trust the score (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from leadscore.contract import FeatureContract, contract_version
from leadscore.contract.leaks import unexplained
from leadscore.intervals import Estimate
from leadscore.reports import render_markdown
from leadscore.scoring.artefact import CARD_CURVES, CARD_DRIVERS, Algorithm, DataSnapshot
from leadscore.training.doubts import say
from leadscore.training.evidence import TrainingEvidence, WindowRecord
from leadscore.training.fairness import SliceMetrics
from leadscore.training.rates import rate_warnings

# Completeness under this makes figures of the newest months doubtful.
_COMPLETE = 0.9
_TOP = 12
_FIGURE_NAMES = {
    "auc": "AUC",
    "average_precision": "PR-AUC (average precision)",
    "precision": "Precision at the decision threshold",
    "recall": "Recall at the decision threshold",
    "f1": "F1 at the decision threshold",
    "brier": "Brier score (lower is better)",
    "log_loss": "Log-loss (lower is better)",
    "ece": "Expected calibration error (lower is better)",
    "lift": "Lift in the top",
    "capture": "Conversions in the top",
    "revenue_captured": "Revenue in the top",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model comes from: name, library, data, code, seed, versions."""

    name: str
    algorithm: Algorithm
    data: DataSnapshot
    code_revision: str
    seed: int
    libraries: Mapping[str, str]


def model_card(origin: Origin, contract: FeatureContract, evidence: TrainingEvidence) -> str:
    """Return the card as Markdown, from the evidence alone."""
    tuning, window, fit = evidence.tuning, evidence.window, evidence.calibration
    parameters = msgspec.to_builtins(tuning.parameters).items()
    return render_markdown(
        "card.md",
        origin=origin,
        contract=contract,
        evidence=evidence,
        interval=_interval,
        contract_version=contract_version(contract),
        library={"xgboost": "XGBoost", "lightgbm": "LightGBM"}[origin.algorithm],
        windows=_windows(window),
        rates=[
            (r.window, f"{r.leads:,}", f"{r.known:.1%}", f"{r.rate:.1%}", f"{r.low:.1%} to {r.high:.1%}")
            for r in window.rates
        ],
        months=[
            (m.month, f"{m.leads:,}", f"{m.labelled:,}", "" if m.rate is None else f"{m.rate:.1%}")
            for m in window.months
        ],
        figures=[
            (name, f"{e.value:.4f}", f"{e.low:.4f} to {e.high:.4f}") for name, e in named_figures(evidence)
        ],
        curves_plot=CARD_CURVES,
        losses=", ".join(f"{name} {loss:.4f}" for name, loss in sorted(fit.log_loss.items())),
        bins=[
            (f"{b.leads:,}", f"{b.predicted:.1%}", f"{b.observed:.1%}") for b in evidence.holdout.calibration
        ],
        drivers=[(f"`{d.feature}`", f"{d.mean_abs:.3f}", f"{d.share:.0%}") for d in evidence.drivers[:_TOP]],
        drivers_plot=CARD_DRIVERS,
        suspicions=[say(s) for s in evidence.suspicions],
        answer=_answer(evidence),
        groups=[(a, [_slice(s) for s in a.slices]) for a in evidence.fairness],
        limits=limits_of_use(evidence),
        fold_aucs=", ".join(f"{auc:.4f}" for auc in tuning.fold_aucs),
        parameters=", ".join(f"{k} = {_plain(v)}" for k, v in parameters),
        libraries=", ".join(f"{name} {version}" for name, version in sorted(origin.libraries.items())),
        features=[(f"`{f.name}`", type(f).__name__.lower(), f.description) for f in contract.inputs],
    )


def named_figures(evidence: TrainingEvidence) -> tuple[tuple[str, Estimate], ...]:
    """Each figure with the name people know it by, in the order of the card."""
    figures = ((label, getattr(evidence.metrics, name)) for name, label in _FIGURE_NAMES.items())
    return tuple((label, figure) for label, figure in figures if figure is not None)


def limits_of_use(evidence: TrainingEvidence) -> tuple[str, ...]:
    """Say in sentences what the evidence does not support."""
    window, found = (
        evidence.window,
        ["It says who is likely to convert, not whether contacting them causes it."],
    )
    if evidence.metrics.auc.low <= 0.5:
        found.append(
            "On the hold-out window it cannot be told apart from guessing (AUC interval includes 0.5)."
        )
    if evidence.holdout.positives < 100:
        found.append(f"Only {evidence.holdout.positives} held-out leads converted: the intervals are wide.")
    said, came = evidence.holdout.mean_probability, evidence.holdout.base_rate
    if window.rates:
        came = window.rates[-1].rate
    if evidence.metrics.ece.low > 0.05:
        found.append(
            f"Probabilities were off on the hold-out window: {said:.1%} expected, {came:.1%} converted."
            " The conversion rate moves; retrain often."
        )
    incomplete = [m for m in window.months if m.leads and m.labelled / m.leads < _COMPLETE]
    if incomplete:
        months = ", ".join(f"{m.month} ({m.labelled / m.leads:.0%})" for m in incomplete)
        found.append(
            f"Outcomes were not complete in {months}: what is known there is what became known quickly."
        )
    found.extend(_about_rates(window))
    found.extend(_about_rows(window))
    if unexplained(evidence.suspicions) and evidence.accepted_suspicion is None:
        found.append("A leak is suspected, and nobody has answered for it: it is not to become champion.")
    if window.start is None:
        found.append("The table has no time column; row order stood for time.")
    if evidence.tuning.skipped_folds:
        found.append(f"{len(evidence.tuning.skipped_folds)} cross-validation fold(s) could not be used.")
    found.extend(f"{a.attribute}: {a.note}." for a in evidence.fairness if a.note)
    return tuple(found)


def _about_rates(window: WindowRecord) -> tuple[str, ...]:
    """Say where training's conversion rate differs from the true one."""
    if not window.rates or window.delay is None:
        return ()
    labelled = window.train + window.calibration + window.holdout
    return rate_warnings(window.rates, window.delay, unknown=window.unknown, labelled=labelled)


def _about_rows(window: WindowRecord) -> Iterable[str]:
    """Say how many outcomes are unlisted, rows left out, ids repeated and labels late."""
    for sentence in window.unlisted:
        yield f"{sentence}."
    out = window.left_out
    if out.future:
        yield (
            f"{out.future:,} lead(s) are later than the moment of training (now, or --as-of) and were left "
            "out; if that was not meant, look at their dates."
        )
    if out.untimed:
        yield f"{out.untimed:,} open lead(s) without a time were left out."
    if out.repeated:
        yield (
            f"{out.repeated:,} lead(s) have an id that an earlier one has, too; {window.shared_ids:,} were "
            "left out of an earlier window so that no id is on two sides."
        )
    if out.contradictory:
        yield f"{out.contradictory:,} id(s) have both outcomes."
    if window.late and window.train and window.late / window.train > 1 - _COMPLETE:
        yield (
            f"Of {window.late / window.train:.0%} of the training leads the outcome came after the "
            "calibration window began: outcomes take so long that a model in service knows less of its "
            "newest leads than this one did."
        )
    if window.recent:
        yield (
            f"{window.recent:,} younger leads, known in part, were trained on besides. They are later than "
            "the hold-out window, so its figures are no forecast: let shadow or canary judge on leads to "
            "come."
        )


def _windows(window: WindowRecord) -> list[tuple[str, str, str, str]]:
    rows = (
        ("Training", window.train, window.start, window.calibration_start),
        ("Calibration", window.calibration, window.calibration_start, window.holdout_start),
        ("Hold-out", window.holdout, window.holdout_start, window.end),
    )
    return [(name, f"{leads:,}", begin or "unknown", end or "unknown") for name, leads, begin, end in rows]


def _answer(evidence: TrainingEvidence) -> str:
    """Say how suspicions were answered."""
    if not evidence.suspicions:
        return (
            "No column, and not the model as a whole, tells more than a lead that has just come in can tell."
        )
    if not unexplained(evidence.suspicions):
        return "The contract says that all of it is known before the outcome."
    if evidence.accepted_suspicion is not None:
        return f"Accepted by {evidence.accepted_suspicion}."
    return "Nobody has answered for it, so the gate does not let the model pass."


def _slice(group: SliceMetrics) -> tuple[str, ...]:
    rates = (group.selection_rate, group.true_positive_rate, group.false_positive_rate)
    shown = ("too few", "", "") if group.too_few else (_interval(rate) for rate in rates)
    return (group.name, f"{group.rows:,}", f"{group.positives:,}", *shown)


def _interval(rate: Estimate | None) -> str:
    return "none" if rate is None else f"{rate.value:.3f} ({rate.low:.3f} to {rate.high:.3f})"


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
