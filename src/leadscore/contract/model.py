"""The contract's types: frozen, validated, and the order in which features enter the model."""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

import msgspec

from leadscore.contract.currencies import CURRENCIES
from leadscore.errors import ContractError

# Names that the API itself uses beside the features of a lead.
RESERVED = frozenset({"leads", "features", "reasons", "warnings", "score", "probability", "grade"})


MAX_NAME = 128


class _Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """Fields of every feature.

    Attributes:
        name: Column name in the user's table and key in requests.
        required: A lead without it (or with null) is refused; otherwise missing is a value the model knows.
        sensitive: Fairness is measured per slice of it.
        input: False: never enters the model, kept only to measure fairness.
        description: One sentence for people; used in explanations and the OpenAPI document.
        known_before: A person says that the value is known when the lead comes in, so that a column which
            tells the outcome suspiciously well is no leak.
    """

    name: str
    required: bool = False
    sensitive: bool = False
    input: bool = True
    description: str = ""
    known_before: bool = False


class Numeric(_Feature, frozen=True, tag="numeric"):
    """A number. Values outside `range` (inclusive, either end open with null) are scored and flagged."""

    range: tuple[float | None, float | None] = (None, None)
    integer: bool = False
    unit: str = ""


class Categorical(_Feature, frozen=True, tag="categorical"):
    """One of `categories`; any other text is scored as missing and flagged."""

    categories: tuple[str, ...]


class Boolean(_Feature, frozen=True, tag="boolean"):
    """True or false."""


Feature = Numeric | Categorical | Boolean


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of the lead.

    Attributes:
        column: Column of the outcome.
        positive: The value that means "converted"; every other value that is neither null nor open means "did
            not".
        known_at: Column with the time the outcome became known (label delay); None if the table has none.
        open_values: Values of leads whose outcome is not known yet (a deal still open), read like null.
    """

    column: str
    positive: str | int | bool = 1
    known_at: str | None = None
    open_values: tuple[str | int | bool, ...] = ()


class ColumnFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a table writes a column as text; columns with types of their own, and requests, need no format.

    Attributes:
        decimal: What stands before the fraction of a number.
        thousands: What groups the digits of a number; empty: nothing does.
        time_format: How a time is written, in the directives of `strptime`, as `%d/%m/%Y`; times
            written as numbers are `epoch_s`, `epoch_ms`, `epoch_us` (since 1970) or `excel` (days
            of a spreadsheet); None: ISO 8601.
        missing: Texts that mean "no value" here, beside those that mean it everywhere.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'"] = ""
    time_format: str | None = msgspec.field(name="format", default=None)
    missing: tuple[str, ...] = ()


_USUAL = ColumnFormat()

NUMERIC_TIMES = ("epoch_s", "epoch_ms", "epoch_us", "excel")
"""Formats of times written as numbers: since 1970, and as days of a spreadsheet."""


class FeatureContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One lead table, described (format `leadscore.dev/v1`).

    Attributes:
        name: Name of the table or business, for people.
        id: Column that identifies a lead (text or integer).
        time: Column with the lead's creation time; None forbids time-based splits.
        target: Outcome column.
        value: Column with the revenue of a converted lead, in one currency; None if unknown.
        currency: Which currency that is, by its code in ISO 4217 (`EUR`); None if nobody has said.
        features: In the order that the model sees them (those with `input: true`).
        unknown_fields: What the API does with a key the contract does not name.
        formats: By column name, how tables write it where that is not the usual way.
    """

    api_version: Literal["leadscore.dev/v1"] = msgspec.field(name="apiVersion", default="leadscore.dev/v1")
    kind: Literal["FeatureContract"] = "FeatureContract"
    name: str
    id: str
    time: str | None = None
    target: Target
    value: str | None = None
    currency: str | None = None
    unknown_fields: Literal["refuse", "warn"] = msgspec.field(name="unknownFields", default="refuse")
    features: tuple[Feature, ...]
    formats: dict[str, ColumnFormat] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """The features that enter the model, in matrix column order."""
        return tuple(f for f in self.features if f.input)

    @property
    def sensitive(self) -> tuple[Feature, ...]:
        """The features whose slices fairness is measured on."""
        return tuple(f for f in self.features if f.sensitive)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the table that the contract names, id first."""
        named = (
            self.id,
            self.time,
            *(f.name for f in self.features),
            self.target.column,
            self.target.known_at,
            self.value,
        )
        return tuple(dict.fromkeys(c for c in named if c is not None))

    def format_of(self, column: str) -> ColumnFormat:
        """How tables write that column as text."""
        return self.formats.get(column, _USUAL)

    def feature(self, name: str) -> Feature:
        """The feature of that name (KeyError if there is none)."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)


def is_usable_name(name: str) -> bool:
    """Whether a column's name can be a key in requests without escapes."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and '"' not in name and "\\" not in name


def _check(contract: FeatureContract) -> None:
    names = [f.name for f in contract.features]
    roles = [contract.id, contract.time, contract.target.column, contract.target.known_at, contract.value]
    taken = {r for r in roles if r is not None}
    for name in (*names, *taken):
        if not is_usable_name(name):
            raise ContractError(
                f"Column name {name[:40]!r} is empty, longer than {MAX_NAME} characters, or holds a quote, a "
                "backslash or a control character.",
                hint="Rename the column: it is a key in requests.",
            )
    for name, times in Counter(names).items():
        if times > 1:
            raise ContractError(f"Feature {name!r} is listed twice.", hint="Remove one.")
        if name in taken:
            raise ContractError(
                f"Column {name!r} is both a feature and an id, time, target or value column.",
                hint="A column has one role: take it out of `features`.",
            )
        if name in RESERVED:
            raise ContractError(f"Feature name {name!r} is reserved by the API.", hint="Rename the column.")
    if not contract.inputs:
        raise ContractError("The contract has no feature with `input: true`.", hint="Add at least one.")
    for feature in contract.features:
        _check_feature(feature)
    _check_target(contract.target)
    _check_currency(contract)
    for column, form in contract.formats.items():
        _check_format(contract, column, form)


def _check_target(target: Target) -> None:
    if target.positive in target.open_values:
        raise ContractError(
            f"The target's positive value {target.positive!r} is listed as open, too.",
            hint="Take it out of `open_values`.",
        )


def _check_currency(contract: FeatureContract) -> None:
    if contract.currency is None:
        return
    if contract.currency not in CURRENCIES:
        raise ContractError(
            f"The currency {contract.currency[:20]!r} is no code of ISO 4217.",
            hint="Write three capital letters, such as EUR, USD or CHF.",
        )
    if contract.value is None:
        raise ContractError(
            "The contract names a currency and no `value` column.",
            hint="Name the column with the revenue, or remove `currency`.",
        )


def _check_format(contract: FeatureContract, column: str, form: ColumnFormat) -> None:
    if column not in contract.columns:
        raise ContractError(
            f"`formats` describes {column!r}, which is no column of the contract.",
            hint="Correct the name, or remove the line.",
        )
    if form.decimal == form.thousands:
        raise ContractError(
            f"The format of {column!r} has {form.decimal!r} both as decimal and as thousands mark.",
            hint="Say which one it is.",
        )
    if form.time_format is not None and form.time_format not in NUMERIC_TIMES and "%" not in form.time_format:
        raise ContractError(
            f"The format of {column!r} is {form.time_format!r}, which says nothing about times.",
            hint=f"Write directives as in '%d/%m/%Y', or one of {', '.join(NUMERIC_TIMES)}.",
        )


def _check_feature(feature: Feature) -> None:
    if isinstance(feature, Categorical):
        if not feature.categories:
            raise ContractError(
                f"Feature {feature.name!r} has no categories.", hint="List them, or drop the feature."
            )
        if len(set(feature.categories)) != len(feature.categories):
            raise ContractError(f"Feature {feature.name!r} lists a category twice.", hint="Remove one.")
    elif isinstance(feature, Numeric):
        low, high = feature.range
        if any(end is not None and not math.isfinite(end) for end in (low, high)):
            raise ContractError(
                f"Feature {feature.name!r} has a range that is not finite.", hint="Use null for an open end."
            )
        if low is not None and high is not None and low > high:
            raise ContractError(
                f"Feature {feature.name!r} has range [{low}, {high}].", hint="Put the smaller end first."
            )
