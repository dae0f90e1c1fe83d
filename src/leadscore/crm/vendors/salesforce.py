"""Salesforce: sObject Collections of 200 records, each with its own verdict.

REST API, `PATCH /composite/sobjects` with `allOrNone` false: what is wrong with one record leaves the others
written. Updating by `Id` never creates a record; the upsert resources, which do, are not used. API version,
shapes and error codes: Salesforce's REST API Developer Guide.
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
    by_key,
    common_verdict,
    deal_state,
    mapping_faults,
    record_state,
    require_ok,
    strange_answer,
)
from leadscore.crm.vendors.grants import client_credentials
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
    refuse_email,
    shown,
    text_of,
)
from leadscore.errors import BadInputError

SALESFORCE_API: Final = "/services/data/v62.0"
BULK_FROM: Final = 200_000
_ID: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_CHECK: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
# The first three characters of an id say what it is of.
_PREFIXES: Final[Mapping[str, str]] = {
    "Account": "001", "Contact": "003", "Opportunity": "006", "Lead": "00Q", "Case": "500",
}  # fmt: skip
# Of the record: nothing that we or an administrator of the integration could put right for all of them.
_MISSING: Final = frozenset(("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "NOT_FOUND", "MALFORMED_ID"))
# Somebody else holds the record, or the org is busy.
_LATER: Final = frozenset(
    ("UNABLE_TO_LOCK_ROW", "SERVER_UNAVAILABLE", "QUERY_TIMEOUT", "TXN_SECURITY_RUNTIME_EXCEPTION")
)
# Of the mapping or its permissions: every record would fail alike.
_MAPPING: Final = frozenset(
    ("INVALID_FIELD", "INVALID_FIELD_FOR_INSERT_UPDATE", "INVALID_TYPE", "INVALID_TYPE_ON_FIELD_IN_RECORD",
     "INVALID_SOBJECT", "CUSTOM_FIELD_NOT_FOUND", "INSUFFICIENT_ACCESS")
)  # fmt: skip
_TYPES: Final[Mapping[str, frozenset[str]]] = {
    "number": frozenset(("double", "percent", "currency", "int")),
    "text": frozenset(("string", "textarea", "picklist")),
    "time": frozenset(("datetime",)),
}
# Of the org's requests of 24 hours, which all its integrations share, the last tenth is left to others.
_MOST_USED: Final = 0.9
_QUOTA_SECONDS: Final = 900.0
_MAPPING_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class SalesforceVendor:
    """Salesforce's side of a target.

    Attributes:
        object: `Lead`, `Contact` or another object's API name.
        fields: The API name of a field for each attribute of a score that is written.
        bulk_from: Scores that are due from which a job of the Bulk API takes them.
    """

    object: str
    fields: Mapping[str, str]
    bulk_from: int = BULK_FROM
    batch_size: int = 200
    read_size: int = 2_000
    pace_seconds: float = 0.0

    def record_key(self, lead_id: str) -> str:
        """The id with its 18 characters; those of 15, which are told apart by case, get their check."""
        refuse_email(lead_id)
        expected = _PREFIXES.get(self.object)
        if not _ID.fullmatch(lead_id) or (expected and not lead_id.startswith(expected)):
            kind = f"{expected}…" if expected else "15 or 18 letters and digits"
            raise BadInputError(f"{shown(lead_id)!r} is no id of a Salesforce {self.object} ({kind}).")
        whole = lead_id[:15] + "".join(_check(lead_id[start : start + 5]) for start in (0, 5, 10))
        if len(lead_id) == 18 and lead_id.upper() != whole.upper():
            raise BadInputError(
                f"{lead_id!r} is no Salesforce id: its last three characters do not fit the others.",
                hint="A spreadsheet may have changed upper and lower case; export the ids again.",
            )
        return whole

    def token_request(self, credentials: Mapping[str, str]) -> VendorRequest | str:
        """OAuth's client credentials at the org's own domain."""
        return client_credentials("/services/oauth2/token", credentials)

    def encode(self, updates: Sequence[ScoreUpdate]) -> VendorRequest:
        """Update the records by their ids."""
        records = [
            {
                "attributes": {"type": self.object},
                "Id": self.record_key(update.lead_id),
                **field_values(update, self.fields),
            }
            for update in updates
        ]
        body = msgspec.json.encode({"allOrNone": False, "records": records})
        return VendorRequest("PATCH", f"{SALESFORCE_API}/composite/sobjects", body)

    def decode(self, updates: Sequence[ScoreUpdate], reply: VendorReply) -> tuple[Verdict, ...]:
        """By the ids in the answer; by order only where an entry has none and all others are in order."""
        said = _errors_of(items(reply.document))
        if reply.status != 200:
            verdict = self._whole(reply, said)
            return (verdict,) * len(updates)
        if not isinstance(reply.document, list):
            return (strange_answer(reply),) * len(updates)
        return by_key(
            [self.record_key(update.lead_id) for update in updates],
            [(self._known(text_of(members(each).get("id"))), self._of(members(each)))
             for each in items(reply.document)],
        )  # fmt: skip

    def pause(self, reply: VendorReply) -> VendorPause | None:
        """`Sforce-Limit-Info: api-usage=18/5000` counts the org's requests of 24 hours."""
        found = re.search(r"api-usage=(\d+)/(\d+)", reply.headers.get("sforce-limit-info", ""))
        if found is None or int(found[1]) < _MOST_USED * int(found[2]):
            return None
        why = f"{found[1]} of the org's {found[2]} API requests of 24 hours are used; the rest is for others"
        return VendorPause(_QUOTA_SECONDS, why)

    def encode_read(self, lead_ids: Sequence[str]) -> VendorRequest:
        """The records' mapped fields."""
        body = {"ids": [self.record_key(each) for each in lead_ids], "fields": ["Id", *self.fields.values()]}
        return VendorRequest(
            "POST", f"{SALESFORCE_API}/composite/sobjects/{self.object}", msgspec.json.encode(body)
        )

    def decode_read(self, reply: VendorReply) -> dict[str, RecordState]:
        """A record that does not exist is a null in the answer."""
        require_ok(reply, _errors_of(items(reply.document)), "read the records back")
        found = (members(each) for each in items(reply.document))
        return {
            self._known(text_of(each["Id"])): record_state(each, self.fields)
            for each in found
            if "Id" in each
        }

    def encode_describe(self) -> VendorRequest:
        """The object's fields, as the integration's user sees them."""
        return VendorRequest("GET", f"{SALESFORCE_API}/sobjects/{self.object}/describe")

    def decode_describe(self, reply: VendorReply) -> tuple[str, ...]:
        """Missing, read-only or of another type."""
        require_ok(reply, _errors_of(items(reply.document)), f"describe {self.object}")
        known = {
            text_of(members(each).get("name")): members(each)
            for each in items(members(reply.document).get("fields"))
        }

        def describe(field: str, wanted: str) -> DescribedField | None:
            row = known.get(field)
            if row is None:
                return None
            kind = text_of(row.get("type"))
            return DescribedField(kind, fits=kind in _TYPES[wanted], writable=bool(row.get("updateable")))

        return mapping_faults(
            self.object, self.fields, describe, "or give the user's permission set access to it"
        )

    def encode_deals(self, source: OutcomeFields, since: int, after: str) -> VendorRequest:
        """A query in SOQL."""
        if after:
            return VendorRequest("GET", after)
        names = dict.fromkeys(
            name
            for name in (source.key, source.lead, source.stage, source.amount, source.date, source.modified)
            if name
        )
        query = (
            f"SELECT {', '.join(names)} FROM {source.object} "  # noqa: S608 (names are checked when read)
            f"WHERE {source.modified} >= {iso_time(since)} ORDER BY {source.modified}, {source.key}"
        )
        return VendorRequest("GET", f"{SALESFORCE_API}/query?" + urlencode({"q": query}, quote_via=quote))

    def decode_deals(self, source: OutcomeFields, reply: VendorReply) -> tuple[tuple[DealState, ...], str]:
        """Records of the query; `nextRecordsUrl` names the next page."""
        require_ok(reply, _errors_of(items(reply.document)), f"say how its {source.object} records stand")
        page = members(reply.document)
        following = text_of(page.get("nextRecordsUrl"))
        if not following.startswith(f"{SALESFORCE_API}/"):
            following = ""
        return tuple(deal_state(source, members(each)) for each in items(page.get("records"))), following

    def _known(self, answered: str) -> str:
        try:
            return self.record_key(answered)
        except BadInputError:
            return ""

    def _of(self, result: Mapping[str, object]) -> Verdict:
        if result.get("success") is True:
            return WRITTEN
        errors = [members(each) for each in items(result.get("errors"))]
        codes = {text_of(each.get("statusCode")) for each in errors}
        said = shown(
            "; ".join(f"{text_of(e.get('statusCode'))}: {text_of(e.get('message'))}" for e in errors)
        )
        return self.verdict_of(codes, said)

    def verdict_of(self, codes: set[str], said: str) -> Verdict:
        """What Salesforce's error codes mean for a record."""
        if codes & _LATER:
            return Verdict("again", f"The record is locked or Salesforce is busy ({said}).")
        if codes & {"REQUEST_LIMIT_EXCEEDED"}:
            return Verdict("again", f"The org's API requests of 24 hours are used ({said}).", _QUOTA_SECONDS)
        if codes & _MAPPING:
            why = f"A mapped field cannot be written: leadscore crm check says which, and why ({said})."
            return Verdict("again", why, _MAPPING_SECONDS)
        if codes & _MISSING:
            return Verdict(
                "refused", f"The record does not exist any more: deleted, merged or converted ({said})."
            )
        return Verdict("refused", f"Salesforce refuses the record ({said or 'it does not say why'}).")

    def _whole(self, reply: VendorReply, said: str) -> Verdict:
        codes = {text_of(members(each).get("errorCode")) for each in items(reply.document)}
        if reply.status == 403 and "REQUEST_LIMIT_EXCEEDED" not in codes:
            return Verdict("again", f"The integration's user may not do this ({said}).", _MAPPING_SECONDS)
        common = common_verdict(reply, said)
        if common is not None:
            return common
        if codes & (_MAPPING | {"REQUEST_LIMIT_EXCEEDED"}):
            return self.verdict_of(codes, said)
        if reply.status == 404:
            return Verdict(
                "again", f"The target's `url` or `object` is not known to Salesforce ({said}).", 60.0
            )
        return Verdict("split", f"Salesforce refuses it (HTTP {reply.status}: {said}).")


def _errors_of(found: list[object]) -> str:
    errors = (members(each) for each in found)
    return shown(
        "; ".join(
            f"{text_of(e.get('errorCode'))}: {text_of(e.get('message'))}" for e in errors if "message" in e
        )
    )


def _check(five: str) -> str:
    return _CHECK[sum(1 << place for place, letter in enumerate(five) if "A" <= letter <= "Z")]
