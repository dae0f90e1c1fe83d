"""Measure a model month by month on labelled leads."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa

from leadscore.data.matrix import encode_table, labels, matrix_times, values
from leadscore.errors import BadInputError, RefusedError
from leadscore.intervals import Flags, Floats
from leadscore.scoring.model import ScoringModel
from leadscore.training.evaluate import Evaluation, evaluate
from leadscore.training.split import MIN_CLASS, count_classes

# With a smaller share of known outcomes a month's figures are biased to the quick ones.
_COMPLETE = 0.8


class PeriodMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One period.

    Attributes:
        period: Month (`2008-05`), or `all`.
        leads: Leads in it.
        labelled: Those with a known outcome; the figures are about them.
        positives: Converted leads.
        evaluation: The figures; None where there is nothing to measure them on.
        note: Why `evaluation` is None, or why it does not count for the mean; empty otherwise.
        trained_on: Whether the model was trained on leads of this month: its figures flatter it.
        incomplete: Whether so few outcomes are known that they are those of the quick ones.
    """

    period: str
    leads: int
    labelled: int
    positives: int
    evaluation: Evaluation | None
    note: str
    trained_on: bool = False
    incomplete: bool = False


class PeriodPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """A model over several periods.

    Attributes:
        overall: All leads together.
        periods: In order of time; empty if not asked for.
        mean_auc: Mean AUC over the periods that have one, were not trained on and are complete, each
            counting alike; None if there is none.
    """

    overall: PeriodMetrics
    periods: tuple[PeriodMetrics, ...]
    mean_auc: float | None


def measure_performance(
    model: ScoringModel,
    table: pa.Table,
    *,
    by_month: bool,
    capacity: float = 0.10,
    seed: int = 0,
    trained_until: str | None = None,
) -> PeriodPerformance:
    """Score a labelled table and measure it as a whole and, if asked, month by month.

    A lead counts as likely from the model's grade A upwards.

    Args:
        model: What scores.
        table: Leads with outcomes.
        by_month: Whether months are wanted.
        capacity: Share of leads in the top.
        seed: Of the intervals.
        trained_until: End of the leads that the model was trained on (ISO 8601); None: of all its data, the
            window that it was judged on included.

    Raises:
        TableError: The table does not fit the model's contract.
        BadInputError: Months were asked for and the contract has no time column.
        RefusedError: The table has no labelled lead.
    """
    contract = model.contract
    if by_month and contract.time is None:
        raise BadInputError(
            "The model's contract has no time column, so there are no months.", hint="Leave out --by month."
        )
    outcome = labels(contract, table)
    known = ~np.isnan(outcome)
    if not known.any():
        raise RefusedError(
            f"None of the {len(outcome):,} leads has a known outcome.", hint="Bring leads with outcomes."
        )
    probabilities = model.score_rows(encode_table(contract, table))
    value = None if contract.value is None else values(contract, table)

    first, last = model.manifest.data.start, trained_until or model.manifest.data.end

    def figures(period: str, rows: Flags) -> PeriodMetrics:
        chosen = rows & known
        seen = first is not None and last is not None and first[:7] <= period <= last[:7]
        return _period(
            period,
            int(rows.sum()),
            outcome[chosen] > 0.5,
            probabilities[chosen],
            None if value is None else value[chosen],
            threshold=model.grades.a,
            capacity=capacity,
            seed=seed,
            trained_on=seen,
        )

    overall = figures("all", np.ones(len(outcome), dtype=np.bool_))
    if not by_month:
        return PeriodPerformance(overall=overall, periods=(), mean_auc=None)
    months = matrix_times(contract, table).astype("datetime64[M]")
    periods = tuple(figures(str(month), months == month) for month in np.unique(months))
    aucs = [
        p.evaluation.estimates.auc.value
        for p in periods
        if p.evaluation is not None and not p.trained_on and not p.incomplete
    ]
    return PeriodPerformance(
        overall=overall, periods=periods, mean_auc=float(np.mean(aucs)) if aucs else None
    )


def _period(
    period: str,
    leads: int,
    converted: Flags,
    probabilities: Floats,
    value: Floats | None,
    *,
    threshold: float,
    capacity: float,
    seed: int,
    trained_on: bool,
) -> PeriodMetrics:
    positives, negatives = count_classes(converted)
    enough = min(positives, negatives) >= MIN_CLASS
    evaluation = (
        evaluate(converted, probabilities, value=value, threshold=threshold, capacity=capacity, seed=seed)
        if enough
        else None
    )
    incomplete = len(converted) < _COMPLETE * leads
    notes = [
        ""
        if enough
        else f"{positives} converted and {negatives} other leads: at least {MIN_CLASS} of each are needed",
        "trained on" if trained_on else "",
        f"outcomes of {leads - len(converted):,} leads are not known: the quick ones only"
        if incomplete
        else "",
    ]
    return PeriodMetrics(
        period=period,
        leads=leads,
        labelled=len(converted),
        positives=positives,
        evaluation=evaluation,
        note="; ".join(note for note in notes if note),
        trained_on=trained_on,
        incomplete=incomplete,
    )
