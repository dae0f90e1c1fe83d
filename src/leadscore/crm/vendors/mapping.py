"""What a target may name in its CRM: objects, fields, options, and where outcomes are. Pure: nobody is asked.

What is refused here can never be right, whatever an administrator has made in the CRM: the syntax of names is
the vendor's. Whether a name that could be right is there, `leadscore crm check` asks the CRM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from leadscore.crm.vendors.protocol import OutcomeFields
from leadscore.crm.vendors.values import shown
from leadscore.durations import parse_duration
from leadscore.errors import BadInputError

if TYPE_CHECKING:
    from leadscore.crm.targets import CrmTarget

VENDOR_KINDS: Final = frozenset(("salesforce", "hubspot", "dynamics"))
_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))
_EVERY_SECONDS: Final = 900.0
# Become parts of addresses and queries: of HubSpot's objects (`contacts`, `2-1234567`) and Dataverse's sets.
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
# Parts between double underscores: a package's namespace, the name, and what it is (`__c`).
_PART: Final = r"[A-Za-z](?:_?[A-Za-z0-9])*"
_SALESFORCE: Final = re.compile(rf"(?=.{{1,100}}$){_PART}(?:__{_PART}){{0,3}}")
_HUBSPOT: Final = re.compile(r"[a-z0-9_][a-z0-9_-]{0,99}")
_DATAVERSE: Final = re.compile(r"[a-z][a-z0-9_]{0,99}")
# A lookup's id, which can be read and not written.
_LOOKUP: Final = re.compile(r"_[a-z][a-z0-9_]{0,90}_value")


@dataclass(frozen=True, slots=True)
class _Names:
    """How a CRM writes names.

    Attributes:
        vendor: As people call it.
        objects: What is an object's name.
        fields: What is the name of a field that can be written.
        readable: What is the name of a field that can be read.
        write: What to write.
        own_id: The field of a record's own id; empty: the object's name and `id`.
        options: Those that there are.
    """

    vendor: str
    objects: re.Pattern[str]
    fields: re.Pattern[str]
    readable: tuple[re.Pattern[str], ...]
    write: str
    own_id: str
    options: tuple[str, ...]


_NAMES: Final[Mapping[str, _Names]] = {
    "salesforce": _Names(
        "Salesforce",
        _SALESFORCE,
        _SALESFORCE,
        (_SALESFORCE,),
        "write the API name, such as LeadScore__c (letters, digits and _, first a letter), not the label",
        "id",
        ("bulk_from",),
    ),
    "hubspot": _Names(
        "HubSpot",
        _SEGMENT,
        _HUBSPOT,
        (_HUBSPOT,),
        "write the internal name, such as leadscore (small letters, digits and _), not the label",
        "hs_object_id",
        (),
    ),
    "dynamics": _Names(
        "Dataverse",
        _DATAVERSE,
        _DATAVERSE,
        (_DATAVERSE, _LOOKUP),
        "write the logical name, such as new_leadscore (small letters, digits and _, first a letter), not the"
        " display name or schema name",
        "",
        ("entity_set", "primary_key"),
    ),
}
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


def check_address(url: str) -> str:
    """A CRM's address without a slash at its end.

    Raises:
        BadInputError: It is no https:// address of a host; http:// is for this machine only.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not secure or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise BadInputError(f"The address {shown(url)!r} is no https:// address of a CRM.")
    return url.rstrip("/")


def mapping_problems(target: CrmTarget) -> Iterator[str]:
    """What can never be right in a target of a kind with an API, in sentences that say what to write."""
    names = _NAMES[target.kind]
    fields = {f"fields.{name}": field for name, field in target.fields.items()}
    if not names.objects.fullmatch(target.object):
        yield _no_name("object", target.object, names)
    for place, field in fields.items():
        if not names.fields.fullmatch(field):
            yield _no_name(place, field, names)
        elif field.casefold() == _own_id(target, names).casefold():
            yield f"{place} is {field}, the record's own id, which is never written: name a field for scores."
    for name in sorted(target.options.keys() - set(names.options)):
        known = f"known: {', '.join(names.options)}" if names.options else "it has none"
        yield f"options has {shown(name)}, which is no option of {names.vendor}: {known}."
    yield from _option_problems(target, names)
    try:
        check_address(target.url)
    except BadInputError as error:
        yield f"url: {error.message}"
    try:
        outcome_pull(target)
    except BadInputError as error:
        yield " ".join(part for part in (error.message, error.hint) if part)


def outcome_pull(target: CrmTarget) -> OutcomePull | None:
    """What the target says about outcomes, with what its CRM calls them by default; None: nothing is read.

    Raises:
        BadInputError: A key is unknown, missing, or no name.
    """
    if target.outcomes is None:
        return None
    usual, names = _OUTCOMES[target.kind], _NAMES[target.kind]
    given: dict[str, Any] = {name: "" if value is None else value for name, value in target.outcomes.items()}
    every = given.pop("every", "")
    unknown = sorted(set(given) - set(usual))
    if unknown:
        raise BadInputError(
            f"outcomes has `{shown(unknown[0])}`, which is no key.",
            hint=f"Keys are: {', '.join(usual)}, every.",
        )
    stages = {name: _stages(given.pop(name, usual[name]), name) for name in ("won", "lost")}
    both = sorted(stages["won"] & stages["lost"])
    if both:
        raise BadInputError(f"outcomes has {shown(both[0])!r} in won and in lost: leave it in one of them.")
    found = {name: str(given.get(name, usual[name])) for name in usual if name not in stages}
    if not found["lead"]:
        raise BadInputError(
            f"outcomes does not say which field of {shown(found['object'])} holds the lead's id.",
            hint="Write it as `lead` under `outcomes`; the guide of the CRM says how to fill it.",
        )
    for name, value in found.items():
        # What Dataverse is asked for is a set of rows (`opportunities`), which no logical name is.
        sets = names.vendor != "Salesforce" and name == "object"
        allowed = (_SEGMENT,) if sets else names.readable
        if (value or name not in {"amount", "date"}) and not any(each.fullmatch(value) for each in allowed):
            raise BadInputError(_no_name(f"outcomes.{name}", value, names))
    seconds = _EVERY_SECONDS if every == "" else _seconds(every)
    fields = OutcomeFields(
        object=found["object"],
        lead=found["lead"],
        stage=found["stage"],
        won=stages["won"],
        lost=stages["lost"],
        amount=found["amount"],
        date=found["date"],
        modified=found["modified"],
        key=found["key"],
    )
    return OutcomePull(fields, seconds)


def _own_id(target: CrmTarget, names: _Names) -> str:
    return names.own_id or str(target.options.get("primary_key") or f"{target.object}id")


def _option_problems(target: CrmTarget, names: _Names) -> Iterator[str]:
    for name, value in target.options.items():
        text = str(value)
        if name == "bulk_from" and not (text.isdecimal() and int(text)):
            yield f"options.bulk_from is {shown(text)!r}: write from how many scores on, such as 200000."
        if name == "entity_set" and not _SEGMENT.fullmatch(text):
            yield f"options.entity_set is {shown(text)!r}: write the name of the table's set, such as leads."
        if name == "primary_key" and not _DATAVERSE.fullmatch(text):
            yield _no_name("options.primary_key", text, names)


def _no_name(place: str, value: str, names: _Names) -> str:
    return f"{place} is {shown(value)!r}, no name of an object or field of {names.vendor}: {names.write}."


def _seconds(every: object) -> float:
    try:
        return parse_duration(str(every)).total_seconds()
    except BadInputError as error:
        raise BadInputError(f"outcomes.every: {error.message}", hint=error.hint) from error


def _stages(value: object, name: str) -> frozenset[str]:
    found = cast("list[object]", value) if isinstance(value, list) else [value]
    words = [each for each in found if isinstance(each, str | int) and not isinstance(each, bool)]
    if not found or len(words) < len(found) or "" in words:
        raise BadInputError(f"`{name}` of outcomes is a value or a list of values of `stage`.")
    return frozenset(map(str, words))
