"""`leadscore release replay` and `leadscore release shadow`.

A candidate beside the champion, before it has any traffic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group

from leadscore.cli.moments import parse_moment, parse_span
from leadscore.cli.options import JsonOption
from leadscore.cli.output import decimal, emit, progress_bar, table
from leadscore.settings import Home

if TYPE_CHECKING:
    from leadscore.events.store import EventStore
    from leadscore.release.report import Comparison

CandidateOption = Annotated[str, typer.Option("--candidate", help="NAME/VERSION or NAME@challenger.")]
Maturity = Annotated[
    str, typer.Option("--maturity", help="Age at which an outcome should be known (30d; 0d: at once).")
]
Out = Annotated[Path | None, typer.Option("--out", help="Also write the report as JSON.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Also write it as one HTML page.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Also write it as Markdown.")]
Release = Annotated[
    str, typer.Option("--release", help="Identity of the release that asks; set by the operator.")
]


def replay(
    candidate: CandidateOption,
    window: Annotated[
        str, typer.Option("--window", help="How far back logged requests are taken (14d).")
    ] = "14d",
    maturity: Maturity = "30d",
    out: Out = None,
    page: HtmlOption = None,
    markdown: Markdown = None,
    release: Release = "",
    as_json: JsonOption = False,
) -> None:
    """Let a candidate score the logged requests and compare it with the champion.

    Exit code 5 if that speaks against it.

    With --release the verdict is in the record and the exit code is 0: a Job that did its work must not be
    repeated.
    """
    import time
    from datetime import UTC, datetime, timedelta

    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.release import replay as replays

    days = parse_span(window, "--window") / timedelta(days=1)
    known_after = parse_span(maturity, "--maturity", zero=True)
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
                maturity=known_after,
                release=release,
                progress=lambda rows: bar.update(task, completed=rows),
            )
        _tell(store, found, out, page, markdown, as_json=as_json)


def shadow(
    candidate: CandidateOption,
    since: Annotated[
        str,
        typer.Option("--since", help="When the shadow was ready: a day or a time (UTC, or with a zone)."),
    ],
    minimum_leads: Annotated[
        int,
        typer.Option(
            "--minimum-leads", min=100, help="Leads that shadow and champion must both have scored."
        ),
    ] = 1_000,
    percent: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=100,
            help="Share of the requests that the mirror copies: says whether the shadow lost some.",
        ),
    ] = None,
    maturity: Maturity = "30d",
    out: Out = None,
    page: HtmlOption = None,
    markdown: Markdown = None,
    release: Release = "",
    number: Annotated[int, typer.Option(min=1, help="Which of the release's reports this is.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Compare what a shadow has said with what callers were answered; exit code 5 if that speaks against it.

    With --release the verdict is in the record and the exit code is 0: a Job that did its work must not be
    repeated.
    """
    import time
    from datetime import UTC, datetime

    from leadscore.events.records import now_us
    from leadscore.events.store import EventStore
    from leadscore.registry.store import ModelRegistry
    from leadscore.release import shadow as shadows
    from leadscore.release.evidence import SHADOW, ReportHeader, record_report

    begin = parse_moment(since, "--since")
    home = Home.from_environment()
    registry = ModelRegistry(home)
    version = registry.resolve(candidate)
    asked = shadows.ShadowQuestion(
        since=begin,
        now=datetime.now(UTC),
        minimum_leads=minimum_leads,
        percent=percent,
        maturity=parse_span(maturity, "--maturity", zero=True),
        release=release,
        number=number,
    )
    with EventStore(home.events_url) as store:
        try:
            found = shadows.compare_shadow(store, registry, version, asked, clock=time.monotonic)
        except shadows.TooFewLeadsError as error:
            if not release:
                raise
            # The release has its answer: too little was seen yet. Another attempt of this Job would see no
            # more.
            said = ReportHeader(
                release=release,
                model=version.name,
                version=version.version,
                digest=version.digest,
                passed=False,
                summary=error.message,
                until=asked.until,
                number=number,
                too_few=True,
                leads=error.leads,
            )
            evidence_id = record_report(store, SHADOW, said, now_us())
            emit({"evidence_id": evidence_id, SHADOW: said}, said.summary, as_json=as_json)
            return
        _tell(store, found, out, page, markdown, as_json=as_json)


def _tell(
    store: EventStore,
    found: Comparison,
    out: Path | None,
    page: Path | None,
    markdown: Path | None,
    *,
    as_json: bool,
) -> None:
    """Record the report, write what was asked for, show it.

    RefusedError if a person is to hear that it was not passed.
    """
    import msgspec

    from leadscore.errors import RefusedError
    from leadscore.events.records import now_us
    from leadscore.release import page as pages
    from leadscore.release.evidence import record_report

    evidence_id = record_report(store, found.kind, found, now_us())
    if out is not None:
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    if page is not None:
        page.write_text(pages.html(found), encoding="utf-8")
    if markdown is not None:
        markdown.write_text(pages.markdown(found), encoding="utf-8")
    emit({"evidence_id": evidence_id, found.kind: found}, _view(found, evidence_id), as_json=as_json)
    if not found.passed and not found.release:
        raise RefusedError(found.summary, hint=f"The report is evidence {evidence_id}.")


def _view(found: Comparison, evidence_id: str) -> Group:
    known = found.known
    rows = [
        (
            "leads that both scored",
            f"{found.rows:,}",
            f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC",
        ),
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
    if found.kind == "shadow":
        share = "unknown" if found.copied is None else f"{found.copied:.1%}"
        rows.insert(
            1, ("scored of what was copied", share, f"{found.unpaired:,} leads were answered to nobody")
        )
    title = f"{found.ref} against {found.model}/{found.champion}"
    view = table(title, ("what", "value", "about"), rows, right=("value",))
    lines = [
        found.summary,
        *(f"  {remark}" for remark in found.remarks),
        f"Evidence {evidence_id}, {found.seconds:.1f} s",
    ]
    return Group(view, *lines)
