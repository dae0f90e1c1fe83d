"""Dynamics 365 (Dataverse): `UpdateMultiple` of 1,000 rows in one transaction.

Web API v9.2. What is wrong with one row of a standard table rolls all of them back, and the answer names it
at best by its id in a sentence. `UpsertMultiple`, which creates rows, is not used; a row's primary key is
part of what `UpdateMultiple` takes. Shapes and limits: Microsoft's Dataverse developer documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

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
from leadscore.crm.vendors.grants import client_credentials, required
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
    iso_time,
    items,
    members,
    read_amount,
    refuse_email,
    shown,
    text_of,
)
from leadscore.errors import BadInputError

_API: Final = "/api/data/v9.2"
_ODATA: Final[Mapping[str, str]] = {
    "Accept": "application/json",
    "Content-Type": "application/json; charset=utf-8",
    "OData-MaxVersion": "4.0",
    "OData-Version": "4.0",
    "If-None-Match": "null",
}
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset(("Decimal", "Double", "Integer", "Money")),
    "text": frozenset(("String", "Memo")),
    "time": frozenset(("DateTime",)),
}
_MISSING: Final = "0x80040217"
_MAPPING: Final = re.compile(
    r"Undeclared Property|Could not find a property named|does not exist on type|0x80048d19|0x80060888",
    re.IGNORECASE,
)
_MAPPING_SECONDS: Final = 60.0
# 6,000 requests and 1,200 s of work in five minutes, for each user and server.
_SPARED_REQUESTS: Final = 60
_SPARED_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 30.0
_DEALS: Final = 1_000


@dataclass(frozen=True, slots=True)
class DynamicsVendor:
    """Dataverse's side of a target.

    Attributes:
        object: Logical name of the table: `lead`, `contact` or another.
        fields: The logical name of a column for each attribute of a score that is written.
        address: Of the environment, such as `https://contoso.crm4.dynamics.com`: tokens are asked for it.
        entity_set: Name of the table in addresses; empty: the logical name with an `s`.
        primary_key: Column of the row's id; empty: the logical name with `id`.
    """

    object: str
    fields: Mapping[str, str]
    address: str
    entity_set: str = ""
    primary_key: str = ""
    batch_size: int = 1_000
    # As many ids as an address may be long.
    read_size: int = 200
    pace_seconds: float = 0.05

    def record_key(self, lead_id: str) -> str:
        """The row's GUID in lower case, without braces."""
        refuse_email(lead_id)
        key = lead_id.strip("{}").lower()
        if not _ID.fullmatch(key):
            raise BadInputError(f"{shown(lead_id)!r} is no id of a row in Dataverse: those are GUIDs.")
        return key

    def token_request(self, credentials: Mapping[str, str]) -> VendorRequest | str:
        """OAuth's client credentials at Microsoft Entra."""
        path = ""
        if not credentials.get("token_url"):
            tenant = quote(required(credentials, "tenant_id"), safe="")
            path = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
        return client_credentials(path, credentials, scope=f"{self.address.rstrip('/')}/.default")

    def encode(self, updates: Sequence[ScoreUpdate]) -> VendorRequest:
        """Update the rows by their ids, all or none."""
        targets = [
            {
                "@odata.type": f"Microsoft.Dynamics.CRM.{self.object}",
                self._key: self.record_key(update.lead_id),
                **field_values(update, self.fields),
            }
            for update in updates
        ]
        path = f"{_API}/{self._set}/Microsoft.Dynamics.CRM.UpdateMultiple"
        return VendorRequest("POST", path, msgspec.json.encode({"Targets": targets}), _ODATA)

    def decode(self, updates: Sequence[ScoreUpdate], reply: VendorReply) -> tuple[Verdict, ...]:
        """All were written, or none; a row that the error names is known to be the bad one."""
        if reply.status in {200, 204}:
            said = members(reply.document)
            strange = bool(reply.body) and ("error" in said or not isinstance(reply.document, dict))
            return (strange_answer(reply) if strange else WRITTEN,) * len(updates)
        said, keys = _said(reply), [self.record_key(update.lead_id) for update in updates]
        verdict = common_verdict(reply, said) or self._whole(reply.status, said)
        named = set(_ID.findall(said.lower())) if verdict.kind == "split" and _MISSING in said else set[str]()
        gone = Verdict("refused", f"The row does not exist any more: deleted or merged ({said}).")
        alone = verdict.kind == "split" and _MISSING in said and len(keys) == 1
        return tuple(gone if alone or key in named else verdict for key in keys)

    def pause(self, reply: VendorReply) -> VendorPause | None:
        """Headers say how many requests, and seconds of work, are left of five minutes."""
        requests = read_amount(reply.headers.get("x-ms-ratelimit-burst-remaining-xrm-requests"))
        seconds = read_amount(
            reply.headers.get("x-ms-ratelimit-time-remaining-xrm-requests", "").replace(",", "")
        )
        if (requests is None or requests > _SPARED_REQUESTS) and (
            seconds is None or seconds > _SPARED_SECONDS
        ):
            return None
        return VendorPause(_PAUSE_SECONDS, "Dataverse's limits of five minutes are nearly used")

    def encode_read(self, lead_ids: Sequence[str]) -> VendorRequest:
        """The rows' mapped columns."""
        ids = ",".join(f"'{self.record_key(each)}'" for each in lead_ids)
        query = {
            "$select": ",".join((self._key, *self.fields.values())),
            "$filter": f"Microsoft.Dynamics.CRM.In(PropertyName='{self._key}',PropertyValues=[{ids}])",
        }
        return VendorRequest("GET", f"{_API}/{self._set}?{_encoded(query)}", headers=_ODATA)

    def decode_read(self, reply: VendorReply) -> dict[str, RecordState]:
        """Rows that do not exist are left out."""
        require_ok(reply, _said(reply), "read the rows back")
        rows = (members(each) for each in items(members(reply.document).get("value")))
        return {text_of(row.get(self._key)).lower(): record_state(row, self.fields) for row in rows}

    def encode_describe(self) -> VendorRequest:
        """The table's columns."""
        query = _encoded({"$select": "LogicalName,AttributeType,IsValidForUpdate"})
        path = f"{_API}/EntityDefinitions(LogicalName='{self.object}')/Attributes?{query}"
        return VendorRequest("GET", path, headers=_ODATA)

    def decode_describe(self, reply: VendorReply) -> tuple[str, ...]:
        """Missing, read-only or of another type."""
        require_ok(reply, _said(reply), f"describe {self.object}")
        rows = (members(each) for each in items(members(reply.document).get("value")))
        known = {text_of(row.get("LogicalName")): row for row in rows}

        def describe(field: str, wanted: str) -> DescribedField | None:
            row = known.get(field)
            if row is None:
                return None
            kind = text_of(row.get("AttributeType"))
            return DescribedField(
                kind, fits=kind in _TYPES[wanted], writable=bool(row.get("IsValidForUpdate"))
            )

        return mapping_faults(self.object, self.fields, describe, "write its logical name")

    def encode_deals(self, source: OutcomeFields, since: int, after: str) -> VendorRequest:
        """Rows of the table of opportunities."""
        headers = {**_ODATA, "Prefer": f"odata.maxpagesize={_DEALS}"}
        if after:
            return VendorRequest("GET", after, headers=headers)
        names = (source.key, source.lead, source.stage, source.amount, source.date, source.modified)
        query = {
            "$select": ",".join(name for name in dict.fromkeys(names) if name),
            "$filter": f"{source.modified} ge {iso_time(since)}",
            "$orderby": f"{source.modified},{source.key}",
        }
        return VendorRequest("GET", f"{_API}/{source.object}?{_encoded(query)}", headers=headers)

    def decode_deals(self, source: OutcomeFields, reply: VendorReply) -> tuple[tuple[DealState, ...], str]:
        """Rows; `@odata.nextLink` names the next page, at the same address only."""
        require_ok(reply, _said(reply), f"say how its {source.object} stand")
        page = members(reply.document)
        following = text_of(page.get("@odata.nextLink"))
        home = self.address.rstrip("/")
        following = following.removeprefix(home) if following.startswith(f"{home}{_API}/") else ""
        return tuple(deal_state(source, members(each)) for each in items(page.get("value"))), following

    @property
    def _set(self) -> str:
        return self.entity_set or f"{self.object}s"

    @property
    def _key(self) -> str:
        return self.primary_key or f"{self.object}id"

    def _whole(self, status: int, said: str) -> Verdict:
        if status == 403:
            why = f"The application user lacks a privilege on {self.object} ({said})."
            return Verdict("again", why, _MAPPING_SECONDS)
        if _MAPPING.search(said):
            why = f"A mapped column cannot be written: leadscore crm check says which, and why ({said})."
            return Verdict("again", why, _MAPPING_SECONDS)
        if status == 404 and _MISSING not in said:
            return Verdict("again", f"Dataverse does not know {self._set} ({said}): correct `object`.", 60.0)
        return Verdict("split", f"Dataverse refuses it (HTTP {status}: {said}).")


def _said(reply: VendorReply) -> str:
    error = members(members(reply.document).get("error"))
    parts = (text_of(error.get(name)) for name in ("code", "message"))
    return shown(": ".join(part for part in parts if part))


def _encoded(query: Mapping[str, str]) -> str:
    return urlencode(query, quote_via=quote)
