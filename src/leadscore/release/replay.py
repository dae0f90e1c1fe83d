"""Replay: score logged requests with the candidate and report what would have been different."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from leadscore.contract import contract_version
from leadscore.errors import RefusedError
from leadscore.events.labels import PredictionSelection
from leadscore.events.records import SHADOW_ROLE
from leadscore.events.schema import predictions
from leadscore.events.store import EventStore
from leadscore.events.windows import feature_matrix, iter_labelled, to_microseconds
from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import CHAMPION, ModelVersion
from leadscore.release.compare import Latency
from leadscore.release.report import Comparison, Question, Scored, comparison_report
from leadscore.release.translate import Translation, translation
from leadscore.scoring.model import ScoringModel
from leadscore.training.gate import microseconds_per_lead

# With fewer leads distributions cannot be compared.
FEWEST_ROWS = 100
# Grades and deciles of a logged answer may differ from a fresh one by rounding of float32 features only.
SAME = 1e-9

ReplayProgress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Champion and candidate, loaded."""

    champion: ScoringModel
    candidate: ScoringModel
    translation: Translation


def load_pair(registry: ModelRegistry, candidate: ModelVersion) -> tuple[Pair, ModelVersion]:
    """The candidate and its model's champion, fetched and verified.

    Raises:
        NotFoundError: There is no champion: nobody was answered with whom the candidate could be compared.
        RefusedError: The candidate is the champion.
    """
    champion = registry.resolve(f"{candidate.name}@{CHAMPION}")
    if champion.version == candidate.version:
        raise RefusedError(
            f"{candidate.ref} is the champion: it would be compared with itself.",
            hint="Name a challenger.",
        )
    models = [ScoringModel.load(registry.fetch(v.ref), threads=2) for v in (champion, candidate)]
    return Pair(models[0], models[1], translation(models[0].contract, models[1].contract)), champion


def score_logged(
    store: EventStore,
    pair: Pair,
    window: PredictionSelection,
    own_version: str,
    *,
    mature_until: int,
    known_by: int | None = None,
    progress: ReplayProgress | None = None,
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
    selection = PredictionSelection(window.start, window.end, window.model_name, contract_version=version)
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
            hint="Take a longer --window, or wait for traffic.",
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
    progress: ReplayProgress | None = None,
) -> Comparison:
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
    window = PredictionSelection(to_microseconds(since), to_microseconds(now), candidate.name)
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
    notes = pair.translation.notes
    if left_out:
        notes += (f"{left_out:,} requests were logged under another contract and left out.",)
    return comparison_report(
        scored,
        latency,
        Question(candidate, champion, since, now, maturity, release),
        left_out=left_out,
        notes=notes,
        seconds=lambda: clock() - began,
    )


def _answered(batches: Generator[pa.RecordBatch]) -> Generator[pa.RecordBatch]:
    """Leave out the shadow's predictions: they answered no caller, and their requests are logged twice."""
    for batch in batches:
        keep = np.array([role != SHADOW_ROLE for role in batch.column("role").to_pylist()], dtype=bool)
        rows = batch if keep.all() else batch.filter(pa.array(keep))
        if rows.num_rows:
            yield rows


def _score(batch: pa.RecordBatch, pair: Pair, own_version: str, mature_until: int) -> Scored:
    matrix = feature_matrix(batch, pair.champion.contract)
    champion = pair.champion.score_rows(matrix)
    candidate = pair.candidate.score_rows(pair.translation.apply(matrix))
    labelled, converted, mature = outcomes_of(batch, mature_until)
    own = np.array([v == own_version for v in batch.column("model_version").to_pylist()], dtype=bool)
    logged = batch.column("probability").to_numpy(zero_copy_only=False)
    return Scored(
        champion=champion,
        candidate=candidate,
        champion_grades=pair.champion.grades.codes(champion),
        candidate_grades=pair.candidate.grades.codes(candidate),
        labelled=labelled,
        converted=converted,
        mature=mature,
        own=own,
        same=own & (np.abs(logged - champion) <= SAME),
        sample=matrix[:FEWEST_ROWS],
    )


def outcomes_of(batch: pa.RecordBatch, mature_until: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of a batch's leads: outcome known, converted (False where it is not), old enough that it should be.

    Each (n,).
    """
    labels = batch.column("converted")
    labelled = labels.is_valid().to_numpy(zero_copy_only=False)
    superseded = batch.column("superseded").to_numpy(zero_copy_only=False)
    old = batch.column("scored_at").cast(pa.int64()).to_numpy(zero_copy_only=False) <= mature_until
    return labelled, labels.fill_null(False).to_numpy(zero_copy_only=False), old & (labelled | ~superseded)


def _count_others(store: EventStore, window: PredictionSelection, version: str) -> int:
    c = predictions.c
    query = (
        sa.select(sa.func.count())
        .select_from(predictions)
        .where(window.where(), c.contract_version != version, c.role != SHADOW_ROLE)
    )
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())
