"""What a detector remembers between windows: counts without drift, recent breaches, since when.

It is a value: a check takes one and gives the next, so that a detector that was killed resumes from the last
one that was stored, and judging a window twice gives the same verdict.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.drift.options import DriftOptions
from leadscore.drift.runlength import Hysteresis
from leadscore.drift.windows.counts import WindowCounts, empty_counts
from leadscore.errors import BadInputError, ConflictError
from leadscore.scoring.profile import ReferenceProfile

ALL = "all"


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window that was judged: its start, and whether it breached."""

    start: datetime
    breached: bool


class Trail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of one method: its latest windows, and when its run of breaches began."""

    recent: tuple[Judged, ...] = ()
    since: datetime | None = None

    def drifted(self, hysteresis: Hysteresis) -> bool:
        """Whether enough of its windows breached."""
        return hysteresis.met(tuple(judged.breached for judged in self.recent))


def follow(trail: Trail, judged: Judged, hysteresis: Hysteresis) -> Trail:
    """The trail with one more window."""
    recent = (*trail.recent, judged)[-hysteresis.windows :]
    since = trail.since
    if not any(j.breached for j in recent):
        since = None
    elif since is None:
        since = next(j.start for j in recent if j.breached)
    return Trail(recent, since)


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector's memory.

    Attributes:
        model: `NAME/VERSION` whose reference it belongs to; a new model begins a new memory.
        pools: Windows without drift in counts, per stratum: `all`, and where seasons matter `hour-0` (Monday,
            midnight) to `hour-167` or `day-0` to `day-6`.
        recent: The latest windows of the univariate checks, oldest first; as many as the hysteresis looks at.
        since: Start of their current run of breaches.
        drifted: Whether their last verdict was an alarm.
        methods: The other methods' trails.
        end: End of the last judged window; None before the first.
    """

    model: str
    pools: dict[str, WindowCounts] = {}
    recent: tuple[Judged, ...] = ()
    since: datetime | None = None
    drifted: bool = False
    methods: dict[str, Trail] = {}
    end: datetime | None = None

    def to_json(self) -> bytes:
        """As a document."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> History:
        """Read it back.

        Raises:
            BadInputError: The document is not one; a detector must not begin anew because it could not read.
        """
        try:
            return decode_json(data, type=History)
        except DECODE_ERRORS as error:
            raise BadInputError(f"The document is not a drift detector's history: {error}.") from error

    def pool(self, profile: ReferenceProfile, stratum: str) -> WindowCounts:
        """How many windows without drift of a stratum are pooled."""
        return self.pools.get(stratum) or empty_counts(profile)


def check_order(history: History, model: str, start: datetime) -> None:
    """Refuse a window that would make the memory wrong.

    Raises:
        ConflictError: The window begins before the last judged one ended, or the memory is of another model.
    """
    if history.model != model:
        raise ConflictError(
            f"The detector's history belongs to {history.model}, not to {model}.",
            hint="A new model begins a new history.",
        )
    if history.end is not None and start < history.end:
        raise ConflictError(
            f"The window begins at {start.isoformat()}, before the last judged one ended "
            f"({history.end.isoformat()}).",
            hint=(
                "Judge windows in order, each once; a window that is judged again needs "
                "the history from before it."
            ),
        )


def advance(
    history: History,
    profile: ReferenceProfile,
    options: DriftOptions,
    window: WindowCounts,
    *,
    stratum: str,
    judged: Judged,
    end: datetime,
) -> History:
    """Return the memory after a window was judged.

    Windows are pooled whether they breached or not, until there is an alarm or enough are pooled: without the
    odd ones the rest would vary less than windows without drift do.
    """
    trail = follow(Trail(history.recent, history.since), judged, options.hysteresis)
    drifted = trail.drifted(options.hysteresis)
    pools = history.pools if drifted else learn(history.pools, profile, options, window, stratum)
    return msgspec.structs.replace(
        history, pools=pools, recent=trail.recent, since=trail.since, drifted=drifted, end=end
    )


def learn(
    pools: dict[str, WindowCounts],
    profile: ReferenceProfile,
    options: DriftOptions,
    window: WindowCounts,
    stratum: str,
) -> dict[str, WindowCounts]:
    """The pools with a window without drift added where they are not large enough yet."""
    for name in dict.fromkeys((ALL, stratum)):
        pool = pools.get(name) or empty_counts(profile)
        known = pool.rows + (profile.rows if name == ALL else 0)
        if known < options.learn_windows * window.rows:
            pools = {**pools, name: pool + window}
    return pools
