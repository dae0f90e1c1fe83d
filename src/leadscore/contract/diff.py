"""Compare two contracts, and tell for whom a change breaks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from leadscore.contract.model import Categorical, Feature, FeatureContract, Numeric

DiffSide = Literal["callers", "model"]


class ContractChange(msgspec.Struct, frozen=True):
    """One difference.

    Attributes:
        place: Feature name, or the contract's key (`id`, `target.positive`, …).
        what: What was changed, in words.
        breaks: Who must change: `callers` (requests that were accepted are now refused), `model`
            (a model trained under the old contract cannot read or must not be trusted with the
            new one's leads); empty: compatible.
        why: The consequence.
    """

    place: str
    what: str
    breaks: tuple[DiffSide, ...]
    why: str


class ContractDiff(msgspec.Struct, frozen=True):
    """All differences, in the order of the contract."""

    changes: tuple[ContractChange, ...]

    @property
    def compatible(self) -> bool:
        """Whether nobody has to change anything."""
        return not any(change.breaks for change in self.changes)

    def breaks(self, side: DiffSide) -> bool:
        """Whether the callers, or models trained so far, break."""
        return any(side in change.breaks for change in self.changes)


def diff_contracts(a: FeatureContract, b: FeatureContract) -> ContractDiff:
    """The changes from contract `a` (in use) to contract `b` (proposed)."""
    changes = [*_roles(a, b), *_features(a, b)]
    kept = [f.name for f in a.inputs if f.name in {g.name for g in b.inputs}]
    if kept != [f.name for f in b.inputs if f.name in set(kept)]:
        why = "the matrix columns change places: a new model must be trained"
        changes.append(ContractChange("features", "another order", ("model",), why))
    return ContractDiff(tuple(changes))


def _roles(a: FeatureContract, b: FeatureContract) -> Iterator[ContractChange]:
    if a.name != b.name:
        yield ContractChange("name", f"{a.name!r} became {b.name!r}", (), "names are for people")
    if a.id != b.id:
        yield ContractChange(
            "id", f"{a.id!r} became {b.id!r}", ("callers",), "requests carry the id under another key"
        )
    if a.time != b.time:
        sides: tuple[DiffSide, ...] = ("callers",) if a.time is not None else ()
        why = (
            "requests that send the old time column have an unknown field"
            if sides
            else "requests may send it"
        )
        yield ContractChange("time", f"{a.time!r} became {b.time!r}", sides, why)
    if (a.target.column, a.target.positive) != (b.target.column, b.target.positive):
        yield ContractChange(
            "target",
            f"{a.target.column} = {a.target.positive!r} became {b.target.column} = {b.target.positive!r}",
            ("model",),
            "the model predicts something else",
        )
    if a.target.known_at != b.target.known_at:
        what = f"{a.target.known_at!r} became {b.target.known_at!r}"
        yield ContractChange("target.known_at", what, (), "only training reads it")
    if a.value != b.value:
        yield ContractChange("value", f"{a.value!r} became {b.value!r}", (), "only evaluation reads it")
    if a.currency != b.currency:
        what = f"{a.currency or 'none'} became {b.currency or 'none'}"
        yield ContractChange("currency", what, (), "pages name it beside revenue")
    if a.unknown_fields != b.unknown_fields:
        stricter = b.unknown_fields == "refuse"
        why = (
            "fields that were ignored are now refused"
            if stricter
            else "fields that were refused are now ignored"
        )
        what = f"{a.unknown_fields} became {b.unknown_fields}"
        yield ContractChange("unknownFields", what, ("callers",) if stricter else (), why)


def _features(a: FeatureContract, b: FeatureContract) -> Iterator[ContractChange]:
    old, new = {f.name: f for f in a.features}, {f.name: f for f in b.features}
    for name, feature in old.items():
        if name in new:
            yield from _feature(feature, new[name])
        else:
            yield _removed(feature, b)
    for name, feature in new.items():
        if name not in old:
            yield _added(feature)


def _removed(feature: Feature, b: FeatureContract) -> ContractChange:
    sides: list[DiffSide] = []
    if b.unknown_fields == "refuse" or feature.name in b.columns:
        sides.append("callers")
    if feature.input:
        sides.append("model")
    told = {"callers": "requests that send it are refused", "model": "the model was trained with it"}
    why = "; ".join(told[side] for side in sides) or "requests that send it get a warning"
    return ContractChange(feature.name, "removed", tuple(sides), why)


def _added(feature: Feature) -> ContractChange:
    sides: list[DiffSide] = []
    if feature.required:
        sides.append("callers")
    if feature.input:
        sides.append("model")
    told = {"callers": "requests without it are refused", "model": "the model was trained without it"}
    what = f"added as {'required' if feature.required else 'optional'} {_type(feature)}"
    return ContractChange(
        feature.name,
        what,
        tuple(sides),
        "; ".join(told[side] for side in sides) or "optional, kept for fairness",
    )


def _feature(a: Feature, b: Feature) -> Iterator[ContractChange]:
    name = a.name
    if type(a) is not type(b):
        why = "requests must send another JSON type, and its encoding changes"
        yield ContractChange(name, f"{_type(a)} became {_type(b)}", ("callers", "model"), why)
    if a.required != b.required:
        sides: tuple[DiffSide, ...] = ("callers",) if b.required else ()
        why = "requests without it are refused" if b.required else "requests may leave it out"
        yield ContractChange(name, "now required" if b.required else "now optional", sides, why)
    if a.input != b.input:
        what = "enters the model" if b.input else "no longer enters the model"
        yield ContractChange(name, what, ("model",), "the matrix has other columns")
    if isinstance(a, Categorical) and isinstance(b, Categorical):
        yield from _categories(a, b)
    if isinstance(a, Numeric) and isinstance(b, Numeric):
        yield from _numbers(a, b)
    if a.sensitive != b.sensitive:
        what = "now sensitive" if b.sensitive else "no longer sensitive"
        yield ContractChange(name, what, (), "it changes what fairness is measured on")
    if a.description != b.description:
        yield ContractChange(name, "another description", (), "descriptions are for people")


def _categories(a: Categorical, b: Categorical) -> Iterator[ContractChange]:
    if a.categories == b.categories:
        return
    if b.categories[: len(a.categories)] == a.categories:
        what = f"{_counted(len(b.categories) - len(a.categories))} added at the end"
        yield ContractChange(
            a.name, what, ("model",), "the model has not seen their codes; callers notice nothing"
        )
        return
    gone, more = set(a.categories) - set(b.categories), set(b.categories) - set(a.categories)
    parts = [f"{_counted(len(gone))} removed"] if gone else []
    parts += [f"{_counted(len(more))} added"] if more else []
    why = "the codes of categories change: a new model must be trained"
    yield ContractChange(a.name, ", ".join(parts) or "another order of categories", ("model",), why)


def _counted(categories: int) -> str:
    return "1 category" if categories == 1 else f"{categories} categories"


def _numbers(a: Numeric, b: Numeric) -> Iterator[ContractChange]:
    if a.unit != b.unit:
        why = "the same number means something else"
        yield ContractChange(a.name, f"unit {a.unit!r} became {b.unit!r}", ("callers", "model"), why)
    if a.integer != b.integer:
        sides: tuple[DiffSide, ...] = ("callers",) if b.integer else ()
        why = "numbers with a fraction are refused" if b.integer else "numbers with a fraction are accepted"
        yield ContractChange(a.name, "now integer" if b.integer else "no longer integer", sides, why)
    if a.range != b.range:
        narrower = _low(b) > _low(a) or _high(b) < _high(a)
        why = (
            "more leads get an out-of-range warning"
            if narrower
            else "fewer leads get an out-of-range warning"
        )
        yield ContractChange(a.name, "narrower range" if narrower else "wider range", (), why)


def _low(feature: Numeric) -> float:
    return -math.inf if feature.range[0] is None else feature.range[0]


def _high(feature: Numeric) -> float:
    return math.inf if feature.range[1] is None else feature.range[1]


def _type(feature: Feature) -> str:
    return type(feature).__name__.lower()
