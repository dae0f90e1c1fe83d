"""Reading, writing and versioning contract documents."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import yaml

from leadscore.contract.model import FeatureContract
from leadscore.errors import ContractError


def parse_contract(text: str | bytes, source: str = "contract") -> FeatureContract:
    """Parse a YAML or JSON contract.

    Raises:
        ContractError: Not YAML, a key unknown or missing, or a rule broken; the message names the place.
    """
    try:
        raw: object = yaml.safe_load(text)
        return msgspec.convert(raw, FeatureContract, strict=True)
    except yaml.YAMLError as error:
        raise ContractError(f"{source} is not valid YAML: {error}.") from error
    except msgspec.ValidationError as error:
        raise ContractError(
            f"{source} does not follow the contract format: {error}.",
            hint="`leadscore contract schema` prints the format.",
        ) from error


def load_contract(path: Path) -> FeatureContract:
    """Read a contract file; a missing or unreadable file is a `ContractError` too."""
    try:
        return parse_contract(path.read_bytes(), source=str(path))
    except OSError as error:
        raise ContractError(
            f"Cannot read the contract {path}: {error.strerror}.",
            hint="`leadscore contract infer TABLE …` makes one.",
        ) from error


def dump_contract(contract: FeatureContract) -> str:
    """The contract as YAML for people, keys in the order of the types."""
    return yaml.safe_dump(msgspec.to_builtins(contract), sort_keys=False, allow_unicode=True, width=110)


def contract_version(contract: FeatureContract) -> str:
    """Content hash: 12 hex digits of SHA-256 over the canonical JSON.

    Descriptions count: they are part of what a salesperson is told.
    """
    canonical = msgspec.json.encode(contract, order="sorted")
    return hashlib.sha256(canonical).hexdigest()[:12]
