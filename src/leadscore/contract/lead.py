"""Results of decoding a request: encoded leads with their warnings."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray


class LeadWarning(msgspec.Struct, frozen=True, gc=False):
    """Something odd about a lead that was scored all the same.

    Attributes:
        field: Name of the field as sent; the id's, where a lead has nothing else (`no_features`).
        reason: Stable word.
        message: A sentence for people; never holds the value.
    """

    field: str
    reason: Literal["unseen_category", "out_of_range", "unknown_field", "no_features"]
    message: str


class DecodedLead(msgspec.Struct, frozen=True, eq=False):
    """One lead, ready for the model.

    Attributes:
        lead_id: The contract's id column, as text.
        row: float32, shape (len(contract.inputs),): numbers clipped to the float32 range, booleans as 0/1,
            categories as their index; NaN for missing, null and unseen.
        warnings: Usually empty.
    """

    lead_id: str
    row: NDArray[np.float32]
    warnings: tuple[LeadWarning, ...]


class DecodedLeads(msgspec.Struct, frozen=True, eq=False):
    """Many leads: ids and warnings per lead, rows as float32 of shape (n, len(contract.inputs))."""

    lead_ids: list[str]
    rows: NDArray[np.float32]
    warnings: list[tuple[LeadWarning, ...]]
