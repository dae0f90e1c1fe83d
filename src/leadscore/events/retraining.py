"""The report of a retraining: written by its Job (record and termination message), read by the operator."""

from __future__ import annotations

import msgspec


class RetrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a retraining.

    Attributes:
        model: Registered name.
        version: Of the candidate.
        digest: Of its artefact.
        passed: Whether the gate let it pass.
        summary: The gate's sentence.
        champion: Version it was held against; None if there was none.
        metrics: Figures on the held-out window.
    """

    model: str
    version: int
    digest: str
    passed: bool
    summary: str
    champion: int | None = None
    metrics: dict[str, float] = {}

    def to_json(self) -> bytes:
        """The document with a shortened summary: less than the 4,096 bytes of a termination message."""
        short = msgspec.structs.replace(self, summary=self.summary[:500])
        return msgspec.json.encode(short)
