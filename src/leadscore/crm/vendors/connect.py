"""From a target of the YAML to a link to its CRM; whatever is wrong in it is said in a sentence."""

from __future__ import annotations

from pathlib import Path

from leadscore.crm.targets import CrmTarget
from leadscore.crm.vendors.dynamics import DynamicsVendor
from leadscore.crm.vendors.hubspot import HubSpotVendor
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.mapping import VENDOR_KINDS, check_address, mapping_problems
from leadscore.crm.vendors.protocol import CrmVendor
from leadscore.crm.vendors.salesforce import BULK_FROM, SalesforceVendor
from leadscore.errors import BadInputError


def connect(target: CrmTarget) -> VendorLink:
    """The link to a target's CRM; nothing is sent yet.

    Raises:
        BadInputError: The target's kind, address or a name is none.
    """
    if target.kind not in VENDOR_KINDS:
        raise BadInputError(
            f"The target {target.name} is of the kind {target.kind}, which has no API of its own."
        )
    # Names become parts of addresses and queries.
    for problem in mapping_problems(target):
        raise BadInputError(f"The target {target.name}: {problem}")
    return VendorLink(_vendor(target), target.url, Path(target.credentials))


def _vendor(target: CrmTarget) -> CrmVendor:
    if target.kind == "salesforce":
        bulk_from = int(target.options.get("bulk_from", BULK_FROM))
        return SalesforceVendor(target.object, target.fields, bulk_from)
    if target.kind == "hubspot":
        return HubSpotVendor(target.object, target.fields)
    table, key = (str(target.options.get(name, "")) for name in ("entity_set", "primary_key"))
    return DynamicsVendor(target.object, target.fields, check_address(target.url), table, key)
