"""The full result of a drift check, as a document."""

from __future__ import annotations

from typing import Literal

import msgspec

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.drift.options import DriftOptions
from leadscore.drift.performance.cbpe import ExpectedPerformance
from leadscore.drift.performance.outcomes import PerformanceReport
from leadscore.drift.univariate.feature_statistics import Statistics
from leadscore.drift.verdict import DriftVerdict, Severity, Triage
from leadscore.drift.watch.report import WatchReport
from leadscore.errors import BadInputError


class TestReport(msgspec.Struct, frozen=True, kw_only=True):
    """One calibrated test of one feature (see `compare.Test`).

    Attributes:
        name: `distribution`, `shift`, `missing`, `unseen` or `range`.
        value: Divergence on PSI's scale, |z| of the rank sum, or a rate of the window.
        critical_value: Value from which it breaches; None for rates and in mode `thresholds`.
        p_value: Chance of as much evidence on an unchanged stream.
        effect: Size of the change against the training reference, PSI less noise.
        breached: Whether the p-value and the effect both cross.
    """

    __test__ = False

    name: str
    value: float
    critical_value: float | None = msgspec.field(name="cut")
    p_value: float
    effect: float
    breached: bool


class FeatureReport(msgspec.Struct, frozen=True, kw_only=True):
    """One feature, or the score, in one window.

    Attributes:
        name: As in the contract, or `score`.
        kind: As in the contract, or `score`.
        severity: Of this feature.
        effect: Largest of its breaching tests, else of all tests; in mode `thresholds` the PSI.
        statistics: Against the training reference.
        tests: Calibrated ones.
        impact: Share of the model's attention that the change touches (see `impact`); None if not computed.
        at_risk: Share of the window's leads whose grade this feature's change has changed; None if not
            computed.
        seasonal: Whether it was compared with the same hour or day of the week.
        judged: Whether its change could be judged; the report's notes say why not.
        labels: Names of the cells.
        reference: Rows of the training reference per cell, absent values (missing or unlisted) last.
        window: Rows of the window per cell, likewise.
    """

    name: str
    kind: Literal["numeric", "categorical", "boolean", "score"]
    severity: Severity
    effect: float
    statistics: Statistics
    tests: tuple[TestReport, ...]
    impact: float | None = None
    at_risk: float | None = None
    seasonal: bool = False
    judged: bool = True
    labels: tuple[str, ...] = ()
    reference: tuple[int, ...] = ()
    window: tuple[int, ...] = ()

    @property
    def strongest(self) -> TestReport | None:
        """The test that `effect` is of; None in mode `thresholds`, which has none."""
        some = [test for test in self.tests if test.breached] or self.tests
        return max(some, key=lambda test: (test.effect, -test.p_value), default=None)


class TriageFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence about what kind of change it is.

    Attributes:
        pattern: `nulls`, `unit`, `constant`, `one_source`, `respelled`, `new_category`, `range` or `moved`.
        points_to: What it is evidence of.
        feature: Which one.
        confidence: How strongly, 0-1.
        sentence: For people, with the figures.
    """

    pattern: Literal["nulls", "unit", "constant", "one_source", "respelled", "new_category", "range", "moved"]
    points_to: Triage
    feature: str
    confidence: float
    sentence: str


class CalibrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where the critical values come from (mode `budget`).

    Attributes:
        run_length: Windows per false alarm asked for.
        tests: Number of tests of the window.
        reference_rows: Rows of the training reference.
        pooled_rows: Rows compared with: the reference and the windows without drift since.
        breach_asked: Chance of an accidental breach per window that was asked for.
        breach_expected: The chance that the level gives, before the effect is asked for as well.
        level: p-value from which a test breaches.
        overlap: Chance that any test breaches over the tests' summed chances.
    """

    run_length: float
    tests: int
    reference_rows: int
    pooled_rows: int
    breach_asked: float
    breach_expected: float
    level: float
    overlap: float


class MethodReport(msgspec.Struct, frozen=True, kw_only=True):
    """A test of all features together, or alibi-detect's of each.

    Attributes:
        method: As in the options: `mmd`, `classifier`, `alibi:KSDrift`, ….
        feature: `joint`, or the feature that the value is of.
        statistic: `squared_mmd`, `auc` (of the classifier), or alibi-detect's class in small letters.
        value: Of the statistic.
        p_value: Of at least as large a value without change.
        level: p-value from which the method breaches.
        effect: The change on PSI's scale; None where the statistic has no such reading.
        severity: Of the finding.
        breached: Whether it counts.
        reference_rows: Rows that were used of the reference.
        window_rows: Rows that were used of the window.
    """

    method: str
    feature: str
    statistic: str
    value: float
    p_value: float
    level: float
    effect: float | None
    severity: Severity
    breached: bool
    reference_rows: int
    window_rows: int


class DriftReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one window.

    Attributes:
        verdict: The answer.
        features: In contract order, the score last; none if they were not judged.
        options: As they were set.
        breached: Whether this window breached.
        recent: The latest windows' breaches, oldest first, this one included.
        p_value: Chance that an unchanged window shows as much evidence anywhere; None in mode `thresholds`.
        calibration: None in mode `thresholds`.
        findings: What the triage was made from.
        at_risk: Share of the window's leads whose grade the breaching features' changes have changed
            together.
        notes: What limits this result.
        performance: What outcomes say; None if they were not asked.
        expected: What the window's probabilities promise (CBPE); None if that was not asked.
        methods: The other methods' findings.
        stream: What the charts of the method `sequential` show; None if it was not asked, or has seen nothing
            yet.
    """

    verdict: DriftVerdict
    features: tuple[FeatureReport, ...]
    options: DriftOptions
    breached: bool
    recent: tuple[bool, ...] = ()
    p_value: float | None = None
    calibration: CalibrationReport | None = None
    findings: tuple[TriageFinding, ...] = ()
    at_risk: float | None = None
    notes: tuple[str, ...] = ()
    performance: PerformanceReport | None = None
    expected: ExpectedPerformance | None = None
    methods: tuple[MethodReport, ...] = ()
    stream: WatchReport | None = None

    @property
    def judged(self) -> bool:
        """Whether any method could judge."""
        outcomes = self.performance is not None and self.performance.verdict.judged
        charts = self.stream is not None and self.verdict.state == "judged"
        return bool(self.features or self.methods) or outcomes or charts

    def to_json(self) -> bytes:
        """The document, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, data: bytes | str) -> DriftReport:
        """Read it back.

        Raises:
            BadInputError: The document is not a drift report.
        """
        try:
            return decode_json(data, type=DriftReport)
        except DECODE_ERRORS as error:
            raise BadInputError(f"The document is not a drift report: {error}.") from error
