"""Steps one to four: what was observed, as findings that point to causes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np

from leadscore.contract.clock import clock_cycle
from leadscore.intervals import auc_of_counts
from leadscore.investigation.comparison import (
    LEAST_LEADS,
    SURE,
    PerformanceChange,
    PromiseSample,
    drift_of_cells,
    loss_difference,
    performance_change,
)
from leadscore.investigation.document import (
    InvestigationFinding,
    InvestigationStep,
    InvestigationTable,
)
from leadscore.investigation.feed import (
    Findings,
    find_broken_field,
    find_gaps,
    find_repeats,
    find_silent_outcomes,
    find_warnings,
    has_moved,
)
from leadscore.investigation.observed import Observed, SpanObservation
from leadscore.investigation.segments import find_segment_change
from leadscore.monitoring.queries.business import SLICES, slice_of_bin
from leadscore.monitoring.queries.counts import CellCounts, PredictionCounts
from leadscore.monitoring.queries.estimates import label_completeness
from leadscore.scoring.sentences import label_of

RELATION: Final = 0.15
_RANKING: Final = 0.03
# By which factor the leads a day must differ to be told, and how much of the span before must be stored.
_OTHER_TRAFFIC: Final = 1.5
COVERED: Final = 0.95
_BARELY_COVERED: Final = 0.5


def health_step(seen: Observed, found: Findings) -> InvestigationStep:
    """Step 1: did leads and outcomes arrive, and what changed around the complaint?"""
    unknown: list[str] = []
    if seen.stale:
        unknown.append(seen.stale)
    if not seen.now.total.predictions:
        unknown.append("No lead was scored in this time.")
    elif seen.request.segment is not None and seen.facts is not None and not seen.now.segment_leads:
        unknown.append(f"No lead with {seen.request.segment} was counted in this time.")
    if not seen.before.total.predictions:
        unknown.append("No lead was scored in the time before, so there is nothing to compare with.")
    elif seen.covered < COVERED and seen.first_lead is not None:
        unknown.append(
            f"The first stored lead is of {seen.first_lead:%Y-%m-%d %H:%M} UTC: only {seen.covered:.0%} of"
            " the time before is known, and what is said of it is of that part."
        )
    find_gaps(seen, found)
    find_silent_outcomes(seen, found)
    for change in seen.changes:
        found.add(f"{change.at:%Y-%m-%d %H:%M} UTC: {change.what}", evidence=[change.evidence])
    if seen.now.version != seen.before.version and seen.now.version and seen.before.version:
        found.add(
            f"Version {seen.now.version} answered most leads, before it was version {seen.before.version}."
        )
    unknown += [seen.no_registry] if seen.no_registry else []
    findings = found.take()
    counts = [_traffic_row(seen, name, span) for name, span in _spans(seen)]
    wrong = [f for f in findings if f.points_to]
    sentence = wrong[0].sentence if wrong else _describe_traffic(seen)
    if seen.request.segment is not None:
        sentence += " Arrival, changes and the table are of all leads."
        counts += [
            (f"{name}, {seen.request.segment}", f"{span.segment_leads:,}", "", span.version or "none")
            for name, span in _spans(seen)
            if seen.facts is not None
        ]
    if seen.changes and not wrong:
        count = len(seen.changes)
        sentence += f" {count} {'change is' if count == 1 else 'changes are'} on record for this time."
    return _step(
        "Health and recent changes",
        sentence,
        findings,
        unknown,
        [_table(("", "leads scored", "leads a day", "version that answered most"), counts)],
        blind=not seen.now.total.predictions
        or not seen.before.total.predictions
        or seen.covered < _BARELY_COVERED
        or seen.counted_until is None,
    )


def conversion_step(seen: Observed, found: Findings) -> InvestigationStep:
    """Step 2: what became of leads of each score, now against before?"""
    rows = [
        (name, *(_rate(_slice(span, name)) for span in (seen.before, seen.now))) for name in reversed(SLICES)
    ]
    totals = [_converted(seen, span) for span in (seen.before, seen.now)]
    rows.append(("all", *(_rate(counts) for counts in totals)))
    why = _no_outcomes(seen)
    shares = [label_completeness(span.mature_total) for span in (seen.before, seen.now)]
    if why:
        sentence = why
    else:
        old, new = totals
        sentence = (
            f"Of the {new.labelled:,} {_whose(seen, 'leads')} that are old enough and whose outcome is known,"
            f" {_percent(new.converted, new.labelled)} became customers,"
            f" before it was {_percent(old.converted, old.labelled)} of {old.labelled:,}."
        )
    if seen.request.segment is not None:
        sentence += f" Rates by score and shares of known outcomes are of {_sampled(seen)}."
    find_segment_change(seen, found)
    said = [
        (n, "unknown" if s is None else f"{s:.0%}") for n, s in zip(("before", "now"), shares, strict=True)
    ]
    tables = [_table(("score", "before", "now"), rows), _table(("span", "outcomes known"), said)]
    return _step("Conversion by score", sentence, found.take(), [why] if why else [], tables, blind=bool(why))


def data_step(seen: Observed, found: Findings) -> InvestigationStep:
    """Step 3: do leads look as before, and do their fields arrive whole?"""
    title = "Data quality and drift"
    missing = seen.no_facts or seen.now.uncounted or seen.before.uncounted
    if seen.facts is None or not seen.now.cells or not seen.before.cells:
        why = missing or "Fields of leads were not counted in one of the two spans."
        return _step(title, why, found.take(), [why], [], blind=True)
    rows: list[tuple[str, ...]] = []
    moved: list[tuple[float, str]] = []
    labels = {feature.name: label_of(feature) for feature in seen.facts.contract.inputs}
    for column, profile in enumerate(seen.facts.profile.features):
        before, now = (span.cells.get(profile.name) for span in (seen.before, seen.now))
        if before is None or now is None or len(before) != len(now):
            continue
        drift, label = drift_of_cells(before, now), labels[profile.name]
        rows.append((label, f"{drift.psi:.2f}", f"{drift.absent_before:.1%}", f"{drift.absent_now:.1%}"))
        if find_broken_field(seen, found, column, label, drift) or not has_moved(drift):
            continue
        cycle = clock_cycle(profile.name)
        if cycle is not None and seen.request.time.length < cycle:
            # When leads came is no property of theirs, and not all of it has come in so short a time.
            found.add(f"{label} says when leads came, and is not compared over so short a time.")
        else:
            moved.append((drift.psi, label))
    find_warnings(seen, found, labels)
    find_repeats(seen, found)
    moved.sort(reverse=True)
    for psi, label in moved:
        found.add(f"{label} is spread otherwise than before (PSI {psi:.2f}).", "data_drift", psi)
    findings = found.take()
    rows.sort(key=lambda row: -float(row[1]))
    wrong = [f for f in findings if f.points_to]
    few = min(sum(next(iter(span.cells.values()))) for span in (seen.before, seen.now))
    blind = few < LEAST_LEADS and not wrong
    sentence = f"The {_whose(seen, 'leads')} look as before, and their fields arrive whole."
    if blind:
        sentence = f"Too few {_whose(seen, 'leads')} ({few}) to say whether they look as before."
    sentence = wrong[0].sentence if wrong else sentence
    if seen.request.segment is not None:
        sentence += f" All of this step is of {_sampled(seen)}."
    table = _table(("field", "PSI", "empty before", "empty now"), rows)
    return _step(title, sentence, findings, [], [table], blind=blind)


def model_step(seen: Observed, found: Findings) -> InvestigationStep:
    """Step 4: does what is promised still come, and does the model still rank?"""
    change = performance(seen)
    _compare_versions(seen, found)
    _compare_shadows(seen, found)
    why = ""
    if change is None:
        why = _no_outcomes(seen) or "There are too few outcomes to say how well the model does."
        sentence, rows = why, []
    else:
        days = seen.request.maturity // timedelta(days=1)
        sentence = _describe_relation(change, found, days)
        within = f"customers within {days} days"
        rows = [
            (within, *_two(change.conversion_before, change.conversion_now, "{:.1%}")),
            ("promised by the scores", *_two(change.promised_before, change.promised_now, "{:.1%}")),
            ("ranking (AUC)", *_two(change.ranking_before, change.ranking_now, "{:.3f}")),
        ]
    findings = found.take()
    return _step(
        "The model against its promises",
        next((f.sentence for f in findings if f.points_to), sentence),
        findings,
        [why] if why else [],
        [_table(("", "before", "now"), rows)] if rows else [],
        blind=change is None and not any(f.points_to for f in findings),
    )


def performance(seen: Observed) -> PerformanceChange | None:
    """How outcomes against promises have changed; of the segment, if one is asked for."""
    before, now = (_outcomes(span) for span in (seen.before, seen.now))
    return None if before is None or now is None else performance_change(before, now)


def _outcomes(span: SpanObservation) -> PromiseSample | None:
    sample = span.sample
    if sample is None or not len(sample):
        return None
    chosen = ~np.isnan(sample.won)
    return PromiseSample(sample.probabilities[chosen], sample.won[chosen])


def _describe_relation(change: PerformanceChange, found: Findings, days: int) -> str:
    effect = float(np.exp(change.relation) - 1)
    ranks = change.ranking_before, change.ranking_now
    if abs(change.relation) >= RELATION and abs(change.relation_score) >= SURE:
        found.add(
            f"Leads convert {abs(effect):.0%} {'less' if effect < 0 else 'more'} than leads of the same score"
            " did before.",
            "concept_drift",
            abs(change.relation),
        )
    if ranks[0] is not None and ranks[1] is not None:
        drop = ranks[0] - ranks[1]
        if drop >= _RANKING and change.ranking_score <= -SURE:
            found.add(
                f"The scores tell customers from others less well (AUC {ranks[1]:.3f}, it was"
                f" {ranks[0]:.3f}).",
                "concept_drift",
                4 * drop,
            )
    return (
        f"Of {change.leads_now:,} leads {change.conversion_now:.1%} became customers within {days} days, and"
        f" their scores promised {change.promised_now:.1%} in the end; before it was"
        f" {change.conversion_before:.1%} and {change.promised_before:.1%}, of {change.leads_before:,}."
    )


def _compare_versions(seen: Observed, found: Findings) -> None:
    """The same leads, scored by the version before: was the change of version the harm?"""
    sample = seen.now.sample
    if seen.replayed is None or sample is None:
        if seen.not_replayed:
            found.add(seen.not_replayed)
        return
    worse, score, n = loss_difference(sample.converted, sample.probabilities, seen.replayed)
    versions = f"version {seen.now.version}", f"version {seen.before.version}"
    if n < LEAST_LEADS:
        found.add(f"Too few outcomes ({n}) to compare {versions[0]} with {versions[1]} on the same leads.")
    elif score >= SURE and worse >= 0.005:
        found.add(
            f"On the same {n:,} leads {versions[0]} was clearly worse than {versions[1]} would have been"
            f" (log-loss higher by {worse:.3f}).",
            "model",
            0.4 + 8 * worse,
        )
    else:
        found.add(f"On the same {n:,} leads {versions[0]} did no worse than {versions[1]} would have done.")


def _compare_shadows(seen: Observed, found: Findings) -> None:
    own = _ranking(seen.now.mature or {})
    for version, bins in seen.now.shadows.items():
        other = _ranking(bins)
        if own is not None and other is not None:
            found.add(
                f"Version {version}, which scores in the background, ranks with AUC {other:.3f}; the one that"
                f" answers with {own:.3f}."
            )


def _ranking(bins: Mapping[int, PredictionCounts]) -> float | None:
    """AUC of leads by probability bin; None without both kinds of outcome."""
    ordered = [bins[index] for index in sorted(bins)]
    won = np.array([c.converted for c in ordered], np.int64)
    found = auc_of_counts(won, np.array([c.labelled for c in ordered], np.int64) - won)
    return None if found is None else found[0].value


def _no_outcomes(seen: Observed) -> str:
    """Why nothing can be said of conversion; empty if something can."""
    mature = seen.now.mature
    if not _arrived(seen.now):
        return "No lead was scored in this time."
    if seen.request.segment is not None and seen.facts is None:
        return f"Which leads have {seen.request.segment} is not known. {seen.no_facts}"
    if mature is None or not PredictionCounts.total(mature.values()).predictions:
        young = seen.request.time.start + seen.request.maturity
        days = seen.request.maturity // timedelta(days=1)
        return (
            f"No {_whose(seen, 'lead')} of this time is {days} days old yet, so what became of"
            f" them is not known before {young:%Y-%m-%d}."
        )
    if seen.before.mature is None or not seen.before.mature_total.labelled:
        return "Of the leads before, no outcome is known, so there is nothing to compare with."
    if not seen.now.mature_total.labelled:
        return "Of the leads that are old enough, none has an outcome."
    return ""


def _slice(span: SpanObservation, name: str) -> PredictionCounts:
    bins = span.mature or {}
    return PredictionCounts.total(counts for index, counts in bins.items() if slice_of_bin(index) == name)


def _rate(counts: PredictionCounts | CellCounts) -> str:
    if not counts.labelled:
        return "unknown"
    return f"{_percent(counts.converted, counts.labelled)} of {counts.labelled:,}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "unknown"


def _two(before: float | None, now: float | None, form: str) -> tuple[str, str]:
    before_text, now_text = ("unknown" if v is None else form.format(v) for v in (before, now))
    return before_text, now_text


def _spans(seen: Observed) -> tuple[tuple[str, SpanObservation], ...]:
    return (("before", seen.before), ("now", seen.now))


def _whose(seen: Observed, what: str) -> str:
    return what if seen.request.segment is None else f"{what} with {seen.request.segment}"


def _sampled(seen: Observed) -> str:
    sizes = [0 if span.sample is None else len(span.sample) for span in (seen.now, seen.before)]
    return f"a sample of {_whose(seen, 'leads')} ({sizes[0]:,} now, {sizes[1]:,} before)"


def _converted(seen: Observed, span: SpanObservation) -> PredictionCounts | CellCounts:
    """All that are old enough, counted; of the segment, if one is asked for."""
    if seen.request.segment is None:
        return span.mature_total
    return span.segment or CellCounts()


def _arrived(span: SpanObservation) -> int:
    return PredictionCounts.total(span.by_version.values()).predictions


def _leads_a_day(seen: Observed, span: SpanObservation) -> float:
    """Of the part of a span that is stored and counted."""
    time = seen.request.before if span is seen.before else seen.request.time
    start, end = max(time.start, seen.first_lead or time.start), min(time.end, seen.counted_until or time.end)
    return _arrived(span) / max((end - start) / timedelta(days=1), 1 / 24)


def _describe_traffic(seen: Observed) -> str:
    """What is said where nothing is wrong."""
    if not (_arrived(seen.now) and _arrived(seen.before)):
        return "Whether leads arrive as before is not known."
    before, now = (_leads_a_day(seen, span) for span in (seen.before, seen.now))
    if now >= _OTHER_TRAFFIC * before or before >= _OTHER_TRAFFIC * now:
        return f"{now:,.0f} leads a day arrived, before it was {before:,.0f}; no gap was seen."
    return "Leads and outcomes arrived as before."


def _traffic_row(seen: Observed, name: str, span: SpanObservation) -> tuple[str, ...]:
    rate = _leads_a_day(seen, span)
    return (name, f"{_arrived(span):,}", f"{rate:,.0f}", span.version or "none")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> InvestigationTable:
    return InvestigationTable(header=tuple(header), rows=tuple(tuple(row) for row in rows))


def _step(
    title: str,
    sentence: str,
    findings: tuple[InvestigationFinding, ...],
    unknown: Sequence[str],
    tables: Sequence[InvestigationTable],
    *,
    blind: bool = False,
) -> InvestigationStep:
    attention = any(finding.points_to for finding in findings)
    missing = [why for why in unknown if why and why not in sentence]
    return InvestigationStep(
        title=title,
        state="attention" if attention else "unknown" if blind else "ok",
        sentence=" ".join([sentence, *missing]),
        findings=findings,
        tables=tuple(tables),
    )


STEPS: Final[tuple[Callable[[Observed, Findings], InvestigationStep], ...]] = (
    health_step,
    conversion_step,
    data_step,
    model_step,
)
