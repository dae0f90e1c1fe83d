"""The verdict for people: one table of endpoints, one line per objective."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from loadtests.slo import Verdict


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Print figures and checks; latencies are counted from when each request was due."""
    table = Table(title="Latency from the intended start, ms")
    table.add_column("endpoint")
    for heading in ("requests", "failed", "P50", "P95", "P99", "max"):
        table.add_column(heading, justify="right")
    for row in verdict.endpoints:
        latencies = (_figure(value) for value in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms))
        table.add_row(row.endpoint, str(row.requests), str(row.failed), *latencies)
    console.print(table)
    if verdict.late_p95_ms is not None:
        wait = (
            "of which waiting for a free connection, or for this load generator: P95 "
            f"{verdict.late_p95_ms:.2f} ms"
        )
        console.print(wait, style="dim", highlight=False)
    for check in verdict.checks:
        mark = "[green]✓[/green]" if check.met else "[red]✗[/red]"
        console.print(f"{mark} {check.sentence}", highlight=False)


def _figure(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:.2f}"
