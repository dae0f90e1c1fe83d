"""Replay: the candidate scores what was logged, answering nobody; a report says what would have been different."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from leadscore.contract import contract_version
from leadscore.errors import RefusedError
from leadscore.events.labels import Selection
from leadscore.events.records import Evidence
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import feature_matrix, iter_labelled, to_microseconds
from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import CHAMPION, ModelVersion
from leadscore.release.compare import (
    Codes,
    Distribution,
    Floats,
    GradeChanges,
    Known,
    Latency,
    Ranks,
    distribution,
    grade_changes,
    known_outcomes,
    objections,
    ranks,
    remarks,
)
from leadscore.release.evidence import REPLAY, record_once, report_id
from leadscore.release.translate import Translation, translation
from leadscore.scoring.model import ScoringModel
from leadscore.training.gate import microseconds_per_lead

# Fewer leads than this say nothing about how distributions differ.
FEWEST_ROWS = 100
# Grades and deciles of a logged answer may differ from a fresh one by rounding of float32 features only.
_SAME = 1e-9

Progress = Callable[[int], None]


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The report; the first fields are a `ReportHeader`.

    Attributes:
        release: Release that asked for it; "" if a person did.
        number: 1: a release has one replay.
        model: Registered name.
        version: Candidate.
        digest: Its artefact digest.
        passed: Nothing speaks against the candidate so clearly that no person need be asked.
        summary: In a sentence.
        until: End of the window.
        champion: Version compared with.
        champion_digest: Its artefact digest.
        since: Begin of the window.
        rows: Logged requests that both scored.
        left_out: Logged requests that were not: their features were encoded under another contract.
        reproduced: Share of the champion's own logged answers that it gives again; below 1 the log and the artefact
            disagree. None: it answered none of these.
        scores: Spread of the scores.
        order: Order of the leads.
        grades: Changes of grade.
        latency: Time per lead.
        known: Leads whose outcome is known.
        objections: Why not passed.
        remarks: What the approver should look at.
        seconds: How long the replay took.
    """

    release: str
    number: int = 1
    model: str
    version: int
    digest: str
    passed: bool
    summary: str
    until: datetime
    champion: int
    champion_digest: str
    since: datetime
    rows: int
    left_out: int
    reproduced: float | None
    scores: Distribution
    order: Ranks
    grades: GradeChanges
    latency: Latency
    known: Known
    objections: tuple[str, ...]
    remarks: tuple[str, ...]
    seconds: float

    @property
    def ref(self) -> str:
        """The candidate, `leads/7`."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Champion and candidate, loaded."""

    champion: ScoringModel
    candidate: ScoringModel
    translation: Translation


@dataclass(frozen=True, slots=True)
class Question:
    """What a replay is about.

    Attributes:
        candidate: Version to try.
        champion: Version to compare with.
        since: Begin of the window.
        until: End of the window.
        maturity: Age at which an outcome should be known.
        release: Release that asks; "" if a person does.
    """

    candidate: ModelVersion
    champion: ModelVersion
    since: datetime
    until: datetime
    maturity: timedelta
    release: str = ""


@dataclass(slots=True, eq=False)
class Scored:
    """What both models said about each logged request (n,), and what is known of its lead."""

    champion: Floats
    candidate: Floats
    champion_grades: Codes
    candidate_grades: Codes
    labelled: npt.NDArray[np.bool_]
    converted: npt.NDArray[np.bool_]
    mature: npt.NDArray[np.bool_]
    own: npt.NDArray[np.bool_]
    same: npt.NDArray[np.bool_]
    sample: npt.NDArray[np.float32]


def load_pair(registry: ModelRegistry, candidate: ModelVersion) -> tuple[Pair, ModelVersion]:
    """The candidate and its model's champion, fetched and verified.

    Raises:
        NotFoundError: There is no champion: nothing was logged that a replay could use.
        RefusedError: The candidate is the champion.
    """
    champion = registry.resolve(f"{candidate.name}@{CHAMPION}")
    if champion.version == candidate.version:
        raise RefusedError(
            f"{candidate.ref} is the champion: a replay would compare it with itself.",
            hint="Replay a challenger.",
        )
    models = [ScoringModel.load(registry.fetch(v.ref), threads=2) for v in (champion, candidate)]
    return Pair(models[0], models[1], translation(models[0].contract, models[1].contract)), champion


def score_logged(
    store: EventStore,
    pair: Pair,
    window: Selection,
    own_version: str,
    *,
    mature_until: int,
    known_by: int | None = None,
    progress: Progress | None = None,
) -> tuple[Scored, int]:
    """Score every request of a window that answered a caller, with both models.

    Args:
        store: The log.
        pair: The models.
        window: Model name and span; versions, roles and contract are chosen here.
        own_version: Champion's version, whose logged answers are checked.
        mature_until: Requests scored at or before this moment (µs) should have an outcome.
        known_by: Read outcomes as of this moment (µs).
        progress: Told rows done so far.

    Returns:
        The scores, and how many requests had another contract and were left out.

    Raises:
        RefusedError: Fewer than `FEWEST_ROWS` requests.
    """
    version = contract_version(pair.champion.contract)
    selection = Selection(window.start, window.end, window.model_name, contract_version=version)
    parts: list[Scored] = []
    done = 0
    for batch in _answered(
        iter_labelled(store, selection, contract=pair.champion.contract, known_by=known_by)
    ):
        parts.append(_score(batch, pair, own_version, mature_until))
        done += batch.num_rows
        if progress is not None:
            progress(done)
    left_out = _count_others(store, window, version)
    if done < FEWEST_ROWS:
        others = f" ({left_out:,} more under another contract)" if left_out else ""
        raise RefusedError(
            f"The window has {done:,} logged requests{others}; a replay needs {FEWEST_ROWS}.",
            hint="Take more days (--days), or wait for traffic.",
        )
    names = [f for f in Scored.__slots__ if f != "sample"]  # type: ignore[attr-defined]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Scored(**joined, sample=parts[0].sample), left_out


def replay(
    store: EventStore,
    registry: ModelRegistry,
    candidate: ModelVersion,
    *,
    now: datetime,
    clock: Callable[[], float],
    days: float = 14.0,
    maturity: timedelta = timedelta(days=30),
    release: str = "",
    progress: Progress | None = None,
) -> Replay:
    """Replay the last `days` of logged requests and compare.

    Args:
        store: The log.
        registry: Where both models come from.
        candidate: The version to try.
        now: End of the window.
        clock: Seconds, for the report's own duration.
        days: Length of the window.
        maturity: Age at which an outcome should be known.
        release: Release that asks.
        progress: Told rows done so far.

    Raises:
        NotFoundError: No champion.
        RefusedError: Too few logged requests, or the candidate is the champion.
        UnavailableError: Log or registry cannot be read.
    """
    began = clock()
    pair, champion = load_pair(registry, candidate)
    since = now - timedelta(days=days)
    window = Selection(to_microseconds(since), to_microseconds(now), candidate.name)
    scored, left_out = score_logged(
        store,
        pair,
        window,
        str(champion.version),
        mature_until=to_microseconds(now - maturity),
        known_by=to_microseconds(now),
        progress=progress,
    )
    latency = Latency(
        champion=microseconds_per_lead(pair.champion, scored.sample),
        candidate=microseconds_per_lead(pair.candidate, pair.translation.apply(scored.sample)),
    )
    return report(
        scored,
        latency,
        Question(candidate, champion, since, now, maturity, release),
        left_out=left_out,
        notes=pair.translation.notes,
        seconds=lambda: clock() - began,
    )


def report(
    scored: Scored,
    latency: Latency,
    question: Question,
    *,
    left_out: int = 0,
    notes: tuple[str, ...] = (),
    seconds: Callable[[], float] = lambda: 0.0,
) -> Replay:
    """Put the comparison together. Pure but for `seconds`, which is asked last."""
    candidate, champion = question.candidate, question.champion
    spread = distribution(scored.champion, scored.candidate)
    order = ranks(scored.champion, scored.candidate)
    grades = grade_changes(scored.champion_grades, scored.candidate_grades)
    due = int(scored.mature.sum())
    known = known_outcomes(
        scored.champion[scored.labelled],
        scored.candidate[scored.labelled],
        scored.converted[scored.labelled],
        int((scored.mature & scored.labelled).sum()) / due if due else None,
        question.maturity / timedelta(days=1),
    )
    own = int(scored.own.sum())
    reproduced = int(scored.same.sum()) / own if own else None
    against = objections(known, latency)
    look_at = [*remarks(spread, order, grades, known), *notes]
    if reproduced is not None and reproduced < 1.0:
        look_at.append(
            f"{champion.ref} gives only {reproduced:.1%} of its own logged answers again: the log or the artefact changed."
        )
    if left_out:
        look_at.append(f"{left_out:,} requests were logged under another contract and left out.")
    return Replay(
        release=question.release,
        model=candidate.name,
        version=candidate.version,
        digest=candidate.digest,
        passed=not against,
        summary=_summary(candidate, champion, len(scored.champion), known, against),
        until=question.until,
        champion=champion.version,
        champion_digest=champion.digest,
        since=question.since,
        rows=len(scored.champion),
        left_out=left_out,
        reproduced=reproduced,
        scores=spread,
        order=order,
        grades=grades,
        latency=latency,
        known=known,
        objections=tuple(against),
        remarks=tuple(look_at),
        seconds=round(seconds(), 3),
    )


def record(store: EventStore, found: Replay, at: int) -> str:
    """Record a replay; returns its evidence id. A release's replay is recorded once, the first one counts."""
    evidence_id = (
        report_id(REPLAY, found.release, found.number) if found.release else f"{REPLAY}-{found.ref}-{at}"
    )
    document = msgspec.json.encode(found).decode()
    record_once(store, Evidence(evidence_id, REPLAY, found.ref, at, document))
    return evidence_id


def _answered(batches: Generator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """Without what the shadow said: nobody was answered with it, and its requests are in the log twice."""
    for batch in batches:
        keep = np.array([role != "shadow" for role in batch.column("role").to_pylist()], dtype=bool)
        rows = batch if keep.all() else batch.filter(pa.array(keep))
        if rows.num_rows:
            yield rows


def _score(batch: pa.RecordBatch, pair: Pair, own_version: str, mature_until: int) -> Scored:
    matrix = feature_matrix(batch, pair.champion.contract)
    champion = pair.champion.score_rows(matrix)
    candidate = pair.candidate.score_rows(pair.translation.apply(matrix))
    labels = batch.column("converted")
    labelled = labels.is_valid().to_numpy(zero_copy_only=False)
    superseded = batch.column("superseded").to_numpy(zero_copy_only=False)
    old = batch.column("scored_at").cast(pa.int64()).to_numpy(zero_copy_only=False) <= mature_until
    own = np.array([v == own_version for v in batch.column("model_version").to_pylist()], dtype=bool)
    logged = batch.column("probability").to_numpy(zero_copy_only=False)
    return Scored(
        champion=champion,
        candidate=candidate,
        champion_grades=pair.champion.grades.codes(champion),
        candidate_grades=pair.candidate.grades.codes(candidate),
        labelled=labelled,
        converted=labels.fill_null(False).to_numpy(zero_copy_only=False),
        mature=old & (labelled | ~superseded),
        own=own,
        same=own & (np.abs(logged - champion) <= _SAME),
        sample=matrix[:FEWEST_ROWS],
    )


def _count_others(store: EventStore, window: Selection, version: str) -> int:
    c = predictions.c
    query = (
        sa.select(sa.func.count())
        .select_from(predictions)
        .where(window.where(), c.contract_version != version, c.role != "shadow")
    )
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())


def _summary(
    candidate: ModelVersion, champion: ModelVersion, rows: int, known: Known, against: list[str]
) -> str:
    about = f"{candidate.ref} on {rows:,} logged requests against {champion.ref}: "
    if against:
        return about + "; ".join(against) + "."
    if known.difference is None:
        return about + "nothing speaks against it; no outcomes known."
    d = known.difference
    return (
        f"{about}AUC {d.value:+.4f} ({d.low:+.4f} to {d.high:+.4f}) on {known.rows:,} known outcomes; nothing"
        " speaks against it."
    )
