"""`leadscore batch`: the scores of a business date, from a Delta table of leads into the lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, progress_bar, table
from leadscore.errors import BadInputError, RefusedError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.batch.records import BatchRecord
    from leadscore.batch.run import BatchResult

app = typer.Typer(no_args_is_help=True, help="Score a table of leads for a business date, once.")

# Of `leadscore.scoring.grades`, which is slow to import.
_GRADES = ("A", "B", "C", "D")
# Whoever began to read a table within a week still can.
_READERS_HOURS = 168

ModelOption = Annotated[str, typer.Option("--model", help="NAME, NAME@champion or NAME/7.")]
LeadsOption = Annotated[
    str,
    typer.Option(
        "--leads",
        envvar="LEADSCORE_BATCH_LEADS",
        show_envvar=True,
        help="Delta table of leads: folder or URL.",
    ),
]
DateOption = Annotated[str, typer.Option("--date", help="Business date; today if left out.")]
ZoneOption = Annotated[
    str, typer.Option("--zone", help="Time zone of business dates, such as Europe/Berlin.")
]
ReasonsOption = Annotated[
    str, typer.Option("--reasons", help="Grades whose leads get reasons: A,B,C,D or none.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Scoring threads.")]


@app.command("run")
def run(
    model: ModelOption,
    leads: LeadsOption,
    day: DateOption = "",
    zone: ZoneOption = "UTC",
    everything: Annotated[bool, typer.Option("--all", help="Score also what has not changed.")] = False,
    reasons: ReasonsOption = ",".join(_GRADES),
    threads: ThreadsOption = 2,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Score the leads that are new or have changed; a second run of a date does nothing."""
    from leadscore.batch.run import business_date

    when = _date(day, "--date") if day else business_date(datetime.now(UTC), _zone(zone))
    found = _run(when, model, leads, everything, _grades(reasons), threads, events_url)
    emit(_document(found), _view([found]), as_json=as_json)


@app.command("spark")
def spark(
    model: ModelOption,
    leads: Annotated[
        str,
        typer.Option(
            "--leads",
            envvar="LEADSCORE_BATCH_LEADS",
            show_envvar=True,
            help="Delta table of leads: folder, URL or CATALOG.SCHEMA.TABLE.",
        ),
    ],
    day: DateOption = "",
    zone: ZoneOption = "UTC",
    reasons: ReasonsOption = ",".join(_GRADES),
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Score all leads on Spark, where one machine is too small; a second run of a date does nothing."""
    from leadscore.batch.run import BatchRequest, business_date
    from leadscore.batch.spark import open_session, run_on_spark

    when = _date(day, "--date") if day else business_date(datetime.now(UTC), _zone(zone))
    home = Home.from_environment()
    request = BatchRequest(date=when, model=model, leads=leads, everything=True, reasons=_grades(reasons))
    session = open_session(f"leadscore batch {when.isoformat()}")
    found = run_on_spark(request, home, events_url or home.events_url, session)
    emit(_document(found), _view([found]), as_json=as_json)


@app.command("backfill")
def backfill(
    model: ModelOption,
    leads: LeadsOption,
    since: Annotated[str, typer.Option("--since", help="First business date.")],
    until: Annotated[str, typer.Option("--until", help="Last business date.")],
    reasons: ReasonsOption = ",".join(_GRADES),
    threads: ThreadsOption = 2,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Run every date that has not ended, oldest first, with the leads as they are now."""
    first, last = _date(since, "--since"), _date(until, "--until")
    if last < first:
        raise BadInputError(f"--until {last} is before --since {first}.")
    found = [
        _run(first + timedelta(days=i), model, leads, False, _grades(reasons), threads, events_url)
        for i in range((last - first).days + 1)
    ]
    emit([_document(each) for each in found], _view(found), as_json=as_json)


@app.command("status")
def status(
    model: ModelOption,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many business dates to show.")] = 14,
    zone: ZoneOption = "UTC",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Show which dates have ended, were begun, or are missing; exit code 5 if yesterday's is missing."""
    from leadscore.batch.run import business_date
    from leadscore.batch.status import list_nights
    from leadscore.events.store import EventStore
    from leadscore.registry.versions import ModelRef

    home = Home.from_environment()
    today = business_date(datetime.now(UTC), _zone(zone))
    with EventStore(events_url or home.events_url) as store:
        nights = list_nights(store, ModelRef.parse(model).name, today, days)
    rows = [
        (
            night.date.isoformat(),
            night.state,
            night.version or "–",
            "–" if night.record is None else f"{night.record.scored:,} of {night.record.leads:,}",
        )
        for night in nights
    ]
    emit(
        nights,
        table(f"Nights of {model}", ("date", "state", "version", "scored"), rows, right=("scored",)),
        as_json=as_json,
    )
    missed = [night for night in nights if night.state == "missing" and night.date < today]
    if missed:
        raise RefusedError(
            f"{len(missed)} of the last {days} dates have no run, {missed[0].date} among them.",
            hint="`leadscore batch backfill --since … --until …` makes them up.",
        )


@app.command("maintain")
def maintain(
    keep: Annotated[
        str, typer.Option("--keep", help="How long what a run was made from stays readable, such as 400d.")
    ] = "400d",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Join small files of the lake, and delete those that no run of the time kept needs."""
    from leadscore.batch.upkeep import maintain as maintain_lake
    from leadscore.durations import parse_duration
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    since = now_us() - parse_duration(keep) // timedelta(microseconds=1)
    with EventStore(events_url or home.events_url) as store:
        found = maintain_lake(store, home.lake, since=since, hours=_READERS_HOURS)
    rows = [
        (each.table, f"{each.kept_versions:,}", f"{each.joined:,}", f"{each.deleted:,}") for each in found
    ]
    columns = ("table", "versions kept", "files joined", "files deleted")
    emit(found, table("Lake", columns, rows, right=columns[1:]), as_json=as_json)


def _run(
    day: date,
    model: str,
    leads: str,
    everything: bool,
    reasons: tuple[str, ...],
    threads: int,
    events_url: str | None,
) -> BatchResult:
    from leadscore.batch.run import BatchRequest, run_batch
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    request = BatchRequest(
        date=day, model=model, leads=leads, everything=everything, reasons=reasons, threads=threads
    )
    with EventStore(events_url or home.events_url) as store, progress_bar() as progress:
        task = progress.add_task(f"Scoring {day.isoformat()}", total=None)
        return run_batch(
            request, home, store, progress=lambda n, of: progress.update(task, completed=n, total=of)
        )


def _document(found: BatchResult) -> dict[str, object]:
    return {"repeated": found.repeated, "record": found.record}


def _view(found: list[BatchResult]) -> Table:
    return table(
        "Batch scores",
        ("date", "model", "leads", "scored", *_GRADES, ""),
        [_row(each.record, each.repeated) for each in found],
        right=("leads", "scored", *_GRADES),
    )


def _row(record: BatchRecord, repeated: bool) -> tuple[str, ...]:
    claim = record.claim
    return (
        claim.date.isoformat(),
        f"{claim.model}/{claim.version}",
        f"{record.leads:,}",
        f"{record.scored:,}",
        *(f"{record.grades.get(grade, 0):,}" for grade in _GRADES),
        "had ended before" if repeated else "",
    )


def _date(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInputError(f"{option} {text!r} is no date.", hint="Write it like 2026-11-29.") from error


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BadInputError(
            f"There is no time zone {name!r}.", hint="Such as Europe/Berlin or UTC."
        ) from error
    return name


def _grades(text: str) -> tuple[str, ...]:
    wanted = () if text == "none" else tuple(part.strip().upper() for part in text.split(","))
    unknown = [grade for grade in wanted if grade not in _GRADES]
    if unknown:
        raise BadInputError(f"There is no grade {unknown[0]!r}.", hint="Such as A,B or none.")
    return wanted
