"""`leadscore drift watch`: has the stream of leads changed, as far as it has come?"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from leadscore.cli import drift_parameters as par
from leadscore.cli.moments import parse_moment
from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, progress_bar
from leadscore.errors import BadInputError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.monitoring.stream_monitor import StreamProgress


def watch(
    model: par.Model = "leads@champion",
    data: par.WatchedData = None,
    since: par.StreamSince = None,
    until: par.StreamUntil = None,
    window: par.Standing = "1d",
    false_alarms: par.FalseAlarmBudget = None,
    run_length: par.RunLength = None,
    leads_per_day: par.LeadsPerDay = None,
    without: par.Without = None,
    learn: par.Learn = "2w",
    every: par.Every = None,
    outcomes: par.ChartOutcomes = False,
    maturity: par.OutcomeWait = None,
    detector: par.WatchName = "watch",
    state: par.StateFile = None,
    out: par.JsonReport = None,
    html: par.HtmlReport = None,
    delta: par.Delta = None,
    metrics_file: par.MetricsFile = None,
    termination_message: par.TerminationMessageFile = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Follow a model's leads one after another, and say when the stream changed, in which feature.

    Exit code 8 if the charts can say nothing yet, or the feed is silent. With --termination-message the
    verdict says so and the exit code is 0: a Job that did its work must not be repeated.
    """
    from leadscore.cli.drift import exit_if_unjudged
    from leadscore.cli.drift_view import report_view
    from leadscore.durations import parse_duration
    from leadscore.monitoring.options import parse_false_alarms
    from leadscore.monitoring.outputs import Outputs
    from leadscore.monitoring.stream_memory import stream_record
    from leadscore.monitoring.stream_monitor import WatchRequest
    from leadscore.monitoring.watches import run_watch

    timed = false_alarms is not None or (leads_per_day is not None and not outcomes)
    if run_length is not None and timed:
        raise BadInputError(
            "--run-length gives the budget in leads, --false-alarms and --leads-per-day in time.",
            hint="Take one of them.",
        )
    if maturity is not None and not outcomes:
        raise BadInputError("--maturity is how long outcomes are waited for.", hint="Add --outcomes.")
    request = WatchRequest(
        detector=detector,
        since=None if since is None else parse_moment(since, "--since"),
        until=datetime.now(UTC) if until is None else parse_moment(until, "--until"),
        span=parse_duration(window),
        run_length=run_length,
        budget=parse_false_alarms(false_alarms or "1/30d"),
        leads_per_day=leads_per_day,
        learn=parse_duration(learn),
        without=_names(without),
        every=every,
        outcomes=outcomes,
        maturity=None if maturity is None else parse_duration(maturity),
    )
    with _shown_progress() as progress:
        found = run_watch(
            model,
            request,
            Home.from_environment(),
            data=data,
            state=state,
            events_url=events_url,
            progress=progress,
        )
    Outputs(out, html, delta, metrics_file, termination_message).write([stream_record(detector, found)])
    emit(found, report_view(found), as_json=as_json)
    exit_if_unjudged(found, termination_message)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else () if text == "none" else tuple(name.strip() for name in text.split(","))


@contextmanager
def _shown_progress() -> Generator[StreamProgress]:
    from leadscore.monitoring.stream_monitor import StreamProgress

    with progress_bar() as shown:
        designing = shown.add_task("simulating the alarm levels", total=None, visible=False)
        following = shown.add_task("following leads", total=None, visible=False)

        def begin(total: int) -> None:
            shown.update(designing, visible=False)
            shown.update(following, total=total, visible=True)

        yield StreamProgress(
            on_design=lambda: shown.update(designing, visible=True),
            on_total=begin,
            on_evaluation=lambda leads: shown.advance(following, leads),
            say=lambda text: notes.print(text, style="yellow"),
        )
