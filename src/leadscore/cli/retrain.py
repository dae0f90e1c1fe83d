"""`leadscore retrain`: the retraining that a RetrainRun asks for; also by hand."""

from __future__ import annotations

import math
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.moments import parse_moment
from leadscore.cli.options import DelayAware, JsonOption, MinCompleteness
from leadscore.cli.output import emit, table
from leadscore.errors import BadInputError, LeadScoreError, UnavailableError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.events.retraining import RetrainReport
    from leadscore.training.retrain import RetrainRequest


def retrain(
    model: Annotated[str, typer.Option("--model", help="Model name in the registry.")],
    run: Annotated[
        str | None, typer.Option("--run", help="Key of the retraining: the same key is trained once.")
    ] = None,
    attempt: Annotated[int, typer.Option(min=1, help="Which start of that retraining this is.")] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            "--since", help="First moment of the leads (UTC, or with a zone); default 180 days ago."
        ),
    ] = None,
    end: Annotated[str | None, typer.Option("--until", help="First moment after them; default now.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="A table to train on instead of the log of the service.")
    ] = None,
    contract: Annotated[
        Path | None, typer.Option("--contract", help="Contract (YAML); default: the champion's.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Tuning trials in all.")] = 50,
    min_records: Annotated[int, typer.Option(min=50, help="Labelled leads needed.")] = 10_000,
    min_completeness: MinCompleteness = 0.8,
    delay_aware: DelayAware = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    termination_message: Annotated[
        Path | None, typer.Option(help="File for the report (or the error): /dev/termination-log in a pod.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train again on what was logged, publish the challenger and judge it; the champion stays."""
    from leadscore.training.retrain import RetrainRequest

    begin = None if start is None else parse_moment(start, "--since")
    finish = datetime.now(UTC) if end is None else parse_moment(end, "--until")
    request = RetrainRequest(
        run=run or f"by-hand-{finish:%Y%m%dT%H%M%S}",
        attempt=attempt,
        claimant=os.environ.get("POD_UID") or f"{socket.gethostname()}-{os.getpid()}",
        model=model,
        start=begin or finish - timedelta(days=180),
        end=finish,
        data=data,
    )
    try:
        if request.start >= request.end:
            raise BadInputError("--since is not before --until.", hint="Name a window with something in it.")
        report = _run(
            request,
            contract,
            trials=trials,
            min_records=min_records,
            min_completeness=min_completeness,
            delay_aware=delay_aware,
            seed=seed,
        )
    except LeadScoreError as error:
        _say(termination_message, str(error).encode())
        raise
    _say(termination_message, report.to_json())
    rows = [
        ("candidate", f"{report.model}/{report.version}"),
        ("digest", report.digest[:12]),
        ("gate", "passed" if report.passed else "refused"),
        ("why", report.summary),
        *sorted(report.metrics.items()),
    ]
    emit(report, table("Retraining", ("what", "value"), rows), as_json=as_json)


def _run(
    request: RetrainRequest,
    contract: Path | None,
    *,
    trials: int,
    min_records: int,
    min_completeness: float,
    delay_aware: bool,
    seed: int,
) -> RetrainReport:
    from leadscore.contract import load_contract
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.registry.versions import check_name
    from leadscore.scoring.artefact import CONTRACT
    from leadscore.training.options import TrainOptions
    from leadscore.training.retrain import retrain as run

    home = Home.from_environment()
    registry = ModelRegistry(home)
    name = check_name(request.model)
    leads = load_contract(contract or registry.fetch(f"{name}@champion") / CONTRACT)
    options = TrainOptions(
        name=name,
        months=max(1, math.ceil((request.end - request.start) / timedelta(days=28))),
        min_records=min_records,
        min_completeness=min_completeness,
        delay_aware=delay_aware,
        as_of=request.end if leads.time is not None else None,
        no_time=leads.time is None,
        trials=trials,
        seed=seed,
        study_storage=home.studies,
    )
    try:
        home.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"Cannot write to {home.root}: {error.strerror}.", hint="Set LEADSCORE_HOME."
        ) from error
    with EventStore(home.events_url) as store:
        return run(store, registry, leads, request, options, scratch=home.root)


def _say(path: Path | None, text: bytes) -> None:
    if path is not None:
        try:
            path.write_bytes(text[:4_095])
        except OSError as error:
            raise UnavailableError(
                f"Cannot write to {path}: {error.strerror}.", hint="Name a file that can be written."
            ) from error
