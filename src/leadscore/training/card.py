"""The model card: what people should know before they trust the score (Mitchell et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from leadscore.contract import Feature, FeatureContract, contract_version
from leadscore.contract.leaks import unexplained
from leadscore.intervals import Estimate
from leadscore.reliability import CalibrationBin
from leadscore.scoring.artefact import CARD_CURVES, CARD_DRIVERS, Algorithm, DataSnapshot
from leadscore.training.doubts import say
from leadscore.training.drivers import Driver
from leadscore.training.evidence import TrainingEvidence, WindowRecord
from leadscore.training.fairness import AttributeFairness
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
    """The card as Markdown, written from the evidence alone."""
    sections = [
        f"# {origin.name}",
        _summary(origin, contract, evidence),
        "## Intended use\n\n" + _intended(contract, evidence),
        "## Data\n\n" + _data(origin, evidence.window),
        "## Measured on leads it has not seen\n\n" + _metrics(evidence),
        f"![ROC, precision and recall, calibration, months]({CARD_CURVES})",
        "## Is 30 % really 30 %?\n\n" + _calibration(evidence),
        "## What drives it\n\n" + _drivers(evidence.drivers),
        "## Does it know too much?\n\n" + _suspicions(evidence),
        "## Groups\n\n" + _fairness(evidence.fairness),
        "## Limits\n\n" + _bullets(limits_of_use(evidence)),
        "## How it was made\n\n" + _making(origin, evidence),
        "## What it looks at\n\n" + _features(contract.inputs),
    ]
    return "\n\n".join(sections) + "\n"


def named_figures(evidence: TrainingEvidence) -> tuple[tuple[str, Estimate], ...]:
    """Each figure with the name people know it by, in the order of the card."""
    figures = ((label, getattr(evidence.metrics, name)) for name, label in _FIGURE_NAMES.items())
    return tuple((label, figure) for label, figure in figures if figure is not None)


def limits_of_use(evidence: TrainingEvidence) -> tuple[str, ...]:
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
    """Where training's conversion rate and the true one part."""
    if not window.rates or window.delay is None:
        return ()
    labelled = window.train + window.calibration + window.holdout
    return rate_warnings(window.rates, window.delay, unknown=window.unknown, labelled=labelled)


def _about_rows(window: WindowRecord) -> Iterable[str]:
    """Outcomes nobody listed, rows left out, ids that come again, and labels that came late."""
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
            "the hold-out window, so its figures are no forecast: let shadow or "
            "canary judge on leads to come."
        )


def _summary(origin: Origin, contract: FeatureContract, evidence: TrainingEvidence) -> str:
    auc = evidence.metrics.auc
    return (
        f"Scores leads of *{contract.name}* with {evidence.tuning.trees} {_library(origin.algorithm)} trees."
        f" On {evidence.holdout.rows:,} later leads: AUC {_estimate(auc)}."
    )


def _intended(contract: FeatureContract, evidence: TrainingEvidence) -> str:
    decision = evidence.decision
    rule = (
        "the top by capacity" if decision.method == "capacity" else "where working a lead is worth its cost"
    )
    return (
        f"Ordering the work of a sales team on leads that follow contract `{contract_version(contract)}`."
        f" A lead counts as likely from {decision.threshold:.1%} ({rule});"
        f" grade A begins at {evidence.grades.a:.1%}, B at {evidence.grades.b:.1%}, C at "
        f"{evidence.grades.c:.1%}. Not made for decisions about a person's rights, credit or employment, "
        "nor for leads of another table."
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
        f"{window.embargoed:,} lead(s) were kept out of training because they were too young or too near "
        f"when the next window began; {window.young:,} were too young; {window.unknown:,} have no known "
        f"outcome yet. SHA-256 of the data: `{origin.data.digest}`."
    )
    parts = [table, notes]
    if window.rates:
        parts.append(_rates(window))
    if window.months:
        parts.append(
            _table(
                ("month", "leads", "outcome known", "converted, of the known"),
                [
                    (m.month, f"{m.leads:,}", f"{m.labelled:,}", "" if m.rate is None else f"{m.rate:.1%}")
                    for m in window.months
                ],
            )
        )
    return "\n\n".join(parts)


def _rates(window: WindowRecord) -> str:
    """Conversion rates of the windows, and what is known of delays."""
    rows = [
        (r.window, f"{r.leads:,}", f"{r.known:.1%}", f"{r.rate:.1%}", f"{r.low:.1%} to {r.high:.1%}")
        for r in window.rates
    ]
    table = _table(("window", "outcome known", "converted", "with leads still open", "interval"), rows)
    delay = window.delay
    if delay is None:
        return table
    if not delay.learnt or delay.median_win is None or delay.median_loss is None:
        return f"{table}\n\nDelays of outcomes could not be learnt: {delay.note}."
    mature = (
        "" if delay.mature is None else f" Cohorts are admitted from an age of {delay.mature:.0f} days on."
    )
    return (
        f"{table}\n\nHalf of the conversions are known after {delay.median_win:.0f} days, half of the "
        f"other outcomes after {delay.median_loss:.0f}.{mature}"
    )


def _metrics(evidence: TrainingEvidence) -> str:
    holdout = evidence.holdout
    intro = (
        f"{holdout.rows:,} leads, {holdout.positives:,} converted ({holdout.base_rate:.1%})."
        f" Intervals at {holdout.confidence:.0%}; the top is {holdout.capacity:.0%} of the leads."
    )
    rows = [(name, f"{e.value:.4f}", f"{e.low:.4f} to {e.high:.4f}") for name, e in named_figures(evidence)]
    return intro + "\n\n" + _table(("figure", "value", "interval"), rows)


def _calibration(evidence: TrainingEvidence) -> str:
    fit = evidence.calibration
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in sorted(fit.log_loss.items()))
    intro = (
        f"Calibration by {fit.calibration.method} on {fit.rows:,} leads (log-loss when "
        f"cross-validated: {losses}). {fit.note}"
    ).rstrip()
    return intro + "\n\n" + _table(("leads", "said", "came"), [_bin(b) for b in evidence.holdout.calibration])


def _drivers(drivers: Sequence[Driver]) -> str:
    rows = [(f"`{d.feature}`", f"{d.mean_abs:.3f}", f"{d.share:.0%}") for d in drivers[:_TOP]]
    return (
        "Mean absolute Shapley value (log-odds) on leads it has not seen, and its share of all features'. "
        "It says what moves the score, not what causes conversion.\n\n"
        + _table(("feature", "mean |SHAP|", "share"), rows)
        + f"\n\n![What drives the score, and how]({CARD_DRIVERS})"
    )


def _suspicions(evidence: TrainingEvidence) -> str:
    if not evidence.suspicions:
        return (
            "No column, and not the model as a whole, tells more than a lead that has just come in can tell."
        )
    open_ones = unexplained(evidence.suspicions)
    if not open_ones:
        answer = "The contract says that all of it is known before the outcome."
    elif evidence.accepted_suspicion is not None:
        answer = f"Accepted by {evidence.accepted_suspicion}."
    else:
        answer = "Nobody has answered for it, so the gate does not let the model pass."
    return _bullets(say(s) for s in evidence.suspicions) + f"\n\n{answer}"


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


def _making(origin: Origin, evidence: TrainingEvidence) -> str:
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
