"""The evidence of a training run: the document `metrics.json`."""

from __future__ import annotations

import msgspec

from leadscore.contract.leaks import Suspicion
from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError
from leadscore.reliability import CalibrationBin
from leadscore.scoring.grades import Grades
from leadscore.training.calibrate import CalibrationFit
from leadscore.training.delay import DelayRecord
from leadscore.training.drivers import Driver
from leadscore.training.evaluate import Estimates, Evaluation
from leadscore.training.fairness import AttributeFairness
from leadscore.training.rates import WindowRate
from leadscore.training.selection import LeftOut
from leadscore.training.threshold import DecisionThreshold
from leadscore.training.tune import Tuning
from leadscore.training.window import MonthCount


class WindowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which leads went where; times are ISO 8601, None where row order stands for time.

    Attributes:
        start: First lead.
        end: Last lead.
        calibration_start: First lead of the calibration window.
        holdout_start: First lead of the hold-out window.
        train: Leads trained on.
        calibration: Leads calibrated on.
        holdout: Leads held out.
        embargoed: Leads left out of training because they were too young at `calibration_start` for their
            outcome to be known, or are within the gap before it.
        young: Labelled leads left out at the newest end because not enough labels there are known yet.
        unknown: Leads of the window's months without a known outcome.
        months: Leads, known labels and conversions per month.
        rates: Conversion rate of training, calibration and hold-out window.
        delay: What is known of the delays of outcomes.
        left_out: Rows that could not be used, and ids that come several times.
        shared_ids: Leads left out of training or calibration because their id comes again in a later window.
        late: Training leads whose outcome became known after `calibration_start`; None if the table does not
            say.
        recent: Younger leads, known in part, that the model was trained on besides (`--delay-aware`).
        unlisted: A sentence each about outcomes that count as not converted though the contract does not say
            so.
    """

    start: str | None
    end: str | None
    calibration_start: str | None
    holdout_start: str | None
    train: int
    calibration: int
    holdout: int
    embargoed: int
    young: int
    unknown: int
    months: tuple[MonthCount, ...]
    rates: tuple[WindowRate, ...] = ()
    delay: DelayRecord | None = None
    left_out: LeftOut = LeftOut()
    shared_ids: int = 0
    late: int | None = None
    recent: int = 0
    unlisted: tuple[str, ...] = ()


class HoldoutFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The hold-out window in numbers (see `Evaluation`)."""

    rows: int
    positives: int
    base_rate: float
    mean_probability: float
    capacity: float
    revenue: float | None
    confidence: float
    replicates: int
    calibration: tuple[CalibrationBin, ...]

    @classmethod
    def of(cls, evaluation: Evaluation) -> HoldoutFacts:
        """The facts of an evaluation without its estimates."""
        return cls(**{name: getattr(evaluation, name) for name in cls.__struct_fields__})


class TrainingEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """A model's figures and how it was trained.

    Attributes:
        metrics: Figures on the hold-out window, each with its interval.
        holdout: The window they were measured on.
        fairness: Per sensitive attribute, on the same window.
        decision: From which probability a lead is called likely.
        grades: Where A, B and C begin.
        calibration: The fitted map and its alternatives.
        tuning: The search.
        window: Which leads went where.
        suspicions: What gives reason to believe that the model knows what happened after a lead came in.
        accepted_suspicion: Who said that it may be used nevertheless, and why; None if nobody did.
        drivers: What moves its scores, strongest first.
    """

    metrics: Estimates
    holdout: HoldoutFacts
    fairness: tuple[AttributeFairness, ...]
    decision: DecisionThreshold
    grades: Grades
    calibration: CalibrationFit
    tuning: Tuning
    window: WindowRecord
    suspicions: tuple[Suspicion, ...] = ()
    accepted_suspicion: str | None = None
    drivers: tuple[Driver, ...] = ()

    def to_json(self) -> bytes:
        """The document, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> TrainingEvidence:
        """Read `metrics.json`; ArtefactError if it is not one."""
        try:
            return decode_json(data, type=TrainingEvidence)
        except DECODE_ERRORS as error:
            raise ArtefactError(f"metrics.json holds no training evidence: {error}.") from error
