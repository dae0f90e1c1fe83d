"""`POST /outcomes`: what became of leads. Acknowledged (202) once they are on the spool."""

from __future__ import annotations

from datetime import UTC, date, datetime
from datetime import time as day_time
from typing import Final

import msgspec

from leadscore.contract.plain import ID_MAX, ID_MIN, Problems, id_problem
from leadscore.contract.strict import JsonObject, parse_strict
from leadscore.contract.words import json_type, short_name
from leadscore.errors import BodyTooLargeError, MalformedBodyError
from leadscore.events.records import API_SOURCE, Outcome, outcome_id_of
from leadscore_service.engine import Engine
from leadscore_service.http import Reply, Request
from leadscore_service.media import JSON_TYPE, body_of, media_type
from leadscore_service.parameters import parse_query
from leadscore_service.replies import OutcomesTaken

MAX_OUTCOMES: Final = 1_000
VALUE_MAX: Final = 1e300
_FIELDS: Final = ("lead_id", "converted", "prediction_id", "value", "occurred_at", "recorded_at")
_LONGEST: Final = 256
_TIME: Final = "an ISO 8601 date or time from 1970 on; null or absent when unknown"
_LAST_YEAR: Final = 4999
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


async def take_outcomes(engine: Engine, request: Request) -> Reply:
    """Take one outcome or a list of them, all or none."""
    media_type(request, (JSON_TYPE,))
    parse_query(request.query, ())
    settings = engine.settings
    body = await body_of(request, settings.max_body_bytes, settings.body_timeout_s, engine.room)
    if len(body) > 64 * 1024:
        with engine.heavy:
            outcomes = await engine.heavy.run(read_outcomes, body, request.now_ns // 1000)
    else:
        outcomes = read_outcomes(body, request.now_ns // 1000)
    for outcome in outcomes:
        engine.log_outcome(outcome)
    return Reply(202, _encode(OutcomesTaken([outcome.outcome_id for outcome in outcomes])))


def read_outcomes(body: bytes, now_us: int) -> list[Outcome]:
    """The outcomes of a body.

    The same outcome sent again has the same id and is stored once. The id is made from what was said; whether
    an outcome that changes back to an earlier state is news is seen where it is stored (`retelling`). Of
    several of one lead that do not say when they were recorded, the last counts.

    Args:
        body: One JSON object, or a list of at most 1,000.
        now_us: Microseconds since the epoch, for times that are not given.

    Raises:
        MalformedBodyError: Not such a body.
        BodyTooLargeError: More than 1,000 outcomes.
        InvalidLeadError: One entry per bad field.
    """
    parsed = parse_strict(body)
    problems = Problems()
    if isinstance(parsed, list):
        if len(parsed) > MAX_OUTCOMES:
            raise BodyTooLargeError(
                f"The request holds {len(parsed)} outcomes; at most {MAX_OUTCOMES} are taken.",
                hint="Send them in several requests.",
            )
        first = now_us - len(parsed) + 1
        found = [_outcome(item, f"[{i}]", first + i, problems) for i, item in enumerate(parsed)]
    elif isinstance(parsed, JsonObject):
        found = [_outcome(parsed, "", now_us, problems)]
    else:
        raise MalformedBodyError(
            f"The body is a JSON {json_type(parsed)}, not an outcome or a list of them.",
            hint='Send {"lead_id": "L-1", "converted": true}, or a list of such objects.',
        )
    problems.raise_if_any()
    return [outcome for outcome in found if outcome is not None]


def _outcome(item: object, at: str, now_us: int, problems: Problems) -> Outcome | None:
    if not isinstance(item, JsonObject):
        problems.add(at, "wrong_type", json_type(item), "an object")
        return None
    before = len(problems)
    fields = _Fields(item, f"{at}." if at else "", problems)
    lead_id = fields.identifier("lead_id", required=True)
    converted = fields.truth("converted")
    prediction_id = fields.identifier("prediction_id", required=False)
    value = fields.number("value")
    occurred = fields.moment("occurred_at")
    recorded = fields.moment("recorded_at")
    if len(problems) > before or lead_id is None or converted is None:
        return None
    return Outcome(
        outcome_id=outcome_id_of(lead_id, prediction_id, converted, value, occurred, recorded),
        lead_id=lead_id,
        prediction_id=prediction_id,
        converted=converted,
        value=value,
        occurred_at=now_us if occurred is None else occurred,
        recorded_at=now_us if recorded is None else recorded,
        source=API_SOURCE,
    )


class _Fields:
    """Reads the fields of one outcome; what cannot be read becomes a problem and None."""

    def __init__(self, item: JsonObject, prefix: str, problems: Problems) -> None:
        self._values = item.values
        self._prefix = prefix
        self._problems = problems
        for name in item.duplicates:
            self._note(name, "duplicate", "the same key twice", "each key once")
        for name, value in item.values.items():
            if name not in _FIELDS:
                self._note(name, "unknown_field", json_type(value), f"one of {', '.join(_FIELDS)}")

    def identifier(self, name: str, *, required: bool) -> str | None:
        allowed = f"text of 1 to {_LONGEST} characters" + (" or an integer" if required else "")
        value = self._values.get(name)
        if value is None:
            if required:
                self._missing(name, allowed)
            return None
        # JSON has one kind of number: 17.0 is the integer 17.
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if required and isinstance(whole, int) and not isinstance(whole, bool) and ID_MIN <= whole <= ID_MAX:
            return str(whole)
        if not isinstance(value, str):
            return self._note(name, "wrong_type", json_type(value), allowed)
        if id_problem(value) is not None:
            return self._note(
                name,
                "not_an_id",
                "text that is empty or blank, too long or holds control characters",
                allowed,
            )
        return value

    def truth(self, name: str) -> bool | None:
        value = self._values.get(name)
        if value is None:
            return self._missing(name, "true or false")
        if not isinstance(value, bool):
            return self._note(name, "wrong_type", json_type(value), "true or false")
        return value

    def number(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._note(name, "wrong_type", json_type(value), "a number; null or absent when unknown")
        if not abs(value) <= VALUE_MAX:
            return self._note(name, "not_finite", "a number that is too large", f"at most {VALUE_MAX:g}")
        return float(value)

    def moment(self, name: str) -> int | None:
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            return self._note(name, "wrong_type", json_type(value), _TIME)
        try:
            return _microseconds(value)
        except (ValueError, OverflowError):
            return self._note(name, "not_a_time", "text", _TIME)

    def _missing(self, name: str, allowed: str) -> None:
        received = "null" if name in self._values else "nothing"
        self._note(name, "missing", received, allowed)

    def _note(self, name: str, reason: str, received: str, allowed: str) -> None:
        self._problems.add(f"{self._prefix}{short_name(name)}", reason, received, allowed)


def _microseconds(text: str) -> int:
    """Microseconds since the epoch of an ISO 8601 date or time.

    A date stands for its end; a time is in UTC unless it says otherwise.
    """
    if len(text) == 10:
        moment = datetime.combine(date.fromisoformat(text), day_time.max, tzinfo=UTC)
    else:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    if since.days < 0 or moment.year > _LAST_YEAR:
        raise ValueError("out of range")
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
