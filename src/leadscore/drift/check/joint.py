"""Run the methods `mmd`, `classifier` and `alibi:…`: one p-value each against its share of the budget."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

import numpy as np

from leadscore.drift.multivariate.alibi import AlibiName, AlibiWindow, watched_columns
from leadscore.drift.multivariate.two_sample import (
    PERMUTATIONS,
    JointTest,
    Matrix,
    classifier_test,
    embed,
    mmd_test,
)
from leadscore.drift.options import DriftOptions
from leadscore.drift.report.document import MethodReport
from leadscore.drift.verdict import Severity, at_least
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.errors import BadInputError

JOINT: Final = "joint"
# The smallest p-value must lie well below the level, and permutations take time: some 5 s per 10,000.
_PER_LEVEL: Final = 4
_MOST_PERMUTATIONS: Final = 50_000


def joint_report(
    method: str,
    reference: Reference,
    window: LeadWindow,
    options: DriftOptions,
    level: float,
    *,
    ignored: frozenset[str] = frozenset(),
) -> MethodReport:
    """Run `mmd` or `classifier` on the reference's sample and the window's rows.

    Args:
        method: Which.
        reference: With a sample.
        window: With rows.
        options: Least effect, thresholds, seed.
        level: p-value from which it breaches.
        ignored: Features that are known to follow the week: the sample has leads of all
            hours, so they would report the hour.

    Raises:
        BadInputError: No rows on one of the sides, or a level so small that no number of permutations reaches
            it.
    """
    if reference.sample is None or window.rows is None:
        raise BadInputError(f"{method} needs the reference's sample and the window's rows.")
    permutations = permutations_for(level)
    before, after = _blind(reference, reference.sample, ignored), _blind(reference, window.rows, ignored)
    if method == "mmd":
        points = embed(reference.contract, before, after)
        test = mmd_test(*points, permutations=permutations, seed=options.seed)
        effect = None
    else:
        test = classifier_test(
            reference.contract, before, after, permutations=permutations, seed=options.seed
        )
        effect = psi_of_auc(test.statistic)
    return _judged(method, test, effect, options, level)


def permutations_for(level: float) -> int:
    """Permutations that let a p-value fall well below a level.

    Raises:
        BadInputError: They would take too long.
    """
    wanted = max(PERMUTATIONS, math.ceil(_PER_LEVEL / level))
    if wanted > _MOST_PERMUTATIONS:
        raise BadInputError(
            f"A permutation test cannot be held to a chance of {level:.2g} per window.",
            hint="Judge longer windows with mmd and classifier, or accept more false alarms.",
        )
    return wanted


def psi_of_auc(auc: float) -> float:
    """PSI of the normal shift by which a classifier of this AUC tells the two sides apart.

    Two normal densities of distance d have AUC = Φ(d/√2) and PSI (Jeffreys' divergence) d². So severities of
    a joint test read as those of a single feature.
    """
    distance = math.sqrt(2.0) * NormalDist().inv_cdf(min(max(auc, 0.5), 1.0 - 1e-9))
    return distance * distance


def alibi_report(
    detector: AlibiName,
    reference: Reference,
    found: AlibiWindow,
    options: DriftOptions,
    *,
    rows: tuple[int, int],
    level: float,
) -> MethodReport:
    """What alibi-detect says, as a finding: its smallest p-value, corrected for their number.

    It has no severities: what it calls drift is `moderate`.
    """
    names = [reference.contract.inputs[i].name for i in watched_columns(detector, reference.contract)]
    worst = min(range(len(found.p_values)), key=lambda i: (found.p_values[i], -found.distances[i]))
    return MethodReport(
        method=f"alibi:{detector}",
        feature=names[worst],
        statistic=detector.lower(),
        value=found.distances[worst],
        p_value=min(1.0, found.p_values[worst] * len(found.p_values)),
        level=level,
        effect=None,
        severity="moderate" if found.drift else "none",
        breached=found.drift and at_least("moderate", options.breach_from),
        reference_rows=rows[0],
        window_rows=rows[1],
    )


def _judged(
    method: str, test: JointTest, effect: float | None, options: DriftOptions, level: float
) -> MethodReport:
    severity: Severity = "none"
    if test.p_value <= level and (effect is None or effect >= options.min_effect):
        severity = "moderate" if effect is None else options.thresholds.severity(effect)
        # A significant result is at least moderate.
        severity = "moderate" if severity == "none" else severity
    return MethodReport(
        method=method,
        feature=JOINT,
        statistic="squared_mmd" if effect is None else "auc",
        value=test.statistic,
        p_value=test.p_value,
        level=level,
        effect=effect,
        severity=severity,
        breached=at_least(severity, options.breach_from) and severity != "none",
        reference_rows=test.reference_rows,
        window_rows=test.window_rows,
    )


def _blind(reference: Reference, rows: Matrix, ignored: frozenset[str]) -> Matrix:
    """The rows with some features taken out: missing on both sides, so that they tell nothing."""
    columns = [i for i, feature in enumerate(reference.contract.inputs) if feature.name in ignored]
    if not columns:
        return rows
    blind = rows.copy()
    blind[:, columns] = np.nan
    return blind
