"""Reading, writing and versioning contract documents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

import msgspec
import yaml

from leadscore.contract.model import Feature, FeatureContract, Numeric
from leadscore.documents import MAX_BYTES, read_yaml
from leadscore.errors import ContractError
from leadscore.files import read_file


def parse_contract(text: str | bytes, source: str = "contract") -> FeatureContract:
    """Parse a YAML or JSON contract.

    Raises:
        ContractError: Not YAML, a key unknown or missing, or a rule broken; the message names the place.
    """
    try:
        contract = msgspec.convert(read_yaml(text, source, ContractError), FeatureContract, strict=True)
        msgspec.json.encode(contract)
    except msgspec.ValidationError as error:
        raise ContractError(
            f"{source} does not follow the contract format: {error}.",
            hint="`leadscore contract schema` prints the format.",
        ) from error
    except UnicodeEncodeError as error:
        raise ContractError(
            f"{source} holds half of a surrogate pair, which is no character.", hint="Write whole characters."
        ) from error
    return contract


def load_contract(path: Path) -> FeatureContract:
    """Read a contract file; a missing or unreadable file is a `ContractError` too."""
    try:
        return parse_contract(read_file(path, MAX_BYTES), source=str(path))
    except OSError as error:
        raise ContractError(
            f"Cannot read the contract {path}: {error.strerror}.",
            hint="`leadscore contract infer TABLE …` makes one.",
        ) from error


def dump_contract(contract: FeatureContract) -> str:
    """The contract as YAML for people: each feature's name and type first, defaults of features left out."""
    document = _without_defaults_of_later_keys(msgspec.to_builtins(contract))
    document["features"] = [_feature_document(feature) for feature in contract.features]
    if contract.formats:
        document["formats"] = {name: _changed(form) for name, form in contract.formats.items()}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _feature_document(feature: Feature) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(feature)
    document = {"name": told.pop("name"), "type": told.pop("type")}
    changed = _changed(feature)
    document |= {key: value for key, value in told.items() if key in changed}
    if isinstance(feature, Numeric) and "range" in document:
        document["range"] = [_whole(end) for end in feature.range]
    return document


def _changed(struct: msgspec.Struct) -> dict[str, object]:
    """The keys of a struct whose values are not the default, as they are written."""
    defaults = {field.encode_name: field.default for field in msgspec.structs.fields(struct)}
    told: dict[str, object] = msgspec.to_builtins(struct)
    return {key: value for key, value in told.items() if value != defaults.get(key, msgspec.NODEFAULT)}


def _without_defaults_of_later_keys(document: dict[str, object]) -> dict[str, object]:
    """Drop the keys that came after the first release where they say nothing.

    A contract that does not use them keeps the version that it had before they existed.
    """
    kept = {key: value for key, value in document.items() if key not in {"formats", "currency"} or value}
    kept["target"] = {k: v for k, v in _keys(document["target"]).items() if k != "open_values" or v}
    features = cast("list[dict[str, object]]", document["features"])
    kept["features"] = [{k: v for k, v in f.items() if k != "known_before" or v} for f in features]
    return kept


def _keys(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value)


def _whole(end: float | None) -> float | int | None:
    return int(end) if end is not None and end.is_integer() and abs(end) < 2**53 else end


class _Dumper(yaml.SafeDumper):
    """Writes lists of plain values on one line: ranges and categories are read across."""


def _represent_list(dumper: _Dumper, data: list[object] | tuple[object, ...]) -> yaml.SequenceNode:
    plain = not any(isinstance(item, dict | list | tuple) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=plain)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Quoted, with escapes: PyYAML writes characters such as U+0085 as they are and reads them as a space.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)
for _sequence in (list, tuple):
    _Dumper.add_representer(_sequence, _represent_list)


def contract_version(contract: FeatureContract) -> str:
    """Content hash: 12 hex digits of SHA-256 over the canonical JSON.

    Equal contracts have equal versions, however their numbers are written (0, 0.0, -0.0). Descriptions count:
    they are part of what a salesperson is told.
    """
    features = [
        msgspec.structs.replace(f, range=tuple(None if end is None else end + 0.0 for end in f.range))
        if isinstance(f, Numeric)
        else f
        for f in contract.features
    ]
    plain = msgspec.to_builtins(msgspec.structs.replace(contract, features=tuple(features)))
    canonical = msgspec.json.encode(_without_defaults_of_later_keys(plain), order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:12]
