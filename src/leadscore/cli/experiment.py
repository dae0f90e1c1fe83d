"""`leadscore release ab` and `leadscore release kpi`: two versions in traffic, by their business figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from leadscore.cli.moments import parse_moment, parse_span
from leadscore.cli.options import JsonOption
from leadscore.cli.output import decimal, emit, table
from leadscore.errors import LeadScoreError
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.registry.store import ModelRegistry
    from leadscore.registry.versions import ModelVersion
    from leadscore.release.experiment import Experiment


def ab(
    a: Annotated[str, typer.Option("--a", help="The version in charge, NAME/6.")],
    b: Annotated[str, typer.Option("--b", help="The version on trial, NAME/7.")],
    since: Annotated[
        str, typer.Option("--since", help="Begin of the test: a day or a time (UTC, or with a zone).")
    ],
    exposure: Annotated[
        str, typer.Option("--exposure", help="How long each lead is given to convert (14d).")
    ] = "14d",
    share: Annotated[float, typer.Option(min=0.01, max=0.99, help="Planned share of B.")] = 0.10,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Chance of ever calling no difference one.")
    ] = 0.05,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Relative loss that a promotion tolerates.")
    ] = 0.05,
    horizon: Annotated[
        float,
        typer.Option(min=100, help="Leads at which revenue is to be known best; chosen before the test."),
    ] = 10_000.0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw the sequences (.png or .svg).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions in traffic; safe to ask at any time, as often as you like."""
    from datetime import UTC, datetime, timedelta

    from leadscore.errors import BadInputError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.release import experiment
    from leadscore.release.cohorts import read_cohort
    from leadscore.release.evidence import record_experiment

    if plot is not None and plot.suffix not in {".png", ".svg"}:
        raise BadInputError(
            f"{plot.name!r} is neither .png nor .svg.", hint="Name the picture so: --plot ab.svg."
        )
    begin, given = parse_moment(since, "--since"), parse_span(exposure, "--exposure")
    home, now = Home.from_environment(), datetime.now(UTC)
    registry = ModelRegistry(home)
    first, second = registry.resolve(a), registry.resolve(b)
    if first.name != second.name or first.version == second.version:
        raise BadInputError(
            f"{first.ref} and {second.ref} are not two versions of one model.", hint="--a leads/6 --b leads/7"
        )
    versions = (first.version, second.version)
    plan = experiment.ExperimentPlan(share=share, alpha=alpha, margin=margin, horizon=horizon)
    with EventStore(home.events_url) as store:
        cohort = read_cohort(store, first.name, versions, since=begin, now=now, exposure=given)
        found = experiment.judge_experiment(
            cohort,
            plan,
            model=first.name,
            versions=versions,
            since=begin,
            until=now,
            exposure_days=given / timedelta(days=1),
            currency=_currency(registry, second),
        )
        record_experiment(store, found, now_us())
    if plot is not None:
        from leadscore.release.plot import draw

        draw(found, plot)
    emit(found, _ab_view(found), as_json=as_json)


def kpi(
    candidate: Annotated[str, typer.Option("--candidate", help="NAME/VERSION that has all traffic.")],
    against: Annotated[str, typer.Option("--against", help="The version before, NAME/6.")],
    since: Annotated[str, typer.Option("--since", help="When it had all traffic (UTC, or with a zone).")],
    exposure: Annotated[
        str, typer.Option("--exposure", help="How long each lead is given to convert (24h).")
    ] = "24h",
    baseline: Annotated[
        str, typer.Option("--baseline", help="How much of the version before to compare with (28d).")
    ] = "28d",
    margin: Annotated[float, typer.Option(min=0, max=1, help="Relative fall that is tolerated.")] = 0.10,
    number: Annotated[int, typer.Option(min=1, help="Which report of the soak; set by the operator.")] = 1,
    release: Annotated[
        str, typer.Option("--release", help="Identity of the release that asks; set by the operator.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Report whether conversion or revenue fell since a version took over; exit code 5 if so.

    With --release the verdict is in the record and the exit code is 0: a Job that did its work must not be
    repeated.
    """
    from datetime import UTC, datetime, timedelta

    from leadscore.errors import BadInputError, RefusedError
    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.registry.versions import ModelRef
    from leadscore.release.evidence import KPI, record_report
    from leadscore.release.experiment import figure_title
    from leadscore.release.post_release_monitor import report_soak
    from leadscore.release.soak import SoakPlan, SoakRequest

    begin = parse_moment(since, "--since")
    given, earlier = parse_span(exposure, "--exposure"), parse_span(baseline, "--baseline")
    home = Home.from_environment()
    registry = ModelRegistry(home)
    version = registry.resolve(candidate)
    before = ModelRef.parse(against)
    if before.name != version.name or before.version in {None, version.version}:
        raise BadInputError(f"{against!r} is not another version of {version.name}.", hint="--against NAME/6")
    previous = before.version or 0
    about = SoakRequest(
        release=release,
        number=number,
        model=version.name,
        version=version.version,
        digest=version.digest,
        previous=previous,
        since=begin,
        until=datetime.now(UTC),
        exposure_hours=given / timedelta(hours=1),
        currency=_currency(registry, version),
    )
    with EventStore(home.events_url) as store:
        found = report_soak(store, about, SoakPlan(margin=margin), baseline_days=earlier / timedelta(days=1))
        evidence_id = record_report(store, KPI, found, now_us())
    rows = [
        (
            figure_title(f.name, found.currency),
            decimal(f.before),
            decimal(f.now),
            decimal(f.low),
            decimal(f.high),
            "FELL" if f.fallen else "",
        )
        for f in found.figures
    ]
    columns = ("figure", f"{version.name}/{previous}", version.ref, "low", "high", "")
    view = table(f"{version.ref} since {found.since:%Y-%m-%d %H:%M} UTC", columns, rows, right=columns[1:5])
    emit({"evidence_id": evidence_id, "report": found}, Group(view, found.summary), as_json=as_json)
    if not found.passed and not release:
        raise RefusedError(found.summary, hint=f"Back: leadscore models rollback {version.name}")


def _currency(registry: ModelRegistry, version: ModelVersion) -> str:
    """Currency of a version's contract; empty if it names none, or its artefact cannot be had.

    A figure without its currency is still right; a report that waits for it is not there.
    """
    from leadscore.monitoring.model_facts import find_model_facts

    try:
        facts = find_model_facts(registry, version.name, str(version.version))
    except LeadScoreError:
        return ""
    return facts.contract.currency or ""


def _ab_view(found: Experiment) -> Group:
    from leadscore.release.experiment import figure_title

    revenue = figure_title("revenue per lead", found.currency)
    arms = table(
        f"{found.model}: A/B since {found.since:%Y-%m-%d %H:%M} UTC",
        ("arm", "leads", "converted", "conversion", revenue),
        [
            (
                f"{name} {found.model}/{arm.version}",
                f"{arm.leads:,}",
                f"{arm.converted:,}",
                f"{arm.conversion:.2%}",
                f"{arm.revenue:,.2f}",
            )
            for name, arm in (("A", found.a), ("B", found.b))
        ],
        right=("leads", "converted", "conversion", revenue),
    )
    rows = [
        (figure_title(m.name, found.currency), None, None, "too little seen")
        if m.now is None
        else (
            figure_title(m.name, found.currency),
            f"{m.now.value:+.4g}",
            f"{m.now.low:+.4g} to {m.now.high:+.4g}",
            "better" if m.better else "worse" if m.worse else "not known",
        )
        for m in found.metrics
    ]
    title = f"B minus A, valid at every evaluation (alpha {found.plan.alpha:g})"
    metrics = table(title, ("figure", "difference", "confidence sequence", "B is"), rows)
    lines = [
        f"[bold]{found.verdict.replace('_', ' ')}[/]: {found.summary}",
        f"  each lead counts after {found.exposure_days:g} days; {found.immature:,} are younger",
        f"  {found.crossed:,} were scored by both and count for the first",
        f"  e-value against the planned split: {found.split:.3g}",
    ]
    return Group(arms, metrics, *lines)
