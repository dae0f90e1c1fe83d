"""From a target of the YAML to a link to its CRM; whatever is wrong in it is said in a sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from leadscore.crm.targets import CrmTarget
from leadscore.crm.vendors.dynamics import DynamicsVendor
from leadscore.crm.vendors.hubspot import HubSpotVendor
from leadscore.crm.vendors.link import VendorLink, check_address
from leadscore.crm.vendors.protocol import CrmVendor, OutcomeFields
from leadscore.crm.vendors.salesforce import BULK_FROM, SalesforceVendor
from leadscore.crm.vendors.values import shown
from leadscore.durations import parse_duration
from leadscore.errors import BadInputError

VENDOR_KINDS: Final = frozenset(("salesforce", "hubspot", "dynamics"))
# Of objects and fields: they become parts of addresses and queries.
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_EVERY_SECONDS: Final = 900.0
_OUTCOMES: Final[Mapping[str, Mapping[str, str]]] = {
    "salesforce": {
        "object": "Opportunity", "lead": "", "stage": "StageName", "won": "Closed Won",
        "lost": "Closed Lost", "amount": "Amount", "date": "CloseDate", "modified": "SystemModstamp",
        "key": "Id",
    },
    "hubspot": {
        "object": "deals", "lead": "", "stage": "dealstage", "won": "closedwon", "lost": "closedlost",
        "amount": "amount", "date": "closedate", "modified": "hs_lastmodifieddate", "key": "hs_object_id",
    },
    "dynamics": {
        "object": "opportunities", "lead": "_originatingleadid_value", "stage": "statecode", "won": "1",
        "lost": "2", "amount": "actualvalue", "date": "actualclosedate", "modified": "modifiedon",
        "key": "opportunityid",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OutcomePull:
    """What of a target's outcomes is read, and how often.

    Attributes:
        fields: Where they are.
        every_seconds: Between two reads.
    """

    fields: OutcomeFields
    every_seconds: float


def connect(target: CrmTarget) -> VendorLink:
    """The link to a target's CRM; nothing is sent yet.

    Raises:
        BadInputError: The target's kind, address or a name is none.
    """
    return VendorLink(_vendor(target), target.url, Path(target.credentials))


def outcome_pull(target: CrmTarget) -> OutcomePull | None:
    """What the target says about outcomes, with what its CRM calls them by default; None: nothing is read.

    Raises:
        BadInputError: A key is unknown, missing, or no name.
    """
    if target.outcomes is None:
        return None
    usual = _OUTCOMES[target.kind]
    given = dict(target.outcomes)
    every = given.pop("every", None)
    unknown = sorted(set(given) - set(usual))
    if unknown:
        raise BadInputError(
            f"The target {target.name} has outcomes with `{shown(unknown[0])}`, which is no key.",
            hint=f"Keys are: {', '.join(usual)}, every.",
        )
    stages = {name: _texts(given.pop(name, usual[name]), name) for name in ("won", "lost")}
    names = {name: str(given.get(name, usual[name])) for name in usual if name not in stages}
    if not names["lead"]:
        raise BadInputError(
            f"The target {target.name} does not say which field of {names['object']} holds the lead's id.",
            hint="Write it as `lead` under `outcomes`; the guide of the CRM says how to fill it.",
        )
    for name, value in names.items():
        if value or name not in {"amount", "date"}:
            _check_name(target, value)
    seconds = _EVERY_SECONDS if every is None else parse_duration(str(every)).total_seconds()
    fields = OutcomeFields(
        object=names["object"],
        lead=names["lead"],
        stage=names["stage"],
        won=stages["won"],
        lost=stages["lost"],
        amount=names["amount"],
        date=names["date"],
        modified=names["modified"],
        key=names["key"],
    )
    return OutcomePull(fields, seconds)


def _vendor(target: CrmTarget) -> CrmVendor:
    for value in (target.object, *target.fields.values()):
        _check_name(target, value)
    if target.kind == "salesforce":
        bulk_from = int(target.options.get("bulk_from", BULK_FROM))
        return SalesforceVendor(target.object, target.fields, bulk_from)
    if target.kind == "hubspot":
        return HubSpotVendor(target.object, target.fields)
    if target.kind == "dynamics":
        table, key = (str(target.options.get(name, "")) for name in ("entity_set", "primary_key"))
        for value in filter(None, (table, key)):
            _check_name(target, value)
        return DynamicsVendor(target.object, target.fields, check_address(target.url), table, key)
    raise BadInputError(
        f"The target {target.name} is of the kind {target.kind}, which has no API of its own."
    )


def _check_name(target: CrmTarget, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise BadInputError(
            f"The target {target.name} names {shown(value)!r}, which is no name of an object or field.",
            hint="Write API names (letters, digits and _), not labels.",
        )


def _texts(value: object, name: str) -> frozenset[str]:
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in found):
        raise BadInputError(f"`{name}` of outcomes is a value or a list of values of `stage`.")
    return frozenset(map(str, found))
