"""`leadscore simulate`: a CRM that is not there, for a service that is."""

from __future__ import annotations

import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated

import typer

from leadscore.cli.credentials import CredentialFile, read_credential
from leadscore.cli.output import notes
from leadscore.logs import JsonLines


def simulate(
    url: Annotated[str, typer.Option("--url", help="The service.")] = "http://127.0.0.1:3000",
    rate: Annotated[float, typer.Option(help="Requests a second, on average.")] = 2.0,
    day: Annotated[
        str,
        typer.Option("--day", help="How long a day of a lead's life takes: 10s. Outcomes come that fast."),
    ] = "10s",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same leads.")] = 3,
    key_file: CredentialFile = None,
    parent: Annotated[int | None, typer.Option("--exit-with-parent", hidden=True)] = None,
) -> None:
    """Send leads of the synthetic CRM to a running service, and later what became of them, until Ctrl-C."""
    from leadscore.data.simulated_crm import SimulatedCrm, simulated_leads
    from leadscore.durations import parse_duration

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    seconds = parse_duration(day).total_seconds()
    crm = SimulatedCrm(url, read_credential(key_file).decode(), rate=rate, day_seconds=seconds)
    notes.print(
        f"Sending {rate:g} leads a second to {url}; a day takes {seconds:g} s (Ctrl-C stops it)",
        highlight=False,
    )
    pause = threading.Event()

    def go_on(wait: float) -> bool:
        return not pause.wait(wait) and (parent is None or os.getppid() == parent)

    crm.run(simulated_leads(seed, datetime.now(UTC)), go_on)
