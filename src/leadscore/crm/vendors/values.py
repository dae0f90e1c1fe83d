"""Values as CRMs write and read them: numbers, text, times, and what goes into a mapped field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, cast

from leadscore.crm.updates import ScoreUpdate
from leadscore.errors import BadInputError

ValueKind = Literal["number", "text", "time"]
FIELD_KINDS: Final[Mapping[str, ValueKind]] = {
    "score": "number", "probability": "number", "grade": "text", "reasons": "text", "prediction_id": "text",
    "model_name": "text", "model_version": "text", "scored_at": "time",
}  # fmt: skip
MOST_REASONS: Final = 1_000
# A record keeps what was written last: an empty value would be a null, and leaving the field out would let
# the reasons of an older score stand beside this one.
NO_REASONS: Final = "No reasons were made for this score."
_SHOWN: Final = 300
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def field_values(update: ScoreUpdate, fields: Mapping[str, str]) -> dict[str, str | float]:
    """What to write, by the CRM's names of fields; never a null, never empty.

    Args:
        update: The score.
        fields: The CRM's field for each attribute that is written.

    Raises:
        BadInputError: A number is none.
    """
    values: dict[str, str | float] = {}
    for name, target in fields.items():
        value = reasons_text(update.reasons) if name == "reasons" else getattr(update, name)
        if name == "scored_at":
            value = iso_time(update.scored_at)
        elif isinstance(value, float) and not math.isfinite(value):
            raise BadInputError(f"The {name} of the score is no number.")
        if value != "":
            values[target] = cast("str | float", value)
    return values


def reasons_text(reasons: tuple[str, ...]) -> str:
    """One line for each reason, as many as fit whole; a sentence where there is none."""
    text = ""
    for reason in reasons:
        longer = f"{text}\n{reason}" if text else reason
        if len(longer) > MOST_REASONS:
            break
        text = longer
    return text or (reasons[0][:MOST_REASONS] if reasons else NO_REASONS)


def iso_time(at: int) -> str:
    """Microseconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at // 1_000 % 1_000:03d}Z"


def read_moment(value: object) -> int | None:
    """A CRM's time as microseconds since the epoch; a date is its last moment in UTC; None: it is none.

    Takes ISO 8601 and, as HubSpot has it, milliseconds since the epoch.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text:
        return None
    if text.isdigit() and len(text) > 8:
        return int(text) * 1_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == 10:
        moment = moment.replace(hour=23, minute=59, second=59)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_amount(value: object) -> float | None:
    """A finite number, also as text; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def members(value: object) -> Mapping[str, object]:
    """A JSON object's members; none where it is no object."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """A JSON list's items; none where it is no list."""
    return cast("list[object]", value) if isinstance(value, list) else []


def text_of(value: object) -> str:
    """A JSON string or number as text; empty otherwise."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def shown(text: str) -> str:
    """What a CRM says, on one line and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]} …"


def refuse_email(lead_id: str) -> None:
    """Refuse an e-mail address, by which records are never matched.

    Raises:
        BadInputError: It is one.
    """
    if "@" in lead_id:
        raise BadInputError(
            "The lead's id is an e-mail address.",
            hint="Records are matched by their id in the CRM only: make that the contract's id column.",
        )
