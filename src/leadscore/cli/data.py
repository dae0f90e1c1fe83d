"""`leadscore data`: synthetic tables to try everything on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, table

app = typer.Typer(no_args_is_help=True, help="Make synthetic CRM tables.")

_DATE = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


@app.command("generate")
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write: .parquet, .csv or .arrow.")],
    rows: Annotated[int, typer.Option(min=1, help="Number of leads.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same table.")] = 1,
    start: Annotated[datetime, typer.Option(formats=_DATE, help="First day of the period (UTC).")] = datetime(
        2026, 1, 1, tzinfo=UTC
    ),
    months: Annotated[float, typer.Option(help="Length of the period.")] = 12.0,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@DATE[:MAGNITUDE[:RAMP_DAYS]]]",
            help="What changes, and from when (the middle of the period if no date is given); repeatable. "
            "`leadscore data scenarios` lists them.",
        ),
    ] = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=_DATE, help="Outcomes settled later are empty; the end of the period by default."
        ),
    ] = None,
    loss_delay: Annotated[
        float | None,
        typer.Option(min=0.01, help="Median days until a loss is admitted; about two weeks by default."),
    ] = None,
    contract_out: Annotated[Path | None, typer.Option(help="Also write the feature contract (YAML).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a seeded synthetic CRM table."""
    from leadscore.contract import contract_version, dump_contract
    from leadscore.data import synthetic
    from leadscore.data.atomic import replacing
    from leadscore.data.matrix import labels
    from leadscore.data.tables import write_table

    start = start.replace(tzinfo=UTC)
    middle = synthetic.after_months(start, months / 2.0)
    scenarios = [synthetic.parse_scenario(text, middle) for text in scenario or ()]
    with notes.status("Generating …"):
        leads = synthetic.generate(
            rows=rows,
            seed=seed,
            start=start,
            months=months,
            scenarios=scenarios,
            as_of=as_of,
            loss_delay=loss_delay,
        )
        write_table(leads, output)
    contract = synthetic.synthetic_contract()
    if contract_out is not None:
        with replacing(contract_out) as temporary:
            temporary.write_text(dump_contract(contract), encoding="utf-8")
    outcomes = labels(contract, leads)
    known = outcomes[outcomes == outcomes]  # noqa: PLR0124 - NaN is "not yet known"
    document = {
        "path": str(output),
        "rows": leads.num_rows,
        "columns": leads.num_columns,
        "known_outcomes": len(known),
        "conversion_rate": float(known.mean()) if len(known) else None,
        "scenarios": scenarios,
        "contract_version": contract_version(contract),
        "contract": str(contract_out) if contract_out is not None else None,
    }
    view = table(
        f"Synthetic leads in {output}",
        ("what", "value"),
        [
            ("rows", f"{leads.num_rows:,}"),
            ("columns", leads.num_columns),
            ("known outcomes", f"{len(known):,}"),
            ("conversion rate", f"{known.mean():.1%}" if len(known) else None),
            *(("scenario", f"{s.name} from {s.at:%Y-%m-%d}, magnitude {s.magnitude:g}") for s in scenarios),
            ("contract", contract_out),
        ],
        right=("value",),
    )
    emit(document, view, as_json=as_json)


@app.command("scenarios")
def scenarios(
    as_json: JsonOption = False,
) -> None:
    """List what can happen to the synthetic CRM."""
    from leadscore.data.synthetic import SCENARIOS

    view = table("Scenarios", ("name", "what happens"), SCENARIOS.items())
    emit(SCENARIOS, view, as_json=as_json)
