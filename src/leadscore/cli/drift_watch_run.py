"""A watch at work: its charts (simulated once, kept), how far it came, and the leads that have come since."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np

from leadscore.cli.drift_records import write_file
from leadscore.cli.drift_streams import LeadStream, StreamedLeads
from leadscore.cli.output import notes
from leadscore.documents import DECODE_ERRORS
from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.sequential import cell_codes, histograms_of
from leadscore.drift.verdict import as_utc
from leadscore.drift.watch.outcome_plan import OutcomePlan, usual_wait
from leadscore.drift.watch.outcome_track import follow_outcomes
from leadscore.drift.watch.plan import (
    ChartBaseline,
    WatchDesign,
    WatchPlan,
    budget_leads,
    charted,
    design_watch,
    fingerprint,
)
from leadscore.drift.watch.report import ChartReport, OutcomeReport, WatchReport
from leadscore.drift.watch.season import week_followers
from leadscore.drift.watch.track import Track, follow_leads
from leadscore.errors import BadInputError, NotFoundError, UnavailableError
from leadscore.events.records import Evidence, now_us
from leadscore.events.store import EventStore
from leadscore.events.windows import to_microseconds

KIND: Final = "drift-watch"
_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)


class KeptTrack(msgspec.Struct, frozen=True, kw_only=True):
    """How far a watch came, as it is kept.

    Attributes:
        charts: Digest of the charts that said it.
        since: Where the stream was told to begin, microseconds; None for its first lead.
        track: How far.
    """

    charts: str
    since: int | None
    track: Track


class Memory(Protocol):
    """Where a watch keeps how far it came."""

    def load(self) -> KeptTrack | None:
        """What is kept; None if nothing is."""
        ...

    def save(self, kept: KeptTrack) -> None:
        """Keep it instead."""
        ...


class NoMemory:
    """Every watch begins at the beginning."""

    def load(self) -> KeptTrack | None:
        """Nothing."""
        return None

    def save(self, kept: KeptTrack) -> None:
        """Forget it."""


class FileMemory:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> KeptTrack | None:
        """What the file holds (BadInputError if that is something else)."""
        try:
            return _decode(self._path.read_bytes(), f"The state file {self._path}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"Cannot read {self._path}: {error.strerror or error}.") from error

    def save(self, kept: KeptTrack) -> None:
        """Replace the file."""
        write_file(self._path, msgspec.json.encode(kept))


class StoredMemory:
    """An evidence record of kind `drift-watch` per run that found new leads; the newest counts."""

    def __init__(self, store: EventStore, model: str, name: str) -> None:
        self._store = store
        self._subject = f"{model}:{name}"

    def load(self) -> KeptTrack | None:
        """The newest record."""
        found = self._store.evidence(kind=KIND, subject=self._subject, limit=1)
        return _decode(found[0].document, f"The state of the watch {self._subject}") if found else None

    def save(self, kept: KeptTrack) -> None:
        """Add a record."""
        at, document = now_us(), msgspec.json.encode(kept).decode()
        said = msgspec.json.encode((self._subject, at, document))
        digest = hashlib.sha256(said).hexdigest()[:32]
        self._store.record(Evidence(f"{KIND}-{digest}", KIND, self._subject, at, document))


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What a person asks for.

    Attributes:
        model: `NAME/VERSION`.
        since: Where the stream begins; None: with its first lead.
        until: Leads from then on are not read.
        run_length: Leads to a false alarm; None: `budget` says it in time.
        budget: False alarms in time.
        leads_per_day: Turns time into leads; None: as many as came in the span that is learnt from.
        learn: Span at the stream's beginning that tells how many leads come in a day, and what follows the week.
        without: Features that are not charted; None: those that follow the week in the span that is learnt from.
        every: Leads from one evaluation to the next; None: some 250 evaluations per run length.
        outcomes: Whether outcomes are charted too.
        maturity: How long a lead's outcome is waited for; None: as long as they took in the artefact's reference.
    """

    model: str
    since: datetime | None
    until: datetime
    run_length: float | None
    budget: FalseAlarms
    leads_per_day: float | None
    learn: timedelta
    without: tuple[str, ...] | None
    every: int | None
    outcomes: bool
    maturity: timedelta | None


class Watch:
    """A model's charts over its stream.

    Args:
        asked: What a person asks for.
        baseline: What the stream is compared with.
        stream: The leads.
        memory: How far the last watch came.
        charts: Folder where simulated charts are kept.
    """

    def __init__(
        self, asked: WatchRequest, baseline: ChartBaseline, stream: LeadStream, memory: Memory, charts: Path
    ) -> None:
        self._asked, self._baseline, self._stream = asked, baseline, stream
        self._memory, self._charts = memory, charts
        self._end = to_microseconds(asked.until)
        self._begin = 0 if asked.since is None else to_microseconds(asked.since)

    def run(
        self,
        on_design: Callable[[], object] = lambda: None,
        on_total: Callable[[int], object] = lambda _: None,
        on_evaluation: Callable[[int], object] = lambda _: None,
    ) -> WatchReport:
        """Follow what has come, keep how far, and say what the charts show.

        Args:
            on_design: Told before levels are simulated.
            on_total: Told how many leads are to be followed.
            on_evaluation: Told how many leads an evaluation took.

        Raises:
            NotFoundError: The stream is empty.
            BadInputError: The stream is shorter than what is to be learnt from it.
        """
        asked = self._asked
        found = self._stream.extent(self._begin, self._end)
        if found.first is None:
            raise NotFoundError(
                f"There is no lead that {asked.model} has scored"
                + (f" from {asked.since:%Y-%m-%d %H:%M}" if asked.since else "")
                + f" until {asked.until:%Y-%m-%d %H:%M} UTC.",
                hint="`leadscore events status` says what is stored, `leadscore models list` which versions there are.",
            )
        plan, per_day = self._plan(found.first)
        digest = hashlib.sha256((fingerprint(self._baseline, plan) + _code()).encode()).hexdigest()
        design = self._design(digest, plan, on_design)
        kept = self._memory.load()
        before = self._resumable(kept, digest)
        on_total(found.rows - before.seen)
        track = self._follow(design, before, on_evaluation)
        since = None if asked.since is None else self._begin
        now = KeptTrack(charts=digest, since=since, track=track)
        # A look at the past leaves what is known of later leads.
        if now != kept and (kept is None or kept.track.at < self._end):
            self._memory.save(now)
        outcomes = self._outcomes(design, found.first)
        return WatchReport(
            model=asked.model,
            since=as_utc(found.first),
            until=asked.until,
            plan=plan,
            leads_per_day=per_day,
            alarmed=bool(track.alarms.count or (outcomes is not None and outcomes.said.alarms.count)),
            leads=ChartReport(
                followed=track.seen,
                waiting=max(0, found.rows - track.seen),
                now=track.look,
                alarms=track.alarms,
            ),
            outcomes=outcomes,
        )

    def _plan(self, first: int) -> tuple[WatchPlan, float | None]:
        """What the charts are made for, and the leads per day that a budget in time was reckoned with."""
        asked = self._asked
        begin = first if asked.since is None else self._begin
        end = begin + asked.learn // _MICROSECOND
        rated = asked.run_length is None or asked.outcomes
        counts = rated and asked.leads_per_day is None
        if end > self._end and (counts or asked.without is None):
            raise BadInputError(
                f"The stream is shorter than {asked.learn.days} days: it cannot tell how many leads come in a day, or which"
                " features follow the week.",
                hint="Say so yourself: --run-length 5000 (in leads) --without created_hour,created_weekday"
                " (or --without none), with --outcomes --leads-per-day 400 too, or --learn 1w.",
            )
        without = asked.without
        if without is None:
            leads = _joined(list(self._stream.read(begin, end)))
            codes = cell_codes(self._baseline.profile, leads.matrix, leads.probabilities)
            without = week_followers(
                [h.name for h in histograms_of(self._baseline.profile, 1)], codes, leads.at
            )
        per_day = asked.leads_per_day
        if counts:
            per_day = self._stream.extent(begin, end).rows / (asked.learn / _DAY)
        run_length, outcomes = asked.run_length, None
        if run_length is None:
            run_length = budget_leads(asked.budget, (per_day or 0.0) / 24)
        if asked.outcomes:
            wait = usual_wait(self._baseline.outcomes) if asked.maturity is None else asked.maturity / _DAY
            outcomes = OutcomePlan.of(wait, per_day or 0.0)
        return WatchPlan.of(run_length, every=asked.every, outcomes=outcomes, without=without), per_day

    def _design(self, digest: str, plan: WatchPlan, on_design: Callable[[], object]) -> WatchDesign:
        path = self._charts / f"{digest}.json"
        if path.is_file():
            try:
                return msgspec.json.decode(path.read_bytes(), type=WatchDesign)
            except DECODE_ERRORS:
                notes.print(f"{path} is damaged; its charts are simulated anew.", style="yellow")
        on_design()
        design = design_watch(self._baseline, plan)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, msgspec.json.encode(design))
        except (OSError, UnavailableError) as error:
            notes.print(f"The charts cannot be kept for the next time: {error}", style="yellow")
        return design

    def _resumable(self, kept: KeptTrack | None, digest: str) -> Track:
        """Where to go on: what is kept is a copy of what the stream says, and only good as long as it is that."""
        since = None if self._asked.since is None else self._begin
        if kept is None or not kept.track.seen or (kept.since, kept.charts) != (since, digest):
            return Track()
        track = kept.track
        if track.at >= self._end:
            return Track()
        # Fewer than were followed: old leads were deleted. More: some came late, and would never be followed.
        if self._stream.extent(self._begin, track.at).rows + track.at_rows > track.seen:
            notes.print("Leads from before came late: the stream is followed from its beginning.")
            return Track()
        return track

    def _follow(self, design: WatchDesign, track: Track, on_evaluation: Callable[[int], object]) -> Track:
        profile, (_, columns) = self._baseline.profile, charted(self._baseline, design.plan)
        skip = track.at_rows
        rest: list[StreamedLeads] = []
        for batch in self._stream.read(track.at if track.seen else self._begin, self._end):
            passed = min(skip, len(batch.at))
            skip -= passed
            rest.append(StreamedLeads(batch.at[passed:], batch.matrix[passed:], batch.probabilities[passed:]))
            leads = _joined(rest)
            before = track.seen
            codes = cell_codes(profile, leads.matrix, leads.probabilities)[:, columns]
            track = follow_leads(design, track, codes, leads.at, on_evaluation=on_evaluation)
            done = track.seen - before
            rest = [StreamedLeads(leads.at[done:], leads.matrix[done:], leads.probabilities[done:])]
        return track

    def _outcomes(self, design: WatchDesign, first: int) -> OutcomeReport | None:
        """All of them every time: an outcome that is corrected counts, and reading them takes seconds."""
        chart = design.outcomes
        if chart is None:
            return None
        begin = first if self._asked.since is None else self._begin
        leads = self._stream.outcomes(begin, self._end, chart.share, chart.wait)
        return OutcomeReport(
            share=chart.share,
            every=chart.every,
            wait=chart.wait,
            timed=chart.timed,
            said=follow_outcomes(chart, leads),
        )


def _joined(parts: list[StreamedLeads]) -> StreamedLeads:
    return StreamedLeads(
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.matrix for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
    )


def _code() -> str:
    """Digest of the charts' code: levels hold for the code that simulated them only."""
    digest = hashlib.sha256()
    for package in ("leadscore.drift.sequential", "leadscore.drift.watch"):
        files = [f for f in importlib.resources.files(package).iterdir() if f.name.endswith(".py")]
        for file in sorted(files, key=lambda f: f.name):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _decode(document: bytes | str, what: str) -> KeptTrack:
    try:
        return msgspec.json.decode(document, type=KeptTrack)
    except DECODE_ERRORS as error:
        raise BadInputError(
            f"{what} cannot be read: {error}.", hint="Take another --state or --name; the watch begins anew."
        ) from error
