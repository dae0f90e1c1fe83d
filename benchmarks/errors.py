"""Errors of the bench."""

from __future__ import annotations

from typing import ClassVar

from leadscore.errors import LeadScoreError


class BenchError(LeadScoreError):
    """A figure cannot be measured here: a tool is missing, or a server did not start or answered wrongly."""

    code: ClassVar[str] = "bench_failed"
