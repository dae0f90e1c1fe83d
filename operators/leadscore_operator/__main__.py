"""`python -m leadscore_operator`: run the operator."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from leadscore.errors import LeadScoreError
from leadscore.logs import JsonLines
from leadscore_operator.run import run_operator
from leadscore_operator.settings import OperatorOptions


def main(
    namespace: Annotated[str, typer.Option(envvar="POD_NAMESPACE", help="The one namespace to serve.")],
    workload: Annotated[Path, typer.Option(help="How pods of the jobs image run (YAML).")],
    events_url: Annotated[
        str | None, typer.Option(envvar="LEADSCORE_EVENTS_URL", help="Event store for decision records.")
    ] = None,
    tracking_uri: Annotated[
        str | None, typer.Option(envvar="LEADSCORE_TRACKING_URI", help="MLflow, for releases.")
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Name in the Lease; unique.")] = None,
    lease: Annotated[str, typer.Option(help="Name of the Lease.")] = "leadscore-operator",
    deployment: Annotated[str, typer.Option(help="Deployment that runs it: the Lease is of one.")] = "",
    lease_duration: Annotated[
        float, typer.Option(min=1, help="Seconds after which a silent leader is replaced.")
    ] = 15.0,
    resync: Annotated[float, typer.Option(min=1, help="Seconds between looks at everything.")] = 120.0,
    workers: Annotated[int, typer.Option(min=1, help="Objects worked on at once.")] = 4,
    port: Annotated[int, typer.Option(min=0, help="Probes and metrics; 0 for none.")] = 8080,
    clock_offset_file: Annotated[Path | None, typer.Option(help="Seconds added to the clock.")] = None,
) -> None:
    """Make the cluster do what DriftDetectors, RetrainPolicies, RetrainRuns and ModelReleases say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    name = identity or f"{os.environ.get('POD_NAME', socket.gethostname())}_{secrets.token_hex(4)}"
    options = OperatorOptions(
        namespace=namespace,
        workload=workload,
        identity=name,
        events_url=events_url,
        tracking_uri=tracking_uri,
        lease=lease,
        deployment=deployment,
        lease_seconds=lease_duration,
        resync_seconds=resync,
        workers=workers,
        port=port,
        clock_offset_file=clock_offset_file,
    )
    try:
        asyncio.run(run_operator(options))
    except LeadScoreError as error:
        logging.getLogger(__name__).error(str(error))  # noqa: TRY400 (the sentence is the message)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
