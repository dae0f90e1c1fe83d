"""Shadow: compare a candidate's answers to copies of requests with the answers to the originals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from leadscore.contract import contract_version
from leadscore.errors import BadInputError, RefusedError
from leadscore.events.labels import PredictionSelection
from leadscore.events.records import SHADOW_ROLE
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import decode_features, feature_matrix, iter_labelled, to_microseconds
from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import ModelVersion
from leadscore.release.compare import Latency
from leadscore.release.pairing import WITHIN, ChampionAnswer, Copy, pair
from leadscore.release.replay import FEWEST_ROWS, SAME, Pair, load_pair, outcomes_of
from leadscore.release.report import Comparison, Question, Scored, ShadowFacts, comparison_report
from leadscore.scoring.grades import GRADES
from leadscore.scoring.model import ScoringModel
from leadscore.training.gate import microseconds_per_lead

# Requests that must have been copied before the share of them that was scored says anything.
_FEWEST_COPIES: Final = 100
_NOTABLE_SHARE: Final = 0.9
_LEAST_SHARE: Final = 0.5
_NOTABLE_UNPAIRED: Final = 0.1
# Answers that other bytes give again by chance are few; rounding of float32 features differs in fewer.
_OTHER_BYTES: Final = 0.99


class TooFewLeadsError(RefusedError):
    """Shadow and champion have scored too few leads in common.

    Args:
        message: What was counted.
        hint: What a person can do.
        leads: Leads that both have scored.
    """

    code = "too_few_leads"

    def __init__(self, message: str, *, hint: str, leads: int) -> None:
        super().__init__(message, hint=hint)
        self.leads = leads


@dataclass(frozen=True, slots=True)
class ShadowQuestion:
    """What is asked of a shadow's log.

    Attributes:
        since: When the shadow was ready.
        now: The present.
        minimum_leads: Leads that both must have scored.
        percent: Share of the requests that the mirror copies; None: unknown.
        maturity: Age at which an outcome should be known.
        release: Release that asks; "" if a person does.
        number: Which of the release's reports it is.
    """

    since: datetime
    now: datetime
    minimum_leads: int = 1_000
    percent: float | None = None
    maturity: timedelta = timedelta(days=30)
    release: str = ""
    number: int = 1

    @property
    def least(self) -> int:
        """Pairs that a report needs."""
        return max(self.minimum_leads, FEWEST_ROWS)

    @property
    def until(self) -> datetime:
        """End of the window: by then every copy's answer is in the log, too."""
        return self.now - WITHIN


@dataclass(slots=True, eq=False)
class _Said:
    """What the shadow said: copies in order of time, and arrays of as many rows."""

    copies: list[Copy]
    matrix: np.ndarray
    probability: np.ndarray
    grades: np.ndarray
    labelled: np.ndarray
    converted: np.ndarray
    mature: np.ndarray


def compare_shadow(
    store: EventStore,
    registry: ModelRegistry,
    candidate: ModelVersion,
    asked: ShadowQuestion,
    *,
    clock: Callable[[], float],
) -> Comparison:
    """Compare what a shadow stored with what callers were answered to the same requests.

    Args:
        store: The log.
        registry: Where both models come from: each must give its logged answers again.
        candidate: The version that was shadowed.
        asked: Since when, and how much is enough.
        clock: Seconds, for the report's own duration.

    Raises:
        BadInputError: The window is empty.
        NotFoundError: No champion.
        TooFewLeadsError: Fewer pairs than `minimum_leads`; the sentence counts what was found.
        RefusedError: The candidate is the champion.
        UnavailableError: Log or registry cannot be read.
    """
    if asked.since >= asked.until:
        raise BadInputError(
            f"Nothing can be compared since {asked.since:%Y-%m-%d %H:%M:%S} UTC yet.",
            hint="Name the time since when the shadow has been ready: --since.",
        )
    began = clock()
    models, champion = load_pair(registry, candidate)
    window = PredictionSelection(to_microseconds(asked.since), to_microseconds(asked.until), candidate.name)
    said = _said(store, models.candidate, candidate, window, asked)
    found = pair(said.copies, _answers(store, candidate, window))
    answers = [found.get(copy.prediction_id) for copy in said.copies]
    ours = [a is not None and a.version == str(champion.version) for a in answers]
    pairs = [a for a, own in zip(answers, ours, strict=True) if a is not None and own]
    unpaired = answers.count(None)
    left_out = len(answers) - unpaired - len(pairs)
    scored_requests, answered_requests = _requests(store, candidate, window)
    if len(pairs) < asked.least:
        raise TooFewLeadsError(
            f"{candidate.ref} has scored {len(answers):,} leads of mirrored requests since"
            f" {asked.since:%Y-%m-%d %H:%M} UTC; {len(pairs):,} of them were answered by {champion.ref}, "
            f"{left_out:,} by another version, {unpaired:,} by none, and {asked.least:,} are needed. "
            f"{answered_requests:,} requests were answered in all.",
            hint=(
                "Mirror a larger share (shadow.percent of the chart) or for longer "
                "(spec.shadow.for and extendFor)."
            ),
            leads=len(pairs),
        )
    own = np.array(ours)
    scored, reproduced = _scored(said, pairs, own, models)
    facts = ShadowFacts(unpaired, _copied(scored_requests, answered_requests, asked.percent), reproduced)
    against, notes = judge_shadow(facts, candidate.ref, rows=len(answers), left_out=left_out)
    latency = Latency(
        champion=microseconds_per_lead(models.champion, scored.sample),
        candidate=microseconds_per_lead(models.candidate, said.matrix[own][:FEWEST_ROWS]),
    )
    question = Question(
        candidate, champion, asked.since, asked.until, asked.maturity, asked.release, asked.number
    )
    return comparison_report(
        scored, latency, question, left_out=left_out, shadow=facts, against=against, notes=notes,
        seconds=lambda: clock() - began,
    )  # fmt: skip


def judge_shadow(
    facts: ShadowFacts, ref: str, *, rows: int, left_out: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Objections and remarks that only a shadow's report has. Pure.

    Args:
        facts: What it knows.
        ref: The candidate, `leads/7`.
        rows: Leads that the shadow scored.
        left_out: Of these, answered by another version than the champion.
    """
    against: list[str] = []
    notes: list[str] = []
    if facts.reproduced < _OTHER_BYTES:
        against.append(
            f"{ref} gives only {facts.reproduced:.1%} of the shadow's answers again: what was shadowed is not"
            " what is registered"
        )
    if facts.copied is not None and facts.copied < _LEAST_SHARE:
        against.append(
            f"it scored only {facts.copied:.0%} of the requests that were copied to it: it "
            "refuses or loses the others"
        )
    elif facts.copied is not None and facts.copied < _NOTABLE_SHARE:
        notes.append(
            f"The shadow scored about {facts.copied:.0%} of the requests that were copied to it: see why "
            "in its log and its metrics before you approve."
        )
    elif facts.copied is None:
        notes.append(
            "How many requests were copied is not known: nothing here says whether the shadow lost some."
        )
    if facts.unpaired > _NOTABLE_UNPAIRED * rows:
        notes.append(
            f"{facts.unpaired:,} of the {rows:,} leads that the shadow scored were answered to nobody."
        )
    if left_out:
        notes.append(f"{left_out:,} leads were answered by another version than the champion and left out.")
    return tuple(against), tuple(notes)


def _copied(scored: int, answered: int, percent: float | None) -> float | None:
    """Share of the copies that were scored: of the answered requests `percent` were copied."""
    if percent is None or answered * percent / 100 < _FEWEST_COPIES:
        return None
    return scored / (answered * percent / 100)


def _said(
    store: EventStore,
    model: ScoringModel,
    candidate: ModelVersion,
    window: PredictionSelection,
    asked: ShadowQuestion,
) -> _Said:
    version = contract_version(model.contract)
    selection = replace(
        window, model_version=str(candidate.version), role=SHADOW_ROLE, contract_version=version
    )
    batches = iter_labelled(store, selection, contract=model.contract, known_by=to_microseconds(asked.now))
    mature_until = to_microseconds(asked.now - asked.maturity)
    parts = [_of_batch(batch, model, version, mature_until) for batch in batches]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _Said.__slots__  # type: ignore[attr-defined]
        if name != "copies"
    }
    return _Said(copies=[copy for part in parts for copy in part.copies], **arrays)


def _of_batch(batch: pa.RecordBatch, model: ScoringModel, version: str, mature_until: int) -> _Said:
    matrix = feature_matrix(batch, model.contract)
    labelled, converted, mature = outcomes_of(batch, mature_until)
    ids = zip(
        batch.column("prediction_id").to_pylist(),
        batch.column("request_id").to_pylist(),
        batch.column("scored_at").cast(pa.int64()).to_pylist(),
        strict=True,
    )
    rows = matrix.astype("<f4", copy=False)
    return _Said(
        copies=[
            Copy(prediction_id, request_id, at, version, rows[n].tobytes())
            for n, (prediction_id, request_id, at) in enumerate(ids)
        ],
        matrix=matrix,
        probability=batch.column("probability").to_numpy(zero_copy_only=False),
        grades=np.array([GRADES.index(g) for g in batch.column("grade").to_pylist()], dtype=np.intp),
        labelled=labelled,
        converted=converted,
        mature=mature,
    )


def _answers(
    store: EventStore, candidate: ModelVersion, window: PredictionSelection
) -> dict[str, list[ChampionAnswer]]:
    """What was answered about the lead of each copy within `WITHIN` of it, by the copy's prediction id."""
    copy, answer = predictions.alias("copy").c, predictions.alias("answer").c
    near = WITHIN // timedelta(microseconds=1)
    query = sa.select(
        copy.prediction_id,
        answer.prediction_id,
        answer.request_id,
        answer.scored_at,
        answer.contract_version,
        answer.features,
        answer.model_version,
        answer.probability,
        answer.grade,
    ).where(
        copy.scored_at >= window.start,
        copy.scored_at < window.end,
        copy.model_name == candidate.name,
        copy.model_version == str(candidate.version),
        copy.role == SHADOW_ROLE,
        answer.lead_id == copy.lead_id,
        answer.scored_at >= copy.scored_at - near,
        answer.scored_at <= copy.scored_at + near,
        answer.model_name == candidate.name,
        answer.role != SHADOW_ROLE,
    )
    found: defaultdict[str, list[ChampionAnswer]] = defaultdict(list)
    with store.reading() as connection:
        for of, *fields in connection.execution_options(yield_per=10_000).execute(query):
            found[of].append(ChampionAnswer(*fields))
    return found


def _requests(store: EventStore, candidate: ModelVersion, window: PredictionSelection) -> tuple[int, int]:
    """Requests in the window that the candidate scored as a shadow, and that were answered by any version."""
    c = predictions.c
    scored = sa.and_(c.role == SHADOW_ROLE, c.model_version == str(candidate.version))
    query = sa.select(sa.func.count(sa.distinct(c.request_id))).where(window.where())
    with store.reading() as connection:
        return (
            int(connection.execute(query.where(scored)).scalar_one()),
            int(connection.execute(query.where(c.role != SHADOW_ROLE)).scalar_one()),
        )


def _scored(
    said: _Said, answers: list[ChampionAnswer], own: np.ndarray, models: Pair
) -> tuple[Scored, float]:
    """The pairs as a report takes them, and the share of the shadow's answers that the candidate repeats."""
    matrix = decode_features([a.features for a in answers], models.champion.contract)
    champion = np.array([a.probability for a in answers])
    candidate = said.probability[own]
    scored = Scored(
        champion=champion,
        candidate=candidate,
        champion_grades=np.array([GRADES.index(a.grade) for a in answers], dtype=np.intp),
        candidate_grades=said.grades[own],
        labelled=said.labelled[own],
        converted=said.converted[own],
        mature=said.mature[own],
        own=np.ones(len(answers), dtype=bool),
        same=np.abs(models.champion.score_rows(matrix) - champion) <= SAME,
        sample=matrix[:FEWEST_ROWS],
    )
    again = np.abs(models.candidate.score_rows(said.matrix[own]) - candidate) <= SAME
    return scored, float(again.mean())
