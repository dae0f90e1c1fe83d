"""`leadscore console`: the pages that people look at."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import Annotated

import typer

from leadscore.cli.output import notes
from leadscore.logs import JsonLines


def console(
    name: Annotated[str, typer.Option("--name", help="Registered name of the model.")] = "leads",
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8050,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Prometheus metrics; none, if left out.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Say on every page that the stores hold made-up data.")
    ] = False,
    parent: Annotated[int | None, typer.Option("--exit-with-parent", hidden=True)] = None,
) -> None:
    """Serve the console until Ctrl-C: overview, drift, model, business, releases, alerts, leads."""
    from flask import Flask

    from leadscore.console.app import Console
    from leadscore.console.pages import ACTIONS, PAGES
    from leadscore.console.server import ConsoleServer
    from leadscore.console.settings import ConsoleSettings

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # It logs whole addresses, which are nobody's business.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = replace(ConsoleSettings.from_environment(name), demo=demo)

    def make() -> Flask:
        made = Console(settings, PAGES, ACTIONS)
        if metrics_port is not None:
            made.serve_metrics(host, metrics_port)
        return made.flask

    notes.print(f"Console at {settings.url or f'http://{host}:{port}'} (Ctrl-C stops it)", highlight=False)
    ConsoleServer(make, host, port, parent).run()
