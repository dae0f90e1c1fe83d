"""Structured logs: one JSON object per line, the same in every process of ours."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import cast

import msgspec


class JsonLines(logging.Formatter):
    """Time, level, logger, event, and the fields given as `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        fields = cast("dict[str, object]", getattr(record, "fields", {}))
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()
