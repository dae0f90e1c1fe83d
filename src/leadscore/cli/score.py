"""`leadscore score`: score a whole table from file to file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, progress_bar, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.data.bulk import BulkReport


def score(
    data: Annotated[
        Path, typer.Option("--data", help="Table of leads: Parquet, CSV, Arrow, or a Delta folder.")
    ],
    model: Annotated[str, typer.Option("--model", help="NAME, NAME@champion or NAME/7.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    threads: Annotated[int, typer.Option(min=1, help="Scoring threads.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Score every lead of a table: id, probability, score and grade."""
    from leadscore.data.bulk import score_file
    from leadscore.data.tables import count_rows
    from leadscore.registry.store import ModelRegistry
    from leadscore.scoring.model import ScoringModel

    # A wrong path is told before a model is fetched.
    total = count_rows(data)
    scorer = ScoringModel.load(ModelRegistry(Home.from_environment()).fetch(model))
    with progress_bar() as progress:
        task = progress.add_task("Scoring", total=total)
        report = score_file(
            scorer, data, output, threads=threads, progress=lambda rows: progress.update(task, completed=rows)
        )
    document = {
        "model": model,
        "digest": scorer.digest,
        "output": str(output),
        "rows": report.rows,
        "seconds": round(report.seconds, 3),
        "rows_per_second": round(report.rows_per_second),
        "grades": report.grades,
        "unseen": report.unseen,
        "out_of_range": report.out_of_range,
        "empty": report.empty,
    }
    emit(document, _view(report, output), as_json=as_json)
    if not as_json:
        for name in report.empty:
            notes.print(f"[yellow]warning[/]: {name} is empty in all {report.rows:,} rows.")
        for column in report.unseen:
            notes.print(
                f"[yellow]warning[/]: {column.column} holds categories the model has not seen in "
                f"{column.rows:,} rows ({column.share:.1%}); they were scored as missing."
            )
        for column in report.out_of_range:
            notes.print(
                f"[yellow]warning[/]: {column.column} lies outside the contract's range in {column.rows:,} "
                f"rows ({column.share:.1%}); `leadscore contract check` says more."
            )


def _view(report: BulkReport, output: Path) -> Table:
    shares = [
        (f"grade {count.grade}", f"{count.rows:,} ({count.rows / max(report.rows, 1):.1%})")
        for count in report.grades
    ]
    rows = [
        ("rows", f"{report.rows:,}"),
        ("seconds", f"{report.seconds:.2f}"),
        ("rows per second", f"{report.rows_per_second:,.0f}"),
        *shares,
    ]
    return table(f"Scores in {output}", ("what", "value"), rows, right=("value",))
