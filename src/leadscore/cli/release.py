"""`leadscore release`: try a candidate on what was logged, see what stands about it, compare two versions in traffic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group
from rich.table import Table

from leadscore.cli import approve as answers
from leadscore.cli import experiment
from leadscore.cli.options import Json
from leadscore.cli.output import decimal, emit, progress_bar, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.events.records import Evidence
    from leadscore.release.report import Replay

app = typer.Typer(no_args_is_help=True, help="Bring a version to traffic, by evidence.")

Release = Annotated[
    str, typer.Option("--release", help="Identity of the release that asks; set by the operator.")
]
_KINDS = ("gate", "replay", "approval-request", "approval", "kpi", "experiment", "release")


@app.command()
def replay(
    candidate: Annotated[str, typer.Option("--candidate", help="NAME/VERSION or NAME@challenger.")],
    days: Annotated[float, typer.Option(min=0.01, help="Days of logged requests.")] = 14.0,
    maturity_days: Annotated[
        float, typer.Option("--maturity", min=0, help="Age in days at which an outcome should be known.")
    ] = 30.0,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the report as JSON.")] = None,
    page: Annotated[Path | None, typer.Option("--html", help="Also write it as one HTML page.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write it as Markdown.")] = None,
    release: Release = "",
    as_json: Json = False,
) -> None:
    """Let a candidate score the logged requests and compare it with the champion; exit code 5 if that speaks against it.

    With --release the verdict is in the record and the exit code is 0: a Job that did its work must not be repeated.
    """
    import time
    from datetime import UTC, datetime, timedelta

    import msgspec

    from leadscore.errors import RefusedError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.release import page as pages
    from leadscore.release import replay as replays

    home = Home.from_environment()
    registry = ModelRegistry(home)
    version = registry.resolve(candidate)
    with EventStore(home.events_url) as store:
        with progress_bar() as bar:
            task = bar.add_task("Replaying", total=None)
            found = replays.replay(
                store,
                registry,
                version,
                now=datetime.now(UTC),
                clock=time.monotonic,
                days=days,
                maturity=timedelta(days=maturity_days),
                release=release,
                progress=lambda rows: bar.update(task, completed=rows),
            )
        evidence_id = replays.record(store, found, now_us())
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    if page is not None:
        page.write_text(pages.html(found), encoding="utf-8")
    if markdown is not None:
        markdown.write_text(pages.markdown(found), encoding="utf-8")
    emit({"evidence_id": evidence_id, "replay": found}, _replay_view(found, evidence_id), as_json=as_json)
    if not found.passed and not release:
        raise RefusedError(found.summary, hint=f"The report is evidence {evidence_id}.")


@app.command()
def deny(
    model: answers.Candidate,
    person: answers.Person,
    reason: answers.Why,
    digest: answers.Digest = "",
    as_json: Json = False,
) -> None:
    """Deny a candidate; its release ends."""
    answers.answer(model, "denied", person, reason, digest, as_json=as_json)


@app.command()
def status(
    model: Annotated[str, typer.Argument(help="NAME/VERSION or NAME@challenger.")], as_json: Json = False
) -> None:
    """Say what a version has and what it lacks on its way to traffic."""
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.release.standing import standing

    home = Home.from_environment()
    version = ModelRegistry(home).resolve(model)
    with EventStore(home.events_url) as store:
        found = standing(store, version)
    rows = [(s.name, s.state, s.says, s.evidence) for s in found.stations]
    emit(
        found,
        Group(table(version.ref, ("station", "state", "what", "evidence"), rows), f"Next: {found.next}"),
        as_json=as_json,
    )


@app.command("list")
def list_releases(
    name: Annotated[str | None, typer.Argument(help="Only this model or version.")] = None,
    as_json: Json = False,
) -> None:
    """List questions that wait for a person, answers, and releases that ended; newest first."""
    records = [r for r in _records(("approval-request", "approval", "release")) if _about(r, name)]
    emit([_plain(r) for r in records], _records_view("Releases", records), as_json=as_json)


@app.command()
def show(model: Annotated[str, typer.Argument(help="NAME/VERSION.")], as_json: Json = False) -> None:
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
    from leadscore.release.standing import in_a_sentence

    rows = [
        (f"{as_utc(r.at):%Y-%m-%d %H:%M:%S}", r.subject, r.kind, in_a_sentence(r), r.evidence_id)
        for r in records
    ]
    return table(title, ("when (UTC)", "about", "what", "says", "evidence"), rows)


def _replay_view(found: Replay, evidence_id: str) -> Group:
    known = found.known
    rows = [
        ("requests", f"{found.rows:,}", f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"),
        ("score PSI", f"{found.scores.psi:.4f}", "champion against candidate on the same leads"),
        ("score KS", f"{found.scores.ks:.4f}", ""),
        ("Spearman", decimal(found.order.spearman), "order of all leads"),
        ("top tenth in common", f"{found.order.top_decile_overlap:.1%}", ""),
        (
            "other grade",
            f"{found.grades.changed:.1%}",
            f"better {found.grades.better:.1%}, worse {found.grades.worse:.1%}",
        ),
        (
            "time per lead",
            f"{found.latency.candidate:.1f} µs",
            f"champion {found.latency.champion:.1f} µs, measured here",
        ),
        (
            "AUC difference",
            decimal(None if known.difference is None else known.difference.value),
            "no outcome of both kinds"
            if known.difference is None
            else f"{known.difference.low:+.4f} to {known.difference.high:+.4f} on {known.rows:,} outcomes",
        ),
        (
            "outcomes that are due and known",
            "unknown" if known.completeness is None else f"{known.completeness:.1%}",
            f"due after {known.maturity_days:g} days",
        ),
    ]
    title = f"{found.ref} against {found.model}/{found.champion}"
    view = table(title, ("what", "value", "about"), rows, right=("value",))
    lines = [
        found.summary,
        *(f"  {remark}" for remark in found.remarks),
        f"Evidence {evidence_id}, {found.seconds:.1f} s",
    ]
    return Group(view, *lines)


app.command()(experiment.ab)
app.command()(experiment.kpi)
