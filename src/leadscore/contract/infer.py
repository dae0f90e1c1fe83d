"""Propose a contract for a table, with findings for the person who checks it."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from leadscore.contract.arrow import ArrowColumn, ArrowTable, counts, distinct_values, kind_of, nulls
from leadscore.contract.arrow import arrow_times as typed_times
from leadscore.contract.findings import ColumnSummary, Finding
from leadscore.contract.guess.times import dates_near
from leadscore.contract.leaks import Suspicion, column_suspicion, later_suspicion
from leadscore.contract.model import ColumnFormat, Feature, FeatureContract, Numeric, Target
from leadscore.contract.names import names_money, protected_attribute
from leadscore.contract.propose import Proposal, propose
from leadscore.contract.roles import TargetReading, read_role_times, read_target, value_format
from leadscore.contract.text import is_missing, whole_id
from leadscore.errors import TableError

_LATE: Final = (
    "left out: it is not known when the lead comes in; if it says when the outcome became "
    "known, name it with --known-at"
)


class Inference(msgspec.Struct, frozen=True):
    """The proposal.

    Attributes:
        contract: Valid as it is; no feature is required, since the table cannot tell what callers always
            know.
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
    currency: str | None = None,
    known_at: str | None = None,
    positive: str | int | bool | None = None,
    name: str,
) -> Inference:
    """Propose a contract for an Arrow table, of types or of nothing but texts.

    Left out of the features: the named columns, times, constants, identifiers, texts of too many values, and
    columns that alone tell the outcome (`leadscore.contract.leaks`) or lie after the lead's time. Where the
    meaning of texts is sure, the contract says how to read them (`formats`, `target.open_values`); where it
    is not, a finding asks, with the line to write.

    Args:
        table: A `pyarrow.Table`.
        target: Column of the outcome.
        id: Column that identifies a lead.
        time: Column of the lead's creation time.
        value: Column of the revenue.
        currency: Of the revenue, by ISO 4217; None: nobody says.
        known_at: Column of the time at which the outcome became known.
        positive: The target's value that means "converted"; guessed if None.
        name: Name of the contract.

    Raises:
        TableError: A named column is missing, the target's values do not tell which one is "converted", or no
            column is left to be a feature.
        ContractError: The currency is no code of ISO 4217, or there is no column of the revenue.
    """
    roles = {id: "id", time: "time", target: "target", known_at: "known_at", value: "value"}
    for column, role in roles.items():
        if column is not None:
            _require(table, column, role)
    outcome = read_target(target, table.column(target), positive)
    findings = [*outcome.findings, *_id_findings(id, table.column(id))]
    formats: dict[str, ColumnFormat] = {}
    for column, role in roles.items():
        if column is None or role not in {"time", "known_at", "value"}:
            continue
        read = value_format if role == "value" else read_role_times
        form, told = read(column, table.column(column))
        findings += told
        if form is not None:
            formats[column] = form
    features, summaries = _features(table, roles, outcome, time, findings, formats)
    if not features:
        raise TableError(
            "No column of the table can be a feature.",
            hint="; ".join(f"{f.column}: {f.reason}" for f in findings),
        )
    contract = FeatureContract(
        name=name,
        id=id,
        time=time,
        target=Target(
            column=target, positive=outcome.positive, known_at=known_at, open_values=outcome.open_values
        ),
        value=value,
        currency=currency,
        features=tuple(features),
        formats=formats,
    )
    return Inference(contract, tuple(findings), tuple(summaries))


def _features(
    table: ArrowTable,
    roles: dict[str | None, str],
    outcome: TargetReading,
    time: str | None,
    findings: list[Finding],
    formats: dict[str, ColumnFormat],
) -> tuple[list[Feature], list[ColumnSummary]]:
    """Propose for every column without a role; findings and formats are added to those given."""
    created = None if time is None else typed_times(table.column(time), formats.get(time))
    features: list[Feature] = []
    summaries: list[ColumnSummary] = []
    for column in table.column_names:
        if column in roles:
            summaries.append(_role_summary(column, roles[column], table.column(column)))
            continue
        proposal = _judge(
            propose(column, table.column(column)), table.column(column), outcome.labels, created
        )
        findings += proposal.findings
        summaries.append(proposal.summary)
        if proposal.feature is not None:
            features.append(proposal.feature)
            if proposal.form is not None:
                formats[column] = proposal.form
    return features, summaries


def _require(table: ArrowTable, column: str, role: str) -> None:
    if column not in table.column_names:
        close = difflib.get_close_matches(column, table.column_names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(table.column_names)}."
        if role == "id" and not close:
            hint += " A table whose leads have no id gets one by a column that numbers its rows."
        raise TableError(f"The table has no column {column!r}.", hint=hint)


def _id_findings(name: str, column: ArrowColumn) -> list[Finding]:
    if kind_of(column) == "other":
        return []
    seen = [(whole_id(str(value)), count) for value, count in counts(column) if not is_missing(str(value))]
    repeated = sum(count for _, count in seen) - len({value for value, _ in seen})
    if not repeated:
        return []
    reason = f"{repeated} rows repeat the id of another row"
    return [Finding(name, "duplicate_ids", reason, "kept; outcomes join by id, so keep one row per lead")]


def _role_summary(name: str, role: str, column: ArrowColumn) -> ColumnSummary:
    if kind_of(column) == "text":
        seen = [count for text, count in counts(column) if not is_missing(str(text))]
        missing = (len(column) - sum(seen)) / len(column) if len(column) else 0.0
        return ColumnSummary(column=name, role=role, missing=missing, distinct=len(seen))
    missing = float(nulls(column).mean()) if len(column) else 0.0
    return ColumnSummary(column=name, role=role, missing=missing, distinct=distinct_values(column))


def _judge(
    proposal: Proposal,
    column: ArrowColumn,
    known: NDArray[np.float64],
    created: NDArray[np.datetime64] | None,
) -> Proposal:
    """Leave out columns that tell the outcome, ask about those that may, and mark protected attributes."""
    name = proposal.summary.column
    if proposal.feature is None:
        late = _later_than_lead(name, column, created) if proposal.findings[0].kind == "time" else None
        return proposal if late is None else Proposal(None, proposal.summary, (late,))
    dates = _dates_in_numbers(name, proposal, created)
    if dates is not None:
        return Proposal(None, msgspec.structs.replace(proposal.summary, role="left out"), (dates,))
    suspicion = (
        None
        if proposal.codes is None
        else column_suspicion(name, proposal.codes, known, names=proposal.names)
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
    return dataclasses.replace(proposal, feature=feature, findings=(finding, *findings))


def _leak(suspicion: Suspicion) -> Finding:
    action = "left out; add it, with `known_before: true`, only if it is known when the lead comes in"
    if names_money(suspicion.column):
        action += "; if it is the revenue of the lead, name it with --value"
    return Finding(suspicion.column, "leak", suspicion.sentence, action)


def _suspicious(suspicion: Suspicion) -> Finding:
    action = (
        "kept, and a model with it becomes champion only with a named person's word: remove it, "
        "or, if it is known when the lead comes in, write `known_before: true` into the feature"
    )
    return Finding(suspicion.column, "suspicious", suspicion.sentence, action)


def _dates_in_numbers(
    name: str, proposal: Proposal, created: NDArray[np.datetime64] | None
) -> Finding | None:
    """What to say of a column of numbers that are dates.

    A spreadsheet's days, or seconds since 1970, near the leads' own.
    """
    if created is None or proposal.codes is None or not isinstance(proposal.feature, Numeric):
        return None
    found = dates_near(proposal.codes, created)
    if found is None:
        return None
    moments, form = found
    late = later_suspicion(name, moments, created)
    reason = f"its numbers are dates ({form}), within years of the leads' own" + (
        "" if late is None else f"; {late.sentence}"
    )
    kind: Literal["leak", "time"] = "time" if late is None else "leak"
    action = "left out; derive durations from it if they help" if late is None else _LATE
    return Finding(name, kind, reason, action)


def _later_than_lead(
    name: str, column: ArrowColumn, created: NDArray[np.datetime64] | None
) -> Finding | None:
    form, _ = read_role_times(name, column)
    moments = typed_times(column, form)
    if created is None or moments is None:
        return None
    late = later_suspicion(name, moments, created)
    if late is None:
        return None
    return Finding(name, "leak", late.sentence, _LATE)
