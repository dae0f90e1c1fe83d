"""`leadscore batch`: the scores of a business date, from a Delta table of leads into the lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from leadscore.cli.options import EventsUrl, JsonOption
from leadscore.cli.output import emit, notes, progress_bar, table
from leadscore.errors import BadInputError, LeadScoreError, RefusedError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.batch.records import BatchRecord
    from leadscore.batch.run import BatchResult
    from leadscore.batch.schedule import NightSchedule

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
DateOption = Annotated[str | None, typer.Option("--date", help="Business date; today if left out.")]
ZoneOption = Annotated[
    str,
    typer.Option(
        "--zone",
        envvar="LEADSCORE_BATCH_ZONE",
        show_envvar=True,
        help="Time zone of business dates, such as Europe/Berlin.",
    ),
]
AtOption = Annotated[
    str,
    typer.Option(
        "--at", envvar="LEADSCORE_BATCH_AT", show_envvar=True, help="Time of day at which a night is due."
    ),
]
GraceOption = Annotated[
    str,
    typer.Option(
        "--grace",
        envvar="LEADSCORE_BATCH_GRACE",
        show_envvar=True,
        help="How long after that it has to have ended; later it is missed.",
    ),
]
ReasonsOption = Annotated[
    str, typer.Option("--reasons", help="Grades whose leads get reasons: A,B,C,D or none.")
]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Scoring threads.")]


@app.command("run")
def run(
    model: ModelOption,
    leads: LeadsOption,
    day: DateOption = None,
    due: Annotated[
        bool, typer.Option("--due", help="Every date of a week that is due and has not ended, oldest first.")
    ] = False,
    zone: ZoneOption = "UTC",
    at: AtOption = "02:00",
    everything: Annotated[bool, typer.Option("--all", help="Score also what has not changed.")] = False,
    reasons: ReasonsOption = ",".join(_GRADES),
    threads: ThreadsOption = 2,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Score the leads that are new or have changed; a second run of a date does nothing."""
    from leadscore.batch.schedule import NightSchedule

    if due and day is not None:
        raise BadInputError(
            "--date and --due contradict each other.", hint="Name a date, or run what is due."
        )
    schedule, now = NightSchedule.parse(zone, at, "0h"), datetime.now(UTC)
    if due:
        dates = _due(schedule, now, model, events_url)
    else:
        dates = (schedule.business_date(now) if day is None else schedule.read_date(day, "--date", now),)
    found: list[BatchResult] = []
    failed: list[LeadScoreError] = []
    for each in dates:
        try:
            found.append(_run(each, model, leads, everything, _grades(reasons), threads, events_url))
        except LeadScoreError as error:
            # A night that cannot be run, as its table is gone, holds up no other.
            failed.append(error)
            if len(dates) > 1:
                notes.print(f"{each}: {escape(str(error))}", style="yellow", highlight=False)
    if found or due:
        documents = [_document(each) for each in found]
        emit(documents if due else documents[0], _view(found), as_json=as_json)
    if failed:
        raise failed[0]


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
    day: DateOption = None,
    zone: ZoneOption = "UTC",
    reasons: ReasonsOption = ",".join(_GRADES),
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Score all leads on Spark, where one machine is too small; a second run of a date does nothing."""
    from leadscore.batch.run import BatchRequest
    from leadscore.batch.schedule import NightSchedule
    from leadscore.batch.spark import open_session, run_on_spark

    schedule, now = NightSchedule.parse(zone, "00:00", "0h"), datetime.now(UTC)
    when = schedule.business_date(now) if day is None else schedule.read_date(day, "--date", now)
    home = Home.from_environment()
    request = BatchRequest(date=when, model=model, leads=leads, everything=True, reasons=_grades(reasons))
    session = open_session(f"leadscore batch {when.isoformat()}")
    found = run_on_spark(request, home, events_url or home.events_url, session)
    _warn_of_other_table(found, leads)
    emit(_document(found), _view([found]), as_json=as_json)


@app.command("backfill")
def backfill(
    model: ModelOption,
    leads: LeadsOption,
    since: Annotated[str, typer.Option("--since", help="First business date.")],
    until: Annotated[str, typer.Option("--until", help="Last business date.")],
    zone: ZoneOption = "UTC",
    reasons: ReasonsOption = ",".join(_GRADES),
    threads: ThreadsOption = 2,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Run every date that has not ended, oldest first, with the leads as they are now."""
    from leadscore.batch.schedule import NightSchedule

    schedule, now = NightSchedule.parse(zone, "00:00", "0h"), datetime.now(UTC)
    first, last = schedule.read_date(since, "--since", now), schedule.read_date(until, "--until", now)
    if last < first:
        raise BadInputError(f"--until {last} is before --since {first}.")
    found = [
        _run(first + timedelta(days=i), model, leads, False, _grades(reasons), threads, events_url)
        for i in range((last - first).days + 1)
    ]
    emit([_document(each) for each in found], _view(found), as_json=as_json)


@app.command("status")
def status(
    model: Annotated[
        str, typer.Option("--model", help="NAME; every model that has nights if left out.")
    ] = "",
    days: Annotated[int, typer.Option(min=1, max=35, help="How many business dates to show.")] = 14,
    zone: ZoneOption = "UTC",
    at: AtOption = "02:00",
    grace: GraceOption = "6h",
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Show which dates have ended, were begun, or are missing; exit code 5 if one is missed."""
    from leadscore.batch.schedule import NightSchedule
    from leadscore.batch.status import read_nights
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    schedule, now = NightSchedule.parse(zone, at, grace), datetime.now(UTC)
    names = [_name(model)] if model else []
    with EventStore(events_url or home.events_url) as store:
        found = read_nights(store, schedule, now, names)
    nights = {
        each.model: each.listed(schedule, now, days) for each in found if not names or each.model in names
    }
    rows = [
        (
            name,
            night.date.isoformat(),
            "MISSED" if night.missed else night.state,
            night.version or "–",
            "–" if night.record is None else f"{night.record.scored:,} of {night.record.leads:,}",
        )
        for name, listed in nights.items()
        for night in listed
    ]
    emit(
        nights,
        table("Nights", ("model", "date", "state", "version", "scored"), rows, right=("scored",)),
        as_json=as_json,
    )
    missed = [
        (each.model, day) for each in found if each.model in nights for day in each.missed(schedule, now)
    ]
    if missed:
        raise RefusedError(
            f"{len(missed)} nights have not ended in time, {missed[-1][0]} of {missed[-1][1]} among them.",
            hint="`leadscore batch run --due` runs those of a week, `leadscore batch backfill` older ones.",
        )


@app.command("maintain")
def maintain(
    keep: Annotated[
        str, typer.Option("--keep", help="How long what a run was made from stays readable, such as 400d.")
    ] = "400d",
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--table", help="Also this Delta table, such as the leads'; may be given several times."
        ),
    ] = None,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Join small files of the lake, and delete those that no training and no night of the time kept needs."""
    from leadscore.batch.upkeep import maintain as maintain_lake
    from leadscore.durations import parse_duration
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore

    home = Home.from_environment()
    since = now_us() - parse_duration(keep) // timedelta(microseconds=1)
    with EventStore(events_url or home.events_url) as store:
        found = maintain_lake(store, home.lake, since=since, hours=_READERS_HOURS, others=others or ())
    rows = [
        (each.table, f"{each.kept_versions:,}", f"{each.joined:,}", f"{each.deleted:,}") for each in found
    ]
    columns = ("table", "versions kept", "files joined", "files deleted")
    emit(found, table("Lake", columns, rows, right=columns[1:]), as_json=as_json)


@app.command("verify")
def verify(
    model: ModelOption,
    day: Annotated[str, typer.Option("--date", help="Business date.")],
    threads: ThreadsOption = 2,
    events_url: EventsUrl = None,
    as_json: JsonOption = False,
) -> None:
    """Make a night again from the versions on record; exit code 5 if the lake has other scores."""
    from leadscore.batch.schedule import parse_date
    from leadscore.batch.verify import verify_night
    from leadscore.events.store import EventStore

    home, when = Home.from_environment(), parse_date(day, "--date")
    with EventStore(events_url or home.events_url) as store:
        found = verify_night(store, home, model, when, threads=threads)
    claim = found.record.claim
    said = (
        f"{found.rows:,} scores made again from version {claim.leads_version} of {claim.leads} by "
        f"{claim.model}/{claim.version} ({claim.digest[:12]}); {found.stored:,} are in the lake"
    )
    same = "all the same, to the last bit" if not found.differing else f"{found.differing:,} differ"
    emit(found, f"{said}: {same}.", as_json=as_json)
    if found.differing:
        raise RefusedError(
            f"{found.differing:,} scores of {when} are not those that its record makes.",
            hint="Somebody has changed the table of scores, or the code: the record names its revision.",
        )


def _name(model: str) -> str:
    """The name in a model reference; imported here because the console's image has no registry."""
    from leadscore.registry.model_reference import model_name

    return model_name(model)


def _due(schedule: NightSchedule, now: datetime, model: str, events_url: str | None) -> tuple[date, ...]:
    from leadscore.batch.schedule import plan_nights
    from leadscore.batch.status import read_nights
    from leadscore.events.store import EventStore

    name = _name(model)
    with EventStore(events_url or Home.from_environment().events_url) as store:
        (nights,) = [each for each in read_nights(store, schedule, now, [name]) if each.model == name]
    dates = plan_nights(schedule, now, nights.first, nights.records)
    if not dates:
        notes.print(f"Nothing is due: {schedule.newest_due(now)} has ended.", highlight=False)
    return dates


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
        found = run_batch(
            request, home, store, progress=lambda n, of: progress.update(task, completed=n, total=of)
        )
    _warn_of_other_table(found, leads)
    for column, count in () if found.repeated else found.record.unseen.items():
        notes.print(
            f"[yellow]warning[/]: {day}: {escape(column)} holds categories the model has not seen in "
            f"{count:,} of {found.record.leads:,} rows; they were scored as missing.",
            highlight=False,
        )
    since = found.record.claim.unchanged_since
    if since is not None:
        notes.print(
            f"[yellow]warning[/]: {day}: nobody has written to the table of leads since the night of {since} "
            f"(version {found.record.claim.leads_version}). Is whoever writes it late?",
            highlight=False,
        )
    return found


def _warn_of_other_table(found: BatchResult, leads: str) -> None:
    """Say that a date had ended with other leads: those that are named now were not read."""
    from leadscore.lake.table import locate

    claim = found.record.claim
    if found.repeated and claim.leads not in (leads, locate(leads)):
        notes.print(
            f"[yellow]warning[/]: {claim.date} had ended with the leads of {escape(claim.leads)}; "
            f"{escape(leads)} was not read. A date of {claim.model}/{claim.version} is run once: leads of "
            "several tables belong into one.",
            highlight=False,
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


def _grades(text: str) -> tuple[str, ...]:
    wanted = () if text == "none" else tuple(part.strip().upper() for part in text.split(","))
    unknown = [grade for grade in wanted if grade not in _GRADES]
    if unknown:
        raise BadInputError(f"There is no grade {unknown[0]!r}.", hint="Such as A,B or none.")
    return wanted
