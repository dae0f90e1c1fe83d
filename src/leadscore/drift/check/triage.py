"""Classify a change: a broken pipeline (tell the data owner) or a population shift (retrain).

Retraining on broken data would teach the model the fault, so each changed feature is compared with known
faults of data pipelines. A feature that none of them explains has shifted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

import numpy as np

from leadscore.contract import Categorical
from leadscore.drift.report.document import FeatureReport, TriageFinding
from leadscore.drift.statistics import distances as st
from leadscore.drift.statistics.distances import Counts, Floats
from leadscore.drift.univariate.compare import excess_psi
from leadscore.drift.verdict import Triage
from leadscore.drift.windows.inputs import LeadWindow, Reference, cells_of

# Decimal slips, minutes and hours, bytes, and the common pairs of metric and imperial units.
_FACTORS: Final = (
    10.0, 100.0, 1_000.0, 10_000.0, 1_000_000.0, 7.0, 12.0, 24.0, 60.0, 1_024.0, 3_600.0, 1.609344, 2.2046226,
    3.28084, 2.54,
)  # fmt: skip
_MOST_ROWS: Final = 20_000
# A change is explained if what is left of it is at most so large a part.
_LEFT: Final = 0.2
_SIMILAR: Final = 0.8
_FEW_ROWS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A feature that breached."""

    index: int
    report: FeatureReport
    reference: Reference
    window: LeadWindow

    @property
    def values(self) -> Floats | None:
        """Known values of the window (some thousands of them); None without rows."""
        if self.window.rows is None:
            return None
        column = _some(self.window.rows)[:, self.index]
        return column[~np.isnan(column)].astype(np.float64)


def triage(
    reference: Reference, window: LeadWindow, breached: Sequence[tuple[int, FeatureReport]]
) -> tuple[Triage, float, tuple[TriageFinding, ...]]:
    """The kind of change, how sure that is (0-1), and the evidence, strongest first.

    Args:
        reference: With a sample, if findings by rows are wanted.
        window: With rows, likewise.
        breached: Features that breached, with their column; the score is not one (it follows the features).
    """
    findings: list[TriageFinding] = []
    weights = {"pipeline_bug": 0.0, "market_moved": 0.0}
    certainty = dict(weights)
    for index, report in breached:
        suspect = Suspect(index, report, reference, window)
        found = [f for pattern in _PATTERNS if (f := pattern(suspect)) is not None]
        best = max(found, key=lambda f: f.confidence, default=_moved(suspect))
        findings.extend(found or [best])
        side = "pipeline_bug" if best.points_to == "pipeline_bug" else "market_moved"
        # A hundred times the PSI must not count a hundred times.
        weight = min(report.effect, 1.0) + 1e-9
        weights[side] += weight
        certainty[side] += weight * best.confidence
    if not findings:
        return "none", 0.0, ()
    ordered = tuple(sorted(findings, key=lambda f: -f.confidence))
    broken = weights["pipeline_bug"] / sum(weights.values())
    if broken >= 0.6:
        return "pipeline_bug", certainty["pipeline_bug"] / weights["pipeline_bug"], ordered
    if broken <= 0.25:
        return "market_moved", certainty["market_moved"] / weights["market_moved"], ordered
    return "unclear", 0.5, ordered


def _nulls(suspect: Suspect) -> TriageFinding | None:
    report = suspect.report
    if not _breaches(report, "missing"):
        return None
    figures = report.statistics
    before, after = figures.reference_missing_rate, figures.missing_rate
    # Where the reference cannot tell missing from unlisted, both are in the rates: unlisted ones are no
    # nulls.
    unlisted = figures.unseen_rate if figures.absent_merged else 0.0
    if after < before or (unlisted and after - before <= unlisted):
        # Values that appear where there were none are no fault.
        return None
    said = f" or unlisted ({unlisted:.1%} unlisted)" if figures.absent_merged else ""
    # A field that is gone altogether is a broken feed; a few more gaps may be a form that asks less.
    confidence = 0.97 if after > 0.95 else 0.6 + 0.35 * min(1.0, (after - before) / 0.5)
    return TriageFinding(
        pattern="nulls",
        points_to="pipeline_bug",
        feature=report.name,
        confidence=confidence,
        sentence=f"{report.name} is missing{said} in {after:.1%} of leads (training: {before:.1%}).",
    )


def _unit(suspect: Suspect) -> TriageFinding | None:
    feature = suspect.reference.profile.features[suspect.index]
    values = suspect.values
    if feature.kind != "numeric" or values is None or len(values) < _FEW_ROWS or not feature.edges:
        return None
    base = np.array(suspect.reference.base.features[suspect.index].counts)
    edges = np.array(feature.edges)

    def left(candidate: Floats) -> float:
        cells = np.bincount(np.searchsorted(edges, candidate, side="right"), minlength=len(base))
        return excess_psi(base, cells)

    change = left(values)
    if change < 0.1:
        return None
    factors = [*_FACTORS, *(1.0 / factor for factor in _FACTORS), -1.0]
    tried = [(left(values / factor), factor) for factor in factors]
    best = min(remains for remains, _ in tried)
    # 1,000 and 1,024 explain as well as each other: the more usual one, which is listed first, is named.
    remains, factor = next(t for t in tried if t[0] <= best + 0.02)
    # A zero stays zero in every unit: where most values are zero, a factor explains nothing. And markets do
    # double or halve: a small factor must explain a change that is large.
    small = max(abs(factor), 1.0 / abs(factor)) < 5.0 and factor > 0.0
    if remains > _LEFT * change or np.mean(values == 0.0) > 0.5 or (small and change < 1.0):
        return None
    words = f"{factor:g} times" if abs(factor) >= 1 else f"1/{1 / factor:g} of"
    return TriageFinding(
        pattern="unit",
        points_to="pipeline_bug",
        feature=feature.name,
        confidence=0.6 + 0.38 * (1.0 - remains / change),
        sentence=(
            f"{feature.name} is {words} what it was: dividing by {factor:.6g} takes its PSI from "
            f"{change:.2f} to {remains:.2f}, as if its unit had changed."
        ),
    )


def _constant(suspect: Suspect) -> TriageFinding | None:
    report = suspect.report
    before, after = np.array(report.reference[:-1]), np.array(report.window[:-1])
    if before.sum() == 0 or after.sum() < _FEW_ROWS:
        return None
    cell = int(after.argmax())
    share, usual = after[cell] / after.sum(), before[cell] / before.sum()
    counts = suspect.window.counts.features[suspect.index]
    one_value = counts.minimum is None or counts.minimum == counts.maximum
    if share < 0.99 or usual > 0.9 or not one_value:
        return None
    # A number's bin holds its neighbours too; a category is itself.
    number = counts.minimum is not None
    value, near = (f"{counts.minimum:.6g}", " near it") if number else (report.labels[cell], "")
    return TriageFinding(
        pattern="constant",
        points_to="pipeline_bug",
        feature=report.name,
        confidence=0.95,
        sentence=(
            f"{report.name} is {value} for {share:.1%} of the leads that have it "
            f"(training: {usual:.1%}{near})."
        ),
    )


def _range(suspect: Suspect) -> TriageFinding | None:
    report = suspect.report
    if not _breaches(report, "range"):
        return None
    rate = report.statistics.range_rate
    return TriageFinding(
        pattern="range",
        points_to="pipeline_bug",
        feature=report.name,
        confidence=0.6 + 0.35 * min(1.0, rate / 0.1),
        sentence=(
            f"{report.name} is outside the contract's range for {rate:.1%} of leads; "
            "it never was in training."
        ),
    )


def _unseen(suspect: Suspect) -> TriageFinding | None:
    """New categories: an old one under another spelling, or something new on the market."""
    report = suspect.report
    described = suspect.reference.contract.inputs[suspect.index]
    if not isinstance(described, Categorical) or not _more_unseen(report):
        return None
    rate = report.statistics.unseen_rate
    texts = suspect.window.unseen_values.get(report.name, {})
    known = sum(texts.values())
    alike = {text: _nearest(text, described.categories) for text in texts}
    respelled = sum(count for text, count in texts.items() if alike[text] is not None)
    if known and respelled >= known / 2:
        text = max((t for t in texts if alike[t]), key=texts.__getitem__)
        return TriageFinding(
            pattern="respelled", points_to="pipeline_bug", feature=report.name, confidence=0.95,
            sentence=(
                f"{report.name} has {rate:.1%} unlisted values that are spelled almost like listed ones: "
                f"{text!r} for {alike[text]!r}."
            ),
        )  # fmt: skip
    if not known and (gone := _vanished(suspect, rate)) is not None:
        return TriageFinding(
            pattern="respelled", points_to="pipeline_bug", feature=report.name, confidence=0.85,
            sentence=(
                f"{report.name}: {gone!r} is gone, and as many leads ({rate:.1%}) have a category that "
                "the contract does not list."
            ),
        )  # fmt: skip
    named = f", above all {max(texts, key=texts.__getitem__)!r}" if texts else ""
    return TriageFinding(
        pattern="new_category", points_to="market_moved", feature=report.name, confidence=0.7,
        sentence=(
            f"{report.name} has a category that the contract does not list in {rate:.1%} of leads{named}."
        ),
    )  # fmt: skip


def _one_source(suspect: Suspect) -> TriageFinding | None:
    """Find a change that is confined to one category of another feature.

    One feed changed, not the population.
    """
    sample, rows = suspect.reference.sample, suspect.window.rows
    if sample is None or rows is None or suspect.report.effect < 0.05:
        return None
    rows = _some(rows)
    best: TriageFinding | None = None
    for other, described in enumerate(suspect.reference.contract.inputs):
        if other == suspect.index or not isinstance(described, Categorical):
            continue
        for code, category in enumerate(described.categories):
            found = _within(suspect, (sample, rows), other, (code, category))
            if found is not None and (best is None or found.confidence > best.confidence):
                best = found
    return best


def _within(
    suspect: Suspect, both: tuple[np.ndarray, np.ndarray], other: int, code: tuple[int, str]
) -> TriageFinding | None:
    inside = [matrix[:, other] == code[0] for matrix in both]
    sizes = [(int(np.sum(i)), int(np.sum(~i))) for i in inside]
    if min(min(size) for size in sizes) < 5 * _FEW_ROWS:
        return None
    cells = [_column_cells(suspect, matrix) for matrix in both]
    size = len(suspect.report.reference)
    within = _both_counts(cells, inside, size)
    outside = _both_counts(cells, [~i for i in inside], size)
    change, rest = excess_psi(*within), excess_psi(*outside)
    statistic, degrees = st.chi_square(*outside)
    unchanged_outside = rest < 0.02 or st.chi_square_p(statistic, degrees) > 0.01
    if change < 0.25 or not unchanged_outside or rest > 0.1 * change:
        return None
    name = suspect.reference.contract.inputs[other].name
    return TriageFinding(
        pattern="one_source",
        points_to="pipeline_bug",
        feature=suspect.report.name,
        confidence=0.6 + 0.3 * (1.0 - rest / change),
        sentence=(
            f"{suspect.report.name} has changed only where {name} is {code[1]!r} (PSI {change:.2f} there, "
            f"{rest:.2f} elsewhere)."
        ),
    )


def _moved(suspect: Suspect) -> TriageFinding:
    report = suspect.report
    figures = report.statistics
    means = (
        ""
        if figures.mean is None or figures.reference_mean is None
        else f", its mean went from {figures.reference_mean:.4g} to {figures.mean:.4g}"
    )
    return TriageFinding(
        pattern="moved",
        points_to="market_moved",
        feature=report.name,
        confidence=0.8 if suspect.window.rows is not None else 0.6,
        sentence=(
            f"{report.name} has moved (PSI {figures.psi:.2f}{means}); no pattern of a "
            "broken pipeline explains it."
        ),
    )


_PATTERNS: Final[tuple[Callable[[Suspect], TriageFinding | None], ...]] = (
    _nulls,
    _unit,
    _constant,
    _range,
    _unseen,
    _one_source,
)


def _breaches(report: FeatureReport, test: str) -> bool:
    return any(t.name == test and t.breached for t in report.tests)


def _more_unseen(report: FeatureReport) -> bool:
    """Whether unlisted categories have become more.

    Where the reference cannot tell them from missing values, that both together have, while missing ones
    alone have not.
    """
    figures = report.statistics
    merged = (
        figures.absent_merged
        and _breaches(report, "missing")
        and 0.0 < figures.missing_rate - figures.reference_missing_rate <= figures.unseen_rate
    )
    return merged or _breaches(report, "unseen")


def _nearest(text: str, categories: tuple[str, ...]) -> str | None:
    plain = _plain(text)
    scored = [(SequenceMatcher(None, plain, _plain(c)).ratio(), c) for c in categories]
    score, category = max(scored, default=(0.0, ""))
    return category if score >= _SIMILAR else None


def _plain(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _vanished(suspect: Suspect, rate: float) -> str | None:
    """A category that was as frequent as unseen ones are now, and has gone."""
    report = suspect.report
    before, after = np.array(report.reference[:-2]), np.array(report.window[:-2])
    if before.sum() == 0 or sum(report.window) == 0:
        return None
    usual, now = before / sum(report.reference), after / sum(report.window)
    noise = 3.0 * np.sqrt(np.maximum(usual, rate) / sum(report.window))
    gone = (now < 0.1 * usual) & (np.abs(usual - rate) <= noise) & (usual > 0.01)
    return report.labels[int(np.argmax(gone))] if gone.any() else None


def _column_cells(suspect: Suspect, matrix: np.ndarray) -> Counts:
    feature = suspect.reference.profile.features[suspect.index]
    edges = np.array(feature.edges) if feature.kind == "numeric" else None
    return cells_of(edges, matrix[:, suspect.index])


def _both_counts(cells: list[Counts], chosen: list[np.ndarray], size: int) -> tuple[Counts, Counts]:
    # Missing is -1: the last cell.
    before, after = (np.bincount(c[i] % size, minlength=size) for c, i in zip(cells, chosen, strict=True))
    return before, after


def _some(rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= _MOST_ROWS else rows[:: len(rows) // _MOST_ROWS + 1]
