"""`leadscore outcomes`: what became of the leads, from a table of the CRM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.errors import BadInputError, TableError
from leadscore.settings import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from leadscore.events.matching import OutcomeMatch
    from leadscore.events.outcome_formats import OutcomeColumns, OutcomeFormats
    from leadscore.events.outcome_table import RowProblem
    from leadscore.events.store import EventStore
    from leadscore.lake.outcome_source import NewRows

app = typer.Typer(no_args_is_help=True, help="Tell what became of the leads.")

_BATCH = 5_000


@app.callback()
def outcomes() -> None:
    """Tell what became of the leads."""


@app.command("import")
def import_outcomes(
    path: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="CSV, Parquet, Arrow or Delta table of outcomes (with --new also its URL)."
        ),
    ],
    lead_col: Annotated[str, typer.Option(help="Column with the lead's id.")] = "lead_id",
    converted_col: Annotated[str, typer.Option(help="Column with true/false, yes/no or 1/0.")] = "converted",
    occurred_col: Annotated[
        str, typer.Option(help="Column with when it happened (a bare date means the end of that day; UTC).")
    ] = "occurred_at",
    value_col: Annotated[str | None, typer.Option(help="Column with the revenue.")] = None,
    prediction_col: Annotated[
        str | None, typer.Option(help="Column with the prediction_id that the score came with.")
    ] = None,
    recorded_col: Annotated[
        str | None, typer.Option(help="Column with when the CRM noted it; now, if there is none.")
    ] = None,
    source: Annotated[str, typer.Option(help="Name of who says so, kept with each outcome.")] = "import",
    contract: Annotated[
        Path | None,
        typer.Option(
            "--contract",
            "-c",
            help=(
                "Contract that says how the table writes its columns (`formats`) and "
                "which value means converted."
            ),
        ),
    ] = None,
    time_format: Annotated[
        str | None, typer.Option(help='How the times are written, as "%d/%m/%Y"; ISO 8601 by itself.')
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="What stands before the fraction of the values: . or ,")
    ] = None,
    thousands: Annotated[
        str | None, typer.Option(help="What groups the digits of the values: . , ' or a space.")
    ] = None,
    only_new: Annotated[
        bool,
        typer.Option("--new", help="Of a Delta table: only what it has since this source's import before."),
    ] = False,
    reject_file: Annotated[
        Path | None, typer.Option(help="Go on without bad rows and write them here, with the reason.")
    ] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Store outcomes; the same rows imported again change nothing, changed ones are corrections."""
    from leadscore.data.tables import read_table
    from leadscore.events.matching import match_outcomes
    from leadscore.events.outcome_formats import OutcomeColumns
    from leadscore.events.outcome_table import listed, outcomes_from_table
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    columns = OutcomeColumns(lead_col, converted_col, occurred_col, value_col, prediction_col, recorded_col)
    now = now_us()
    formats = _formats(columns, contract, time_format, decimal, thousands)
    news = _read_new(path, source, events_url) if only_new else None
    rows = read_table(path) if news is None else news.rows
    if news is not None and not rows.num_columns:
        told = {"rows": 0, "version": news.version}
        emit(told, f"Nothing is new in version {news.version}.", as_json=as_json)
        return
    found = outcomes_from_table(rows, columns, recorded_at=now, source=source, formats=formats, now=now)
    if found.problems:
        if reject_file is None:
            raise TableError(
                f"{path}: nothing was imported: {listed(found.problems)} (the first row of data is row 1).",
                hint="Correct them, or go on without the bad rows: --reject-file rejected.csv.",
            )
        _write_rejects(rows, found.problems, reject_file)
        notes.print(
            f"{len({p.row for p in found.problems})} bad rows written to {reject_file}.", style="yellow"
        )
    _warn_of_values(converted_col, found.unlisted)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        before = store.already_recorded(found.outcomes)
        for start in range(0, len(found.outcomes), _BATCH):
            store.append([], found.outcomes[start : start + _BATCH])
        match = match_outcomes(store, found.outcomes)
        fresh = {
            o.outcome_id: (o.lead_id, o.prediction_id)
            for o in found.outcomes
            if o.outcome_id not in before.ids
        }
        if news is not None:
            _note_import(store, news, source, len(fresh), now)
    corrected = sum(subject in before.subjects for subject in fresh.values())
    document = {
        "rows": rows.num_rows,
        "new": len(fresh) - corrected,
        "corrected": corrected,
        "already_known": len(found.outcomes) - len(fresh),
        "open": found.open,
        "rejected": rows.num_rows - len(found.outcomes) - found.open,
        "matched": match.matched,
        "never_scored": match.never_scored,
        "before_scored": match.before_scored,
    }
    emit(
        document | {"unlisted": found.unlisted},
        table("Outcomes", tuple(document), [tuple(document.values())], right=tuple(document)),
        as_json=as_json,
    )
    _warn(match)


def _read_new(path: str, source: str, events_url: str | None) -> NewRows:
    from leadscore.events.store import EventStore
    from leadscore.lake.outcome_source import read_new_outcomes

    with EventStore(events_url or Home.from_environment().events_url) as store:
        return read_new_outcomes(store, path, source)


def _note_import(store: EventStore, news: NewRows, source: str, new: int, now: int) -> None:
    from leadscore.lake.outcome_source import OutcomeImport, note_import

    found = OutcomeImport(
        table=news.table, source=source, version=news.version, rows=news.rows.num_rows, new=new
    )
    note_import(store, found, now)


def _warn_of_values(column: str, unlisted: Sequence[str]) -> None:
    for sentence in unlisted:
        notes.print(
            f"[yellow]warning[/]: {escape(f'{column}: {sentence}')}.", highlight=False, soft_wrap=True
        )


def _warn(match: OutcomeMatch) -> None:
    """Say which outcomes label nothing yet, and which never will."""
    if match.unknown_leads:
        notes.print(
            f"[yellow]warning[/]: {match.unknown_leads} of {match.leads} ids were never scored; their "
            "outcomes are kept and label a prediction as soon as the lead is scored under this very "
            "id (case and spaces count)."
        )
    if match.before_scored:
        notes.print(
            f"[yellow]warning[/]: {match.before_scored} outcomes happened before their lead was first "
            "scored; they label nothing."
        )


def _formats(
    columns: OutcomeColumns,
    contract: Path | None,
    time_format: str | None,
    decimal: str | None,
    thousands: str | None,
) -> OutcomeFormats:
    """What the contract says of the columns, and what was said on the command line instead."""
    from leadscore.contract import ColumnFormat, load_contract
    from leadscore.events.outcome_formats import OutcomeFormats

    known = OutcomeFormats() if contract is None else OutcomeFormats.of(load_contract(contract), columns)
    said = dict(known.columns)
    if time_format is not None:
        for column in (columns.occurred, columns.recorded):
            if column is not None:
                said[column] = msgspec.structs.replace(known.of_column(column), time_format=time_format)
    if columns.value is not None and (decimal is not None or thousands is not None):
        before = known.of_column(columns.value)
        group = before.thousands if thousands is None else thousands
        point = decimal or ("," if group == "." else before.decimal)
        try:
            said[columns.value] = msgspec.convert(
                {"decimal": point, "thousands": group, "missing": before.missing}, ColumnFormat
            )
        except msgspec.ValidationError as error:
            raise BadInputError(
                "--decimal is . or , and --thousands is . , ' or a space.",
                hint="Say how the values are written.",
            ) from error
        if point == group:
            raise BadInputError(
                f"{point!r} cannot be both the decimal and the thousands mark.", hint="Say which."
            )
    return OutcomeFormats(said, known.target)


def _write_rejects(rows: pa.Table, problems: tuple[RowProblem, ...], path: Path) -> None:
    import pyarrow as pa

    from leadscore.data.tables import write_table

    reasons: dict[int, list[str]] = {}
    for problem in problems:
        reasons.setdefault(problem.row, []).append(f"{problem.column} {problem.reason}")
    rejected = rows.take(pa.array([row - 1 for row in reasons]))
    rejected = rejected.append_column("rejected_row", pa.array(list(reasons)))
    write_table(
        rejected.append_column("rejected_for", pa.array(["; ".join(r) for r in reasons.values()])), path
    )
