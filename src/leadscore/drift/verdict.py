"""A detector's verdict, in one form for the operator, the event store and people.

All detectors (univariate checks, multivariate and sequential tests, performance) give a `DriftVerdict`. A Job
reports it as the termination message of its pod, which Kubernetes cuts at 4,096 bytes, so a verdict knows how
to shorten itself without losing what a decision needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import BadInputError

Severity = Literal["none", "moderate", "significant", "critical"]
Triage = Literal["none", "market_moved", "pipeline_bug", "unclear"]
DriftKind = Literal["data", "prediction", "concept"]
VerdictState = Literal["judged", "partly_judged", "not_judged", "silent"]

SEVERITIES: Final[tuple[Severity, ...]] = ("none", "moderate", "significant", "critical")

# Kubernetes truncates a termination message at 4,096 bytes, and a truncated JSON document is none.
MESSAGE_BYTES: Final = 4_096
_REASON_CHARACTERS: Final = 240
_NAME_CHARACTERS: Final = 120


class FeatureVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One feature, or the score, or one joint test, compared with the reference.

    Attributes:
        feature: Name in the contract; `score` for the model's probability, `joint` for all features together.
        statistic: What was measured: `psi`, `ks`, `missing_rate`, `unseen_rate`, `mmd`, `auc`, ….
        value: The statistic's value.
        critical_value: Above it the check signals; None for a test that has no single one.
        effect: Size of the change on the scale that the severity is read from (PSI for a univariate check).
        p_value: Probability of a value at least this large on an unchanged stream; None if not tested.
        severity: Of this feature alone.
        impact: Share of the model's attention that the change touches, 0-1; None if unknown.
        note: One sentence for people.
    """

    feature: str
    statistic: str
    value: float
    critical_value: float | None = msgspec.field(default=None, name="cut")
    effect: float = 0.0
    p_value: float | None = None
    severity: Severity = "none"
    impact: float | None = None
    note: str = ""


class DriftVerdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A detector's answer about one window.

    Attributes:
        detector: Which one: `univariate`, `qt-ewma`, `mmd`, `c2st`, `cbpe`, `performance`, `alibi:mmd`, ….
        model_name: Of the model whose reference was compared with.
        model_version: Its version.
        window_start: First moment of the window, UTC.
        window_end: First moment after it, UTC.
        rows: Leads in the window.
        severity: Of the worst finding.
        drifted: Whether to act: severity and hysteresis together (a single window may be severe and not yet
            drifted).
        worst: Most important first.
        since: Start of the first window of the run of breaches that led here; None if there is none.
        confidence: How sure, 0-1: of the change if `drifted` or severe, of no drift otherwise.
        triage: What kind of change it is.
        reasons: Sentences for people, most important first.
        kind: What changed: the inputs, the scores, or the relation of inputs to outcomes.
        drop: Relative loss of AUC against the hold-out (0.07: seven per cent), where outcomes were judged and
            the loss is more than chance; else None. A policy's performance trigger reads it.
        outcomes_end: First moment after the leads whose outcomes were judged: they are older than the
            window's. None if no outcomes were judged.
        state: Whether the methods that were asked could judge: all of them, some, none (too
            few leads or outcomes), or `silent`: no lead came at all, or no outcome of any
            lead that is old enough to have one.
    """

    detector: str
    model_name: str
    model_version: str
    window_start: datetime
    window_end: datetime
    rows: int
    severity: Severity
    drifted: bool
    worst: tuple[FeatureVerdict, ...] = ()
    since: datetime | None = None
    confidence: float = 0.0
    triage: Triage = "none"
    reasons: tuple[str, ...] = ()
    kind: DriftKind = "data"
    drop: float | None = None
    outcomes_end: datetime | None = None
    state: VerdictState = "judged"

    def __post_init__(self) -> None:
        if self.window_start.tzinfo is None or self.window_end.tzinfo is None:
            raise ValueError("a window's times need a zone")
        if self.window_end < self.window_start:
            raise ValueError("the window ends before it starts")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence {self.confidence} is not between 0 and 1")
        if self.rows < 0:
            raise ValueError(f"{self.rows} rows")

    @property
    def unknown(self) -> bool:
        """Whether nothing was judged, so that severity `none` does not mean "no drift"."""
        return self.severity == "none" and self.state in {"not_judged", "silent"}

    def to_json(self) -> bytes:
        """The whole verdict as one JSON document."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> DriftVerdict:
        """Read a verdict, whole or shortened.

        Raises:
            BadInputError: The text is not a verdict (a reader must not take that for "no drift").
        """
        try:
            return decode_json(data, type=DriftVerdict)
        except DECODE_ERRORS as error:
            raise BadInputError(f"The text is not a drift verdict: {error}.") from error

    def to_termination_message(self) -> bytes:
        """The verdict as JSON of fewer than 4,096 bytes, readable by `from_json`.

        Sentences go first, then the least important features, then long names: what is decided from
        (severity, drifted, triage, since, the worst feature) always stays.
        """
        message = msgspec.structs.replace(
            self,
            detector=_shorten(self.detector, _NAME_CHARACTERS),
            model_name=_shorten(self.model_name, _NAME_CHARACTERS),
            model_version=_shorten(self.model_version, _NAME_CHARACTERS),
            worst=tuple(_short_feature(feature) for feature in self.worst[:16]),
            reasons=tuple(_shorten(reason, _REASON_CHARACTERS) for reason in self.reasons[:8]),
        )
        data = message.to_json()
        while len(data) >= MESSAGE_BYTES:
            message = _smaller(message)
            data = message.to_json()
        return data


def worst_severity(severities: Iterable[Severity]) -> Severity:
    """The highest of them; `none` if there are none."""
    return SEVERITIES[max((SEVERITIES.index(severity) for severity in severities), default=0)]


def overall_state(states: Sequence[VerdictState]) -> VerdictState:
    """Combine the states of a check's methods; a silent feed takes precedence."""
    if "silent" in states:
        return "silent"
    if len(set(states)) > 1:
        return "partly_judged"
    return states[0] if states else "not_judged"


def at_least(severity: Severity, line: Severity) -> bool:
    """Whether a severity reaches another."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(line)


def as_utc(microseconds: int) -> datetime:
    """Microseconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)


def _smaller(verdict: DriftVerdict) -> DriftVerdict:
    if len(verdict.reasons) > 1:
        return msgspec.structs.replace(verdict, reasons=verdict.reasons[:-1])
    if len(verdict.worst) > 1:
        return msgspec.structs.replace(verdict, worst=verdict.worst[:-1])
    # Only escaped or multi-byte text can still be in the way: one sentence and three names.
    return msgspec.structs.replace(verdict, reasons=(), worst=tuple(_bare(f) for f in verdict.worst))


def _short_feature(feature: FeatureVerdict) -> FeatureVerdict:
    return msgspec.structs.replace(
        feature,
        feature=_shorten(feature.feature, _NAME_CHARACTERS),
        statistic=_shorten(feature.statistic, _NAME_CHARACTERS),
        note=_shorten(feature.note, _REASON_CHARACTERS),
    )


def _bare(feature: FeatureVerdict) -> FeatureVerdict:
    return msgspec.structs.replace(feature, note="")


def _shorten(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
