"""The report as one HTML file that loads nothing: it can be mailed, archived, or opened from a ticket.

A content security policy in the page itself forbids scripts and every load, so a category named `<script>`
stays a name even if escaping failed.
"""

from __future__ import annotations

from html import escape
from typing import Final

from leadscore.drift.report.document import DriftReport
from leadscore.drift.report.methods import (
    JOINT_COLUMNS,
    OUTCOME_COLUMNS,
    auc_lines,
    joint_rows,
    outcome_rows,
    outcomes_caption,
)
from leadscore.drift.report.plots import auc_plot, feature_plot
from leadscore.drift.report.words import (
    COLUMNS,
    TESTS,
    calibration,
    headline,
    ordered,
    p_words,
    row,
    severity_of,
    span,
)
from leadscore.drift.verdict import SEVERITIES

_MOST_PLOTS: Final = 12

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee6;--paper:#fff;--panel:#f5f7fa;
--before:#9aa7b8;--after:#2563c9;--none:#2e7d4f;--moderate:#a86a00;--significant:#c2410c;--critical:#b3123b}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa7b8;--line:#333c49;--paper:#14181f;--panel:#1c222b;
--before:#66748a;--after:#6ea8ff;--none:#5cc58a;--moderate:#e3a63c;--significant:#f08a54;--critical:#f5698a}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1040px;margin:0 auto;padding:28px 20px 60px}h1{font-size:25px;line-height:1.25;margin:0 0 2px}
h2{font-size:18px;margin:34px 0 10px}.soft{color:var(--soft)}.banner{border-left:6px solid var(--s);padding:4px 0 4px 16px}
ul{padding-left:20px;margin:14px 0}li{margin:4px 0}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 7px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,th:nth-child(2),td:nth-child(2){text-align:left}th{font-weight:600;color:var(--soft)}
.none{--s:var(--none)}.unknown{--s:var(--soft)}.moderate{--s:var(--moderate)}.significant{--s:var(--significant)}.critical{--s:var(--critical)}
.tag{color:var(--s);font-weight:600}.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(440px,1fr));gap:22px}
.plots figure{margin:0;padding:14px;background:var(--panel);border-radius:8px;overflow-x:auto}svg{max-width:100%;height:auto}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg .title{font-size:14px;font-weight:600}svg .note,svg .label{fill:var(--soft)}
.line{stroke:var(--line);stroke-width:1}.bar{stroke:var(--after);stroke-width:3}.then .bar{stroke:var(--before)}
.then .dot{fill:var(--before)}.dot{fill:var(--after)}.before{fill:var(--before)}.after{fill:var(--after)}.key span{display:inline-block;width:11px;height:11px;border-radius:2px;
margin:0 5px 0 14px}.key .b{background:var(--before)}.key .a{background:var(--after)}details{margin-top:8px}
@media(max-width:520px){.plots{grid-template-columns:1fr}}@media print{.plots figure{break-inside:avoid}}
"""


def to_html(report: DriftReport) -> str:
    """The page."""
    verdict = report.verdict
    severity = severity_of(verdict)
    title = f"Drift of {verdict.model_name}: {severity}"
    since = f" Since {verdict.since:%Y-%m-%d %H:%M} UTC." if verdict.since else ""
    body = [
        (
            f'<div class="banner {severity}"><h1>{escape(headline(report))}</h1>'
            f'<div class="soft">{escape(span(report))}.{escape(since)}</div></div>'
        ),
        _list(verdict.reasons),
        _outcomes(report),
        _joint(report),
    ]
    if report.features:
        body += [_findings(report), _table(report), _plots(report), _tests(report)]
        body.append(f"<h2>Where the critical values come from</h2><p>{escape(calibration(report))}</p>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(s)}</li>' for s in sentences)}</ul>" if sentences else ""


def _outcomes(report: DriftReport) -> str:
    rows = outcome_rows(report)
    if not rows and report.performance is None:
        return ""
    plot = auc_plot(auc_lines(report))
    figure = f'<div class="plots"><figure>{plot}</figure></div>' if plot else ""
    caption = f'<p class="soft">{escape(outcomes_caption(report))}</p>'
    return f"<h2>Outcomes</h2>{caption}{figure}{_rows(OUTCOME_COLUMNS, rows)}"


def _joint(report: DriftReport) -> str:
    rows = joint_rows(report)
    return f"<h2>All features together</h2>{_rows(JOINT_COLUMNS, rows)}" if rows else ""


def _rows(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table whose second column is a severity."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = ""
    for found in rows:
        cells = [escape(cell) for cell in found]
        if found[1] in SEVERITIES:
            cells[1] = f'<span class="tag {found[1]}">{cells[1]}</span>'
        lines += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f'<div class="scroll"><table><tr>{head}</tr>{lines}</table></div>'


def _findings(report: DriftReport) -> str:
    if not report.findings:
        return ""
    rows = "".join(
        f"<tr><td>{escape(f.feature)}</td><td>{escape(f.pattern.replace('_', ' '))}</td>"
        f"<td>{escape(f.points_to.replace('_', ' '))}</td><td>{f.confidence:.0%}</td></tr>"
        for f in report.findings
    )
    head = "<tr><th>feature</th><th>pattern</th><th>points to</th><th>confidence</th></tr>"
    return f'<h2>What kind of change</h2><div class="scroll"><table>{head}{rows}</table></div>'


def _table(report: DriftReport) -> str:
    return f"<h2>Features</h2>{_rows(COLUMNS, [row(feature) for feature in ordered(report)])}"


def _plots(report: DriftReport) -> str:
    shown = ordered(report)[:_MOST_PLOTS]
    figures = "".join(f"<figure>{feature_plot(feature)}</figure>" for feature in shown)
    key = '<p class="key soft"><span class="b"></span>reference<span class="a"></span>this window</p>'
    return f'<h2>Before and now</h2>{key}<div class="plots">{figures}</div>'


def _tests(report: DriftReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(feature.name)}</td><td>{' · '.join(TESTS[test.name])}</td><td>{test.value:.4g}</td>"
        f"<td>{'–' if test.cut is None else f'{test.cut:.4g}'}</td><td>{p_words(test.p_value)}</td>"
        f"<td>{test.effect:.3f}</td><td>{'yes' if test.breached else 'no'}</td></tr>"
        for feature in report.features
        for test in feature.tests
    )
    if not rows:
        return ""
    head = "".join(
        f"<th>{name}</th>" for name in ("feature", "test · unit", "value", "cut", "p", "size", "breached")
    )
    return (
        "<h2>Tests</h2><details><summary>All calibrated tests</summary>"
        f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div></details>'
    )
