"""Options of the drift commands: one wording for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Model = Annotated[str, typer.Option("--model", help="NAME, NAME@champion, NAME/7 or an artefact folder.")]
Window = Annotated[str, typer.Option("--window", help="Length of a window: 1h, 1d, 1w.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Judge the leads of a table instead of those in the event store."),
]
Until = Annotated[
    str | None,
    typer.Option("--until", help="End of the window (UTC, or with a zone); default: the last whole window."),
]
Count = Annotated[
    int, typer.Option("--windows", min=1, help="Judge so many windows up to there, one after another.")
]
WarmUp = Annotated[
    str | None,
    typer.Option("--warm-up", help="A new detector first learns this span as unchanged, such as 4w."),
]
Detector = Annotated[
    str | None, typer.Option("--detector", help="Its name in the event store; default: window-LENGTH.")
]
ModeOption = Annotated[
    Literal["budget", "thresholds"] | None,
    typer.Option(
        "--mode",
        help="Critical values from a false-alarm budget (the default), or PSI 0.1/0.25/0.5, KL 0.1, p 0.05.",
    ),
]
FalseAlarmBudget = Annotated[
    str | None, typer.Option("--false-alarms", help="Budget: EXPECTED/PERIOD (1/30d unless set).")
]
HysteresisOption = Annotated[
    str | None,
    typer.Option("--hysteresis", help="Windows beyond the threshold that make an alarm: N/M (1/1)."),
]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", help="All options as JSON (see docs/drift.md).")
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        help="What to look at, separated by commas: univariate (the default), performance, cbpe, mmd, "
        "classifier, alibi:KSDrift, alibi:CVMDrift, alibi:ChiSquareDrift.",
    ),
]
PerformanceWindow = Annotated[
    str | None,
    typer.Option("--performance-window", help="Span of mature leads whose outcomes are judged (30d)."),
]
OutcomeMaturity = Annotated[
    str | None,
    typer.Option("--maturity", help="Age at which a lead's outcome should be known (30d; 0d: at once)."),
]
MaxDrop = Annotated[
    float | None, typer.Option("--max-drop", help="Relative loss of AUC that is significant (0.05).")
]
HistoryFile = Annotated[
    Path | None, typer.Option("--history", help="With --data: keep the detector's memory in this file.")
]
JsonReport = Annotated[Path | None, typer.Option("--out", help="Write the report as JSON.")]
HtmlReport = Annotated[Path | None, typer.Option("--html", help="Write the report as an HTML page.")]
MarkdownReport = Annotated[Path | None, typer.Option("--markdown", help="Write the report as Markdown.")]
Delta = Annotated[Path | None, typer.Option("--delta", help="Append to this Delta table (drift_metrics).")]
MetricsFile = Annotated[
    Path | None, typer.Option("--metrics-file", help="Write Prometheus gauges to this file.")
]
TerminationMessageFile = Annotated[
    Path | None,
    typer.Option(
        "--termination-message",
        help="Write the short verdict here (in a pod: /dev/termination-log).",
    ),
]

# --- drift watch --------------------------------------------------------------------------------------------

WatchedData = Annotated[
    Path | None,
    typer.Option("--data", help="Follow the leads of a table instead of those in the event store."),
]
StreamSince = Annotated[
    str | None, typer.Option("--since", help="Begin of the stream (UTC, or with a zone); default: all.")
]
StreamUntil = Annotated[
    str | None, typer.Option("--until", help="Leads from then on are not read; default: now.")
]
Standing = Annotated[
    str,
    typer.Option(
        "--window", help="How long an alarm stands; without a lead for so long the feed is called silent."
    ),
]
RunLength = Annotated[
    float | None, typer.Option("--run-length", help="The budget in leads: one false alarm in so many.")
]
LeadsPerDay = Annotated[
    float | None,
    typer.Option(
        "--leads-per-day",
        min=0.001,
        help="Turns the budget's period into leads, and with --outcomes leads into time; default: "
        "those of the span --learn.",
    ),
]
Without = Annotated[
    str | None,
    typer.Option(
        "--without",
        help=(
            "Features that are not charted, separated by commas, or none; default: "
            "those that follow the week."
        ),
    ),
]
Learn = Annotated[
    str,
    typer.Option(
        "--learn", help="Span at the stream's beginning that tells leads per day, and what follows the week."
    ),
]
Every = Annotated[
    int | None,
    typer.Option(
        "--every",
        min=1,
        help="Leads from one evaluation to the next; default: 250 evaluations per run length.",
    ),
]
ChartOutcomes = Annotated[
    bool, typer.Option("--outcomes", help="Chart outcomes against probabilities too, as they come.")
]
OutcomeWait = Annotated[
    str | None,
    typer.Option(
        "--maturity",
        help=(
            "How long a lead's outcome is waited for; default: as long as 95 % of them took "
            "when the model was trained."
        ),
    ),
]
WatchName = Annotated[
    str, typer.Option("--detector", help="Its name in the event store, under which it goes on.")
]
StateFile = Annotated[
    Path | None, typer.Option("--state", help="Keep in this file how far it came, and go on from there.")
]
