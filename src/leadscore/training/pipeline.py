"""The road from a table of leads to an artefact with its evidence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa

from leadscore.contract import FeatureContract, contract_version
from leadscore.data.matrix import encode_batch
from leadscore.drift.reference import build_profile
from leadscore.errors import RefusedError
from leadscore.intervals import Floats
from leadscore.scoring.artefact import DataSnapshot, Manifest
from leadscore.scoring.grades import Grades
from leadscore.training import bundle
from leadscore.training.calibrate import CalibrationFit, fit_calibration
from leadscore.training.cpus import available_cpus
from leadscore.training.evaluate import Evaluation, evaluate
from leadscore.training.evidence import Evidence, HoldoutFacts, WindowRecord
from leadscore.training.fairness import AttributeFairness, measure_fairness
from leadscore.training.leads import (
    DAY,
    Leads,
    arrange,
    days_to_outcome,
    label_state,
    lead_times,
    newest_moment,
    take,
)
from leadscore.training.learners import FittedForest, Sample, learner
from leadscore.training.options import TrainOptions
from leadscore.training.parameters import SPACE_VERSION
from leadscore.training.progress import Progress, Silent
from leadscore.training.snapshot import code_revision, library_versions, table_digest
from leadscore.training.split import MIN_CLASS, Split, count_classes, expanding_folds, split_windows
from leadscore.training.threshold import Decision, decide, grades_by_capacity
from leadscore.training.tune import FoldBins, TuneOptions, Tuning, tune
from leadscore.training.window import Window, iso, select_rows, select_window, utc_moment


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
    manifest: Manifest
    evidence: Evidence
    holdout: pa.Table


def train(
    table: pa.Table,
    contract: FeatureContract,
    options: TrainOptions,
    *,
    out: Path,
    progress: Progress | None = None,
) -> TrainedModel:
    """Select, split, tune, fit, calibrate and evaluate, and write the artefact at `out`.

    The same table, contract, options and library versions give the same model file, byte for
    byte; a run that was killed while tuning goes on from its last finished trial (with `study_storage`).

    Raises:
        RefusedError: Too few labelled leads, or a window without both outcomes; the message says what is
            missing.
        BadInputError: The table does not fit the contract, or has no time and `no_time` was not said.
        ConflictError: `out` exists.
        UnavailableError: The study or `out` cannot be written; no half artefact is left.
    """
    run = _Run(contract, options, options.threads or available_cpus(), progress or Silent())
    bundle.check_writable(out)
    run.progress.stage("Reading the leads")
    leads, window, newest = _select(table, run)
    split = _split(leads, options)
    digest = table_digest(leads.table)

    run.progress.stage("Tuning")
    tuning = _tune(leads, split, digest, run)

    run.progress.stage("Fitting the final model")
    forest = _fit(leads, split, tuning, run)

    run.progress.stage("Calibrating and measuring")
    unseen = np.concatenate([split.calibration, split.holdout])
    margins = forest.margins(leads.matrix[unseen])
    judged = _measure(leads, split, margins, options)
    evidence = Evidence(
        metrics=judged.evaluation.estimates,
        holdout=HoldoutFacts.of(judged.evaluation),
        fairness=judged.fairness,
        decision=judged.decision,
        grades=judged.grades,
        calibration=judged.fit,
        tuning=tuning,
        window=_record(leads, split, window, timed=not options.no_time),
    )
    run.progress.stage("Writing the artefact")
    manifest = bundle.write(
        out,
        bundle.Parts(
            name=options.name,
            contract=contract,
            algorithm=tuning.parameters.algorithm,
            model=forest.file(),
            evidence=evidence,
            profile=build_profile(
                contract,
                leads.matrix[unseen],
                judged.probabilities,
                # The matrix has lost which absent values were texts that the contract does not list; the table has not.
                unseen=encode_batch(contract, take(leads.table, unseen), threads=run.threads).unseen.tolist(),
            ),
            matrix=leads.matrix[unseen],
            converted=leads.converted[unseen],
            days=days_to_outcome(leads, unseen),
            age=None if newest is None else (newest - leads.ticks[unseen]) / DAY,
            margins=margins,
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
    decision: Decision
    grades: Grades
    evaluation: Evaluation
    fairness: tuple[AttributeFairness, ...]


def _select(table: pa.Table, run: _Run) -> tuple[Leads, Window, int | None]:
    """The leads to train on, their window, and the newest moment that the table tells of (None without times)."""
    contract, options = run.contract, run.options
    table = table.select([name for name in contract.columns if name in table.column_names])
    time = lead_times(contract, table, no_time=options.no_time)
    if time is not None and options.as_of is not None:
        visible = np.flatnonzero(time <= utc_moment(options.as_of))
        table, time = take(table, visible), time[visible]
    outcome, known_at = label_state(contract, table, options.as_of)
    known = ~np.isnan(outcome)
    if time is None:
        window = select_rows(known, min_records=options.min_records)
    else:
        window = select_window(
            time,
            known,
            months=options.months,
            min_records=options.min_records,
            min_completeness=options.min_completeness,
        )
    rows = window.rows
    leads = arrange(
        contract,
        take(table, rows),
        outcome[rows],
        None if time is None else time[rows],
        None if known_at is None else known_at[rows],
        threads=run.threads,
    )
    return leads, window, newest_moment(time, known_at, known)


def _split(leads: Leads, options: TrainOptions) -> Split:
    split = split_windows(
        leads.ticks,
        leads.known,
        calibration=options.calibration,
        holdout=options.holdout,
        gap=_gap(options),
    )
    for name, rows in (("training", split.train), ("hold-out", split.holdout)):
        positives, negatives = count_classes(leads.converted[rows])
        if min(positives, negatives) < MIN_CLASS:
            raise RefusedError(
                f"The {name} window has {positives} converted and {negatives} other leads;"
                f" at least {MIN_CLASS} of each are needed.",
                hint="Take more months, or check `target.positive` in the contract.",
            )
    return split


def _tune(leads: Leads, split: Split, digest: str, run: _Run) -> Tuning:
    options = run.options
    folds, skipped = expanding_folds(
        leads.ticks,
        leads.known,
        leads.converted,
        end=split.calibration_start,
        folds=options.folds,
        gap=_gap(options),
    )
    bins = FoldBins(
        contract=run.contract,
        matrix=leads.matrix,
        labels=leads.converted.astype(np.float32),
        folds=folds,
        seed=options.seed,
    )
    tuning = TuneOptions(
        study=study_name(digest, run.contract, options),
        storage=options.study_storage,
        trials=options.trials,
        seed=options.seed,
        threads=run.threads,
        algorithms=options.algorithms,
        time_budget=options.time_budget,
    )
    return tune(bins, skipped, tuning, run.progress)


def study_name(digest: str, contract: FeatureContract, options: TrainOptions) -> str:
    """The same for runs whose trials mean the same; the number of trials may differ, so a study can be extended."""
    identity = (
        digest,
        contract_version(contract),
        options.calibration,
        options.holdout,
        options.folds,
        options.gap_days,
        options.seed,
        options.algorithms,
        SPACE_VERSION,
        sorted(library_versions().items()),
    )
    return f"{options.name}-{hashlib.sha256(msgspec.json.encode(identity)).hexdigest()[:16]}"


def _fit(leads: Leads, split: Split, tuning: Tuning, run: _Run) -> FittedForest:
    sample = Sample(leads.matrix[split.train], leads.converted[split.train].astype(np.float32))
    library = learner(tuning.parameters.algorithm, run.contract, seed=run.options.seed)
    return library.fit(sample, tuning.parameters, tuning.trees)


def _measure(leads: Leads, split: Split, margins: Floats, options: TrainOptions) -> _Judged:
    """Calibrate on the calibration window, measure on the hold-out window; `margins` are of both, in order."""
    size = len(split.calibration)
    fit = fit_calibration(margins[:size], leads.converted[split.calibration])
    probabilities = fit.calibration.probabilities(margins)
    decision = decide(probabilities[:size], options.capacity, options.costs)
    held, scores = split.holdout, probabilities[size:]
    converted = leads.converted[held]
    evaluation = evaluate(
        converted,
        scores,
        value=None if leads.value is None else leads.value[held],
        threshold=decision.threshold,
        capacity=options.capacity,
        seed=options.seed,
    )
    likely = scores >= decision.threshold
    fairness = tuple(
        measure_fairness(s.at(held), converted, likely, min_group=options.min_group, seed=options.seed)
        for s in leads.slices
    )
    grades = grades_by_capacity(probabilities[:size], options.capacity)
    return _Judged(fit, probabilities, decision, grades, evaluation, fairness)


def _record(leads: Leads, split: Split, window: Window, *, timed: bool) -> WindowRecord:
    def moment(position: int) -> str | None:
        return iso(np.datetime64(int(leads.ticks[position]), "us")) if timed else None

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
    )


def _gap(options: TrainOptions) -> int:
    return 0 if options.no_time else int(options.gap_days * DAY)
