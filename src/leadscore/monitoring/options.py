"""Read the options of drift checks from the command line and from a file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec

from leadscore.documents import DECODE_ERRORS, MAX_BYTES, decode_json
from leadscore.drift.options import DriftOptions, Mode
from leadscore.drift.runlength import FalseAlarms, Hysteresis
from leadscore.durations import parse_duration
from leadscore.errors import BadInputError
from leadscore.files import read_file

_HOUR = timedelta(hours=1)


def parse_false_alarms(text: str) -> FalseAlarms:
    """`1/30d`: so many in so long.

    Raises:
        BadInputError: Not of that form.
    """
    expected, _, period = text.partition("/")
    try:
        return FalseAlarms(expected=float(expected), per_hours=parse_duration(period) / _HOUR)
    except ValueError as error:
        raise BadInputError(
            f"{text!r} is not a number of false alarms in a span of time.", hint="Write 1/30d or 2/12w."
        ) from error


def read_options(
    path: Path | None,
    *,
    mode: Mode | None = None,
    false_alarms: str | None = None,
    hysteresis: str | None = None,
    methods: str | None = None,
    performance_window: str | None = None,
    maturity: str | None = None,
    max_drop: float | None = None,
) -> DriftOptions:
    """Options from a file, with single ones set on the command line.

    Raises:
        BadInputError: One of them cannot be read.
    """
    try:
        options = DriftOptions() if path is None else _read(path)
        changes: dict[str, object] = {} if mode is None else {"mode": mode}
        if false_alarms is not None:
            changes["false_alarms"] = parse_false_alarms(false_alarms)
        if hysteresis is not None:
            breaches, _, windows = hysteresis.partition("/")
            changes["hysteresis"] = Hysteresis(breaches=int(breaches), windows=int(windows))
        if methods is not None:
            changes["methods"] = tuple(name.strip() for name in methods.split(","))
        outcomes: dict[str, float] = {} if max_drop is None else {"max_drop": max_drop}
        if performance_window is not None:
            outcomes["window_hours"] = parse_duration(performance_window) / _HOUR
        if maturity is not None:
            outcomes["maturity_hours"] = parse_duration(maturity, zero=True) / _HOUR
        changes["performance"] = msgspec.structs.replace(options.performance, **outcomes)
        return msgspec.structs.replace(options, **changes)
    except ValueError as error:
        raise BadInputError(
            f"The options cannot be read: {error}.",
            hint="Write --false-alarms 1/30d, --hysteresis 2/3, --methods univariate,performance.",
        ) from error
    except OSError as error:
        raise BadInputError(f"Cannot read {path}: {error.strerror or error}.") from error


def _read(path: Path) -> DriftOptions:
    try:
        return decode_json(read_file(path, MAX_BYTES), type=DriftOptions)
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}.") from error
    except DECODE_ERRORS as error:
        raise BadInputError(
            f"{path} holds no options of drift checks: {error}.", hint="See docs/drift.md."
        ) from error
