"""`leadscore crm check`, `pull` and `reconcile`: what a CRM says of its fields, outcomes and records."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.crm.targets import CrmTarget

app = typer.Typer()

_TargetsFile = Annotated[
    Path | None,
    typer.Option("--targets", envvar="LEADSCORE_CRM", show_envvar=True, help="File of targets."),
]
_TargetOption = Annotated[str, typer.Option("--target", help="Only this one.")]


@app.command("check")
def check(targets: _TargetsFile = None, target: _TargetOption = "", as_json: JsonOption = False) -> None:
    """Ask each CRM whether the mapped fields are there, can be written, and are of the right type."""
    from leadscore.crm.vendors.reading import check_targets
    from leadscore.errors import RefusedError

    found = check_targets(_chosen(targets, target))
    rows = [(name, sentence) for name, sentences in found.items() for sentence in sentences or ("ok",)]
    emit(found, table("CRM fields", ("target", "what was found"), rows), as_json=as_json)
    bad = [name for name, sentences in found.items() if sentences]
    if bad:
        raise RefusedError(f"Not everything is right with {', '.join(bad)}.", hint="See the sentences above.")


@app.command("pull")
def pull(
    targets: _TargetsFile = None,
    target: _TargetOption = "",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Read what was won and lost since the last look; the monitor does it every quarter of an hour."""
    from leadscore.crm.tables import CRM_REVISION
    from leadscore.crm.vendors.connect import connect
    from leadscore.crm.vendors.mapping import outcome_pull
    from leadscore.crm.vendors.outcomes import pull_outcomes
    from leadscore.errors import NotFoundError
    from leadscore.events.store import EventStore

    wanted = [(each, pull) for each in _chosen(targets, target) if (pull := outcome_pull(each)) is not None]
    if not wanted:
        raise NotFoundError(
            "No target says where its outcomes are.", hint="Add `outcomes` to it: see docs/guides."
        )
    with EventStore(events_url or Home.from_environment().events_url) as store:
        store.require_revision(CRM_REVISION)
        found = {
            each.name: pull_outcomes(store, each.name, connect(each), source.fields)
            for each, source in wanted
        }
    rows = [
        (
            name, p.read, p.new, p.known, p.still_open, p.without_lead,
            p.until and f"{datetime.fromtimestamp(p.until / 1e6, UTC):%Y-%m-%d %H:%M}",
        )
        for name, p in found.items()
    ]  # fmt: skip
    columns = ("target", "changed deals", "new outcomes", "known", "open", "without a lead", "until (UTC)")
    emit(found, table("Outcomes", columns, rows, right=columns[1:6]), as_json=as_json)


@app.command("reconcile")
def reconcile(
    targets: _TargetsFile = None,
    target: _TargetOption = "",
    most: Annotated[int, typer.Option(min=1, help="How many disagreements to list; all are counted.")] = 100,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Read back what was written, and list where a CRM and the log disagree; exit code 5 if they do."""
    from rich.console import Group

    from leadscore.crm.tables import CRM_REVISION
    from leadscore.crm.vendors.connect import connect
    from leadscore.crm.vendors.reconcile import MEANINGS, reconcile_target
    from leadscore.errors import RefusedError
    from leadscore.events.store import EventStore

    wanted = _chosen(targets, target)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        store.require_revision(CRM_REVISION)
        found = [reconcile_target(store, each, connect(each), most=most) for each in wanted]
    counted = [
        (each.target, each.looked_at, each.looked_at - sum(each.counts.values()),
         "; ".join(f"{count} {kind}" for kind, count in each.counts.items()))
        for each in found
    ]  # fmt: skip
    rows = [
        (each.target, m.lead_id, MEANINGS[m.kind], m.written, m.found, m.score, m.expected)
        for each in found
        for m in each.mismatches
    ]
    columns = ("target", "lead", "what", "score written", "score found", "value found", "value written")
    emit(
        found,
        Group(
            table(
                "Records read back",
                ("target", "records", "agree", "disagree"),
                counted,
                right=("records", "agree"),
            ),
            table("Disagreements", columns, rows),
        ),
        as_json=as_json,
    )
    bad = [each.target for each in found if each.counts]
    if bad:
        raise RefusedError(
            f"{', '.join(bad)} holds other scores than were written.",
            hint="Write them again: leadscore crm sync --target NAME --again.",
        )


def _chosen(path: Path | None, name: str) -> list[CrmTarget]:
    from leadscore.crm.targets import load_targets
    from leadscore.crm.vendors.mapping import VENDOR_KINDS
    from leadscore.errors import NotFoundError

    found = [
        each
        for each in load_targets(path).targets
        if each.kind in VENDOR_KINDS and (not name or each.name == name)
    ]
    if not found:
        what = f"There is no target {name}" if name else "There is no target"
        raise NotFoundError(
            f"{what} with an API of its own.",
            hint="LEADSCORE_CRM names the file of targets. Webhooks and tables cannot be read back.",
        )
    return found
