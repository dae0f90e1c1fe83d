"""Watch a stream: simulate its charts once, follow the leads since the last run, make the verdict."""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from leadscore.drift.check.impact import Grading
from leadscore.drift.check.stream import (
    diagnose,
    silent_since,
    standing_alarms,
    stream_report,
    unjudged_stream,
)
from leadscore.drift.methods import SEQUENTIAL
from leadscore.drift.options import DriftOptions
from leadscore.drift.report.document import DriftReport
from leadscore.drift.runlength import FalseAlarms
from leadscore.drift.sequential import cell_codes, histograms_of
from leadscore.drift.verdict import VerdictState, as_utc
from leadscore.drift.watch.design import ChartBaseline, WatchDesign, charted, design_watch, fingerprint
from leadscore.drift.watch.follow import Track, follow_leads
from leadscore.drift.watch.outcome_plan import usual_wait
from leadscore.drift.watch.outcome_track import follow_outcomes
from leadscore.drift.watch.plan import OutcomePlan, WatchPlan, budget_leads
from leadscore.drift.watch.report import ChartReport, OutcomeReport, WatchReport
from leadscore.drift.watch.season import week_followers
from leadscore.drift.watch.track import ChartEvaluation
from leadscore.drift.windows.inputs import LeadWindow, Reference
from leadscore.events.windows import Extent, to_microseconds
from leadscore.monitoring.stream_memory import Say, StreamMemory, StreamState
from leadscore.monitoring.streams import LeadStream, StreamedLeads

_DAY: Final = timedelta(days=1)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """What is asked for.

    Attributes:
        detector: Name under which records are kept.
        since: Where the stream begins; None: with its first lead.
        until: Leads from then on are not read.
        span: How long an alarm stands, and how long no lead may come before the feed is called silent.
        run_length: Leads to a false alarm; None: `budget` says it in time.
        budget: False alarms in time.
        leads_per_day: Turns time into leads; None: as many as came in the span that is learnt from.
        learn: Span at the stream's beginning that tells how many leads come in a day, and what follows the
            week.
        without: Features that are not charted; None: those that follow the week in the span that is learnt
            from, and those that say when a lead came.
        every: Leads from one evaluation to the next; None: some 250 per run length.
        outcomes: Whether outcomes are charted too.
        maturity: How long a lead's outcome is waited for; None: as long as they took in the artefact's
            reference.
    """

    detector: str
    since: datetime | None
    until: datetime
    span: timedelta = _DAY
    run_length: float | None = None
    budget: FalseAlarms = field(default_factory=FalseAlarms)
    leads_per_day: float | None = None
    learn: timedelta = timedelta(weeks=2)
    without: tuple[str, ...] | None = None
    every: int | None = None
    outcomes: bool = False
    maturity: timedelta | None = None

    def digest(self) -> str:
        """Return a digest of what plan and charts depend on."""
        fields = (
            "run_length",
            "budget",
            "leads_per_day",
            "learn",
            "without",
            "every",
            "outcomes",
            "maturity",
        )
        return hashlib.sha256(msgspec.json.encode([getattr(self, name) for name in fields])).hexdigest()


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """Callbacks for the progress of a watch.

    Attributes:
        on_design: Before levels are simulated.
        on_total: With the number of leads that are to be followed.
        on_evaluation: With the number of leads that one took.
        say: What a person should know.
    """

    on_design: Callable[[], object] = field(default=lambda: None)
    on_total: Callable[[int], object] = field(default=lambda _: None)
    on_evaluation: Callable[[int], object] = field(default=lambda _: None)
    say: Say = field(default=lambda _: None)


class StreamMonitor:
    """A model's charts over its stream.

    Args:
        request: What is asked for.
        reference: What the leads behind an alarm are compared with.
        baseline: What the charts are designed from.
        stream: The leads.
        memory: How far the last watch came.
        grade: Encoded leads to grade codes.
        progress: Who is told.
    """

    def __init__(
        self,
        request: WatchRequest,
        reference: Reference,
        baseline: ChartBaseline,
        stream: LeadStream,
        memory: StreamMemory,
        *,
        grade: Grading | None = None,
        progress: StreamProgress | None = None,
    ) -> None:
        self._request, self._reference, self._baseline = request, reference, baseline
        self._stream, self._memory, self._grade = stream, memory, grade
        self._progress = progress or StreamProgress()
        self._end = to_microseconds(request.until)
        self._begin = 0 if request.since is None else to_microseconds(request.since)
        self._since = None if request.since is None else self._begin
        self._options = DriftOptions(methods=(SEQUENTIAL,), false_alarms=request.budget)

    def run(self) -> DriftReport:
        """Follow the new leads, keep the state, and report what the charts show.

        Raises:
            BadInputError: The charts cannot be designed from the model's reference, or what is kept is
                damaged.
            UnavailableError: The store cannot be read or written.
        """
        request = self._request
        found = self._stream.extent(self._begin, self._end)
        if found.first is None or found.last is None:
            earlier = self._stream.extent(0, self._begin).last
            start = request.until - request.span if request.since is None else request.since
            newest = None if earlier is None else as_utc(earlier)
            return self._unjudged(silent_since(newest, start), start, "silent")
        kept = self._memory.load()
        if kept is not None and (kept.since, kept.request) != (self._since, request.digest()):
            kept = None
        before = self._resumable(kept)
        learnt = (
            (kept.plan, kept.leads_per_day) if kept is not None and before.seen else self._plan(found.first)
        )
        if learnt is None:
            return self._unjudged(self._too_young(), as_utc(found.first), "not_judged")
        plan, per_day = learnt
        digest = hashlib.sha256((fingerprint(self._baseline, plan) + _code()).encode()).hexdigest()
        if kept is not None and kept.charts != digest:
            before = Track()
        design = self._design(digest, plan)
        self._progress.on_total(found.rows - before.seen)
        track = self._follow(design, before)
        shown = self._shown(found, design, track, per_day)
        state = StreamState(
            charts=digest,
            request=request.digest(),
            since=self._since,
            until=self._end,
            plan=plan,
            leads_per_day=per_day,
            track=track,
        )
        report = self._report(shown, kept)
        self._keep(report, state, kept)
        return report

    def _unjudged(self, reason: str, start: datetime, state: VerdictState) -> DriftReport:
        reference = self._reference
        return unjudged_stream(
            (reference.model_name, reference.model_version),
            self._options,
            reason,
            start=start,
            end=self._request.until,
            state=state,
        )

    def _keep(self, report: DriftReport, state: StreamState, kept: StreamState | None) -> None:
        """Keep the verdict and the state.

        A run up to the same moment, or an earlier one, adds nothing to what is known.
        """
        if not report.judged or (kept is not None and kept.until >= self._end):
            return
        self._memory.save(report, state)

    def _report(self, shown: WatchReport, kept: StreamState | None) -> DriftReport:
        request = self._request
        start = request.until - request.span
        if kept is not None and kept.until < self._end:
            # This run reports everything since the last one, however long ago that was.
            start = min(start, as_utc(kept.until))
        start = max(start, shown.since)
        alarms = standing_alarms(shown, start)
        rows = self._stream.extent(to_microseconds(start), self._end).rows
        window = None if alarms.leads is None else self._behind(alarms.leads, shown)
        diagnosis = None
        if window is not None:
            diagnosis = diagnose(self._reference, window, ignored=shown.plan.without, grade=self._grade)
        return stream_report(shown, self._options, alarms, start=start, rows=rows, diagnosis=diagnosis)

    def _behind(self, alarm: ChartEvaluation, shown: WatchReport) -> LeadWindow | None:
        """The leads that the alarm is about, read back in spans that double until they hold them."""
        wanted, end = alarm.newest or 0, to_microseconds(alarm.at) + 1
        if not wanted:
            return None
        begin = to_microseconds(shown.since)
        step = max(1, (end - begin) * wanted // max(alarm.lead, 1))
        while (start := max(begin, end - step)) > begin and self._stream.extent(start, end).rows < wanted:
            step *= 2
        leads = _joined(list(self._stream.read(start, end)))
        newest = slice(-wanted, None)
        first = as_utc(int(leads.at[newest][0]))
        return LeadWindow.of(
            self._reference, first, as_utc(end), leads.matrix[newest], leads.probabilities[newest]
        )

    def _shown(self, found: Extent, design: WatchDesign, track: Track, per_day: float | None) -> WatchReport:
        first, last = found.first or 0, found.last or 0
        outcomes = self._outcomes(design, first)
        return WatchReport(
            model=self._reference.model,
            since=as_utc(first),
            until=self._request.until,
            newest=as_utc(last),
            plan=design.plan,
            leads_per_day=per_day,
            alarmed=bool(track.alarms.count or (outcomes is not None and outcomes.said.alarms.count)),
            leads=ChartReport(
                followed=track.seen,
                waiting=max(0, found.rows - track.seen),
                now=track.evaluation,
                alarms=track.alarms,
            ),
            outcomes=outcomes,
        )

    def _too_young(self) -> str:
        days = self._request.learn / _DAY
        return (
            f"Not judged: the stream is shorter than {days:g} days, and cannot tell yet how many leads "
            "come in a day, or which features follow the week. Wait, or say so: --run-length 5000 (in "
            "leads) --without created_hour,created_weekday (or --without none), with --outcomes "
            "--leads-per-day 400 too, or --learn 1w."
        )

    def _plan(self, first: int) -> tuple[WatchPlan, float | None] | None:
        """Return the plan of the charts, and the leads per day that it was made with.

        None if the stream is too young.
        """
        request = self._request
        begin = first if request.since is None else self._begin
        end = begin + request.learn // _MICROSECOND
        rated = request.run_length is None or request.outcomes
        counts = rated and request.leads_per_day is None
        if end > self._end and (counts or request.without is None):
            return None
        without = request.without
        if without is None:
            leads = _joined(list(self._stream.read(begin, end)))
            codes = cell_codes(self._baseline.profile, leads.matrix, leads.probabilities)
            without = week_followers(
                [h.name for h in histograms_of(self._baseline.profile, 1)], codes, leads.at
            )
        per_day = request.leads_per_day
        if counts:
            per_day = self._stream.extent(begin, end).rows / (request.learn / _DAY)
        run_length, outcomes = request.run_length, None
        if run_length is None:
            run_length = budget_leads(request.budget, (per_day or 0.0) / 24)
        if request.outcomes:
            wait = (
                usual_wait(self._baseline.outcomes) if request.maturity is None else request.maturity / _DAY
            )
            outcomes = OutcomePlan.of(wait, per_day or 0.0)
        return WatchPlan.of(run_length, every=request.every, outcomes=outcomes, without=without), per_day

    def _design(self, digest: str, plan: WatchPlan) -> WatchDesign:
        kept = self._memory.load_charts(digest)
        if kept is not None:
            return kept
        self._progress.on_design()
        design = design_watch(self._baseline, plan)
        self._memory.save_charts(digest, design)
        return design

    def _resumable(self, kept: StreamState | None) -> Track:
        """Return the track to go on from: the kept one if it still fits the stream, else a new one."""
        if kept is None or not kept.track.seen or kept.track.at >= self._end:
            return Track()
        track = kept.track
        # Fewer than followed: old leads were deleted. More: some came late and would be left out.
        if self._stream.extent(self._begin, track.at).rows + track.at_rows > track.seen:
            self._progress.say("Leads from before came late: the stream is followed from its beginning.")
            return Track()
        return track

    def _follow(self, design: WatchDesign, track: Track) -> Track:
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
            track = follow_leads(design, track, codes, leads.at, on_evaluation=self._progress.on_evaluation)
            done = track.seen - before
            rest = [StreamedLeads(leads.at[done:], leads.matrix[done:], leads.probabilities[done:])]
        return track

    def _outcomes(self, design: WatchDesign, first: int) -> OutcomeReport | None:
        """Chart all outcomes anew in each run, so that corrected ones count; that takes seconds."""
        chart = design.outcomes
        if chart is None:
            return None
        begin = first if self._request.since is None else self._begin
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
