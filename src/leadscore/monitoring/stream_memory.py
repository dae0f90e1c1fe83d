"""Keep the charts and the state of a watched stream, in the event store or in files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.drift.report.document import DriftReport
from leadscore.drift.watch.design import WatchDesign
from leadscore.drift.watch.follow import Track
from leadscore.drift.watch.plan import WatchPlan
from leadscore.drift.windows.history import History
from leadscore.errors import BadInputError, LeadScoreError, UnavailableError
from leadscore.events.records import Evidence, now_us
from leadscore.events.store import EventStore
from leadscore.monitoring.files import write_file
from leadscore.monitoring.records import KIND, DriftRecord, latest_record, subject_of

CHARTS_KIND: Final = "drift-charts"
Say = Callable[[str], object]


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """State of a watched stream.

    Attributes:
        charts: Digest of the charts that say it.
        request: Digest of what was asked for: another request begins anew.
        since: Where the stream was told to begin, microseconds; None for its first lead.
        until: Leads from then on were not read, microseconds.
        plan: What was charted.
        leads_per_day: That the plan was made with; None if it needed none.
        track: How far the leads were followed.
    """

    charts: str
    request: str
    since: int | None
    until: int
    plan: WatchPlan
    leads_per_day: float | None
    track: Track


class StreamMemory(Protocol):
    """What a watch goes on from."""

    def load(self) -> StreamState | None:
        """Return what is kept; None if nothing is."""
        ...

    def save(self, report: DriftReport, state: StreamState) -> None:
        """Keep a verdict, and the state to go on from, in one step."""
        ...

    def load_charts(self, digest: str) -> WatchDesign | None:
        """Return simulated charts; None if they are not kept, or cannot be read."""
        ...

    def save_charts(self, digest: str, design: WatchDesign) -> None:
        """Keep simulated charts for the next time, if that can be done."""
        ...


class ChartFolder:
    """Charts in files of a folder.

    Args:
        folder: Made where it is missing.
        say: Told what went wrong; charts that cannot be kept are simulated again.
    """

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder, self._say = folder, say

    def load_charts(self, digest: str) -> WatchDesign | None:
        """Return the charts of a file; None if there is none, or it is damaged."""
        path = self._folder / f"{digest}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=WatchDesign)
        except FileNotFoundError:
            return None
        except (OSError, *DECODE_ERRORS):
            self._say(f"{path} is damaged; its charts are simulated anew.")
            return None

    def save_charts(self, digest: str, design: WatchDesign) -> None:
        """Write a file."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_file(self._folder / f"{digest}.json", msgspec.json.encode(design))
        except (OSError, UnavailableError) as error:
            self._say(f"The charts cannot be kept for the next time: {error}")


class NoMemory(ChartFolder):
    """Every watch begins at the beginning; charts are kept."""

    def load(self) -> StreamState | None:
        """Return None."""
        return None

    def save(self, report: DriftReport, state: StreamState) -> None:
        """Do nothing."""


class FileMemory(ChartFolder):
    """The state in a file."""

    def __init__(self, path: Path, folder: Path, say: Say) -> None:
        super().__init__(folder, say)
        self._path = path

    def load(self) -> StreamState | None:
        """Return what the file holds.

        Raises:
            BadInputError: Something else.
            UnavailableError: The file cannot be read.
        """
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=StreamState)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"Cannot read {self._path}: {error.strerror or error}.") from error
        except DECODE_ERRORS as error:
            raise BadInputError(
                f"The state file {self._path} cannot be read: {error}.",
                hint="Take another --state; the watch begins anew.",
            ) from error

    def save(self, report: DriftReport, state: StreamState) -> None:  # noqa: ARG002 (the file is the state alone)
        """Replace the file."""
        write_file(self._path, msgspec.json.encode(state))


class StoredMemory:
    """Evidence in the event store: a record with verdict and state per run that found something new.

    The newest counts.

    A record is never changed and whole in itself, so a run that is killed leaves the one before, and two runs
    at once leave two that are both true: whichever is newer, the next run follows the stream from there.

    Args:
        store: The event store.
        model: `NAME/VERSION`: another version begins another chart.
        detector: Under which name.
        say: Told what went wrong with kept charts.
    """

    def __init__(self, store: EventStore, model: str, detector: str, say: Say) -> None:
        self._store, self._model, self._detector, self._say = store, model, detector, say

    def load(self) -> StreamState | None:
        """Return the newest record's state.

        Raises:
            BadInputError: It is damaged: a watch must not begin anew because it could not read.
        """
        found = latest_record(self._store, self._model, self._detector)
        try:
            return None if found is None else msgspec.json.decode(found.stream, type=StreamState | None)
        except DECODE_ERRORS as error:
            raise BadInputError(
                f"The state of the watch {self._detector} cannot be read: {error}.",
                hint="Take another --detector; the watch begins anew.",
            ) from error

    def save(self, report: DriftReport, state: StreamState) -> None:
        """Add a record."""
        record = stream_record(self._detector, report, state)
        subject, document = subject_of(self._model, self._detector), msgspec.json.encode(record).decode()
        # One that reads ahead of the clock must not stand before all that come after it.
        until = min(state.until, now_us())
        digest = hashlib.sha256(msgspec.json.encode((subject, document))).hexdigest()[:32]
        self._store.record(Evidence(f"{KIND}-{digest}", KIND, subject, until, document))

    def load_charts(self, digest: str) -> WatchDesign | None:
        """Return the charts that some run has kept under this digest."""
        found = self._store.evidence(kind=CHARTS_KIND, subject=digest, limit=1)
        try:
            return msgspec.json.decode(found[0].document, type=WatchDesign) if found else None
        except DECODE_ERRORS:
            self._say(f"The charts {digest[:12]} in the event store are damaged; they are simulated anew.")
            return None

    def save_charts(self, digest: str, design: WatchDesign) -> None:
        """Add a record; another run may have done so already."""
        document = msgspec.json.encode(design).decode()
        try:
            self._store.record(
                Evidence(f"{CHARTS_KIND}-{digest[:32]}", CHARTS_KIND, digest, now_us(), document)
            )
        except LeadScoreError as error:
            self._say(f"The charts cannot be kept for the next time: {error}")


def stream_record(detector: str, report: DriftReport, state: StreamState | None = None) -> DriftRecord:
    """Return the record of a watch: its memory is the state of the charts."""
    verdict = report.verdict
    return DriftRecord(
        detector=detector,
        report=report,
        history=History(model=f"{verdict.model_name}/{verdict.model_version}"),
        stream=msgspec.Raw(msgspec.json.encode(state)),
    )
