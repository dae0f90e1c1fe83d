"""What the charts of a stream show, as rows and sentences for every form of the report."""

from __future__ import annotations

from leadscore.drift.watch.report import OutcomeReport, WatchReport
from leadscore.drift.watch.track import Alarms, ChartEvaluation

STREAM_COLUMNS = ("chart", "followed", "waiting", "alarms", "first alarm", "now", "level", "of level")
SIGN_COLUMNS = ("feature", "how", "-log p", "distance")


def stream_headline(found: WatchReport) -> str:
    """Return one sentence: the first alarm of any chart, or that there is none."""
    told = found.outcomes
    spoken = [found.leads.alarms.first, told.said.alarms.first if told else None]
    alarms = [evaluation for evaluation in spoken if evaluation]
    if not alarms:
        return "No alarm"
    first = min(alarms, key=lambda evaluation: evaluation.at)
    sign = first.signs[0]
    began = "" if first.since is None else f"; it began, most likely, {_began(first)}"
    return f"ALARM: {sign.feature} ({sign.how}), {_when(first)}{began}"


def stream_budget(found: WatchReport) -> str:
    """Return since when the stream is followed, and by which budget."""
    rate = "" if found.leads_per_day is None else f" ({found.leads_per_day:,.0f} leads a day)"
    left = f"; without {', '.join(found.plan.without)}" if found.plan.without else ""
    return (
        f"{found.model} since {found.since:%Y-%m-%d %H:%M}; one false alarm in "
        f"{found.plan.run_length:,.0f} leads{rate}, tested every {found.plan.every:,}{left}"
    )


def stream_section(found: WatchReport) -> dict[str, object]:
    """Return all of it, for a page."""
    return {
        "headline": stream_headline(found),
        "budget": stream_budget(found),
        "columns": STREAM_COLUMNS,
        "rows": stream_rows(found),
        "sign_columns": SIGN_COLUMNS,
        "signs": sign_tables(found),
        "lines": outcome_lines(found.outcomes) if found.outcomes else [],
    }


def stream_rows(found: WatchReport) -> list[tuple[str, ...]]:
    """Return a row per chart in the order of `STREAM_COLUMNS`."""
    leads = found.leads
    rows = [_row("leads", leads.followed, leads.waiting, leads.alarms, leads.now)]
    if found.outcomes:
        said = found.outcomes.said
        rows.append(_row("outcomes", said.followed, said.pending, said.alarms, said.evaluation))
    return rows


def sign_tables(found: WatchReport) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return titles and rows (`SIGN_COLUMNS`) of what features showed at the first alarm, and show now."""
    pairs = (("At the first alarm", found.leads.alarms.first), ("Now", found.leads.now))
    return [
        (
            title,
            [
                (s.feature, s.how, f"{s.surprise:.2f}", "–" if s.distance is None else f"{s.distance:.3f}")
                for s in evaluation.signs
            ],
        )
        for title, evaluation in pairs
        if evaluation is not None
    ]


def outcome_lines(told: OutcomeReport) -> list[str]:
    """Return what the chart of outcomes is made of, and how it stands, in sentences."""
    said = told.said
    share = (
        "All leads are" if told.share >= 1.0 else f"{told.share:.2%} of the leads, chosen by their ids, are"
    )
    counts = (
        f"{share} charted for their outcomes: {said.known:,} are known, {said.waiting:,} waited for (for "
        f"{told.wait:g} days), {said.unknown:,} did not come in time and are left out."
    )
    lines = [counts]
    if not told.timed:
        lines.append(
            "The model's artefact does not tell when outcomes became known, so all are asked at the age "
            f"of {told.wait:g} days. Train it again with `target.known_at` in the contract, "
            "and they count as they come."
        )
    if said.unknown > said.known:
        lines.append(
            "More outcomes are missing than known. Are losses reported too, not wins alone? Are there more "
            "leads a day than --leads-per-day says?"
        )
    if said.evaluation is not None:
        bet = f"Outcomes now: {said.evaluation.signs[0].how}"
        lines.append(
            bet
            + (f", since {_began(said.evaluation)}" if said.evaluation.since else "")
            + " is what they say most."
        )
    return lines


def _row(
    name: str, followed: int, waiting: int, alarms: Alarms, now: ChartEvaluation | None
) -> tuple[str, ...]:
    first = alarms.first
    return (
        name,
        f"{followed:,}",
        f"{waiting:,}",
        str(alarms.count),
        _when(first) if first else "–",
        f"{now.statistic:.2f}" if now else "–",
        f"{now.level:.2f}" if now else "–",
        f"{now.statistic / now.level:.0%}" if now else "–",
    )


def _when(evaluation: ChartEvaluation) -> str:
    return f"{evaluation.at:%Y-%m-%d %H:%M}, lead {evaluation.lead:,}"


def _began(evaluation: ChartEvaluation) -> str:
    return f"{evaluation.since:%Y-%m-%d %H:%M}, lead {evaluation.since_lead:,}"
