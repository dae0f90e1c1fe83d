"""Judge a challenger against the champion on the same held-out leads."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leadscore.contract import Categorical, FeatureContract, Numeric, contract_version
from leadscore.contract.leaks import Suspicion, matrix_suspicions, model_suspicions
from leadscore.data.matrix import encode_table, labels, matrix_times, values
from leadscore.errors import RefusedError
from leadscore.intervals import Flags, auc_estimate
from leadscore.scoring.model import ScoringModel
from leadscore.training.doubts import explained_by
from leadscore.training.gate_checks import GateSide, HeldOut, compare, floors, leaks_check, rows_check
from leadscore.training.leads import sensitive_slices, take
from leadscore.training.snapshot import table_digest
from leadscore.training.verdict import Check, GateThresholds, GateVerdict, conclude
from leadscore.training.window import iso

LatencyProbe = Callable[[ScoringModel, npt.NDArray[np.float32]], float]

_LATENCY_ROWS = 200
_LATENCY_ROUNDS = 7


def judge_challenger(
    champion: ScoringModel | None,
    challenger: ScoringModel,
    table: pa.Table,
    thresholds: GateThresholds | None = None,
    *,
    latency: LatencyProbe | None = None,
    suspicions: Sequence[Suspicion] = (),
    accepted: str | None = None,
) -> GateVerdict:
    """Judge a challenger on a held-out window that neither model has trained on.

    It passes on a supported gain in AUC or in the business KPI, when no slice, calibration, fairness or
    latency figure is worse beyond its tolerance. Without a champion the absolute floors decide. In either
    case it does not pass with a suspicion of a leak, its own or one found in this window, that nobody has
    answered. Each model sees the table through its own contract; a column that only the champion's contract
    names and the table no longer has is missing to it, as it would be in service. Labels, value and
    sensitive attributes are the challenger's.

    Args:
        champion: The model in charge; None if there is none.
        challenger: The candidate.
        table: Leads with outcomes; those without a known outcome are left out.
        thresholds: None takes the defaults.
        latency: Microseconds per lead of a model on encoded rows; None measures.
        suspicions: Found in training.
        accepted: The word of a named person that suspicions are no leaks; None: nobody's.

    Raises:
        RefusedError: No labelled lead in the table.
        TableError: The table does not fit the challenger's contract.
    """
    thresholds = thresholds or GateThresholds()
    outcome = labels(challenger.contract, table)
    table = take(table, np.flatnonzero(~np.isnan(outcome)))
    converted = outcome[~np.isnan(outcome)] > 0.5
    if table.num_rows == 0:
        raise RefusedError(
            "The gate has no labelled lead to judge on.", hint="Give it a window with outcomes."
        )
    held = HeldOut(
        converted=converted,
        value=None if challenger.contract.value is None else values(challenger.contract, table),
        slices=sensitive_slices(challenger.contract, table),
    )
    measure = latency or microseconds_per_lead
    notes: list[str] = []
    candidate = _side(challenger, table, measure)
    if champion is None:
        notes.append("There is no champion: only absolute floors were asked for.")
        checks = floors(candidate, held, thresholds)
    else:
        notes.extend(_differences(champion, challenger, table))
        side = _side(champion, with_missing_columns(champion.contract, table), measure)
        checks = (*compare(side, candidate, held, thresholds), rows_check(len(converted), thresholds))
    found = _suspicions(challenger.contract, candidate, converted, suspicions)
    checks = (*checks, leaks_check(found, accepted))
    return _verdict(
        champion,
        challenger,
        table,
        converted=converted,
        checks=checks,
        thresholds=thresholds,
        notes=tuple(notes),
        suspicions=found,
        accepted=accepted,
    )


def microseconds_per_lead(model: ScoringModel, matrix: npt.NDArray[np.float32]) -> float:
    """Time to score one encoded lead in this process: median over rows, best of several rounds."""
    rows = list(matrix[:_LATENCY_ROWS])
    rounds: list[float] = []
    for _ in range(_LATENCY_ROUNDS):
        durations: list[int] = []
        for row in rows:
            started = time.perf_counter_ns()
            model.score_row(row)
            durations.append(time.perf_counter_ns() - started)
        rounds.append(statistics.median(durations) / 1000)
    # Other load only adds time: the fastest round is the best estimate.
    return min(rounds)


def with_missing_columns(contract: FeatureContract, table: pa.Table) -> pa.Table:
    """The table with an empty column for every input of the contract that it lacks."""
    for feature in contract.inputs:
        if feature.name not in table.column_names:
            kind = pa.string() if isinstance(feature, Categorical) else pa.float64()
            kind = kind if isinstance(feature, Categorical | Numeric) else pa.bool_()
            table = table.append_column(feature.name, pa.nulls(table.num_rows, kind))
    return table


def _side(model: ScoringModel, table: pa.Table, latency: LatencyProbe) -> GateSide:
    # Old leads are scored even if they lack a field that the contract requires by now.
    lenient = msgspec.structs.replace(
        model.contract,
        features=tuple(msgspec.structs.replace(f, required=False) for f in model.contract.features),
    )
    matrix = encode_table(lenient, table)
    probabilities = model.score_rows(matrix)
    return GateSide(
        probabilities=probabilities,
        likely=probabilities >= model.grades.a,
        microseconds=latency(model, matrix),
        matrix=matrix,
    )


def _suspicions(
    contract: FeatureContract, candidate: GateSide, converted: Flags, told: Sequence[Suspicion]
) -> tuple[Suspicion, ...]:
    """Suspicions of training, and those that this window gives besides, each column and kind once."""
    matrix = candidate.matrix
    columns = () if matrix is None else matrix_suspicions(contract, matrix, converted.astype(np.float64))
    figure = auc_estimate(converted, candidate.probabilities)
    hits = int(converted.sum())
    model = (
        ()
        if figure is None
        else model_suspicions(auc=figure.value, converted=hits, others=len(converted) - hits)
    )
    columns = (*(s for s in told if s.column), *columns)
    every = (*told, *columns, *explained_by(columns, model))
    return tuple({(s.column, s.kind): s for s in reversed(every)}.values())[::-1]


def _differences(champion: ScoringModel, challenger: ScoringModel, table: pa.Table) -> list[str]:
    notes: list[str] = []
    if contract_version(champion.contract) != contract_version(challenger.contract):
        notes.append("The two models have different contracts; each read the leads by its own.")
    lacking = [f.name for f in champion.contract.inputs if f.name not in table.column_names]
    if lacking:
        notes.append(f"The champion's column(s) {', '.join(lacking)} are not in the table: missing to it.")
    start, _ = _period(challenger.contract, table)
    seen = champion.manifest.data.end
    if start is not None and seen is not None and seen >= start:
        notes.append(
            f"The champion's data ends at {seen}, after this window begins ({start}): it may have trained on"
            " some of these leads, which favours it."
        )
    return notes


def _period(contract: FeatureContract, table: pa.Table) -> tuple[str | None, str | None]:
    if contract.time is None:
        return None, None
    moments = matrix_times(contract, table)
    return iso(moments.min()), iso(moments.max())


def _verdict(
    champion: ScoringModel | None,
    challenger: ScoringModel,
    table: pa.Table,
    *,
    converted: Flags,
    checks: tuple[Check, ...],
    thresholds: GateThresholds,
    notes: tuple[str, ...],
    suspicions: tuple[Suspicion, ...],
    accepted: str | None,
) -> GateVerdict:
    passed, summary = conclude(checks)
    start, end = _period(challenger.contract, table)
    named = [name for name in challenger.contract.columns if name in table.column_names]
    return GateVerdict(
        passed=passed,
        summary=summary,
        checks=checks,
        challenger=challenger.digest,
        champion=None if champion is None else champion.digest,
        data=table_digest(table.select(named)),
        start=start,
        end=end,
        rows=len(converted),
        positives=int(converted.sum()),
        thresholds=thresholds,
        notes=notes,
        suspicions=suspicions,
        accepted_suspicion=accepted,
    )
