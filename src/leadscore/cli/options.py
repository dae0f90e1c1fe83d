"""Options that many commands take: one wording, one environment variable."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
EventsUrl = Annotated[
    str | None, typer.Option(envvar="LEADSCORE_EVENTS_URL", show_envvar=True, help="Event store.")
]
AcceptSuspicion = Annotated[
    str | None,
    typer.Option(
        "--accept-suspicion",
        metavar="NAME: REASON",
        help="A person's word that what looks like a leak is known before the outcome.",
    ),
]
MinCompleteness = Annotated[
    float,
    typer.Option(
        "--min-completeness",
        min=0.0,
        max=1.0,
        help="Share of outcomes, wins and losses alike, that must be known at a lead's age.",
    ),
]
DelayAware = Annotated[
    bool,
    typer.Option(
        "--delay-aware/--mature-only",
        help="Train on younger leads besides, known in part, weighted by the delays of their outcome.",
    ),
]
