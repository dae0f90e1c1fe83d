"""`leadscore release`: try a candidate on logged requests, show its state, compare versions in traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from leadscore.cli import approve as answers
from leadscore.cli import comparison, experiment
from leadscore.cli.options import JsonOption
from leadscore.cli.output import emit, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.events.records import Evidence

app = typer.Typer(no_args_is_help=True, help="Bring a version to traffic, by evidence.")

app.command()(comparison.replay)
app.command()(comparison.shadow)

_KINDS = ("gate", "replay", "shadow", "approval-request", "approval", "kpi", "experiment", "release")


@app.command()
def deny(
    model: answers.CandidateArgument,
    reason: answers.Why,
    digest: answers.Digest = "",
    key_file: answers.CredentialFile = None,
    nonce: answers.Nonce = False,
    as_json: JsonOption = False,
) -> None:
    """Deny a candidate by your key or token; its release ends. To approve it: `leadscore approve`."""
    answers.answer(model, "denied", reason, digest, key_file, nonce=nonce, as_json=as_json)


@app.command()
def status(
    model: Annotated[str, typer.Argument(help="NAME/VERSION or NAME@challenger.")],
    as_json: JsonOption = False,
) -> None:
    """Say what a version has and what it lacks on its way to traffic."""
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.identity.approvers import Approvers
    from leadscore.registry.store import ModelRegistry
    from leadscore.release.progress import release_progress

    home = Home.from_environment()
    version = ModelRegistry(home).resolve(model)
    with EventStore(home.events_url) as store:
        found = release_progress(store, version, Approvers.from_environment(), now_us() / 1e6)
    rows = [(s.name, s.state, s.says, s.evidence) for s in found.checks]
    emit(
        found,
        Group(table(version.ref, ("check", "state", "what", "evidence"), rows), f"Next: {found.next}"),
        as_json=as_json,
    )


@app.command("list")
def list_releases(
    name: Annotated[str | None, typer.Argument(help="Only this model or version.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List questions that wait for a person, answers, and releases that ended; newest first."""
    records = [r for r in _records(("approval-request", "approval", "release")) if _about(r, name)]
    emit([_plain(r) for r in records], _records_view("Releases", records), as_json=as_json)


@app.command()
def show(model: Annotated[str, typer.Argument(help="NAME/VERSION.")], as_json: JsonOption = False) -> None:
    """Show every record about a version, newest first; --json prints them whole."""
    from leadscore.errors import NotFoundError

    records = [r for r in _records(_KINDS) if r.subject == model]
    if not records:
        raise NotFoundError(
            f"Nothing is on record about {model!r}.", hint="Write NAME/VERSION, such as leads/7."
        )
    emit([_plain(r) for r in records], _records_view(model, records), as_json=as_json)


def _records(kinds: tuple[str, ...]) -> list[Evidence]:
    from leadscore.events.store import EventStore

    with EventStore(Home.from_environment().events_url) as store:
        found = [record for kind in kinds for record in store.evidence(kind=kind)]
    return sorted(found, key=lambda r: (r.at, r.evidence_id), reverse=True)


def _about(record: Evidence, name: str | None) -> bool:
    return name is None or record.subject == name or record.subject.startswith(f"{name}/")


def _plain(record: Evidence) -> dict[str, object]:
    import msgspec

    return {
        "evidence_id": record.evidence_id,
        "kind": record.kind,
        "subject": record.subject,
        "at": record.at,
        "document": msgspec.Raw(record.document.encode()),
    }


def _records_view(title: str, records: list[Evidence]) -> Table:
    from leadscore.drift.verdict import as_utc
    from leadscore.release.progress import in_a_sentence

    rows = [
        (f"{as_utc(r.at):%Y-%m-%d %H:%M:%S}", r.subject, r.kind, in_a_sentence(r), r.evidence_id)
        for r in records
    ]
    return table(title, ("when (UTC)", "about", "what", "says", "evidence"), rows)


app.command()(experiment.ab)
app.command()(experiment.kpi)
