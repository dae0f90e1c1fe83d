"""Change the champion: each decision is noted, done, completed and recorded, also over crashes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from msgspec import UNSET, UnsetType

from leadscore.errors import BadInputError, ConflictError
from leadscore.identity.process import login_name
from leadscore.registry import records, transitions
from leadscore.registry.backend import Backend
from leadscore.registry.locks import locked
from leadscore.registry.transitions import Repairs, Snapshot
from leadscore.registry.versions import CHALLENGER, CHAMPION, StageAction, VersionDecision

LONGEST_CHANGE_REASON = 2000


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes something, and why."""

    by: str
    reason: str

    @classmethod
    def of(cls, by: str | None, reason: str) -> Author:
        """The named person or workload, else the login name; BadInputError if the reason is too long."""
        if len(reason) > LONGEST_CHANGE_REASON:
            raise BadInputError(
                f"The reason has {len(reason)} characters, more than {LONGEST_CHANGE_REASON}."
            )
        return cls(by or login_name(), reason)


class Changes:
    """Changes aliases and stages of registered models.

    On one machine a lock keeps processes apart. Across machines the pending note does: it is read back before
    the deciding call, so of two at the same moment at most one goes on, but for the milliseconds between
    reading and calling, which MLflow gives no means to close.
    """

    def __init__(self, backend: Backend, lock: Path) -> None:
        self._backend = backend
        self._lock = lock

    def nominate(self, name: str, version: int, author: Author) -> VersionDecision:
        """Make a version the challenger."""

        def choose(snapshot: Snapshot) -> int:
            transitions.check_nomination(snapshot, version)
            return version

        return self._decide(name, "nominate", choose, author)

    def promote(
        self, name: str, version: int, author: Author, expected: int | UnsetType | None = UNSET
    ) -> VersionDecision:
        """Make a version the champion."""

        def choose(snapshot: Snapshot) -> int:
            transitions.check_promotion(snapshot, version, expected)
            return version

        return self._decide(name, "promote", choose, author)

    def rollback(
        self, name: str, author: Author, expected: int | UnsetType | None = UNSET
    ) -> VersionDecision:
        """Return to the champion before the present one."""

        def choose(snapshot: Snapshot) -> int:
            transitions.check_champion(snapshot, expected)
            return transitions.rollback_target(snapshot)

        return self._decide(name, "rollback", choose, author)

    def archive(self, name: str, version: int, author: Author) -> VersionDecision:
        """Retire a version for good."""

        def choose(snapshot: Snapshot) -> int:
            transitions.check_archival(snapshot, version)
            return version

        return self._decide(name, "archive", choose, author)

    def repair(self, name: str) -> Repairs:
        """Complete what a killed process left; returns what was changed (empty: all agreed)."""
        with locked(self._lock):
            return self._complete(name)

    def _decide(
        self, name: str, action: StageAction, choose: Callable[[Snapshot], int], author: Author
    ) -> VersionDecision:
        with locked(self._lock):
            self._complete(name)
            snapshot = self._snapshot(name)
            version = choose(snapshot)
            decision = _decision(snapshot, action, version, author)
            if transitions.has_happened(decision, snapshot):
                earlier = self._recorded(name, version)
                if earlier is not None:
                    return earlier
            self._backend.set_model_tag(name, records.PENDING, records.encode_decision(decision))
            now = self._snapshot(name)
            if now.pending != decision or now.aliases != snapshot.aliases:
                raise ConflictError(
                    f"Somebody else is changing {name} at this moment.",
                    hint=f"Look again (`leadscore models list {name}`) and decide anew.",
                )
            self._do(decision)
            self._complete(name)
            return decision

    def _do(self, decision: VersionDecision) -> None:
        match decision.action:
            case "promote" | "rollback":
                self._backend.set_alias(decision.name, CHAMPION, decision.version)
            case "nominate":
                self._backend.set_alias(decision.name, CHALLENGER, decision.version)
            case "archive":
                self._backend.set_version_tag(decision.name, decision.version, records.STAGE, "Archived")

    def _complete(self, name: str) -> Repairs:
        snapshot = self._snapshot(name)
        plan = transitions.repairs(snapshot)
        for alias, version in plan.aliases.items():
            self._backend.set_alias(name, alias, version)
        for version, stage in plan.stages.items():
            self._backend.set_version_tag(name, version, records.STAGE, stage)
        pending = snapshot.pending
        if pending is not None:
            if transitions.has_happened(pending, snapshot):
                self._backend.set_version_tag(name, pending.version, *records.decision_tag(pending))
            self._backend.set_model_tag(name, records.PENDING, None)
        return plan

    def _snapshot(self, name: str) -> Snapshot:
        return records.snapshot_of(self._backend.model(name), self._backend.versions(name))

    def _recorded(self, name: str, version: int) -> VersionDecision | None:
        decisions = records.decisions_of(self._backend.version(name, version))
        return decisions[-1] if decisions else None


def _decision(snapshot: Snapshot, action: StageAction, version: int, author: Author) -> VersionDecision:
    champion = snapshot.champion if action in {"promote", "rollback"} else None
    return VersionDecision(
        id=uuid.uuid4().hex,
        action=action,
        name=snapshot.name,
        version=version,
        from_version=champion if champion != version else None,
        digest=snapshot.digests[version],
        by=author.by,
        at=datetime.now(UTC),
        reason=author.reason,
    )
