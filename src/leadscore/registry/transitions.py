"""The rules of aliases and stages, as pure functions over a snapshot of one registered model.

MLflow changes one alias or tag per call, so a promotion is several calls and a process can die between any
two. Each decision is therefore first noted as pending; its first call, moving one alias or tag, is the moment
it happens; everything after that follows from the pending note and the snapshot, and can be done by the next
process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from leadscore.errors import ConflictError, NotFoundError, RefusedError
from leadscore.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, Stage, VersionDecision


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One registered model as read.

    Attributes:
        name: Of the model.
        aliases: To versions.
        stages: `stage` tag per version.
        digests: Per version.
        pending: Decision that was noted and not completed; None if there is none.
        history: Recorded decisions of all versions, oldest first.
    """

    name: str
    aliases: Mapping[str, int]
    stages: Mapping[int, str]
    digests: Mapping[int, str]
    pending: VersionDecision | None = None
    history: tuple[VersionDecision, ...] = ()

    @property
    def champion(self) -> int | None:
        """Version in production, if any."""
        return self.aliases.get(CHAMPION)


@dataclass(frozen=True, slots=True)
class Repairs:
    """What to write so that aliases and stages agree: aliases to move or drop (None), stages to set."""

    aliases: Mapping[str, int | None]
    stages: Mapping[int, Stage]


def has_happened(decision: VersionDecision, snapshot: Snapshot) -> bool:
    """Whether the first call of the decision went through."""
    match decision.action:
        case "promote" | "rollback":
            return snapshot.champion == decision.version
        case "nominate":
            return snapshot.aliases.get(CHALLENGER) == decision.version
        case "archive":
            return snapshot.stages.get(decision.version) == "Archived"


def repairs(snapshot: Snapshot) -> Repairs:
    """What follows from the pending decision (if it happened) and from the rules; empty when all agree.

    Rules: after a promotion the old champion becomes `previous`, after a rollback the champion from before
    the one it returned to (what was left is no way back); the champion is no longer challenger; `previous` is
    neither the champion nor archived; stages mirror aliases; nothing but archiving sets or keeps Archived.
    """
    aliases: dict[str, int] = dict(snapshot.aliases)
    pending = snapshot.pending
    if pending is not None and pending.from_version is not None and has_happened(pending, snapshot):
        before = pending.from_version if pending.action == "promote" else _earlier(snapshot, pending)
        if before is None:
            aliases.pop(PREVIOUS, None)
        else:
            aliases[PREVIOUS] = before
    champion = aliases.get(CHAMPION)
    if champion is not None and aliases.get(CHALLENGER) == champion:
        del aliases[CHALLENGER]
    previous = aliases.get(PREVIOUS)
    if previous is not None and (previous == champion or snapshot.stages.get(previous) == "Archived"):
        del aliases[PREVIOUS]
    moved = {
        alias: aliases.get(alias)
        for alias in sorted(aliases.keys() | snapshot.aliases.keys())
        if aliases.get(alias) != snapshot.aliases.get(alias)
    }
    stages: dict[int, Stage] = {v: _stage(v, tag, aliases) for v, tag in snapshot.stages.items()}
    changed: dict[int, Stage] = {v: stage for v, stage in stages.items() if stage != snapshot.stages[v]}
    return Repairs(moved, changed)


def check_promotion(snapshot: Snapshot, version: int, expected: int | UnsetType | None) -> None:
    """Refuse a promotion that the rules forbid.

    Args:
        snapshot: As read just before.
        version: To become champion.
        expected: Champion that the caller decided against (None: none yet); UNSET: whichever it is.

    Raises:
        NotFoundError: No such version.
        RefusedError: It is archived.
        ConflictError: The champion is another one than expected.
    """
    _check_usable(snapshot, version)
    check_champion(snapshot, expected)


def check_champion(snapshot: Snapshot, expected: int | UnsetType | None) -> None:
    """Refuse what was decided against another champion (ConflictError); UNSET: whichever it is."""
    if expected is not UNSET and snapshot.champion != expected:
        raise ConflictError(
            f"The champion of {snapshot.name} is {_say(snapshot.champion)}, not {_say(expected)}:"
            " somebody changed it meanwhile.",
            hint=f"Look again (`leadscore models list {snapshot.name}`) and decide anew.",
        )


def check_nomination(snapshot: Snapshot, version: int) -> None:
    """Refuse a challenger that is the champion or archived (RefusedError) or unknown (NotFoundError)."""
    _check_usable(snapshot, version)
    if snapshot.champion == version:
        raise RefusedError(f"{snapshot.name}/{version} is the champion.", hint="It has nobody to challenge.")


def rollback_target(snapshot: Snapshot) -> int:
    """The version that a rollback returns to; RefusedError if there is none.

    The records say which champion came before; `previous` counts where they do not know the champion (its
    alias was moved by hand). A rollback is never undone by the next one.
    """
    champion = snapshot.champion
    line = champions(snapshot.history)
    known = bool(line) and line[-1] == champion
    previous = _earlier(snapshot) if known else snapshot.aliases.get(PREVIOUS)
    if champion is None or previous is None or previous == champion:
        at = "" if champion is None else f" from before {snapshot.name}/{champion}"
        raise RefusedError(
            f"{snapshot.name} has no previous champion{at} to return to.",
            hint=f"Promote a version instead: `leadscore models promote {snapshot.name}/N`.",
        )
    return previous


def champions(history: Iterable[VersionDecision]) -> list[int]:
    """Champions that led to the present one, oldest first; a rollback takes away what it left."""
    line: list[int] = []
    for decision in history:
        if decision.action not in {"promote", "rollback"}:
            continue
        if decision.from_version is not None and line[-1:] != [decision.from_version]:
            line.append(decision.from_version)  # it became champion by hand
        if decision.action == "rollback" and decision.version in line:
            del line[len(line) - line[::-1].index(decision.version) :]
        else:
            line.append(decision.version)
    return line


def _earlier(snapshot: Snapshot, pending: VersionDecision | None = None) -> int | None:
    """The last champion before the present one that may still serve.

    `pending` is a decision that is not recorded yet.
    """
    history = [d for d in snapshot.history if pending is None or d.id != pending.id]
    line = champions(history if pending is None else (*history, pending))
    usable = (
        v
        for v in reversed(line[:-1])
        if v != line[-1] and v in snapshot.stages and snapshot.stages[v] != "Archived"
    )
    return next(usable, None)


def check_archival(snapshot: Snapshot, version: int) -> None:
    """Refuse to archive the champion or challenger (RefusedError) or an unknown version (NotFoundError)."""
    _check_exists(snapshot, version)
    for alias in (CHAMPION, CHALLENGER):
        if snapshot.aliases.get(alias) == version:
            raise RefusedError(
                f"{snapshot.name}/{version} is the {alias}.", hint="Promote another version first."
            )


def _check_usable(snapshot: Snapshot, version: int) -> None:
    _check_exists(snapshot, version)
    if snapshot.stages[version] == "Archived":
        raise RefusedError(
            f"{snapshot.name}/{version} is archived.",
            hint="Archived models do not come back: train again and publish a new version.",
        )


def _check_exists(snapshot: Snapshot, version: int) -> None:
    if version not in snapshot.stages:
        raise NotFoundError(
            f"{snapshot.name} has no version {version}.",
            hint=f"`leadscore models list {snapshot.name}` shows them.",
        )


def _stage(version: int, tag: str, aliases: Mapping[str, int]) -> Stage:
    if aliases.get(CHAMPION) == version:
        return "Production"
    if aliases.get(CHALLENGER) == version:
        return "Staging"
    return "Archived" if tag == "Archived" else "None"


def _say(version: int | UnsetType | None) -> str:
    return "none" if version is None else f"version {version}"
