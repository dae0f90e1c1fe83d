"""What a detector remembers between windows: calm counts, recent breaches, since when.

It is a value: a check takes one and gives the next, so that a detector that was killed resumes from the last one
that was stored, and judging a window twice gives the same verdict.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from leadscore.drift.counts import WindowCounts, empty_counts
from leadscore.drift.options import DriftOptions
from leadscore.errors import BadInputError, ConflictError
from leadscore.scoring.profile import ReferenceProfile

ALL = "all"


class Judged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A window that was judged: its start, and whether it breached."""

    start: datetime
    breached: bool


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector's memory.

    Attributes:
        model: `NAME/VERSION` whose reference it belongs to; a new model begins a new memory.
        pools: Calm windows in counts, per stratum: `all`, and where seasons matter `hour-0` (Monday, midnight) to `hour-167`
            or `day-0` to `day-6`.
        recent: The latest windows, oldest first; as many as the hysteresis looks at.
        since: Start of the current run of breaches.
        drifted: Whether the last verdict was an alarm.
        end: End of the last judged window; None before the first.
    """

    model: str
    pools: dict[str, WindowCounts] = {}
    recent: tuple[Judged, ...] = ()
    since: datetime | None = None
    drifted: bool = False
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
            return msgspec.json.decode(data, type=History)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInputError(f"The document is not a drift detector's history: {error}.") from error

    def pool(self, profile: ReferenceProfile, stratum: str) -> WindowCounts:
        """Calm windows of a stratum so far."""
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
            f"The window begins at {start.isoformat()}, before the last judged one ended ({history.end.isoformat()}).",
            hint="Judge windows in order, each once; a window that is judged again needs the history from before it.",
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
    """The memory after a window was judged.

    Windows are learned from whether they breached or not (leaving out the odd ones would make the rest look
    calmer than calm is), until there is an alarm or enough is known.
    """
    recent = (*history.recent, judged)[-options.hysteresis.windows :]
    drifted = options.hysteresis.met(tuple(j.breached for j in recent))
    since = history.since
    if not any(j.breached for j in recent):
        since = None
    elif since is None:
        since = next(j.start for j in recent if j.breached)
    pools = history.pools if drifted else learn(history.pools, profile, options, window, stratum)
    return History(model=history.model, pools=pools, recent=recent, since=since, drifted=drifted, end=end)


def learn(
    pools: dict[str, WindowCounts],
    profile: ReferenceProfile,
    options: DriftOptions,
    window: WindowCounts,
    stratum: str,
) -> dict[str, WindowCounts]:
    """The pools with a calm window added where they are not large enough yet."""
    for name in dict.fromkeys((ALL, stratum)):
        pool = pools.get(name) or empty_counts(profile)
        known = pool.rows + (profile.rows if name == ALL else 0)
        if known < options.learn_windows * window.rows:
            pools = {**pools, name: pool + window}
    return pools
