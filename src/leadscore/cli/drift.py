"""`leadscore drift`: has the population, or the data, changed since the model was trained?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from leadscore.cli import drift_parameters as par
from leadscore.cli.backtest import backtest
from leadscore.cli.drift_watch import watch
from leadscore.cli.moments import parse_moment
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit
from leadscore.errors import BadInputError, ExitCode
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.drift.report.document import DriftReport

app = typer.Typer(no_args_is_help=True, help="Watch for drift.")


@app.callback()
def drift() -> None:
    """Watch for drift."""


app.command("backtest")(backtest)
app.command("watch")(watch)


@app.command("check")
def check(
    model: par.Model = "leads@champion",
    window: par.Window = "1d",
    data: par.Data = None,
    until: par.Until = None,
    count: par.Count = 1,
    warm_up: par.WarmUp = None,
    detector: par.Detector = None,
    mode: par.ModeOption = None,
    false_alarms: par.FalseAlarmBudget = None,
    hysteresis: par.HysteresisOption = None,
    options_file: par.OptionsFile = None,
    methods: par.Methods = None,
    performance_window: par.PerformanceWindow = None,
    maturity: par.OutcomeMaturity = None,
    max_drop: par.MaxDrop = None,
    history_file: par.HistoryFile = None,
    out: par.JsonReport = None,
    html: par.HtmlReport = None,
    delta: par.Delta = None,
    metrics_file: par.MetricsFile = None,
    termination_message: par.TerminationMessageFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a window of leads with what the model was trained on, and say what to do.

    Exit code 8 if the window could not be judged: too few leads or outcomes, or none. With
    --termination-message the verdict says so and the exit code is 0: a Job that did its work must not be
    repeated.
    """
    from leadscore.cli.drift_view import report_view, windows_view
    from leadscore.durations import parse_duration
    from leadscore.monitoring.checks import CheckRequest, run_check
    from leadscore.monitoring.options import read_options
    from leadscore.monitoring.outputs import Outputs

    request = CheckRequest(
        model=model,
        options=read_options(
            options_file,
            mode=mode,
            false_alarms=false_alarms,
            hysteresis=hysteresis,
            methods=methods,
            performance_window=performance_window,
            maturity=maturity,
            max_drop=max_drop,
        ),
        span=parse_duration(window),
        detector=detector or f"window-{window}",
        until=None if until is None else parse_moment(until, "--until"),
        count=count,
        warm_up=None if warm_up is None else parse_duration(warm_up),
        data=data,
        history=history_file,
    )
    judged = run_check(request, Home.from_environment(), events_url)
    Outputs(out, html, delta, metrics_file, termination_message).write(judged)
    last = judged[-1].report
    view = report_view(last)
    emit(last, view if len(judged) == 1 else Group(windows_view(judged), view), as_json=as_json)
    exit_if_unjudged(last, termination_message)


def exit_if_unjudged(report: DriftReport, termination_message: Path | None) -> None:
    """End with code 8 if nothing could be judged.

    A Job has said it in its verdict, and must not be repeated.
    """
    if report.verdict.state in {"not_judged", "silent"} and termination_message is None:
        raise typer.Exit(ExitCode.NOT_JUDGED)


@app.command("report")
def report(
    source: Annotated[
        Path | None, typer.Argument(help="A report of `drift check --out`; default: the newest one stored.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Whose newest report.")] = "leads@champion",
    detector: Annotated[str, typer.Option("--detector", help="Of which detector.")] = "window-1d",
    html: par.HtmlReport = None,
    markdown: par.MarkdownReport = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Show a drift report again: on the terminal, as HTML, as Markdown."""
    from leadscore.cli.drift_view import report_view
    from leadscore.drift.report.document import DriftReport
    from leadscore.drift.report.html import to_html
    from leadscore.drift.report.markdown import to_markdown
    from leadscore.monitoring.files import write_file
    from leadscore.monitoring.records import newest_record

    if source is None:
        found = newest_record(model, detector, Home.from_environment(), events_url).report
    else:
        try:
            found = DriftReport.from_json(source.read_bytes())
        except OSError as error:
            raise BadInputError(f"Cannot read {source}: {error.strerror or error}.") from error
    if html is not None:
        write_file(html, to_html(found).encode())
    if markdown is not None:
        write_file(markdown, to_markdown(found).encode())
    emit(found, report_view(found), as_json=as_json)
