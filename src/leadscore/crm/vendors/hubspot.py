"""HubSpot: batches of 100, where one bad record may fail them all.

CRM API v3, `POST /crm/v3/objects/OBJECT/batch/update`: 200 if all were updated, 207 if some, 400 or 409 if
none was. Batches are updated by record id only; `batch/upsert` and `idProperty`, by which a record could be
created or found by e-mail, are not used. Shapes and limits: HubSpot's developer documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from leadscore.crm.updates import ScoreUpdate
from leadscore.crm.vendors.answers import (
    DescribedField,
    common_verdict,
    deal_state,
    mapping_faults,
    record_state,
    require_ok,
    strange_answer,
)
from leadscore.crm.vendors.grants import required
from leadscore.crm.vendors.protocol import (
    WRITTEN,
    DealState,
    OutcomeFields,
    RecordState,
    VendorPause,
    VendorReply,
    VendorRequest,
    Verdict,
)
from leadscore.crm.vendors.values import (
    field_values,
    items,
    members,
    refuse_email,
    shown,
    text_of,
)
from leadscore.errors import BadInputError

_ID: Final = re.compile(r"[1-9][0-9]{0,18}")
_TYPES: Final[Mapping[str, str]] = {"number": "number", "text": "string", "time": "datetime"}
_MAPPING: Final = ("PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE", "INVALID_PROPERTY")
_MAPPING_SECONDS: Final = 60.0
_QUOTA_SECONDS: Final = 900.0
# Of the portal's requests of ten seconds, which all its integrations share, some are left to others.
_SPARED: Final = 1
_DAILY_SPARED: Final = 0.1
_DEALS: Final = 100
# A search pages through no more; the next round begins where it ended.
_SEARCH_DEPTH: Final = 9_900


@dataclass(frozen=True, slots=True)
class HubSpotVendor:
    """HubSpot's side of a target.

    Attributes:
        object: `contacts`, `leads` or another object's name in the API.
        fields: The internal name of a property for each attribute of a score that is written.
    """

    object: str
    fields: Mapping[str, str]
    batch_size: int = 100
    read_size: int = 100
    # Of the 100 requests in ten seconds that an app has in a portal this leaves more than what is spared for
    # others: with less, ten seconds of waiting would follow each ten seconds of writing.
    pace_seconds: float = 0.104

    def record_key(self, lead_id: str) -> str:
        """The record id: digits."""
        refuse_email(lead_id)
        if not _ID.fullmatch(lead_id):
            raise BadInputError(f"{shown(lead_id)!r} is no id of a HubSpot record: those are whole numbers.")
        return lead_id

    def token_request(self, credentials: Mapping[str, str]) -> VendorRequest | str:
        """The token of a private app, or one by OAuth's refresh token: HubSpot has no client credentials."""
        if credentials.get("access_token") or "refresh_token" not in credentials:
            return required(credentials, "access_token")
        form = {"grant_type": "refresh_token"}
        for name in ("client_id", "client_secret", "refresh_token"):
            form[name] = required(credentials, name)
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        path = credentials.get("token_url") or "/oauth/v1/token"
        return VendorRequest("POST", path, urlencode(form).encode(), headers)

    def encode(self, updates: Sequence[ScoreUpdate]) -> VendorRequest:
        """Update the records by their ids; each bears its id as trace, by which errors name it."""
        inputs = [
            {
                "id": self.record_key(update.lead_id),
                "objectWriteTraceId": update.lead_id,
                "properties": {n: str(v) for n, v in field_values(update, self.fields).items()},
            }
            for update in updates
        ]
        path = f"/crm/v3/objects/{self.object}/batch/update"
        return VendorRequest("POST", path, msgspec.json.encode({"inputs": inputs}))

    def decode(self, updates: Sequence[ScoreUpdate], reply: VendorReply) -> tuple[Verdict, ...]:
        """By the ids among results and errors; who is named in neither is to be asked for again in halves."""
        document = members(reply.document)
        keys = [self.record_key(update.lead_id) for update in updates]
        if reply.status in {200, 201, 207}:
            if not isinstance(document.get("results"), list):
                return (strange_answer(reply),) * len(keys)
            named = self._failed(document)
            results = {text_of(members(each).get("id")) for each in items(document.get("results"))}
            named |= {key: WRITTEN for key in results if key not in named}
            other = next(iter(sorted(results - set(keys))), "")
            why = (
                f"HubSpot answered for the record {other} instead: this one was merged into it."
                if other and len(keys) == 1
                else "The answer does not say what became of the record; it may be deleted or merged."
            )
            return tuple(named.get(key) or Verdict("split", why) for key in keys)
        said = _said(document)
        common = common_verdict(reply, said)
        if common is not None:
            if "DAILY" in text_of(document.get("policyName")):
                common = Verdict("again", common.why, _QUOTA_SECONDS)
            return (common,) * len(keys)
        verdict = self._whole(reply.status, document, said)
        named = self._failed(document) if verdict.kind == "split" and len(keys) > 1 else {}
        return tuple(named.get(key) or verdict for key in keys)

    def pause(self, reply: VendorReply) -> VendorPause | None:
        """Headers count the requests of the present interval, and those of the day."""
        left, daily, most = (
            _count(reply, f"x-hubspot-ratelimit-{name}") for name in ("remaining", "daily-remaining", "daily")
        )
        if daily is not None and most and daily <= most * _DAILY_SPARED:
            why = f"{daily} of the portal's {most} requests of the day are left; the rest is for others"
            return VendorPause(_QUOTA_SECONDS, why)
        if left is not None and left <= _SPARED:
            interval = _count(reply, "x-hubspot-ratelimit-interval-milliseconds") or 10_000
            return VendorPause(interval / 1_000, "the portal's requests of this interval are used")
        return None

    def encode_read(self, lead_ids: Sequence[str]) -> VendorRequest:
        """The records' mapped properties."""
        body = {
            "inputs": [{"id": self.record_key(each)} for each in lead_ids],
            "properties": list(self.fields.values()),
        }
        return VendorRequest("POST", f"/crm/v3/objects/{self.object}/batch/read", msgspec.json.encode(body))

    def decode_read(self, reply: VendorReply) -> dict[str, RecordState]:
        """Records that do not exist are left out, or among the errors of a 207."""
        document = members(reply.document)
        require_ok(reply, _said(document), "read the records back")
        found = (members(each) for each in items(document.get("results")))
        return {
            text_of(each.get("id")): record_state(members(each.get("properties")), self.fields)
            for each in found
        }

    def encode_describe(self) -> VendorRequest:
        """The object's properties."""
        return VendorRequest("GET", f"/crm/v3/properties/{self.object}")

    def decode_describe(self, reply: VendorReply) -> tuple[str, ...]:
        """Missing, read-only or of another type."""
        document = members(reply.document)
        require_ok(reply, _said(document), f"describe {self.object}")
        known = {text_of(each.get("name")): each for each in map(members, items(document.get("results")))}

        def describe(field: str, wanted: str) -> DescribedField | None:
            row = known.get(field)
            if row is None:
                return None
            kind = text_of(row.get("type"))
            frozen = members(row.get("modificationMetadata")).get("readOnlyValue") is True
            writable = not frozen and row.get("calculated") is not True
            return DescribedField(kind, fits=kind == _TYPES[wanted], writable=writable)

        return mapping_faults(self.object, self.fields, describe, "with that internal name")

    def encode_deals(self, source: OutcomeFields, since: int, after: str) -> VendorRequest:
        """A search, which pages by a number."""
        changed = {"propertyName": source.modified, "operator": "GTE", "value": str(since // 1_000)}
        names = (source.key, source.lead, source.stage, source.amount, source.date, source.modified)
        body: dict[str, object] = {
            "filterGroups": [{"filters": [changed]}],
            "sorts": [{"propertyName": source.modified, "direction": "ASCENDING"}],
            "properties": [name for name in dict.fromkeys(names) if name],
            "limit": _DEALS,
        }
        if after:
            body["after"] = after
        return VendorRequest("POST", f"/crm/v3/objects/{source.object}/search", msgspec.json.encode(body))

    def decode_deals(self, source: OutcomeFields, reply: VendorReply) -> tuple[tuple[DealState, ...], str]:
        """Results of the search."""
        document = members(reply.document)
        require_ok(reply, _said(document), f"say how its {source.object} stand")
        following = text_of(members(members(document.get("paging")).get("next")).get("after"))
        if following.isdigit() and int(following) > _SEARCH_DEPTH:
            following = ""
        found = (members(each) for each in items(document.get("results")))
        return tuple(
            deal_state(source, {**members(each.get("properties")), source.key: each.get("id")})
            for each in found
        ), following

    def _failed(self, document: Mapping[str, object]) -> dict[str, Verdict]:
        """Records that errors name, by their ids."""
        named: dict[str, Verdict] = {}
        for error in map(members, items(document.get("errors"))):
            said = f"{text_of(error.get('category'))}: {text_of(error.get('message'))}"
            context = members(error.get("context"))
            ids = [*items(context.get("ids")), *items(context.get("id"))]
            for key in [*map(text_of, ids), *map(text_of, items(context.get("objectWriteTraceId")))]:
                named[key] = self._of(said)
        return named

    def _of(self, said: str) -> Verdict:
        if any(word in said for word in _MAPPING):
            return _mapping(said)
        if "NOT_FOUND" in said:
            why = f"The record does not exist any more: deleted or merged ({shown(said)})."
            return Verdict("refused", why)
        return Verdict("refused", f"HubSpot refuses the record ({shown(said)}).")

    def _whole(self, status: int, document: Mapping[str, object], said: str) -> Verdict:
        everything = msgspec.json.encode(document).decode()
        if status == 403:
            return Verdict("again", f"The app lacks a scope ({said}): let it write {self.object}.", 60.0)
        if any(word in everything for word in _MAPPING):
            return _mapping(said)
        if status == 404 and "OBJECT_NOT_FOUND" not in everything:
            return Verdict("again", f"HubSpot does not know the object {self.object} ({said}).", 60.0)
        return Verdict("split", f"HubSpot refuses it (HTTP {status}: {said}).")


def _mapping(said: str) -> Verdict:
    why = f"A mapped property cannot be written: leadscore crm check says which, and why ({shown(said)})."
    return Verdict("again", why, _MAPPING_SECONDS)


def _said(document: Mapping[str, object]) -> str:
    parts = (text_of(document.get(name)) for name in ("category", "message"))
    return shown(": ".join(part for part in parts if part))


def _count(reply: VendorReply, name: str) -> int | None:
    text = reply.headers.get(name, "")
    return int(text) if text.isdigit() else None
