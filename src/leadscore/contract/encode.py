"""The fast path: one msgspec type and one generated function per contract.

A loop over the features takes half as long again per lead as straight-line code (measured for 25 features),
so the code is generated, once per contract. Nothing of the contract's text enters the source: names are `f0`,
`f1`, …, bounds are float literals.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Annotated, Protocol, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from leadscore.contract.categories import Categories, categories_of
from leadscore.contract.lead import LeadWarning
from leadscore.contract.model import Boolean, Categorical, Feature, FeatureContract, Numeric
from leadscore.contract.plain import FLOAT32_MAX, ID_MAX, ID_MIN, ID_PATTERN, bounds
from leadscore.contract.text import TIME_PATTERN
from leadscore.contract.words import flag_of, no_features_flag


class SuspectLeadError(Exception):
    """The fast path cannot decide; the plain path must. Never leaves the decoder."""


LeadId: TypeAlias = (
    Annotated[str, msgspec.Meta(pattern=ID_PATTERN)] | Annotated[int, msgspec.Meta(ge=ID_MIN, le=ID_MAX)]
)
LeadTime: TypeAlias = Annotated[str, msgspec.Meta(pattern=TIME_PATTERN)]


class ParsedLead(Protocol):
    """What the generated msgspec type holds, beside one attribute per feature."""

    lead_id: str | int


class ParsedLeads(Protocol):
    """What the type of a bulk body holds."""

    leads: list[ParsedLead]


EncodeInto = Callable[[ParsedLead, bytearray, int, "list[LeadWarning]"], int]
"""(lead, buffer, byte offset, warnings to extend) → number of quote characters the lead's JSON has if no key
comes twice and no string holds an escaped quote. Writes one float32 row. Raises `SuspectLeadError`."""


def lead_type(contract: FeatureContract) -> type[ParsedLead]:
    """The msgspec type of a lead: types are strict, unknown keys are errors, absent fields are UNSET."""
    fields: list[tuple[str, object] | tuple[str, object, object]] = [("lead_id", LeadId)]
    rename = {"lead_id": contract.id}
    if contract.time is not None:
        fields.append(("time", LeadTime | None | UnsetType, UNSET))
        rename["time"] = contract.time
    for i, feature in enumerate(contract.features):
        kind = _json_type(feature)
        fields.append((f"f{i}", kind) if feature.required else (f"f{i}", kind | None | UnsetType, UNSET))
        rename[f"f{i}"] = feature.name
    made: type[ParsedLead] = msgspec.defstruct(  # pyright: ignore[reportAssignmentType]
        "Lead",
        fields,  # pyright: ignore[reportArgumentType]
        rename=rename,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return made


def leads_type(lead: type[ParsedLead]) -> type[ParsedLeads]:
    """The msgspec type of `{"leads": [lead, …]}`."""
    made: type[ParsedLeads] = msgspec.defstruct(  # pyright: ignore[reportAssignmentType]
        "Leads",
        [("leads", list[lead])],
        forbid_unknown_fields=True,
        gc=False,
    )
    return made


def _json_type(feature: Feature) -> type[float | str | bool]:
    match feature:
        case Numeric():
            return float
        case Categorical():
            return str
        case Boolean():
            return bool


def compile_encoder(contract: FeatureContract) -> EncodeInto:
    """The function that writes a parsed lead as a float32 row."""
    scope: dict[str, object] = {
        "UNSET": UNSET,
        "nan": math.nan,
        "no_features": no_features_flag(contract.id),
        "pack_into": struct.Struct(f"={len(contract.inputs)}f").pack_into,
    }
    for i, feature in enumerate(contract.features):
        if isinstance(feature, Categorical):
            known = categories_of(feature, contract.format_of(feature.name))
            scope[f"codes{i}"] = {c: float(k) for c, k in known.codes.items()}.get
            scope[f"other{i}"] = _other_text(feature, known)
        elif isinstance(feature, Numeric):
            scope[f"check{i}"] = _number_check(feature)
    exec(compile(encoder_source(contract), "<lead encoder>", "exec"), scope)  # noqa: S102
    made: EncodeInto = scope["encode"]  # pyright: ignore[reportAssignmentType]
    return made


def encoder_source(contract: FeatureContract) -> str:
    """Source of the generated function (see the module's docstring)."""
    # Two quotes per key and two per text value, less what is found to be absent, null or an integer id.
    quotes = 4
    lines = ["if lead.lead_id.__class__ is int: quotes -= 2"]
    if contract.time is not None:
        quotes += 4
        lines += ["if lead.time is None: quotes -= 2", "elif lead.time is UNSET: quotes -= 4"]
    for i, feature in enumerate(contract.features):
        text = isinstance(feature, Categorical)
        quotes += 4 if text else 2
        lines.append(f"v{i} = lead.f{i}")
        lines += _category_lines(i, feature) if text else _scalar_lines(i, feature)
    columns = ", ".join(f"v{i}" for i, f in enumerate(contract.features) if f.input)
    # Only NaN differs from itself; nearly every lead is known by its first input.
    nothing = " and ".join(f"v{i} != v{i}" for i, f in enumerate(contract.features) if f.input)
    lines.append(f"if {nothing}: flagged.append(no_features)")
    body = [f"quotes = {quotes}", *lines, f"pack_into(buffer, offset, {columns})", "return quotes"]
    return "\n    ".join(["def encode(lead, buffer, offset, flagged):", *body]) + "\n"


def _scalar_lines(i: int, feature: Feature) -> list[str]:
    branches = (
        []
        if feature.required
        else [f"if v{i} is None: v{i} = nan", f"elif v{i} is UNSET: v{i} = nan; quotes -= 2"]
    )
    if isinstance(feature, Numeric):
        low, high = bounds(feature)
        fraction = f" or v{i} % 1.0" if feature.integer else ""
        word = "elif" if branches else "if"
        branches.append(f"{word} not {low!r} <= v{i} <= {high!r}{fraction}: v{i} = check{i}(v{i}, flagged)")
    return branches


def _category_lines(i: int, feature: Feature) -> list[str]:
    lines = [f"c{i} = codes{i}(v{i})", f"if c{i} is None:"]
    if not feature.required:
        lines += [
            f"    if v{i} is None: c{i} = nan; quotes -= 2",
            f"    elif v{i} is UNSET: c{i} = nan; quotes -= 4",
            f"    else: c{i} = other{i}(v{i}, flagged)",
        ]
    else:
        lines.append(f"    c{i} = other{i}(v{i}, flagged)")
    return [*lines, f"v{i} = c{i}"]


def _other_text(feature: Categorical, known: Categories) -> Callable[[str, list[LeadWarning]], float]:
    """The code of a text that is not written as any category is."""
    flag = flag_of(feature)

    def code_of(text: str, flagged: list[LeadWarning]) -> float:
        code = known.find(text)
        if code is not None:
            return float(code)
        if not known.is_missing(text):
            flagged.append(flag)
        elif feature.required:
            raise SuspectLeadError
        return math.nan

    return code_of


def _number_check(feature: Numeric) -> Callable[[float, list[LeadWarning]], float]:
    flag = flag_of(feature)

    def check(value: float, flagged: list[LeadWarning]) -> float:
        if feature.integer and value % 1.0:
            raise SuspectLeadError
        flagged.append(flag)
        return min(max(value, -FLOAT32_MAX), FLOAT32_MAX)

    return check
