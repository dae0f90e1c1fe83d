"""A contract proposed for a table, with everything a person should know before trusting it."""

from __future__ import annotations

import dataclasses
import difflib
import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import ArrowColumn, ArrowTable, counts, distinct, floats, kind_of, nulls, times
from leadscore.contract.leaks import Suspicion, column_suspicion, later_suspicion, value_names
from leadscore.contract.model import Feature, FeatureContract, Target
from leadscore.contract.names import protected_attribute
from leadscore.contract.propose import ColumnSummary, Finding, Proposal, propose
from leadscore.errors import TableError

_POSITIVE_WORDS = ("1", "yes", "y", "true", "t", "won", "converted", "customer", "success")


class Inference(msgspec.Struct, frozen=True):
    """The proposal.

    Attributes:
        contract: Valid as it is; no feature is required, since the table cannot tell what callers always know.
        findings: What was noticed, in table order.
        columns: What was seen of each column, in table order.
    """

    contract: FeatureContract
    findings: tuple[Finding, ...]
    columns: tuple[ColumnSummary, ...]


def infer_contract(
    table: ArrowTable,
    *,
    target: str,
    id: str,  # noqa: A002 - the contract's own word
    time: str | None = None,
    value: str | None = None,
    known_at: str | None = None,
    positive: str | int | bool | None = None,
    name: str,
) -> Inference:
    """Propose a contract for an Arrow table.

    Left out of the features: the named columns, times, constants, identifiers, texts of too many values, and
    columns that alone tell the outcome (AUC of 0.95 or more) or lie after the lead's time.

    Args:
        table: A `pyarrow.Table`.
        target: Column of the outcome.
        id: Column that identifies a lead.
        time: Column of the lead's creation time.
        value: Column of the revenue.
        known_at: Column of the time at which the outcome became known.
        positive: The target's value that means "converted"; guessed if None.
        name: Name of the contract.

    Raises:
        TableError: A named column is missing, the target's values do not tell which one is "converted", or no
            column is left to be a feature.
    """
    roles = {id: "id", time: "time", target: "target", known_at: "known_at", value: "value"}
    for column in roles:
        if column is not None:
            _require(table, column)
    label, findings = _positive(target, table.column(target), positive)
    findings += _id_findings(id, table.column(id))
    known = _outcomes(table.column(target), label)
    created = times(table.column(time)) if time is not None else None
    features: list[Feature] = []
    summaries: list[ColumnSummary] = []
    for column in table.column_names:
        if column in roles:
            summaries.append(_role_summary(column, roles[column], table.column(column)))
            continue
        proposal = _judge(propose(column, table.column(column)), table.column(column), known, created)
        findings += proposal.findings
        summaries.append(proposal.summary)
        if proposal.feature is not None:
            features.append(proposal.feature)
    if not features:
        raise TableError(
            "No column of the table can be a feature.",
            hint="; ".join(f"{f.column}: {f.reason}" for f in findings),
        )
    contract = FeatureContract(
        name=name,
        id=id,
        time=time,
        target=Target(column=target, positive=label, known_at=known_at),
        value=value,
        features=tuple(features),
    )
    return Inference(contract, tuple(findings), tuple(summaries))


def _require(table: ArrowTable, column: str) -> None:
    if column not in table.column_names:
        close = difflib.get_close_matches(column, table.column_names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(table.column_names)}."
        raise TableError(f"The table has no column {column!r}.", hint=hint)


def _positive(
    name: str, column: ArrowColumn, wanted: str | int | bool | None
) -> tuple[str | int | bool, list[Finding]]:
    seen = [value for value, _ in counts(column)]
    if len(seen) < 2:
        raise TableError(
            f"The target column {name!r} has {len(seen)} different value(s): there is nothing to learn.",
            hint="It must hold outcomes of both kinds.",
        )
    if wanted is not None:
        match = [value for value in seen if value == wanted or str(value) == str(wanted)]
        if not match:
            raise TableError(
                f"The target column {name!r} never holds {wanted!r}.", hint=f"It holds {_shown(seen)}."
            )
        return _plain(match[0]), []
    if len(seen) > 2:
        raise TableError(
            f"The target column {name!r} has {len(seen)} different values: {_shown(seen)}.",
            hint="Say which one means converted with --positive.",
        )
    for value in seen:
        if value is True or value == 1 or str(value).strip().lower() in _POSITIVE_WORDS:
            return _plain(value), []
    rarer = _plain(seen[-1])
    finding = Finding(
        name, "target", f"values {_shown(seen)} do not say which means converted",
        f"took the rarer, {rarer!r}; correct `target.positive` if that is wrong",
    )  # fmt: skip
    return rarer, [finding]


def _plain(value: object) -> str | int | bool:
    """A target value as the contract can hold it: 1.0 becomes 1."""
    if isinstance(value, str | bool | int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else str(value)


def _shown(values: list[object]) -> str:
    return ", ".join(repr(value) for value in values[:5]) + (", …" if len(values) > 5 else "")


def _id_findings(name: str, column: ArrowColumn) -> list[Finding]:
    repeated = len(column) - int(nulls(column).sum()) - distinct(column)
    if kind_of(column) == "other" or not repeated:
        return []
    reason = f"{repeated} rows repeat the id of another row"
    return [Finding(name, "duplicate_ids", reason, "kept; outcomes join by id, so keep one row per lead")]


def _outcomes(column: ArrowColumn, positive: str | int | bool) -> NDArray[np.float64]:
    if kind_of(column) in {"integer", "number", "boolean"} and not isinstance(positive, str):
        numbers = floats(column)
        return np.where(np.isnan(numbers), np.nan, (numbers == float(positive)).astype(np.float64))
    texts = column.cast("string").to_pylist()
    return np.array([math.nan if v is None else float(v == str(positive)) for v in texts], dtype=np.float64)


def _role_summary(name: str, role: str, column: ArrowColumn) -> ColumnSummary:
    missing = float(nulls(column).mean()) if len(column) else 0.0
    return ColumnSummary(column=name, role=role, missing=missing, distinct=distinct(column))


def _judge(
    proposal: Proposal,
    column: ArrowColumn,
    known: NDArray[np.float64],
    created: NDArray[np.datetime64] | None,
) -> Proposal:
    """Leave out what tells the outcome, question what may, and mark what the law protects."""
    name = proposal.summary.column
    if proposal.feature is None:
        late = _later_than_lead(name, column, created) if proposal.findings[0].kind == "time" else None
        return proposal if late is None else Proposal(None, proposal.summary, (late,))
    suspicion = (
        None
        if proposal.codes is None
        else column_suspicion(name, proposal.codes, known, names=value_names(proposal.feature))
    )
    if suspicion is not None and suspicion.strength == "leak":
        summary = msgspec.structs.replace(proposal.summary, role="left out")
        return Proposal(None, summary, (_leak(suspicion), *proposal.findings))
    findings = proposal.findings if suspicion is None else (_suspicious(suspicion), *proposal.findings)
    attribute = protected_attribute(name)
    if attribute is None:
        return dataclasses.replace(proposal, findings=findings)
    finding = Finding(
        name, "sensitive", f"its name suggests {attribute}",
        "marked `sensitive`: fairness is measured per group; set `input: false` to keep it out of the model",
    )  # fmt: skip
    feature = msgspec.structs.replace(proposal.feature, sensitive=True)
    return Proposal(feature, proposal.summary, (finding, *findings), proposal.codes)


def _leak(suspicion: Suspicion) -> Finding:
    action = "left out; add it, with `known_before: true`, only if it is known when the lead comes in"
    return Finding(suspicion.column, "leak", suspicion.sentence, action)


def _suspicious(suspicion: Suspicion) -> Finding:
    action = (
        "kept, and a model with it is not crowned by itself: remove it, or, if it is known when the lead comes in, "
        "write `known_before: true` into the feature"
    )
    return Finding(suspicion.column, "suspicious", suspicion.sentence, action)


def _later_than_lead(
    name: str, column: ArrowColumn, created: NDArray[np.datetime64] | None
) -> Finding | None:
    moments = times(column)
    if created is None or moments is None:
        return None
    late = later_suspicion(name, moments, created)
    if late is None:
        return None
    return Finding(name, "leak", late.sentence, "left out: it is not known when the lead comes in")
