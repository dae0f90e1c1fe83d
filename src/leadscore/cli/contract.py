"""`leadscore contract`: propose, check and compare feature contracts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Group, RenderableType

from leadscore.cli.output import emit, notes, table
from leadscore.errors import ConflictError, ExitCode

if TYPE_CHECKING:
    from leadscore.contract.arrow import ArrowTable
    from leadscore.contract.check import CheckReport
    from leadscore.contract.diff import ContractDiff
    from leadscore.contract.infer import Inference

app = typer.Typer(
    name="contract",
    help="Say what a lead is: propose, check and compare feature contracts.",
    no_args_is_help=True,
)

TableArgument = Annotated[
    Path, typer.Argument(help="CSV, Parquet, Arrow file or Delta folder.", metavar="TABLE")
]
ContractJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def infer(
    path: TableArgument,
    target: Annotated[str, typer.Option(help="Column of the outcome.")],
    id_column: Annotated[str, typer.Option("--id", help="Column that identifies a lead.")],
    time: Annotated[str | None, typer.Option(help="Column of the lead's creation time.")] = None,
    value: Annotated[str | None, typer.Option(help="Column of the revenue.")] = None,
    currency: Annotated[
        str | None, typer.Option(help="Currency of the revenue (ISO 4217, such as EUR); shown beside it.")
    ] = None,
    known_at: Annotated[str | None, typer.Option(help="Column of the time the outcome became known.")] = None,
    positive: Annotated[str | None, typer.Option(help="The target's value that means converted.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the contract (default: the file's name).")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (default: stdout).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: ContractJson = False,
) -> None:
    """Propose a contract for a table, and say what to look at before trusting it."""
    from leadscore.contract.document import dump_contract
    from leadscore.contract.infer import infer_contract

    if output is not None and output.exists() and not force:
        raise ConflictError(
            f"{output} exists; it may hold changes made by hand.", hint="Give another file, or --force."
        )
    inference = infer_contract(
        _read(path),
        target=target,
        id=id_column,
        time=time,
        value=value,
        currency=currency,
        known_at=known_at,
        positive=positive,
        name=name or path.stem,
    )
    if output is not None:
        output.write_text(dump_contract(inference.contract), encoding="utf-8")
        notes.print(f"wrote {output}", markup=False, highlight=False)
    if as_json or output is not None:
        emit(inference, _inference_view(inference), as_json=as_json)
    else:
        notes.print(_inference_view(inference))
        typer.echo(dump_contract(inference.contract), nl=False)


@app.command()
def check(
    path: TableArgument,
    contract: Annotated[Path, typer.Option("--contract", "-c", help="The contract file.")] = Path(
        "contract.yaml"
    ),
    as_json: ContractJson = False,
) -> None:
    """Compare a table with a contract. Exit code 3 if training or scoring on it would fail."""
    from leadscore.contract.check import check_table
    from leadscore.contract.document import load_contract
    from leadscore.data.matrix import check_notation

    known, rows = load_contract(contract), _read(path)
    report = check_table(known, rows)
    emit(
        {"status": report.status, "rows": report.rows, "issues": report.issues},
        _check_view(report),
        as_json=as_json,
    )
    if report.status == "errors":
        raise typer.Exit(ExitCode.BAD_INPUT)
    check_notation(known, rows)


@app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="The contract in use.", metavar="A")],
    new: Annotated[Path, typer.Argument(help="The contract proposed.", metavar="B")],
    as_json: ContractJson = False,
) -> None:
    """Say what changes from contract A to B and for whom it breaks. Exit code 5 if it breaks anybody."""
    from leadscore.contract.diff import diff_contracts
    from leadscore.contract.document import contract_version, load_contract

    a, b = load_contract(old), load_contract(new)
    found = diff_contracts(a, b)
    document = {
        "from": contract_version(a),
        "to": contract_version(b),
        "compatible": found.compatible,
        "changes": found.changes,
    }
    emit(document, _diff_view(found), as_json=as_json)
    if not found.compatible:
        raise typer.Exit(ExitCode.REFUSED)


@app.command()
def schema(
    contract: Annotated[
        Path | None, typer.Option("--lead", help="Print the schema of a lead under this contract instead.")
    ] = None,
) -> None:
    """Print the JSON Schema of contract files, for editors and CI (always JSON)."""
    from leadscore.contract.document import load_contract
    from leadscore.contract.openapi import json_schema, lead_schema

    document = json_schema() if contract is None else lead_schema(load_contract(contract))
    emit(document, "", as_json=True)


def _read(path: Path) -> ArrowTable:
    # pyarrow ships no types; ArrowTable is the part of its Table that the contract package uses.
    from leadscore.data.tables import read_table  # pyright: ignore[reportUnknownVariableType]

    return cast("ArrowTable", read_table(path))


def _inference_view(inference: Inference) -> RenderableType:
    kinds = {f.name: f for f in inference.contract.features}
    rows = [
        (
            c.column,
            c.role,
            f"{c.missing:.1%}",
            c.distinct,
            _told(c.minimum, c.maximum, c.categories),
            "yes" if c.column in kinds and kinds[c.column].sensitive else None,
        )
        for c in inference.columns
    ]
    columns = table(
        "Columns",
        ("column", "role", "missing", "distinct", "seen", "sensitive"),
        rows,
        right=("missing", "distinct"),
    )
    if not inference.findings:
        return columns
    found = [(f.column, f.kind, f.reason, f.action) for f in inference.findings]
    return Group(columns, table("Look at these", ("column", "finding", "why", "what was done"), found))


def _told(low: float | None, high: float | None, categories: tuple[tuple[str, int], ...]) -> str | None:
    if low is not None and high is not None:
        return f"{low:g} … {high:g}"
    if not categories:
        return None
    shown = ", ".join(f"{name} {count}" for name, count in categories[:4])
    return shown + (f", … ({len(categories)})" if len(categories) > 4 else "")


def _check_view(report: CheckReport) -> RenderableType:
    if not report.issues:
        return f"{report.rows} rows fit the contract"
    rows = [(i.column, i.level, i.kind, i.row, f"{i.share:.2%}", i.message) for i in report.issues]
    title = f"{report.rows} rows: {report.status}"
    return table(
        title, ("column", "level", "kind", "first row", "rows", "what"), rows, right=("first row", "rows")
    )


def _diff_view(found: ContractDiff) -> RenderableType:
    if not found.changes:
        return "the contracts are the same"
    rows = [(c.place, c.what, ", ".join(c.breaks) or "nobody", c.why) for c in found.changes]
    return table("compatible" if found.compatible else "breaking", ("place", "change", "breaks", "why"), rows)
