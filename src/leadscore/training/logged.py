"""Logged predictions and their outcomes as a table to train on.

Requests are decoded back into the contract's columns.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from leadscore.contract import FeatureContract
from leadscore.contract.model import Boolean, Categorical, Feature
from leadscore.errors import RefusedError
from leadscore.events.store import EventStore
from leadscore.events.windows import feature_matrix, labelled_window

# Column of the time at which an outcome was recorded, for contracts without one of their own.
RECORDED_AT: Final = "outcome recorded at"
# A shadow's predictions are copies of requests that another version answered.
_ANSWERED: Final = ("champion", "canary", "challenger")


def logged_leads(
    store: EventStore, contract: FeatureContract, model: str, start: datetime, end: datetime
) -> pa.Table:
    """Leads scored in [start, end) with the outcomes known by now, in the contract's columns.

    A lead's time is when it was scored. When its outcome became known is in the contract's `target.known_at`,
    or in `RECORDED_AT` where the contract has no such column: the log knows it in any case. Of a lead that
    was scored several times the score that its outcome belongs to is kept, without one the newest. Missing
    and unseen values are null (they were logged alike). Features that never enter the model are not logged,
    so fairness over them cannot be measured from the log.

    Raises:
        RefusedError: Nothing was logged in that time.
        ConflictError: The window holds predictions under another contract.
        UnavailableError: The store cannot be read.
    """
    window = labelled_window(store, start, end, contract=contract, model_name=model)
    window = window.filter(pa.array(np.isin(window.column("role").to_numpy(), _ANSWERED)))
    leads, labelled = window.column("lead_id"), window.column("converted").is_valid().to_numpy()
    # A lead that is scored again after its outcome (as nightly batches do) keeps the score that the outcome
    # judges.
    judged = leads.filter(pa.array(labelled)).unique()
    judged = pc.is_in(leads, value_set=judged).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    keep = labelled | ~(judged | window.column("superseded").to_numpy())
    window = window.filter(pa.array(keep))
    if not window.num_rows:
        raise RefusedError(
            f"No lead was scored by {model} between {start:%Y-%m-%d} and {end:%Y-%m-%d}.",
            hint="Train on a table (--data), or wait until leads were scored.",
        )
    matrix = feature_matrix(window, contract)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {contract.id: window.column("lead_id")}
    for index, feature in enumerate(contract.inputs):
        columns[feature.name] = decoded_feature(feature, matrix[:, index])
    if contract.time is not None:
        columns[contract.time] = window.column("scored_at")
    columns[contract.target.column] = _target(contract, window.column("converted"))
    columns[contract.target.known_at or RECORDED_AT] = window.column("recorded_at")
    if contract.value is not None:
        columns[contract.value] = window.column("value")
    return pa.table(columns)


def decoded_feature(feature: Feature, codes: npt.NDArray[np.float32]) -> pa.Array:
    """Encoded values of an input as the contract has them: numbers, texts, flags; null where missing."""
    missing = np.isnan(codes)
    if isinstance(feature, Categorical):
        indices = pa.array(np.where(missing, 0, codes).astype(np.int32), mask=missing)
        return pa.DictionaryArray.from_arrays(indices, pa.array(feature.categories)).cast(pa.string())
    if isinstance(feature, Boolean):
        return pa.array(np.where(missing, 0, codes) > 0.5, mask=missing)
    return pa.array(codes.astype(np.float64), mask=missing)


def _target(contract: FeatureContract, converted: pa.ChunkedArray) -> pa.Array:
    positive = contract.target.positive
    if isinstance(positive, bool):
        negative: str | int | bool = not positive
    elif isinstance(positive, int):
        negative = 0 if positive != 0 else 1
    else:
        negative = f"not {positive}"
    known = cast("list[bool | None]", converted.to_pylist())
    return pa.array([None if hit is None else (positive if hit else negative) for hit in known])
