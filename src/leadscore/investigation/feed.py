"""Whether leads and outcomes arrive, and whether their fields arrive whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import numpy as np

from leadscore.investigation.comparison import LEAST_LEADS, SURE, DriftOfCells, share_score, unit_factor
from leadscore.investigation.document import Cause, InvestigationFinding
from leadscore.investigation.observed import Observed, SpanObservation

# Predictions that must be expected of a span for its silence to be a gap: it comes by chance once in e^20.
_EXPECTED_IN_GAP: Final = 20.0
_HOUR: Final = timedelta(hours=1)
_QUIET_DAYS: Final = 4
_MOVED_PSI: Final = 0.1
_ABSENT: Final = 0.05
_WARNED: Final = 0.05
_REPEATED: Final = 0.1
_FEWER_TOLD: Final = 0.15
_NEW_CATEGORY: Final = "unseen_category"
# Decimal slips, minutes and hours, bytes, common metric and imperial pairs.
_FACTORS: Final = (10.0, 100.0, 1_000.0, 60.0, 24.0, 12.0, 7.0, 1_000_000.0, 3_600.0, 1_024.0, 2.54, 3.28084)


@dataclass(slots=True)
class Findings:
    """Numbers findings through all steps."""

    _count: int = 0
    _found: list[InvestigationFinding] = field(default_factory=list)

    def add(
        self,
        sentence: str,
        points_to: Cause | None = None,
        strength: float = 0.0,
        evidence: Sequence[str] = (),
    ) -> None:
        """Note a finding of the present step."""
        self._count += 1
        self._found.append(
            InvestigationFinding(
                id=f"F{self._count}",
                points_to=points_to,
                strength=min(max(strength, 0.0), 1.0),
                sentence=sentence,
                evidence=tuple(evidence),
            )
        )

    def take(self) -> tuple[InvestigationFinding, ...]:
        """Return those of the present step, and begin the next one."""
        taken, self._found = tuple(self._found), []
        return taken


def find_gaps(seen: Observed, found: Findings) -> None:
    """Hours without a lead where the same hours of the span before let many expect."""
    time, shift = seen.request.time, seen.request.time.start - seen.request.before.start
    end = min(time.end, seen.counted_until or time.end)
    at, run, expected, lost = time.start, None, 0.0, 0.0
    total = max(sum(seen.before.hours.values()), 1)
    while at <= end:
        quiet = at + _HOUR <= end and not seen.now.hours.get(at)
        if quiet:
            run = run or at
            expected += seen.before.hours.get(at - shift, 0)
        elif run is not None:
            if expected >= _EXPECTED_IN_GAP:
                lost += expected
                found.add(
                    f"No lead was scored from {run:%Y-%m-%d %H:%M} to {at:%Y-%m-%d %H:%M} UTC;"
                    f" about {expected:,.0f} would have been usual.",
                    "integration",
                    min(1.0, 2 * lost / total),
                )
            run, expected = None, 0.0
        at += _HOUR


def find_silent_outcomes(seen: Observed, found: Findings) -> None:
    """Outcomes that no longer come, or come far less, although they used to."""
    start = seen.request.time.start.date()
    usual = [told for day, told in seen.outcome_days if day < start]
    recent = [(day, told) for day, told in seen.outcome_days if day >= start]
    if len(usual) < _QUIET_DAYS or not recent:
        return
    rate = float(np.mean(usual))
    quiet = 0
    for _, told in reversed(recent):
        if told:
            break
        quiet += 1
    if quiet >= _QUIET_DAYS and rate * quiet >= _EXPECTED_IN_GAP:
        since = recent[-quiet][0]
        found.add(
            f"No outcome has been told since {since}; {rate:,.0f} a day were usual.", "integration", 1.0
        )
        return
    if seen.before.sample is None or seen.now.sample is None:
        return
    before, now = (sample.told[~np.isnan(sample.told)] for sample in (seen.before.sample, seen.now.sample))
    if min(len(before), len(now)) < LEAST_LEADS:
        return
    old, new = float(before.mean()), float(now.mean())
    if old - new >= _FEWER_TOLD and (
        share_score(int(now.sum()), len(now), int(before.sum()), len(before)) <= -SURE
    ):
        days = seen.request.maturity // timedelta(days=1)
        found.add(
            f"Within {days} days of their score only {new:.0%} of the leads had an outcome; it was"
            f" {old:.0%}.",
            "integration",
            (old - new) / 0.4,
        )


def find_broken_field(seen: Observed, found: Findings, column: int, label: str, drift: DriftOfCells) -> bool:
    """Whether a field arrives empty or in another unit; notes it."""
    if seen.facts is None:
        return False
    profile = seen.facts.profile.features[column]
    more_absent = drift.absent_now - drift.absent_before
    if more_absent >= _ABSENT and drift.absent_score >= SURE:
        unlisted = _warned_share(seen.now, f"{profile.name}:{_NEW_CATEGORY}") - _warned_share(
            seen.before, f"{profile.name}:{_NEW_CATEGORY}"
        )
        if unlisted >= more_absent / 2:
            found.add(
                f"{label} has a value that the model does not know in {unlisted:.0%} of the leads.",
                "data_drift",
                max(unlisted, 0.25),
            )
        else:
            found.add(
                f"{label} arrives empty in {drift.absent_now:.0%} of the leads; it was"
                f" {drift.absent_before:.0%}.",
                "integration",
                0.3 + more_absent,
            )
        return True
    if not has_moved(drift) or profile.kind != "numeric":
        return False
    before, now = (_known(span, column) for span in (seen.before, seen.now))
    factor = unit_factor(before, now, profile.edges, _FACTORS)
    if factor is None:
        return False
    many = f"{factor:g} times what it was" if factor >= 1 else f"1/{1 / factor:g} of what it was"
    found.add(f"{label} is {many}, as if its unit had changed.", "integration", 0.9)
    return True


def has_moved(drift: DriftOfCells) -> bool:
    """Whether a feature is spread otherwise, beyond chance and by enough to matter."""
    return drift.psi >= _MOVED_PSI and drift.score >= SURE


def _known(span: SpanObservation, column: int) -> np.ndarray:
    if span.sample is None:
        return np.zeros(0)
    values = span.sample.rows[:, column].astype(np.float64)
    return values[~np.isnan(values)]


def _warned_share(span: SpanObservation, warning: str) -> float:
    if span.sample is None or not len(span.sample):
        return 0.0
    return span.sample.warned.get(warning, 0) / len(span.sample)


def find_warnings(seen: Observed, found: Findings, labels: dict[str, str]) -> None:
    """Numbers out of range and fields that nobody knows: new categories are told with their field."""
    now, before = seen.now.sample, seen.before.sample
    if now is None or before is None or not (len(now) and len(before)):
        return
    for warning, hits in sorted(now.warned.items()):
        name, _, reason = warning.partition(":")
        other = before.warned.get(warning, 0)
        more = hits / len(now) - other / len(before)
        if reason == _NEW_CATEGORY or more < _WARNED:
            continue
        if share_score(hits, len(now), other, len(before)) >= SURE:
            found.add(
                f"{labels.get(name, name)} is flagged ({reason.replace('_', ' ')}) in {hits / len(now):.0%}"
                f" of the leads; it was {other / len(before):.0%}.",
                "integration",
                0.3 + more,
            )


def find_repeats(seen: Observed, found: Findings) -> None:
    """Leads that arrive more than once within a short time, more than they used to."""
    now, before = seen.now.sample, seen.before.sample
    if now is None or before is None or not (len(now) and len(before)):
        return
    shares = [sample.repeated / len(sample) for sample in (before, now)]
    if shares[1] - shares[0] >= _REPEATED and (
        share_score(now.repeated, len(now), before.repeated, len(before)) >= SURE
    ):
        found.add(
            f"{shares[1]:.0%} of the leads arrive more than once within a short time; it was"
            f" {shares[0]:.0%}.",
            "integration",
            0.3 + shares[1],
        )
