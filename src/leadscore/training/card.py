"""The model card: what people should know before they trust the score (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from leadscore.contract import Feature, FeatureContract, contract_version
from leadscore.intervals import Estimate
from leadscore.reliability import CalibrationBin
from leadscore.scoring.artefact import Algorithm, DataSnapshot
from leadscore.training.evidence import Evidence, WindowRecord
from leadscore.training.fairness import AttributeFairness

# Completeness under this makes figures of the newest months doubtful.
_COMPLETE = 0.9
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


def model_card(origin: Origin, contract: FeatureContract, evidence: Evidence) -> str:
    """The card as Markdown, written from the evidence alone."""
    sections = [
        f"# {origin.name}",
        _summary(origin, contract, evidence),
        "## Intended use\n\n" + _intended(contract, evidence),
        "## Data\n\n" + _data(origin, evidence.window),
        "## Measured on leads it has not seen\n\n" + _metrics(evidence),
        "## Is 30 % really 30 %?\n\n" + _calibration(evidence),
        "## Groups\n\n" + _fairness(evidence.fairness),
        "## Limits\n\n" + _bullets(limits(evidence)),
        "## How it was made\n\n" + _making(origin, evidence),
        "## What it looks at\n\n" + _features(contract.inputs),
    ]
    return "\n\n".join(sections) + "\n"


def named_figures(evidence: Evidence) -> tuple[tuple[str, Estimate], ...]:
    """Each figure with the name people know it by, in the order of the card."""
    figures = ((label, getattr(evidence.metrics, name)) for name, label in _FIGURE_NAMES.items())
    return tuple((label, figure) for label, figure in figures if figure is not None)


def limits(evidence: Evidence) -> tuple[str, ...]:
    """What the evidence does not support, in sentences."""
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
    if evidence.metrics.ece.low > 0.05:
        found.append(
            f"Probabilities were off on the hold-out window: {said:.1%} expected, {came:.1%} converted."
            " The conversion rate moves; retrain often."
        )
    incomplete = [m for m in window.months if m.leads and m.labelled / m.leads < _COMPLETE]
    if incomplete:
        months = ", ".join(f"{m.month} ({m.labelled / m.leads:.0%})" for m in incomplete)
        found.append(f"Outcomes were not complete in {months}; slow conversions may be under-represented.")
    if window.start is None:
        found.append("The table has no time column; row order stood for time.")
    if evidence.tuning.skipped_folds:
        found.append(f"{len(evidence.tuning.skipped_folds)} cross-validation fold(s) could not be used.")
    found.extend(f"{a.attribute}: {a.note}." for a in evidence.fairness if a.note)
    return tuple(found)


def _summary(origin: Origin, contract: FeatureContract, evidence: Evidence) -> str:
    auc = evidence.metrics.auc
    return (
        f"Scores leads of *{contract.name}* with {evidence.tuning.trees} {_library(origin.algorithm)} trees."
        f" On {evidence.holdout.rows:,} later leads: AUC {_estimate(auc)}."
    )


def _intended(contract: FeatureContract, evidence: Evidence) -> str:
    decision = evidence.decision
    rule = (
        "the top by capacity" if decision.method == "capacity" else "where working a lead is worth its cost"
    )
    return (
        f"Ordering the work of a sales team on leads that follow contract `{contract_version(contract)}`."
        f" A lead counts as likely from {decision.threshold:.1%} ({rule});"
        f" grade A begins at {evidence.grades.a:.1%}, B at {evidence.grades.b:.1%}, C at {evidence.grades.c:.1%}."
        " Not made for decisions about a person's rights, credit or employment, nor for leads of another table."
    )


def _data(origin: Origin, window: WindowRecord) -> str:
    rows = [
        ("Training", window.train, window.start, window.calibration_start),
        ("Calibration", window.calibration, window.calibration_start, window.holdout_start),
        ("Hold-out", window.holdout, window.holdout_start, window.end),
    ]
    table = _table(
        ("window", "leads", "from", "to"),
        [(n, f"{c:,}", a or "unknown", b or "unknown") for n, c, a, b in rows],
    )
    notes = (
        f"{window.embargoed:,} lead(s) were kept out of training because their outcome came too late or too near;"
        f" {window.young:,} were too young; {window.unknown:,} have no known outcome yet."
        f" SHA-256 of the data: `{origin.data.digest}`."
    )
    months = _table(
        ("month", "leads", "outcome known"),
        [(m.month, f"{m.leads:,}", f"{m.labelled:,}") for m in window.months],
    )
    return "\n\n".join([table, notes, months] if window.months else [table, notes])


def _metrics(evidence: Evidence) -> str:
    holdout = evidence.holdout
    intro = (
        f"{holdout.rows:,} leads, {holdout.positives:,} converted ({holdout.base_rate:.1%})."
        f" Intervals at {holdout.confidence:.0%}; the top is {holdout.capacity:.0%} of the leads."
    )
    rows = [(name, f"{e.value:.4f}", f"{e.low:.4f} to {e.high:.4f}") for name, e in named_figures(evidence)]
    return intro + "\n\n" + _table(("figure", "value", "interval"), rows)


def _calibration(evidence: Evidence) -> str:
    fit = evidence.calibration
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in sorted(fit.log_loss.items()))
    intro = (
        f"Calibration by {fit.calibration.method} on {fit.rows:,} leads (log-loss when cross-validated: {losses})."
        f" {fit.note}"
    ).rstrip()
    return intro + "\n\n" + _table(("leads", "said", "came"), [_bin(b) for b in evidence.holdout.calibration])


def _bin(bin_: CalibrationBin) -> tuple[str, str, str]:
    return f"{bin_.leads:,}", f"{bin_.predicted:.1%}", f"{bin_.observed:.1%}"


def _fairness(attributes: Sequence[AttributeFairness]) -> str:
    if not attributes:
        return "The contract marks no feature as sensitive, so no group was compared."
    return "\n\n".join(_attribute(a) for a in attributes)


def _attribute(attribute: AttributeFairness) -> str:
    rows = [
        (s.name, f"{s.rows:,}", f"{s.positives:,}", "too few", "", "")
        if s.too_few
        else (
            s.name,
            f"{s.rows:,}",
            f"{s.positives:,}",
            *(_optional(e) for e in (s.selection_rate, s.true_positive_rate, s.false_positive_rate)),
        )
        for s in attribute.slices
    ]
    head = ("group", "leads", "converted", "called likely", "of the converted", "of the others")
    summary = (
        f"Demographic parity difference {_optional(attribute.demographic_parity_difference)},"
        f" ratio {_optional(attribute.demographic_parity_ratio)};"
        f" equalized odds difference {_optional(attribute.equalized_odds_difference)}."
        f" {attribute.note.capitalize() + '.' if attribute.note else ''}"
    ).rstrip()
    return f"### {attribute.attribute}\n\n{_table(head, rows)}\n\n{summary}"


def _making(origin: Origin, evidence: Evidence) -> str:
    tuning = evidence.tuning
    versions = ", ".join(f"{name} {version}" for name, version in sorted(origin.libraries.items()))
    aucs = ", ".join(f"{auc:.4f}" for auc in tuning.fold_aucs)
    settings = ", ".join(f"{k} = {_plain(v)}" for k, v in msgspec.to_builtins(tuning.parameters).items())
    trials = (
        f"{tuning.complete} complete and {tuning.pruned} pruned trials; best mean AUC {tuning.auc:.4f}"
        f" (folds, newest first: {aucs})"
    )
    lines = [
        trials,
        *(f"fold {s.fold} was skipped: {s.reason}" for s in tuning.skipped_folds),
        f"parameters: {settings}, trees = {tuning.trees}",
        f"seed {origin.seed}, code {origin.code_revision}",
        f"versions: {versions}",
    ]
    return _bullets(lines)


def _features(features: Sequence[Feature]) -> str:
    rows = [(f"`{f.name}`", type(f).__name__.lower(), f.description) for f in features]
    return _table(("feature", "kind", "meaning"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in lines)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in escaped)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _estimate(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _optional(estimate: Estimate | None) -> str:
    return "none" if estimate is None else _estimate(estimate)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _library(algorithm: Algorithm) -> str:
    return {"xgboost": "XGBoost", "lightgbm": "LightGBM"}[algorithm]
