"""The evidence about a candidate as components: gate, replay or shadow, A/B test, soak."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec
from dash import html
from dash.development.base_component import Component

from leadscore.console.blocks import PageTable, badge, chart_block, facts_block, section_block, table_block
from leadscore.console.numbers import UNKNOWN_TEXT, count_text, moment_text, number_text, share_text
from leadscore.console.palette import REFERENCE_GREY, new_figure, series_colour
from leadscore.events.records import Evidence
from leadscore.intervals import Estimate
from leadscore.release.evidence import EXPERIMENT, GATE, KPI, REPLAY, SHADOW
from leadscore.release.experiment import Experiment, figure_title
from leadscore.scoring.grades import GRADES
from leadscore.training.verdict import Check, GateVerdict


# The parts of reports that are shown. Their own types come with SciPy, which the console does not have.
class _Spread(msgspec.Struct, frozen=True):
    psi: float
    ks: float
    champion_mean: float
    candidate_mean: float
    edges: tuple[float, ...]
    champion: tuple[int, ...]
    candidate: tuple[int, ...]


class _Order(msgspec.Struct, frozen=True):
    spearman: float | None
    top_decile_overlap: float


class _Grades(msgspec.Struct, frozen=True):
    matrix: tuple[tuple[int, ...], ...]
    changed: float
    better: float
    worse: float


class _Known(msgspec.Struct, frozen=True):
    rows: int
    converted: int
    completeness: float | None
    champion: Estimate | None
    candidate: Estimate | None
    difference: Estimate | None


class _Comparison(msgspec.Struct, frozen=True, kw_only=True):
    kind: str = "replay"
    champion: int
    version: int
    model: str
    passed: bool
    summary: str
    since: datetime
    until: datetime
    rows: int
    reproduced: float | None
    scores: _Spread
    order: _Order
    grades: _Grades
    known: _Known
    remarks: tuple[str, ...]


class _Figure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    before: float
    now: float | None
    low: float | None
    high: float | None
    margin: float
    fallen: bool


class _Soak(msgspec.Struct, frozen=True, kw_only=True):
    summary: str
    passed: bool
    judged: bool
    until: datetime
    leads: int
    figures: tuple[_Figure, ...]


def evidence_blocks(records: Iterable[Evidence], digest: str, currency: str = "") -> list[Component]:
    """What is on record about exactly these bytes, newest of each kind.

    Args:
        records: Of one version, newest first.
        digest: Artefact digest; what is about other bytes is left out.
        currency: Of revenue; empty if nobody has said.
    """
    newest: dict[str, Evidence] = {}
    for record in records:
        if record.kind in {GATE, REPLAY, SHADOW, KPI, EXPERIMENT} and _is_about(record, digest):
            newest.setdefault(record.kind, record)
    found: list[Component] = []
    if GATE in newest:
        found.append(_gate(newest[GATE]))
    for kind in (REPLAY, SHADOW):
        if kind in newest:
            found += _comparison(newest[kind])
    if EXPERIMENT in newest:
        found.append(_experiment(newest[EXPERIMENT], currency))
    if KPI in newest:
        found.append(_soak(newest[KPI], currency))
    return found


def _is_about(record: Evidence, digest: str) -> bool:
    class Head(msgspec.Struct):
        digest: str = ""
        challenger: str = ""

    if record.kind == EXPERIMENT:  # of traffic, and without a digest
        return True
    head = msgspec.json.decode(record.document, type=Head)
    return digest in {head.digest, head.challenger}


def _gate(record: Evidence) -> Component:
    verdict = msgspec.json.decode(record.document, type=GateVerdict)
    table = PageTable(
        header=("check", "result", "champion", "challenger", "difference (95 %)", "why"),
        rows=[_check(check) for check in verdict.checks],
        units={"champion": "number", "challenger": "number"},
        name="gate",
    )
    return section_block(
        "Gate",
        [
            html.P(
                [
                    badge("good" if verdict.passed else "critical", _passed(verdict.passed)),
                    " " + verdict.summary.removeprefix("Passed: ").removeprefix("Refused: "),
                ]
            ),
            facts_block(
                [
                    (
                        "leads judged on",
                        f"{count_text(verdict.rows)} ({count_text(verdict.positives)} converted)",
                    ),
                    *(("note", note) for note in verdict.notes),
                    *(("suspected leak", str(suspicion)) for suspicion in verdict.suspicions),
                    ("answered for by", verdict.accepted_suspicion or "nobody"),
                    ("record", html.Code(record.evidence_id)),
                ]
            ),
            table_block(table, caption="Checks of the gate"),
        ],
    )


def _check(check: Check) -> tuple[object, ...]:
    return (
        check.name,
        badge("good" if check.passed else "critical", "passed" if check.passed else "failed"),
        # A check that asks for no such number has none, which is not the same as unknown.
        "–" if check.champion is None else check.champion,
        "–" if check.challenger is None else check.challenger,
        "–" if check.difference is None else _estimate(check.difference),
        check.why,
    )


def _comparison(record: Evidence) -> list[Component]:
    found = msgspec.json.decode(record.document, type=_Comparison)
    name = "Replay" if found.kind == REPLAY else "Shadow"
    known, grades = found.known, found.grades
    rows = [
        ("leads that both scored", count_text(found.rows)),
        ("window", f"{moment_text(found.since)} to {moment_text(found.until)}"),
        ("champion's logged answers given again", _share(found.reproduced)),
        ("leads with another grade", share_text(grades.changed)),
        ("… a better one / a worse one", f"{share_text(grades.better)} / {share_text(grades.worse)}"),
        ("top tenth in common", share_text(found.order.top_decile_overlap)),
        ("PSI / KS of the scores", f"{number_text(found.scores.psi)} / {number_text(found.scores.ks)}"),
        ("leads with a known outcome", f"{count_text(known.rows)} ({count_text(known.converted)} converted)"),
        ("outcomes known among those old enough", _share(known.completeness)),
        ("AUC, champion", _estimate(known.champion)),
        ("AUC, candidate", _estimate(known.candidate)),
        ("difference (paired)", _estimate(known.difference)),
        *(("remark", remark) for remark in found.remarks),
        ("record", html.Code(record.evidence_id)),
    ]
    changes = PageTable(
        header=("champion's grade", *(f"candidate {grade}" for grade in GRADES)),
        rows=[(grade, *row) for grade, row in zip(GRADES, grades.matrix, strict=True)],
        units={f"candidate {grade}": "count" for grade in GRADES},
        name=f"{found.kind}-grades",
    )
    summary = section_block(
        f"{name} against {found.model}/{found.champion}",
        [
            html.P(
                [badge("good" if found.passed else "critical", _passed(found.passed)), f" {found.summary}"]
            ),
            facts_block(rows),
            table_block(changes, caption="Grades by champion and candidate"),
        ],
    )
    return [summary, _spread(found, name)]


def _spread(found: _Comparison, name: str) -> Component:
    """Both histograms of the scores, as shares of all leads."""
    figure = new_figure(x_title="score", y_title="share of leads", y_format=".0%")
    spread = found.scores
    middles = [100 * (low + high) / 2 for low, high in zip(spread.edges, spread.edges[1:], strict=False)]
    sides = [("champion", spread.champion, REFERENCE_GREY), ("candidate", spread.candidate, series_colour(0))]
    shares: list[list[float]] = []
    for label, counts, colour in sides:
        total = max(sum(counts), 1)
        shares.append([count / total for count in counts])
        figure.add_bar(x=middles, y=shares[-1], name=label, marker={"color": colour})
    table = PageTable(
        header=("score from", "score to", "champion", "candidate"),
        rows=[
            (100 * low, 100 * high, a, b)
            for low, high, a, b in zip(spread.edges, spread.edges[1:], *shares, strict=False)
        ],
        units={"score from": "count", "score to": "count", "champion": "share", "candidate": "share"},
        name=f"{found.kind}-scores",
    )
    difference = spread.candidate_mean - spread.champion_mean
    change = f"{'+' if difference >= 0 else '−'}{share_text(abs(difference))}"
    says = (
        f"The candidate's mean probability is {share_text(spread.candidate_mean)}, the champion's "
        f"{share_text(spread.champion_mean)} ({change})."
    )
    return chart_block(f"Scores in the {name.lower()}", figure, table, says=says)


def _experiment(record: Evidence, currency: str) -> Component:
    found = msgspec.json.decode(record.document, type=Experiment)
    table = PageTable(
        header=("figure", "A", "B minus A", "interval", "leads"),
        rows=[
            (figure_title(metric.name, currency), metric.base, None, UNKNOWN_TEXT, 0)
            if metric.now is None
            else (
                figure_title(metric.name, currency),
                metric.base,
                metric.now.value,
                f"{number_text(metric.now.low)} to {number_text(metric.now.high)}",
                metric.now.leads,
            )
            for metric in found.metrics
        ],
        units={"A": "number", "B minus A": "number", "leads": "count"},
        name="experiment",
    )
    words = {"promote": "B is better", "roll_back": "B is worse", "continue": "not known yet"}[found.verdict]
    level = {"promote": "good", "roll_back": "critical", "continue": "unknown"}[found.verdict]
    return section_block(
        f"A/B test of {found.model}/{found.b.version} against {found.model}/{found.a.version}",
        [
            html.P([badge(level, words), f" {found.summary}"]),  # type: ignore[arg-type]
            html.P("The intervals hold however often one looks.", className="hint"),
            table_block(table, caption="Figures of the A/B test"),
        ],
    )


def _soak(record: Evidence, currency: str) -> Component:
    found = msgspec.json.decode(record.document, type=_Soak)
    table = PageTable(
        header=("figure", "before", "now", "interval", "fall tolerated", "verdict"),
        rows=[
            (
                figure_title(one.name, currency),
                one.before,
                one.now,
                UNKNOWN_TEXT
                if one.low is None or one.high is None
                else f"{number_text(one.low)} to {number_text(one.high)}",
                one.margin,
                badge("critical", "fallen") if one.fallen else badge("info", "no fall shown"),
            )
            for one in found.figures
        ],
        units={"before": "number", "now": "number", "fall tolerated": "share"},
        name="soak",
    )
    level = "critical" if not found.passed else "good" if found.judged else "unknown"
    words = "fallen" if not found.passed else "no fall" if found.judged else "too few leads to judge"
    return section_block(
        "After the release",
        [
            html.P([badge(level, words), f" {found.summary}"]),
            html.P(
                f"{count_text(found.leads)} mature leads, up to {moment_text(found.until)}.", className="hint"
            ),
            table_block(table, caption="Business figures since the release"),
        ],
    )


def _passed(passed: bool) -> str:
    return "Passed" if passed else "Refused"


def _share(value: float | None) -> str:
    return UNKNOWN_TEXT if value is None else share_text(value)


def _estimate(found: Estimate | None) -> str:
    if found is None:
        return UNKNOWN_TEXT
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"
