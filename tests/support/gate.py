"""Verdicts of the gate for tests that are not about its checks."""

from __future__ import annotations

from leadscore.training.verdict import GateThresholds, GateVerdict


def gate_verdict(*, passed: bool, challenger: str = "b" * 64, champion: str | None = "a" * 64) -> GateVerdict:
    """A verdict without checks on these digests; no champion: nobody was there to be compared with."""
    return GateVerdict(
        passed=passed,
        summary="",
        checks=(),
        challenger=challenger,
        champion=champion,
        data="",
        start=None,
        end=None,
        rows=1000,
        positives=100,
        thresholds=GateThresholds(),
        notes=(),
    )
