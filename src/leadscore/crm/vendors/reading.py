"""What a CRM says of itself: what its records hold, and whether the mapped fields are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leadscore.crm.targets import CrmTarget
from leadscore.crm.vendors.connect import connect
from leadscore.crm.vendors.link import VendorLink
from leadscore.crm.vendors.mapping import outcome_pull
from leadscore.crm.vendors.protocol import RecordState
from leadscore.errors import BadInputError, LeadScoreError


def read_back(link: VendorLink, lead_ids: Sequence[str]) -> dict[str, RecordState | None]:
    """What records hold now, by lead id; None: the CRM has no such record.

    Raises:
        UnavailableError: The CRM did not answer, or refused.
    """
    found: dict[str, RecordState | None] = {}
    keys: dict[str, str] = {}
    for lead_id in lead_ids:
        try:
            keys[lead_id] = link.vendor.record_key(lead_id)
        except BadInputError:
            found[lead_id] = None
    wanted = list(dict.fromkeys(keys.values()))
    states: dict[str, RecordState] = {}
    for start in range(0, len(wanted), link.vendor.read_size):
        reply = link.send(link.vendor.encode_read(wanted[start : start + link.vendor.read_size]))
        states |= link.vendor.decode_read(reply)
    return found | {lead_id: states.get(key) for lead_id, key in keys.items()}


def check_mapping(link: VendorLink) -> tuple[str, ...]:
    """What is wrong with the mapped fields, in sentences; none: nothing.

    Raises:
        UnavailableError: The CRM did not answer, or refused.
    """
    return link.vendor.decode_describe(link.send(link.vendor.encode_describe()))


def check_targets(targets: Iterable[CrmTarget]) -> dict[str, tuple[str, ...]]:
    """What is wrong with each target, in sentences: its settings, credentials, way there and fields."""
    found: dict[str, tuple[str, ...]] = {}
    for target in targets:
        try:
            outcome_pull(target)
            found[target.name] = check_mapping(connect(target))
        except LeadScoreError as error:
            found[target.name] = (str(error),)
    return found
