"""What is common to the CRMs' answers: statuses of HTTP, joining by id, records, deals and sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from leadscore.crm.vendors.protocol import (
    DealState,
    OutcomeFields,
    RecordState,
    VendorReply,
    Verdict,
)
from leadscore.crm.vendors.values import FIELD_KINDS, read_amount, read_moment, text_of
from leadscore.errors import UnavailableError
from leadscore.outbox.attempts import parse_retry_after


class VendorRefusedError(UnavailableError):
    """The CRM did not do what it was asked, and sending it again unchanged will not help."""

    code = "crm_refused"


def common_verdict(reply: VendorReply, said: str) -> Verdict | None:
    """What a status means at any CRM; None: the vendor's module has to say.

    Args:
        reply: The answer.
        said: What the CRM wrote, in a line.
    """
    status = reply.status
    asked = parse_retry_after(reply.headers.get("retry-after"), reply.at)
    detail = f"HTTP {status}" + (f": {said}" if said else "")
    if status == 429:
        return Verdict("again", f"The CRM's limit of requests is used ({detail}).", asked or 10.0)
    if status == 401:
        return Verdict("again", f"The CRM refuses the token ({detail}); see its credentials.", asked or 60.0)
    if status == 413:
        return Verdict("split", f"The batch is too large for the CRM ({detail}).")
    if status in {408, 425} or status >= 500:
        return Verdict("again", f"The CRM cannot do it now ({detail}).", asked)
    if 300 <= status < 400:
        why = f"The CRM sends us elsewhere ({detail}): correct the target's `url`."
        return Verdict("again", why, 60.0)
    return None


def strange_answer(reply: VendorReply) -> Verdict:
    """What to make of a success that is none of this CRM's."""
    why = f"HTTP {reply.status} came with an answer that is none of the CRM's: correct the target's `url`."
    return Verdict("again", why, 60.0)


def require_ok(reply: VendorReply, said: str, what: str) -> None:
    """Refuse an answer that is no success.

    Raises:
        VendorRefusedError: With what the CRM said, and what to do.
    """
    if 200 <= reply.status < 300:
        return
    detail = f"HTTP {reply.status}" + (f": {said}" if said else "")
    hints = {
        401: "Renew the credentials.",
        403: "Give the integration's user the permission.",
        404: "Correct the target's `url` or `object`.",
        429: "Try again later: the CRM's limit of requests is used.",
    }
    raise VendorRefusedError(f"The CRM did not {what} ({detail}).", hint=hints.get(reply.status, ""))


def by_key(keys: Sequence[str], answers: Sequence[tuple[str, Verdict]]) -> tuple[Verdict, ...]:
    """Join answers to records by id.

    An answer without an id counts for the record in its place if as many came as were asked for and every id
    stands in its own place; who cannot be told apart is to be asked for again in halves.

    Args:
        keys: Of the records, in the order they were sent.
        answers: Id, or empty, and verdict.
    """
    named = {key: verdict for key, verdict in answers if key}
    in_order = len(answers) == len(keys) and all(
        not key or key == expected for (key, _), expected in zip(answers, keys, strict=True)
    )
    unknown = Verdict("split", "The answer does not say what became of the record.")
    return tuple(
        named.get(key) or (answers[place][1] if in_order else unknown) for place, key in enumerate(keys)
    )


def record_state(values: Mapping[str, object], fields: Mapping[str, str]) -> RecordState:
    """What a record holds, from its members."""

    def of(name: str) -> object:
        return values.get(fields[name]) if name in fields else None

    return RecordState(
        prediction_id=text_of(of("prediction_id")) or None,
        score=read_amount(of("score")),
        grade=text_of(of("grade")) or None,
        scored_at=read_moment(of("scored_at")),
    )


def deal_state(source: OutcomeFields, values: Mapping[str, object]) -> DealState:
    """How a deal stands, from its members.

    Raises:
        VendorRefusedError: It has no id or no time of its last change.
    """
    modified = read_moment(values.get(source.modified))
    key = text_of(values.get(source.key))
    if modified is None or not key:
        raise VendorRefusedError(
            f"A record of {source.object} came without its id or the time of its last change.",
            hint="Correct `modified` of the target's `outcomes`.",
        )
    return DealState(
        record_id=key,
        lead_id=text_of(values.get(source.lead)),
        stage=text_of(values.get(source.stage)),
        amount=read_amount(values.get(source.amount)) if source.amount else None,
        closed_at=read_moment(values.get(source.date)) if source.date else None,
        modified_at=modified,
    )


@dataclass(frozen=True, slots=True)
class DescribedField:
    """What a CRM says of one of its fields.

    Attributes:
        kind: Its type, by the CRM's name.
        fits: Whether what is mapped to it can be written into that type.
        writable: Whether the integration's user may write it.
    """

    kind: str
    fits: bool
    writable: bool


def mapping_faults(
    thing: str,
    fields: Mapping[str, str],
    describe: Callable[[str, str], DescribedField | None],
    otherwise: str,
) -> tuple[str, ...]:
    """Sentences on mapped fields that are missing, read-only or of another type, in the mapping's order.

    Args:
        thing: The object that has the fields.
        fields: The field for each attribute of a score.
        describe: What is known of a field, and of the kind of value that is to be written into it.
        otherwise: What else to do about a field that is not there.
    """
    article = {"number": "a number", "text": "text", "time": "a date with time"}
    found: list[str] = []
    for name, field in fields.items():
        wanted = FIELD_KINDS[name]
        known = describe(field, wanted)
        if known is None:
            found.append(f"{thing} has no field {field}: create it, {otherwise}, or correct `fields`.")
        elif not known.writable:
            found.append(
                f"The field {field} of {thing} is read-only for the integration's user: let it be edited."
            )
        elif not known.fits:
            found.append(
                f"The field {field} is of the type {known.kind}, and {article[wanted]} is written to it:"
                " map another field."
            )
    return tuple(found)
