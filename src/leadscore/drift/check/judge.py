"""Judge a window by all methods: from window, outcomes and memory to report, verdict and next memory. Pure.

The methods share one budget of false alarms, in equal parts: the chance that any of them signals on an
unchanged stream is at most the sum of their chances. The univariate checks spend their part as `budget`
says. The others compare with a fixed reference, or with windows that overlap, so one window's accident tends
to be the next one's too; with N-of-M hysteresis that would come dearer than for independent windows. Their
chance per window is therefore what a single window may cost, whatever the hysteresis: their false alarms
come in clusters, and are at most as many as asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, cast

import msgspec
import numpy as np

from leadscore.drift.check.combine import combined_verdict
from leadscore.drift.check.impact import Grading
from leadscore.drift.check.joint import alibi_report, joint_report
from leadscore.drift.check.summary import SILENT, no_verdict
from leadscore.drift.check.univariate import check
from leadscore.drift.methods import ALIBI, SEQUENTIAL
from leadscore.drift.multivariate.alibi import AlibiName, AlibiWindow
from leadscore.drift.options import DriftOptions
from leadscore.drift.performance.cbpe import ExpectedPerformance, expected_performance
from leadscore.drift.performance.outcomes import (
    MatureOutcomes,
    PerformanceBaseline,
    PerformanceReport,
    judge_outcomes,
)
from leadscore.drift.report.document import DriftReport, MethodReport
from leadscore.drift.univariate.seasonal import window_season
from leadscore.drift.verdict import at_least
from leadscore.drift.windows.history import ALL, History, Judged, Trail, check_order, follow
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.errors import BadInputError

# With fewer rows a joint test is not made.
_LEAST_ROWS: Final = 20
# More simulated leads would not change the interval's shown digits.
_MOST_EXPECTED: Final = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class JudgedWindow:
    """What is judged.

    Attributes:
        window: Leads of the span, as they were scored.
        outcomes: Mature leads from before it; None if outcomes are not asked.
        alibi: alibi-detect's answers about the window, by method.
    """

    window: LeadWindow
    outcomes: MatureOutcomes | None = None
    alibi: Mapping[str, AlibiWindow] = field(default_factory=dict[str, AlibiWindow])


def method_level(options: DriftOptions, every: timedelta) -> float:
    """p-value from which one of the methods besides the univariate checks breaches.

    Args:
        options: Budget and methods, or the fixed line for p.
        every: Time from one judged window to the next.
    """
    if options.mode == "thresholds":
        return options.thresholds.p
    return min(0.5, 1.0 / (options.false_alarms.run_length(every) * options.alarming_methods))


def judge_window(
    reference: Reference,
    seen: JudgedWindow,
    options: DriftOptions,
    history: History | None = None,
    *,
    baseline: PerformanceBaseline | None = None,
    every: timedelta | None = None,
    grade: Grading | None = None,
) -> tuple[DriftReport, History]:
    """Judge one window by all methods of the options.

    Args:
        reference: What the model was trained on.
        seen: The window and what else the methods need.
        options: How to judge.
        history: The memory from the window before; None begins one.
        baseline: The model on its hold-out; `performance` needs it.
        every: As in `check.check`.
        grade: As in `check.check`.

    Returns:
        The report, and the memory for the next window: the same one if no method could judge.

    Raises:
        ConflictError: The window lies before the last judged one, or the memory belongs to another model.
        BadInputError: The budget cannot be kept with so few windows, or a method's input is missing.
    """
    if SEQUENTIAL in options.methods:
        raise BadInputError(
            "The method sequential follows a stream of leads; it judges no windows.",
            hint="Use `leadscore drift watch`.",
        )
    window = seen.window
    history = history or History(model=reference.model)
    check_order(history, reference.model, window.start)
    if "univariate" in options.methods:
        report, following = check(reference, window, options, history, every=every, grade=grade)
        if options.methods == ("univariate",):
            return report, following
    else:
        verdict = no_verdict(reference, window, "")
        report, following = (
            DriftReport(verdict=verdict, features=(), options=options, breached=False),
            history,
        )
    level = method_level(options, every or window.end - window.start)
    methods, notes = _methods(reference, seen, options, history, level)
    report = msgspec.structs.replace(
        report,
        methods=methods,
        notes=(*report.notes, *notes),
        performance=_performance(seen, baseline, options, level),
        expected=_expected(window, baseline, options),
    )
    trails = _trails(report, history, window)
    if report.judged:
        following = msgspec.structs.replace(following, methods=trails, end=window.end)
    breached = report.breached or any(
        trail.recent and trail.recent[-1] == Judged(window.start, True) for trail in trails.values()
    )
    univariate = report.verdict
    report = msgspec.structs.replace(report, breached=breached)
    verdict = combined_verdict(report, univariate, following)
    return msgspec.structs.replace(report, verdict=verdict), following


def _methods(
    reference: Reference, seen: JudgedWindow, options: DriftOptions, history: History, level: float
) -> tuple[tuple[MethodReport, ...], tuple[str, ...]]:
    """Findings of the joint tests, and what kept them from judging."""
    window = seen.window
    wanted = [m for m in options.methods if m in {"mmd", "classifier"} or m.startswith(ALIBI)]
    if not wanted:
        return (), ()
    if reference.sample is None:
        return (), (f"No reference sample: {', '.join(wanted)} could not judge.",)
    rows = window.counts.rows
    if not rows:
        return (), (SILENT,)
    if window.rows is None or rows < max(options.min_rows, _LEAST_ROWS):
        return (), (f"{', '.join(wanted)}: {rows} leads are too few to judge.",)
    season = window_season(reference.profile, history, options, window.start, window.end)
    apart = season.follows | season.incomparable
    found: list[MethodReport] = []
    for method in wanted:
        if not method.startswith(ALIBI):
            found.append(joint_report(method, reference, window, options, level, ignored=apart))
            continue
        if method not in seen.alibi:
            raise BadInputError(f"{method} was asked for and has not answered.")
        name = cast("AlibiName", method.removeprefix(ALIBI))
        sizes = (len(reference.sample), rows)
        found.append(alibi_report(name, reference, seen.alibi[method], options, rows=sizes, level=level))
    if season.stratum == ALL or season.follows:
        return tuple(found), ()
    hours = "The joint tests compare with leads of all hours: what follows the week looks like drift to them."
    return tuple(found), (hours,)


def _performance(
    seen: JudgedWindow, baseline: PerformanceBaseline | None, options: DriftOptions, level: float
) -> PerformanceReport | None:
    if "performance" not in options.methods:
        return None
    if seen.outcomes is None or baseline is None:
        raise BadInputError(
            "The method `performance` needs outcomes and the model's hold-out figures.",
            hint="The model's artefact must hold metrics.json: train it with `leadscore train`.",
        )
    return judge_outcomes(seen.outcomes, baseline, options, level if options.mode == "budget" else None)


def _expected(
    window: LeadWindow, baseline: PerformanceBaseline | None, options: DriftOptions
) -> ExpectedPerformance | None:
    p = window.probabilities
    if "cbpe" not in options.methods or p is None or len(p) < _LEAST_ROWS:
        return None
    some = p[:: -(-len(p) // _MOST_EXPECTED)]
    reliability = () if baseline is None else baseline.reliability
    found = expected_performance(np.asarray(some), reliability=reliability, seed=options.seed)
    return msgspec.structs.replace(found, rows=len(p))


def _trails(report: DriftReport, history: History, window: LeadWindow) -> dict[str, Trail]:
    """The trails of the methods that are asked for, with this window where they judged it."""
    options = report.options
    judged = {finding.method: finding.breached for finding in report.methods}
    outcomes = report.performance
    if outcomes is not None and outcomes.verdict.judged:
        severity = outcomes.severity
        judged["performance"] = severity != "none" and at_least(severity, options.breach_from)
    trails: dict[str, Trail] = {}
    for method in options.methods:
        trail = history.methods.get(method, Trail())
        if method in judged:
            trail = follow(trail, Judged(window.start, judged[method]), options.hysteresis)
        if trail.recent:
            trails[method] = trail
    return trails
