"""From a finished run to the registry.

Published, judged, recorded, and promoted where the evidence allows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import msgspec

from leadscore.errors import NotFoundError
from leadscore.events.records import Evidence as Record
from leadscore.events.store import EventStore
from leadscore.registry.store import ModelRegistry
from leadscore.registry.versions import CHALLENGER, CHAMPION, ModelVersion
from leadscore.scoring.model import ScoringModel
from leadscore.training.gate import judge_challenger
from leadscore.training.pipeline import TrainedModel
from leadscore.training.verdict import GateThresholds, GateVerdict

GATE_EVIDENCE = "gate"


@dataclass(frozen=True, slots=True)
class Nomination:
    """What became of a trained model.

    Attributes:
        version: As published (aliases as they are now).
        verdict: The gate's record, also in the event store under kind `gate`.
        champion: The version it was judged against; None if there was none.
        promoted: Whether it is champion now.
    """

    version: ModelVersion
    verdict: GateVerdict
    champion: ModelVersion | None
    promoted: bool


def nominate(
    registry: ModelRegistry,
    store: EventStore,
    trained: TrainedModel,
    *,
    promote: bool | None,
    thresholds: GateThresholds | None = None,
) -> Nomination:
    """Publish a trained model as challenger, judge it on its hold-out window, and promote it if it may be.

    Args:
        registry: Where models live.
        store: Where the verdict is recorded.
        trained: The finished run.
        promote: True: becomes champion if it passed, and as first model in any case. False: never.
            None: only a first model that holds the absolute floors becomes champion. A model with a suspicion
                of a
            leak that nobody has answered for does not in any case.
        thresholds: Of the gate.

    Raises:
        UnavailableError: Registry or event store cannot be reached.
        ConflictError: Somebody moved the champion meanwhile.
    """
    name = trained.manifest.name
    champion = _champion(registry, name)
    verdict = judge_challenger(
        None if champion is None else ScoringModel.load(registry.fetch(champion.ref)),
        ScoringModel.load(trained.directory),
        trained.holdout,
        thresholds,
        suspicions=trained.evidence.suspicions,
        accepted=trained.evidence.accepted_suspicion,
    )
    version = registry.publish(trained.directory, name, alias=CHALLENGER, reason=verdict.summary)
    _record(store, version, verdict)
    promoted = may_promote(verdict, promote=promote)
    if promoted:
        expected = None if champion is None else champion.version
        registry.promote(name, version.version, reason=verdict.summary, expected_champion=expected)
        version = registry.get(name, version.version)
    return Nomination(version, verdict, champion, promoted)


def may_promote(verdict: GateVerdict, *, promote: bool | None) -> bool:
    """Whether a model with this verdict becomes champion at once (see `nominate`).

    Never while a leak is suspected.
    """
    if verdict.suspected:
        return False
    first = verdict.champion is None
    if promote is None:
        return first and verdict.passed
    return promote and (first or verdict.passed)


def _champion(registry: ModelRegistry, name: str) -> ModelVersion | None:
    try:
        return registry.resolve(f"{name}@{CHAMPION}")
    except NotFoundError:
        return None


def _record(store: EventStore, version: ModelVersion, verdict: GateVerdict) -> None:
    against = "none" if verdict.champion is None else verdict.champion[:12]
    store.record(
        Record(
            evidence_id=f"{GATE_EVIDENCE}-{version.ref}-{against}-{verdict.data[:12]}-{time.time_ns()}",
            kind=GATE_EVIDENCE,
            subject=version.ref,
            at=time.time_ns() // 1000,
            document=msgspec.json.encode(verdict).decode(),
        )
    )
