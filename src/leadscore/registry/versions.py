"""References, versions, stages and decisions of the registry (plain values, no MLflow)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Self

import msgspec

from leadscore.errors import BadInputError
from leadscore.registry.metrics import ModelMetric

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"

Stage = Literal["Production", "Staging", "Archived", "None"]
StageAction = Literal["nominate", "promote", "rollback", "archive"]

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_REF = re.compile(
    rf"(?P<name>{_NAME})(?:@(?P<alias>[A-Za-z][A-Za-z0-9_-]{{0,63}})|/(?P<version>[1-9][0-9]{{0,8}}))?"
)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """`NAME@alias`, `NAME/7` (pinned) or `NAME`, which means `NAME@champion`."""

    name: str
    alias: str | None
    version: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference; BadInputError if it is none of the three forms."""
        match = _REF.fullmatch(text)
        if match is None:
            raise BadInputError(
                f"{text[:80]!r} is not a model reference.",
                hint="Write NAME@champion, NAME@challenger, NAME@previous, NAME/7 or NAME.",
            )
        version = match["version"]
        alias = None if version else (match["alias"] or CHAMPION)
        return cls(match["name"], alias, int(version) if version else None)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}" if self.alias is None else f"{self.name}@{self.alias}"


def check_name(name: str) -> str:
    """The name, if a model may have it; BadInputError otherwise."""
    if not re.fullmatch(_NAME, name):
        raise BadInputError(
            f"{name[:80]!r} is not a usable model name.",
            hint="Letters, digits, '.', '_' and '-', at most 128, a letter or digit first.",
        )
    return name


def age(span: timedelta) -> str:
    """A span of time in one unit for people: `40 seconds`, `3 hours`, `12 days`."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


class VersionDecision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who changed what, when and why: appended to the version it brought forward, never changed.

    Attributes:
        id: Unique; also orders decisions of the same instant.
        action: What was done.
        name: The model.
        version: The new champion (promote, rollback), the new challenger (nominate), or what was archived.
        from_version: The champion before (promote, rollback); None for the first one and other actions.
        digest: Artefact digest of `version`.
        by: Person or workload.
        at: When, UTC.
        reason: In the person's words; may be empty.
    """

    id: str
    action: StageAction
    name: str
    version: int
    from_version: int | None = None
    digest: str
    by: str
    at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One published model.

    Attributes:
        aliases: Of this version: `champion`, `challenger`, `previous` and any others, sorted.
        stage: Production (champion), Staging (challenger), Archived (retired for good) or None.
        digest: Artefact digest: identity of its bytes.
        metrics: Of the held-out window, by name.
        tags: All MLflow tags as they are.
        decisions: Oldest first.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    stage: Stage
    digest: str
    algorithm: str
    contract_version: str
    created_at: datetime
    metrics: Mapping[str, ModelMetric]
    tags: Mapping[str, str]
    decisions: tuple[VersionDecision, ...]

    @property
    def ref(self) -> str:
        """The pinned reference, `NAME/7`."""
        return f"{self.name}/{self.version}"
