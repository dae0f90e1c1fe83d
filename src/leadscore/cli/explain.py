"""`leadscore explain`: why one lead got its score."""

# Arrow makes its compute functions when it is imported.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, notes, table
from leadscore.errors import BadInputError, NotFoundError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.contract.request import DecodedLead
    from leadscore.scoring.lime import LimeExplanation
    from leadscore.scoring.model import ScoringModel
    from leadscore.scoring.reasons import Reason


def explain(
    model: Annotated[str, typer.Option("--model", help="NAME, NAME@champion or NAME/7.")],
    lead: Annotated[
        Path | None, typer.Option("--lead", help="JSON file with one lead; - reads stdin.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Table with the lead; needs --id.")] = None,
    lead_id: Annotated[str | None, typer.Option("--id", help="Which lead of --data.")] = None,
    method: Annotated[
        Literal["shap", "lime"], typer.Option(help="Exact Shapley values, or a local linear model.")
    ] = "shap",
    top: Annotated[int, typer.Option(min=1, help="How many factors.")] = 5,
    samples: Annotated[int, typer.Option(help="Neighbours (lime).")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the neighbours (lime).")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Say why a lead got its score."""
    find = _source(lead, data, lead_id)
    from leadscore.registry.store import ModelRegistry
    from leadscore.scoring.lime import explain_lime
    from leadscore.scoring.model import ScoringModel

    scorer = ScoringModel.load(ModelRegistry(Home.from_environment()).fetch(model))
    found = find(scorer)
    scored = scorer.score_row(found.row)
    document: dict[str, object] = {
        "lead_id": found.lead_id,
        "model": model,
        "digest": scorer.digest,
        "probability": scored.probability,
        "score": scored.score,
        "grade": scored.grade,
        "warnings": found.warnings,
        "method": method,
    }
    title = f"Lead {found.lead_id}: score {scored.score:.1f}, grade {scored.grade}"
    if method == "shap":
        reasons = scorer.explain_row(found.row, top)
        emit({**document, "reasons": reasons}, _reasons_view(title, reasons), as_json=as_json)
    else:
        fit = explain_lime(scorer, found.row, samples=samples, seed=seed, top=top)
        emit({**document, "lime": fit}, _lime_view(title, fit), as_json=as_json)
    for warning in found.warnings:
        notes.print(f"warning: {warning.message}", markup=False)


def _source(
    lead: Path | None, data: Path | None, lead_id: str | None
) -> Callable[[ScoringModel], DecodedLead]:
    if lead is not None and data is None and lead_id is None:
        return lambda scorer: scorer.decoder.decode(_read(lead))
    if lead is None and data is not None and lead_id is not None:
        return lambda scorer: _find(scorer, data, lead_id)
    raise BadInputError("Say which lead.", hint="Either --lead FILE.json, or --data TABLE with --id ID.")


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise BadInputError(f"Cannot read {path}: {error.strerror}.") from error


def _find(scorer: ScoringModel, data: Path, lead_id: str) -> DecodedLead:
    import pyarrow.compute as pc

    from leadscore.contract.request import DecodedLead
    from leadscore.data.matrix import encode_table, lead_ids
    from leadscore.data.tables import read_table

    contract = scorer.contract
    leads = read_table(data, columns=[contract.id, *(feature.name for feature in contract.inputs)])
    matching = leads.filter(pc.equal(lead_ids(contract, leads), lead_id))
    if matching.num_rows == 0:
        raise NotFoundError(f"{data} has no lead {lead_id!r} in column {contract.id!r}.")
    if matching.num_rows > 1:
        notes.print(f"note: {matching.num_rows} rows have this id; the last one is explained", markup=False)
    row = encode_table(contract, matching.slice(matching.num_rows - 1), threads=1)[0]
    return DecodedLead(lead_id, row, ())


def _reasons_view(title: str, reasons: tuple[Reason, ...]) -> Table:
    rows = [(r.text, r.direction, f"{r.share:.0%}", r.feature) for r in reasons]
    return table(title, ("why", "effect", "share", "feature"), rows, right=("share",))


def _lime_view(title: str, fit: LimeExplanation) -> Table:
    rows = [(w.feature, w.condition, f"{w.weight:+.3f}") for w in fit.weights]
    title = f"{title} (the local model explains {fit.r2:.0%} of what the model does around it)"
    return table(
        title, ("feature", "condition", "adds to the probability"), rows, right=("adds to the probability",)
    )
