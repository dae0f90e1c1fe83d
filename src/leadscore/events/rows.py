"""Records as rows of the store's tables, in the order of their columns, and back."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from leadscore.events.records import Evidence, Outcome, Prediction
from leadscore.identity.caller import Caller

Row = tuple[object, ...]


def prediction_row(p: Prediction) -> Row:
    """A prediction as a row."""
    warnings = msgspec.json.encode(p.warnings).decode() if p.warnings else "[]"
    return (
        p.prediction_id,
        p.lead_id,
        p.model_name,
        p.model_version,
        p.contract_version,
        p.role,
        p.scored_at,
        p.probability,
        p.score,
        p.grade,
        p.features,
        p.request_id,
        warnings,
        p.latency_us,
        p.source or None,
        *_caller_cells(p.caller),
    )


def prediction_of(row: Row) -> Prediction:
    """The prediction of a row."""
    *fields, warnings, latency_us, source, kind, name, address = cast("tuple[Any, ...]", row)
    return Prediction(
        *fields,
        warnings=msgspec.json.decode(warnings, type=tuple[str, ...]),
        latency_us=latency_us,
        source=source or "",
        caller=_caller_of(kind, name, address),
    )


def outcome_row(o: Outcome) -> Row:
    """An outcome as a row."""
    return msgspec.structs.astuple(o)


def evidence_row(e: Evidence) -> Row:
    """A decision record as a row."""
    return (e.evidence_id, e.kind, e.subject, e.at, e.document, *_caller_cells(e.caller))


def evidence_of(row: Row) -> Evidence:
    """The decision record of a row."""
    *fields, kind, name, address = cast("tuple[Any, ...]", row)
    return Evidence(*fields, caller=_caller_of(kind, name, address))


def _caller_cells(caller: Caller | None) -> tuple[str | None, str | None, str | None]:
    return (None, None, None) if caller is None else (caller.kind, caller.name, caller.address)


def _caller_of(kind: str | None, name: str | None, address: str | None) -> Caller | None:
    return None if kind is None else Caller(kind, name or "", address or "")
