"""`leadscore investigate`: from a complaint to its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.investigation.lead_history import LeadHistory


def investigate(
    lead: Annotated[str, typer.Option("--lead", help="One lead: its scores, why, and why they changed.")],
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Find out why a lead has its score, and why it changed."""
    from leadscore.events.store import EventStore
    from leadscore.investigation.lead_history import read_lead
    from leadscore.investigation.models import ModelShelf
    from leadscore.registry.store import ModelRegistry

    home = Home.from_environment()
    with EventStore(events_url or home.events_url) as store:
        found = read_lead(store, ModelShelf(ModelRegistry(home)), lead)
    emit(found, _lead_view(found), as_json=as_json)


def _lead_view(found: LeadHistory) -> RenderableType:
    answers = [
        (f"{a.scored_at:%Y-%m-%d %H:%M}", f"{a.score:.1f}", a.grade, f"{a.model}/{a.version}",
         "comparison only" if a.shadow else "", a.prediction_id)
        for a in found.answers
    ]  # fmt: skip
    columns = ("when (UTC)", "score", "grade", "model", "note", "prediction")
    shown: list[RenderableType] = [table(f"Lead {found.lead_id}", columns, answers, right=("score",))]
    newest = found.answers[0]
    reasons = [(r.text, f"{r.share:.0%}") for r in newest.reasons] or [(newest.unexplained, None)]
    shown.append(table("Why the newest score", ("reason", "share"), reasons, right=("share",)))
    for change in found.changes:
        said = (change.unexplained,) if change.change is None else change.change.sentences
        shown.append(Text(f"From {change.before} to {change.after}:", style="bold"))
        shown.extend(Text(f"  {line}") for line in said)
    outcomes = [
        (f"{o.occurred_at:%Y-%m-%d}", "customer" if o.converted else "lost", o.value,
         "counts" if o.counts else "corrected")
        for o in found.outcomes
    ]  # fmt: skip
    if outcomes:
        shown.append(table("What became of it", ("when", "what", "value", ""), outcomes, right=("value",)))
    return Group(*shown)
