"""`leadscore drift watch`: has the stream of leads changed, as far as it has come?"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from leadscore.cli.moments import parse_moment
from leadscore.cli.options import EventsUrl, Json
from leadscore.cli.output import emit, progress_bar, table
from leadscore.errors import BadInputError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.cli.drift_watch_run import Watch
    from leadscore.drift.watch.report import OutcomeReport, WatchReport
    from leadscore.drift.watch.track import Alarms, Look


def watch(
    model: Annotated[
        str, typer.Option("--model", help="NAME, NAME@champion, NAME/7 or an artefact folder.")
    ] = "leads@champion",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Follow the leads of a table instead of those in the event store."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Begin of the stream (UTC, or with a zone); default: all.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Leads from then on are not read; default: now.")
    ] = None,
    false_alarms: Annotated[
        str | None, typer.Option("--false-alarms", help="Budget: EXPECTED/PERIOD (1/30d unless set).")
    ] = None,
    run_length: Annotated[
        float | None, typer.Option("--run-length", help="The budget in leads: one false alarm in so many.")
    ] = None,
    leads_per_day: Annotated[
        float | None,
        typer.Option(
            "--leads-per-day",
            min=0.001,
            help="Turns the budget's period into leads, and with --outcomes leads into time; default: those of the span"
            " --learn.",
        ),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            "--without",
            help="Features that are not charted, separated by commas, or none; default: those that follow the week.",
        ),
    ] = None,
    learn: Annotated[
        str,
        typer.Option(
            "--learn",
            help="Span at the stream's beginning that tells leads per day, and what follows the week.",
        ),
    ] = "2w",
    every: Annotated[
        int | None,
        typer.Option(
            "--every", min=1, help="Leads from one look to the next; default: 250 looks per run length."
        ),
    ] = None,
    outcomes: Annotated[
        bool, typer.Option("--outcomes", help="Chart outcomes against probabilities too, as they come.")
    ] = False,
    maturity: Annotated[
        str | None,
        typer.Option(
            "--maturity",
            help="How long a lead's outcome is waited for; default: as long as 95 % of them took when the model was trained.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Of the watch: under it the event store keeps how far it came.")
    ] = "watch",
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep in this file how far it came, and go on from there.")
    ] = None,
    events_url: EventsUrl = None,
    as_json: Json = False,
) -> None:
    """Follow a model's leads one after another, and say when the stream changed, in which feature."""
    from leadscore.cli.drift_options import parse_false_alarms
    from leadscore.cli.drift_streams import StoredStream, TableStream
    from leadscore.cli.drift_watch_run import Asked, FileMemory, NoMemory, StoredMemory, Watch
    from leadscore.cli.drift_windows import load_model, load_outcomes, load_sample
    from leadscore.drift.runlength import FalseAlarms
    from leadscore.drift.watch.plan import Baseline
    from leadscore.durations import parse_duration
    from leadscore.events.store import EventStore
    from leadscore.scoring.model import ScoringModel

    timed = false_alarms is not None or (leads_per_day is not None and not outcomes)
    if run_length is not None and timed:
        raise BadInputError(
            "--run-length gives the budget in leads, --false-alarms and --leads-per-day in time.",
            hint="Take one of them.",
        )
    if maturity is not None and not outcomes:
        raise BadInputError("--maturity is how long outcomes are waited for.", hint="Add --outcomes.")
    home = Home.from_environment()
    found, version, folder = load_model(model, home)
    scorer = ScoringModel.load(folder)
    sample = load_sample(folder, scorer.contract)
    asked = Asked(
        model=f"{found}/{version}",
        since=None if since is None else parse_moment(since, "--since"),
        until=datetime.now(UTC) if until is None else parse_moment(until, "--until"),
        run_length=run_length,
        budget=FalseAlarms() if false_alarms is None else parse_false_alarms(false_alarms),
        leads_per_day=leads_per_day,
        learn=parse_duration(learn),
        without=_names(without),
        every=every,
        outcomes=outcomes,
        maturity=None if maturity is None else parse_duration(maturity),
    )
    baseline = Baseline(
        scorer.profile,
        sample,
        None if sample is None else scorer.score_rows(sample),
        load_outcomes(folder, scorer.contract) if outcomes else None,
    )
    with ExitStack() as opened:
        memory = NoMemory() if state is None else FileMemory(state)
        if data is not None:
            stream = TableStream(data, scorer)
        else:
            store = opened.enter_context(EventStore(events_url or home.events_url))
            stream = StoredStream(store, scorer.contract, (found, version))
            memory = StoredMemory(store, asked.model, name) if state is None else memory
        report = _run(Watch(asked, baseline, stream, memory, home.root / "charts"))
    emit(report, view(report), as_json=as_json)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else () if text == "none" else tuple(name.strip() for name in text.split(","))


def _run(watching: Watch) -> WatchReport:
    with progress_bar() as progress:
        designing = progress.add_task("simulating the alarm levels", total=None, visible=False)
        following = progress.add_task("following leads", total=None, visible=False)

        def designed(total: int) -> None:
            progress.update(designing, visible=False)
            progress.update(following, total=total, visible=True)

        return watching.run(
            on_design=lambda: progress.update(designing, visible=True),
            on_total=designed,
            on_look=lambda leads: progress.advance(following, leads),
        )


def view(found: WatchReport) -> RenderableType:
    """What the charts say on the terminal."""
    told = found.outcomes
    spoken = [found.leads.alarms.first, told.said.alarms.first if told else None]
    alarms = [look for look in spoken if look]
    parts: list[RenderableType] = []
    if alarms:
        first = min(alarms, key=lambda look: look.at)
        sign = first.signs[0]
        began = "" if first.since is None else f"; it began, most likely, {_began(first)}"
        parts.append(Text(f"ALARM: {sign.feature} ({sign.how}), {_when(first)}{began}", style="bold red"))
    else:
        parts.append(Text("No alarm", style="bold green"))
    parts.append(Text(_asked(found), style="dim"))
    columns = ("chart", "followed", "waiting", "alarms", "first alarm", "now", "level", "of level")
    leads = found.leads
    rows = [_row("leads", leads.followed, leads.waiting, leads.alarms, leads.now)]
    if told:
        said = told.said
        rows.append(_row("outcomes", said.followed, said.pending, said.alarms, said.look))
    parts.append(table("", columns, rows, right=("followed", "waiting", "alarms", *columns[5:])))
    for title, look in (("At the first alarm", found.leads.alarms.first), ("Now", found.leads.now)):
        if look is not None:
            parts.append(_signs(title, look))
    if told:
        parts += [Text(line, "dim") for line in outcome_lines(told)]
    return Group(*parts)


def outcome_lines(told: OutcomeReport) -> list[str]:
    """What the chart of outcomes is made of, and how it stands, in sentences."""
    said = told.said
    share = (
        "All leads are" if told.share >= 1.0 else f"{told.share:.2%} of the leads, chosen by their ids, are"
    )
    counts = (
        f"{share} charted for their outcomes: {said.known:,} are known, {said.waiting:,} waited for (for {told.wait:g} days),"
        f" {said.unknown:,} did not come in time and are left out."
    )
    lines = [counts]
    if not told.timed:
        lines.append(
            f"The model's artefact does not tell when outcomes became known, so all are asked at the age of {told.wait:g}"
            " days. Train it again with `target.known_at` in the contract, and they count as they come."
        )
    if said.unknown > said.known:
        lines.append(
            "More outcomes are missing than known. Are losses reported too, not wins alone? Are there more leads a day than"
            " --leads-per-day says?"
        )
    if said.look is not None:
        bet = f"Outcomes now: {said.look.signs[0].how}"
        lines.append(
            bet + (f", since {_began(said.look)}" if said.look.since else "") + " is what they say most."
        )
    return lines


def _asked(found: WatchReport) -> str:
    rate = "" if found.leads_per_day is None else f" ({found.leads_per_day:,.0f} leads a day)"
    left = f"; without {', '.join(found.plan.without)}" if found.plan.without else ""
    return (
        f"{found.model} since {found.since:%Y-%m-%d %H:%M}; one false alarm in {found.plan.run_length:,.0f} leads{rate},"
        f" looked for every {found.plan.every:,}{left}"
    )


def _row(name: str, followed: int, waiting: int, alarms: Alarms, now: Look | None) -> tuple[object, ...]:
    first = alarms.first
    return (
        name,
        f"{followed:,}",
        f"{waiting:,}",
        alarms.count,
        _when(first) if first else None,
        f"{now.statistic:.2f}" if now else None,
        f"{now.level:.2f}" if now else None,
        f"{now.statistic / now.level:.0%}" if now else None,
    )


def _signs(title: str, look: Look) -> RenderableType:
    rows = [
        (s.feature, s.how, f"{s.surprise:.2f}", "–" if s.distance is None else f"{s.distance:.3f}")
        for s in look.signs
    ]
    return table(title, ("feature", "how", "-log p", "distance"), rows, right=("-log p", "distance"))


def _when(look: Look) -> str:
    return f"{look.at:%Y-%m-%d %H:%M}, lead {look.lead:,}"


def _began(look: Look) -> str:
    return f"{look.since:%Y-%m-%d %H:%M}, lead {look.since_lead:,}"
