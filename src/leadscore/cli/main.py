"""Entry point of `leadscore`: the tree of commands, and what happens to errors.

Command modules import only light things at the top, so that `leadscore --help` answers in well under
half a second; MLflow, XGBoost and Arrow are imported by the command that needs them.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from leadscore import __version__
from leadscore.cli import (
    alerts,
    approve,
    batch,
    bench,
    contract,
    crm,
    data,
    drift,
    evaluate,
    events,
    explain,
    investigate,
    keys,
    lake,
    models,
    monitor,
    outcomes,
    release,
    retrain,
    score,
    serve,
    simulate,
    train,
    up,
)
from leadscore.cli import (
    console as console_command,
)
from leadscore.cli.output import console, notes, print_error
from leadscore.errors import ExitCode, LeadScoreError

app = typer.Typer(
    name="leadscore",
    help="Score leads, say why, and stay right about it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=(
        "Exit codes: 0 done · 1 unexpected · 2 usage · 3 bad input · 4 not found · 5 refused · 6 unavailable "
        "· 7 corrupt artefact · 8 not judged"
    ),
)

_LEARN = "Data and training"
_USE = "Scoring"
_RUN = "Running it"

app.add_typer(contract.app, name="contract", rich_help_panel=_LEARN)
app.add_typer(data.app, name="data", rich_help_panel=_LEARN)
app.command("train", rich_help_panel=_LEARN)(train.train)
app.command("retrain", rich_help_panel=_LEARN)(retrain.retrain)
app.command("evaluate", rich_help_panel=_LEARN)(evaluate.evaluate)
app.add_typer(models.app, name="models", rich_help_panel=_LEARN)
app.add_typer(release.app, name="release", rich_help_panel=_LEARN)
app.command("approve", rich_help_panel=_LEARN)(approve.approve)
app.command("score", rich_help_panel=_USE)(score.score)
app.command("explain", rich_help_panel=_USE)(explain.explain)
app.add_typer(batch.app, name="batch", rich_help_panel=_USE)
app.add_typer(crm.app, name="crm", rich_help_panel=_USE)
app.command("investigate", rich_help_panel=_USE)(investigate.investigate)
app.add_typer(outcomes.app, name="outcomes", rich_help_panel=_USE)
app.add_typer(drift.app, name="drift", rich_help_panel=_USE)
app.command("up", rich_help_panel=_RUN)(up.up)
app.command("serve", rich_help_panel=_RUN)(serve.serve)
app.command("console", rich_help_panel=_RUN)(console_command.console)
app.command("simulate", rich_help_panel=_RUN)(simulate.simulate)
app.add_typer(keys.app, name="keys", rich_help_panel=_RUN)
app.add_typer(events.app, name="events", rich_help_panel=_RUN)
app.add_typer(lake.app, name="lake", rich_help_panel=_RUN)
app.add_typer(alerts.app, name="alerts", rich_help_panel=_RUN)
app.command("monitor", rich_help_panel=_RUN)(monitor.monitor)
app.command("bench", rich_help_panel=_RUN)(bench.bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"leadscore {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Score leads, say why, and stay right about it."""
    del version


def run() -> None:
    """Run the command line; every `LeadScoreError` becomes a message and its exit code."""
    try:
        app()
    except LeadScoreError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        notes.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`| head`) is gone; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)


def run_task() -> None:
    """Run the command line inside another program: returns when it ended well.

    Raises:
        RuntimeError: It ended with another exit code than 0; what is wrong has been printed.
    """
    try:
        run()
    except SystemExit as end:
        if end.code not in {None, 0}:
            raise RuntimeError(f"leadscore ended with exit code {end.code}, see above.") from end
