"""`leadscore drift`: has the market, or the data, changed since the model was trained?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from leadscore.cli.backtest import backtest
from leadscore.cli.drift_watch import watch
from leadscore.cli.moments import parse_moment
from leadscore.cli.options import EventsUrl, Json
from leadscore.cli.output import emit, table
from leadscore.errors import BadInputError, ExitCode, NotFoundError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.cli.drift_records import DriftRecord
    from leadscore.drift.report.document import DriftReport

app = typer.Typer(no_args_is_help=True, help="Watch for drift.")

_COLOURS = {
    "none": "green",
    "unknown": "magenta",
    "moderate": "yellow",
    "significant": "dark_orange",
    "critical": "red",
}


@app.callback()
def drift() -> None:
    """Watch for drift."""


app.command("backtest")(backtest)
app.command("watch")(watch)


@app.command("check")
def check(
    model: Annotated[
        str, typer.Option("--model", help="NAME, NAME@champion, NAME/7 or an artefact folder.")
    ] = "leads@champion",
    window: Annotated[str, typer.Option("--window", help="Length of a window: 1h, 1d, 1w.")] = "1d",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Judge the leads of a table instead of those in the event store."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", help="End of the window (UTC, or with a zone); default: the last whole window."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option("--windows", min=1, help="Judge so many windows up to there, one after another.")
    ] = 1,
    prime: Annotated[
        str | None,
        typer.Option("--prime", help="A new detector first learns this span as calm, such as 4w."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", help="Its name in the event store; default: window-LENGTH.")
    ] = None,
    mode: Annotated[
        Literal["budget", "thresholds"] | None,
        typer.Option(
            help="Cuts from a false-alarm budget (the default), or PSI 0.1/0.25/0.5, KL 0.1, p 0.05."
        ),
    ] = None,
    false_alarms: Annotated[
        str | None, typer.Option("--false-alarms", help="Budget: EXPECTED/PERIOD (1/30d unless set).")
    ] = None,
    hysteresis: Annotated[
        str | None, typer.Option("--hysteresis", help="Breaching windows that make an alarm: N/M (1/1).")
    ] = None,
    options_file: Annotated[
        Path | None, typer.Option("--options", help="All options as JSON (see docs/drift.md).")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="What to look at, separated by commas: univariate (the default), performance, cbpe, mmd, classifier, "
            "alibi:KSDrift, alibi:CVMDrift, alibi:ChiSquareDrift.",
        ),
    ] = None,
    performance_window: Annotated[
        str | None,
        typer.Option("--performance-window", help="Span of mature leads whose outcomes are judged (30d)."),
    ] = None,
    maturity: Annotated[
        str | None,
        typer.Option("--maturity", help="Age at which a lead's outcome should be known (30d; 0d: at once)."),
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option("--max-drop", help="Relative loss of AUC that is significant (0.05).")
    ] = None,
    history_file: Annotated[
        Path | None,
        typer.Option("--history", help="With --data: keep the detector's memory in this file."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the report as JSON.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as an HTML page.")] = None,
    delta: Annotated[
        Path | None, typer.Option("--delta", help="Append to this Delta table (drift_metrics).")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", help="Write Prometheus gauges to this file.")
    ] = None,
    termination_log: Annotated[
        Path | None,
        typer.Option(
            "--termination-log", help="Write the short verdict here (in a pod: /dev/termination-log)."
        ),
    ] = None,
    events_url: EventsUrl = None,
    as_json: Json = False,
) -> None:
    """Compare a window of leads with what the model was trained on, and say what to do.

    Exit code 8 if the window could not be judged: too few leads or outcomes, or none. With --termination-log the verdict
    says so and the exit code is 0: a Job that did its work must not be repeated.
    """
    from leadscore.cli import drift_records as records
    from leadscore.cli.drift_options import read_options
    from leadscore.cli.drift_run import Run
    from leadscore.cli.drift_windows import (
        StoredWindows,
        TableWindows,
        grading,
        load_baseline,
        load_model,
        load_reference,
    )
    from leadscore.drift.report.html import to_html
    from leadscore.durations import parse_duration
    from leadscore.events.store import EventStore
    from leadscore.scoring.model import ScoringModel

    home = Home.from_environment()
    span = parse_duration(window)
    end = None if until is None else parse_moment(until, "--until")
    options = read_options(
        options_file,
        mode=mode,
        false_alarms=false_alarms,
        hysteresis=hysteresis,
        methods=methods,
        performance_window=performance_window,
        maturity=maturity,
        max_drop=max_drop,
    )
    name, version, folder = load_model(model, home)
    scorer = ScoringModel.load(folder)
    reference = load_reference(name, version, folder, scorer)
    baseline = load_baseline(folder) if {"performance", "cbpe"} & set(options.methods) else None
    detector = detector or f"window-{window}"
    calm = None if prime is None else parse_duration(prime)
    if data is not None:
        windows = TableWindows(data, reference, scorer)
        history = None if history_file is None else records.read_history(history_file, reference.model)
        run = Run(reference, windows, options, span, detector, grading(scorer), baseline)
        judged = run.judge(history, end, count, calm)
        if history_file is not None:
            records.write_file(history_file, judged[-1].history.to_json())
    else:
        with EventStore(events_url or home.events_url) as store:
            stored = StoredWindows(store, reference)
            run = Run(reference, stored, options, span, detector, grading(scorer), baseline)
            judged = run.judge_stored(store, end, count, calm)
    last = judged[-1].report
    if delta is not None:
        for record in judged:
            records.append_metrics(delta, record)
    for path, content in (
        (out, last.to_json),
        (html, lambda: to_html(last).encode()),
        (metrics_file, lambda: records.prometheus_text(judged[-1]).encode()),
    ):
        if path is not None:
            records.write_file(path, content())
    if termination_log is not None:
        records.write_termination(termination_log, last.verdict)
    emit(last, view(last) if len(judged) == 1 else Group(_windows(judged), view(last)), as_json=as_json)
    # A Job says it in its verdict, and must not be repeated.
    if last.verdict.state in {"not_judged", "silent"} and termination_log is None:
        raise typer.Exit(ExitCode.NOT_JUDGED)


@app.command("report")
def report(
    source: Annotated[
        Path | None, typer.Argument(help="A report of `drift check --out`; default: the newest one stored.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Whose newest report.")] = "leads@champion",
    detector: Annotated[str, typer.Option("--detector", help="Of which detector.")] = "window-1d",
    html: Annotated[Path | None, typer.Option("--html", help="Write an HTML page.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown.")] = None,
    events_url: EventsUrl = None,
    as_json: Json = False,
) -> None:
    """Show a drift report again: on the terminal, as HTML, as Markdown."""
    from leadscore.cli.drift_records import write_file
    from leadscore.drift.report.html import to_html
    from leadscore.drift.report.markdown import to_markdown

    found = _read_report(source) if source is not None else _stored_report(model, detector, events_url)
    if html is not None:
        write_file(html, to_html(found).encode())
    if markdown is not None:
        write_file(markdown, to_markdown(found).encode())
    emit(found, view(found), as_json=as_json)


def view(found: DriftReport) -> RenderableType:
    """A report on the terminal."""
    from leadscore.drift.report.methods import (
        JOINT_COLUMNS,
        OUTCOME_COLUMNS,
        joint_rows,
        outcome_rows,
        outcomes_caption,
    )
    from leadscore.drift.report.words import COLUMNS, calibration, headline, ordered, row, severity_of, span

    colour = _COLOURS[severity_of(found.verdict)]
    parts: list[RenderableType] = [
        Text(headline(found), style=f"bold {colour}"),
        Text(span(found), style="dim"),
    ]
    parts += [Text(f"• {reason}") for reason in found.verdict.reasons]
    caption = outcomes_caption(found)
    if caption:
        if rows := outcome_rows(found):
            parts.append(table("", OUTCOME_COLUMNS, rows, right=OUTCOME_COLUMNS[2:]))
        parts.append(Text(caption, style="dim"))
    if rows := joint_rows(found):
        parts.append(table("", JOINT_COLUMNS, rows, right=JOINT_COLUMNS[4:]))
    if found.features:
        parts += [
            table("", COLUMNS, [row(f) for f in ordered(found)], right=COLUMNS[2:]),
            Text(calibration(found), style="dim"),
        ]
    return Group(*parts)


def _windows(judged: list[DriftRecord]) -> RenderableType:
    from leadscore.drift.report.words import severity_of

    rows = [
        (
            f"{r.report.verdict.window_start:%Y-%m-%d %H:%M}",
            f"{r.report.verdict.rows:,}",
            severity_of(r.report.verdict),
            "ALARM" if r.report.verdict.drifted else "",
            ", ".join(f.feature for f in r.report.verdict.worst[:3]),
        )
        for r in judged
    ]
    return table("Windows", ("window", "leads", "severity", "alarm", "worst"), rows, right=("leads",))


def _read_report(source: Path) -> DriftReport:
    from leadscore.drift.report.document import DriftReport

    try:
        return DriftReport.from_json(source.read_bytes())
    except OSError as error:
        raise BadInputError(f"Cannot read {source}: {error.strerror or error}.") from error


def _stored_report(model: str, detector: str, events_url: str | None) -> DriftReport:
    from leadscore.cli.drift_records import latest_record
    from leadscore.cli.model_reference import model_version
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    name, version = model_version(model, home)
    with EventStore(events_url or home.events_url) as store:
        found = latest_record(store, f"{name}/{version}", detector)
    if found is None:
        raise NotFoundError(
            f"Detector {detector!r} has judged no window of {name}/{version}.",
            hint="Run `leadscore drift check` first.",
        )
    return found.report
