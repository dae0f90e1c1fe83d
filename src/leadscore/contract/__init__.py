"""The feature contract: what a lead is, and the only place that names a column."""

from leadscore.contract.document import contract_version, dump_contract, load_contract, parse_contract
from leadscore.contract.model import (
    Boolean,
    Categorical,
    ColumnFormat,
    Feature,
    FeatureContract,
    Numeric,
    Target,
)

__all__ = [
    "Boolean",
    "Categorical",
    "ColumnFormat",
    "Feature",
    "FeatureContract",
    "Numeric",
    "Target",
    "contract_version",
    "dump_contract",
    "load_contract",
    "parse_contract",
]
