"""Train a model from a table of leads and write the artefact with its evidence."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leadscore.contract import FeatureContract, contract_version
from leadscore.contract.leaks import Suspicion, matrix_suspicions, model_suspicions
from leadscore.cpus import cpu_limit
from leadscore.data.matrix import encode_batch
from leadscore.drift.reference import build_profile
from leadscore.errors import RefusedError
from leadscore.intervals import Floats
from leadscore.revision import code_revision
from leadscore.scoring.artefact import ArtefactManifest, DataSnapshot
from leadscore.scoring.grades import Grades
from leadscore.training import bundle
from leadscore.training.calibrate import CalibrationFit, fit_calibration
from leadscore.training.doubts import explained_by
from leadscore.training.drivers import explain_model
from leadscore.training.evaluate import Evaluation, evaluate
from leadscore.training.evidence import HoldoutFacts, TrainingEvidence, WindowRecord
from leadscore.training.fairness import AttributeFairness, measure_fairness
from leadscore.training.leads import DAY, LabelledLeads, days_to_outcome, take
from leadscore.training.learners import FittedForest, Sample, learner
from leadscore.training.options import TrainOptions
from leadscore.training.parameters import SPACE_VERSION
from leadscore.training.plots import draw_plots
from leadscore.training.progress import Progress, Silent
from leadscore.training.rates import window_rate
from leadscore.training.selection import TrainingSelection, select_leads
from leadscore.training.snapshot import library_versions, table_digest
from leadscore.training.split import (
    MIN_CLASS,
    Split,
    count_classes,
    expanding_folds,
    split_windows,
    whole_weeks,
)
from leadscore.training.threshold import DecisionThreshold, choose_threshold, grades_by_capacity
from leadscore.training.tune import FoldBins, TuneOptions, Tuning, tune
from leadscore.training.window import iso


@dataclass(frozen=True, slots=True, eq=False)
class TrainedModel:
    """A finished run.

    Attributes:
        directory: The artefact.
        manifest: Its manifest.
        evidence: What `metrics.json` holds.
        holdout: The hold-out window's rows, for the gate against a champion.
    """

    directory: Path
    manifest: ArtefactManifest
    evidence: TrainingEvidence
    holdout: pa.Table


def train(
    table: pa.Table,
    contract: FeatureContract,
    options: TrainOptions,
    *,
    out: Path,
    progress: Progress | None = None,
    now: datetime | None = None,
    expected: str | None = None,
) -> TrainedModel:
    """Select, split, tune, fit, calibrate and evaluate, and write the artefact at `out`.

    Leads later than `now` (None asks the clock) are left out and counted. `expected` is the digest that the
    chosen rows have to have, as the manifest of an earlier training names it. A suspicion of a leak does not
    end the run: it is in the evidence, and the gate holds it against the model.

    The same table, contract, options and library versions give the same model file, byte for
    byte; a run that was killed while tuning goes on from its last finished trial (with `study_storage`).

    Raises:
        RefusedError: Too few labelled leads, or a window without both outcomes, and the message says what is
            missing; or the chosen rows are not those that are expected.
        BadInputError: The table does not fit the contract, or has no time and `no_time` was not said.
        ConflictError: `out` exists.
        UnavailableError: The study or `out` cannot be written; no half artefact is left.
    """
    run = _Run(contract, options, options.threads or cpu_limit(whole=math.ceil), progress or Silent())
    bundle.check_writable(out)
    run.progress.stage("Reading the leads")
    chosen = select_leads(table, contract, options, threads=run.threads, now=now)
    leads = chosen.leads
    split = _split(chosen, options)
    columns = matrix_suspicions(contract, leads.matrix, leads.converted.astype(np.float64))
    digest = table_digest(leads.table)
    if expected is not None and digest != expected:
        raise RefusedError(
            f"These are not the rows of that training: the {len(leads.converted):,} that are chosen now "
            f"have the digest {digest[:12]}, those were {expected[:12]}.",
            hint="Was the table made anew, or are --contract, --months or --as-of not those of that "
            "training? --data with --data-version trains on what there is.",
        )
    # Weights depend on younger leads, too: trials with others mean something else.
    weighing = hashlib.sha256(leads.weights.tobytes()).hexdigest()

    run.progress.stage("Tuning")
    tuning = _tune(leads, split, digest + weighing, run)

    run.progress.stage("Fitting the final model")
    recent = _recent(chosen, split)
    forest = _fit(leads, recent, split, tuning, run)

    run.progress.stage("Calibrating and measuring")
    unseen = np.concatenate([split.calibration, split.holdout])
    margins = forest.margins(leads.matrix[unseen])
    judged = _measure(leads, split, margins, options)
    model = forest.file()
    drivers, shapes = explain_model(model, tuning.parameters.algorithm, contract, leads.matrix[split.holdout])
    evidence = TrainingEvidence(
        metrics=judged.evaluation.estimates,
        holdout=HoldoutFacts.of(judged.evaluation),
        fairness=judged.fairness,
        decision=judged.decision,
        grades=judged.grades,
        calibration=judged.fit,
        tuning=tuning,
        window=_record(chosen, split, recent, timed=not options.no_time),
        suspicions=_suspicions(columns, judged.evaluation, tuning),
        accepted_suspicion=options.accept_suspicion,
        drivers=drivers,
    )
    plots = draw_plots(
        drivers,
        shapes,
        converted=leads.converted[split.holdout],
        probabilities=judged.probabilities[len(split.calibration) :],
        bins=evidence.holdout.calibration,
        months=evidence.window.months,
    )
    run.progress.stage("Writing the artefact")
    # What windows of leads are compared with: as many of each weekday, where the table has times.
    kept = np.arange(len(unseen)) if options.no_time else whole_weeks(leads.ticks[unseen])
    reference = unseen[kept]
    manifest = bundle.write(
        out,
        bundle.Parts(
            name=options.name,
            contract=contract,
            algorithm=tuning.parameters.algorithm,
            model=model,
            evidence=evidence,
            profile=build_profile(
                contract,
                leads.matrix[reference],
                judged.probabilities[kept],
                # The matrix has lost which absent values were texts that the contract does
                # not list; the table has not.
                unseen=encode_batch(
                    contract, take(leads.table, reference), threads=run.threads
                ).unseen.tolist(),
            ),
            matrix=leads.matrix[reference],
            converted=leads.converted[reference],
            days=days_to_outcome(leads, reference),
            age=None if chosen.newest is None else (chosen.newest - leads.ticks[reference]) / DAY,
            margins=margins[kept],
            plots=plots,
            data=DataSnapshot(
                rows=len(leads.converted),
                start=evidence.window.start,
                end=evidence.window.end,
                digest=digest,
            ),
            code_revision=code_revision(),
            seed=options.seed,
            libraries=library_versions(),
        ),
    )
    return TrainedModel(out, manifest, evidence, take(leads.table, split.holdout))


@dataclass(frozen=True, slots=True)
class _Run:
    contract: FeatureContract
    options: TrainOptions
    threads: int
    progress: Progress


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    fit: CalibrationFit
    probabilities: Floats
    decision: DecisionThreshold
    grades: Grades
    evaluation: Evaluation
    fairness: tuple[AttributeFairness, ...]


def _split(chosen: TrainingSelection, options: TrainOptions) -> Split:
    leads = chosen.leads
    split = split_windows(
        leads.ticks,
        calibration=options.calibration,
        holdout=options.holdout,
        gap=0 if options.no_time else int(options.gap_days * DAY),
        mature=chosen.mature,
        ids=leads.ids,
    )
    for name, rows in (("training", split.train), ("hold-out", split.holdout)):
        positives, negatives = count_classes(leads.converted[rows])
        if min(positives, negatives) < MIN_CLASS:
            raise RefusedError(
                f"The {name} window has {positives} converted and {negatives} other leads;"
                f" at least {MIN_CLASS} of each are needed.",
                hint=" ".join(
                    [
                        "Take more months, or check `target.positive` in the contract.",
                        *(f"{sentence}." for sentence in chosen.unlisted),
                    ]
                ),
            )
    return split


def _tune(leads: LabelledLeads, split: Split, digest: str, run: _Run) -> Tuning:
    options = run.options
    folds, skipped = expanding_folds(
        leads.ticks,
        leads.converted,
        end=split.calibration_start,
        folds=options.folds,
        embargo=split.embargo,
        ids=leads.ids,
    )
    bins = FoldBins(
        contract=run.contract,
        matrix=leads.matrix,
        labels=leads.converted.astype(np.float32),
        folds=folds,
        seed=options.seed,
        weights=_unless_equal(leads.weights),
    )
    tuning = TuneOptions(
        study=study_name(digest, run.contract, options, split.embargo),
        storage=options.study_storage,
        trials=options.trials,
        seed=options.seed,
        threads=run.threads,
        algorithms=options.algorithms,
        time_budget=options.time_budget,
    )
    return tune(bins, skipped, tuning, run.progress)


def study_name(digest: str, contract: FeatureContract, options: TrainOptions, embargo: int = 0) -> str:
    """The same for runs whose trials mean the same.

    The number of trials may differ, so a study can be extended.
    """
    identity = (
        digest,
        contract_version(contract),
        options.calibration,
        options.holdout,
        options.folds,
        embargo,
        options.seed,
        options.algorithms,
        SPACE_VERSION,
        sorted(library_versions().items()),
    )
    return f"{options.name}-{hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]}"


def _recent(chosen: TrainingSelection, split: Split) -> Sample | None:
    """The recent leads to train on besides, without those whose id is in a window that judges."""
    recent, leads = chosen.recent, chosen.leads
    if recent is None:
        return None
    rows = np.arange(len(recent.converted))
    if recent.ids is not None and leads.ids is not None:
        judging = leads.ids[np.concatenate([split.calibration, split.holdout])]
        rows = rows[~np.isin(recent.ids, judging)]
    return Sample(
        recent.matrix[rows],
        recent.converted[rows].astype(np.float32),
        recent.weights[rows].astype(np.float32),
    )


def _fit(
    leads: LabelledLeads, recent: Sample | None, split: Split, tuning: Tuning, run: _Run
) -> FittedForest:
    """Fit on the training window, and on the recent leads besides where there are any."""
    rows = split.train
    matrix, labels = leads.matrix[rows], leads.converted[rows].astype(np.float32)
    weights = leads.weights[rows].astype(np.float32)
    if recent is not None and recent.weights is not None:
        matrix = np.concatenate([matrix, recent.matrix])
        labels = np.concatenate([labels, recent.labels])
        weights = np.concatenate([weights, recent.weights])
    library = learner(tuning.parameters.algorithm, run.contract, seed=run.options.seed)
    return library.fit(Sample(matrix, labels, _unless_equal(weights)), tuning.parameters, tuning.trees)


def _unless_equal(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.float32] | None:
    """Weights for the libraries; None where every lead counts the same."""
    return None if bool((weights == 1).all()) else weights.astype(np.float32)


def _measure(leads: LabelledLeads, split: Split, margins: Floats, options: TrainOptions) -> _Judged:
    """Calibrate on the calibration window, measure on the hold-out window.

    `margins` are of both, in order.
    """
    size = len(split.calibration)
    calibrating = split.calibration
    fit = fit_calibration(margins[:size], leads.converted[calibrating], weights=leads.weights[calibrating])
    probabilities = fit.calibration.probabilities(margins)
    decision = choose_threshold(probabilities[:size], options.capacity, options.costs)
    held, scores = split.holdout, probabilities[size:]
    converted = leads.converted[held]
    evaluation = evaluate(
        converted,
        scores,
        value=None if leads.value is None else leads.value[held],
        threshold=decision.threshold,
        capacity=options.capacity,
        seed=options.seed,
        weights=leads.weights[held],
    )
    likely = scores >= decision.threshold
    fairness = tuple(
        measure_fairness(s.at(held), converted, likely, min_group=options.min_group, seed=options.seed)
        for s in leads.slices
    )
    grades = grades_by_capacity(probabilities[:size], options.capacity)
    return _Judged(fit, probabilities, decision, grades, evaluation, fairness)


def _record(chosen: TrainingSelection, split: Split, recent: Sample | None, *, timed: bool) -> WindowRecord:
    leads, window = chosen.leads, chosen.window

    def moment(position: int) -> str | None:
        return iso(np.datetime64(int(leads.ticks[position]), "us")) if timed else None

    windows = (("training", split.train), ("calibration", split.calibration), ("hold-out", split.holdout))
    return WindowRecord(
        start=moment(0),
        end=moment(-1),
        calibration_start=moment(split.calibration_start),
        holdout_start=moment(split.holdout_start),
        train=len(split.train),
        calibration=len(split.calibration),
        holdout=len(split.holdout),
        embargoed=split.embargoed,
        young=window.young,
        unknown=window.unknown,
        months=window.months,
        rates=tuple(window_rate(name, leads.converted[rows], leads.weights[rows]) for name, rows in windows),
        delay=chosen.delay,
        left_out=chosen.left_out,
        shared_ids=split.repeated,
        late=_late(leads, split),
        recent=0 if recent is None else len(recent.labels),
        unlisted=chosen.unlisted,
    )


def _suspicions(
    columns: tuple[Suspicion, ...], evaluation: Evaluation, tuning: Tuning
) -> tuple[Suspicion, ...]:
    """Return suspicions of leaks from single columns and from the figures of the whole model."""
    folds = tuning.fold_aucs
    found = model_suspicions(
        auc=evaluation.estimates.auc.value,
        converted=evaluation.positives,
        others=evaluation.rows - evaluation.positives,
        validation_auc=tuning.auc,
        validation_error=float(np.std(folds, ddof=1) / np.sqrt(len(folds))) if len(folds) > 1 else 0.0,
    )
    return (*columns, *explained_by(columns, found))


def _late(leads: LabelledLeads, split: Split) -> int | None:
    """Training leads whose outcome came after the start of the calibration window.

    None if the table does not say.
    """
    if leads.known is None:
        return None
    return int(np.count_nonzero(leads.known[split.train] > leads.ticks[split.calibration_start]))
