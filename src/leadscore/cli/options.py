"""Options that many commands take: one wording, one environment variable."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
EventsUrl = Annotated[
    str | None, typer.Option(envvar="LEADSCORE_EVENTS_URL", show_envvar=True, help="Event store.")
]
