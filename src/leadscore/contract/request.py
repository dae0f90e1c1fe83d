"""Decoding of requests: JSON leads, one or many, and columns, into rows for the model.

The fast path accepts what it can prove right and hands everything else to the plain path, which decides and
explains. Duplicate keys, which msgspec lets pass, are found without a second parse: in JSON every quote
character either delimits a key or a text value or is escaped inside one, so a flat lead of k keys and s text
values has exactly 2(k + s) quotes if and only if no key comes twice and no quote is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from leadscore.contract.columns import ColumnEncoder
from leadscore.contract.encode import SuspectLeadError, compile_encoder, lead_type, leads_type
from leadscore.contract.lead import DecodedLead, DecodedLeads, LeadWarning
from leadscore.contract.model import FeatureContract
from leadscore.contract.plain import PlainEncoder, Problems
from leadscore.contract.strict import JsonObject, parse_strict
from leadscore.contract.words import json_type, short_name
from leadscore.errors import BodyTooLargeError, MalformedBodyError

if TYPE_CHECKING:
    from leadscore.contract.columns import Column

__all__ = ["DecodedLead", "DecodedLeads", "LeadDecoder", "LeadWarning"]

_NOT_DECODED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NONE: tuple[LeadWarning, ...] = ()


class LeadDecoder:
    """Decodes, validates and encodes leads of one contract. Safe to share between threads."""

    def __init__(self, contract: FeatureContract) -> None:
        lead = lead_type(contract)
        self._width = len(contract.inputs)
        self._stride = 4 * self._width
        self._parse = msgspec.json.Decoder(lead).decode
        self._parse_many = msgspec.json.Decoder(leads_type(lead)).decode
        self._encode = compile_encoder(contract)
        self._plain = PlainEncoder(contract)
        self._columns = ColumnEncoder(contract)

    def decode(self, body: bytes) -> DecodedLead:
        """Decode one lead, a flat JSON object.

        Raises:
            MalformedBodyError: Not a JSON object in UTF-8.
            InvalidLeadError: The lead does not fit the contract; holds every bad field.
        """
        flagged: list[LeadWarning] = []
        buffer = bytearray(self._stride)
        try:
            lead = self._parse(body)
            quotes = self._encode(lead, buffer, 0, flagged)
        except (*_NOT_DECODED, SuspectLeadError):
            return self._decode_plain(body)
        if body.count(b'"') != quotes:
            return self._decode_plain(body)
        return DecodedLead(
            str(lead.lead_id), np.frombuffer(buffer, np.float32), tuple(flagged) if flagged else _NONE
        )

    def decode_many(self, body: bytes, limit: int) -> DecodedLeads:
        """Decode `{"leads": [lead, …]}` of at most `limit` leads; problems are named `leads[3].budget`.

        Raises:
            MalformedBodyError: Not such an object.
            BodyTooLargeError: More than `limit` leads.
            InvalidLeadError: Leads that do not fit; all of them, up to 1,000 bad fields.
        """
        try:
            leads = self._parse_many(body).leads
        except _NOT_DECODED:
            return self._decode_many_plain(body, limit)
        _check_count(len(leads), limit)
        flagged: list[LeadWarning] = []
        warnings = [_NONE] * len(leads)
        stride, encode = self._stride, self._encode
        buffer = bytearray(stride * len(leads))
        quotes = 2
        try:
            for i, lead in enumerate(leads):
                quotes += encode(lead, buffer, i * stride, flagged)
                if flagged:
                    warnings[i] = tuple(flagged)
                    flagged.clear()
        except SuspectLeadError:
            return self._decode_many_plain(body, limit)
        if body.count(b'"') != quotes:
            return self._decode_many_plain(body, limit)
        rows = np.frombuffer(buffer, np.float32).reshape(len(leads), self._width)
        return DecodedLeads([str(lead.lead_id) for lead in leads], rows, warnings)

    def columns_to_rows(self, columns: Mapping[str, Column]) -> DecodedLeads:
        """Encode leads that came as columns (an Arrow body).

        Args:
            columns: One sequence per field, all of one length. Numbers: a numeric array with NaN for null, or
                a list with None. Booleans: a bool array, or a list with None. Text: a list with None, or an
                array of objects or strings. The id: as text or integers.

        Raises:
            MalformedBodyError: Columns of different lengths.
            InvalidLeadError: As for `decode_many`.
        """
        return self._columns.encode(columns)

    def _decode_plain(self, body: bytes) -> DecodedLead:
        parsed = parse_strict(body)
        if not isinstance(parsed, JsonObject):
            raise MalformedBodyError(
                f"The body is a JSON {json_type(parsed)}, not an object.",
                hint="Send one lead as an object; many go to /score-leads.",
            )
        problems = Problems()
        lead = self._plain.encode(parsed, "", problems)
        if lead is None:
            raise problems.error()
        return lead

    def _decode_many_plain(self, body: bytes, limit: int) -> DecodedLeads:
        leads = _envelope(parse_strict(body))
        _check_count(len(leads), limit)
        problems = Problems()
        decoded = [self._plain.encode(lead, f"leads[{i}]", problems) for i, lead in enumerate(leads)]
        problems.raise_if_any()
        kept = [lead for lead in decoded if lead is not None]
        rows = np.array([lead.row for lead in kept], dtype=np.float32).reshape(len(kept), self._width)
        return DecodedLeads([lead.lead_id for lead in kept], rows, [lead.warnings for lead in kept])


def _envelope(parsed: object) -> Sequence[object]:
    leads = parsed.values.get("leads") if isinstance(parsed, JsonObject) else None
    if not isinstance(parsed, JsonObject) or not isinstance(leads, list):
        raise MalformedBodyError("The body is no list of leads.", hint='Send {"leads": [{…}, {…}]}.')
    problems = Problems()
    for name in parsed.duplicates:
        problems.add(short_name(name), "duplicate", "the same key twice", "each key once")
    for name, value in parsed.values.items():
        if name != "leads":
            problems.add(short_name(name), "unknown_field", json_type(value), "only `leads`")
    problems.raise_if_any()
    return cast("list[object]", leads)


def _check_count(count: int, limit: int) -> None:
    if count > limit:
        raise BodyTooLargeError(
            f"The request holds {count} leads; at most {limit} are taken.",
            hint="Send them in several requests.",
        )
