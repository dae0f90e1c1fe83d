"""What a version's artefact says that live counts are read by: features, cells, threshold, hold-out.

Without its trees, and without what trains or MLflow: the monitor and the console have neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from leadscore.contract import Categorical, FeatureContract, parse_contract
from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError
from leadscore.registry.metrics import ModelMetric, read_metrics
from leadscore.registry.store import ModelRegistry
from leadscore.reliability import CalibrationBin
from leadscore.scoring import artefact
from leadscore.scoring.grades import Grades
from leadscore.scoring.profile import FeatureProfile, ReferenceProfile


class HoldoutResults(msgspec.Struct, frozen=True, kw_only=True):
    """How the version did on the leads that training held out.

    Attributes:
        rows: Leads.
        base_rate: Share of them that converted.
        confidence: Of the intervals.
        calibration: What was said and what came, by rising probability.
    """

    rows: int
    base_rate: float
    confidence: float
    calibration: tuple[CalibrationBin, ...]


class _Decision(msgspec.Struct, frozen=True):
    threshold: float


class _Evidence(msgspec.Struct, frozen=True):
    # The part of `training.evidence.TrainingEvidence` that is read here: that module brings what trains.
    holdout: HoldoutResults
    decision: _Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A version as its artefact describes it.

    Attributes:
        name: Registered name of the model.
        version: Its version, as predictions name it.
        contract: Its features.
        profile: Its training leads in counts.
        grades: Where A, B and C begin.
        threshold: Probability from which a lead is called likely; where the artefact does not say, where
            grade A begins.
        metrics: Figures on the hold-out by name (`auc`, `brier`, …); empty if the artefact has none.
        holdout: The hold-out; None if the artefact does not say.
    """

    name: str
    version: str
    contract: FeatureContract
    profile: ReferenceProfile
    grades: Grades
    threshold: float
    metrics: Mapping[str, ModelMetric]
    holdout: HoldoutResults | None


def read_model_facts(name: str, version: str, folder: Path) -> ModelFacts:
    """Verify an artefact folder and read what it says.

    Raises:
        ArtefactError: It does not verify, or a document of it is damaged.
        ContractError: `contract.yaml` is no contract.
    """
    manifest = artefact.verify_artefact(folder)

    def read(file: str) -> bytes:
        return artefact.read_verified(folder, manifest, file)

    grades = Grades.from_json(read(artefact.GRADES_FILE))
    evidence = _evidence(read(artefact.METRICS)) if artefact.METRICS in manifest.files else None
    return ModelFacts(
        name=name,
        version=version,
        contract=parse_contract(read(artefact.CONTRACT), artefact.CONTRACT),
        profile=ReferenceProfile.from_json(read(artefact.REFERENCE)),
        grades=grades,
        threshold=grades.a if evidence is None else evidence.decision.threshold,
        metrics=read_metrics(folder, manifest),
        holdout=None if evidence is None else evidence.holdout,
    )


def find_model_facts(registry: ModelRegistry, name: str, version: str) -> ModelFacts:
    """Read a version's facts from the verified cache, or from the registry if it is not cached.

    Raises:
        NotFoundError: The registry has no such version.
        UnavailableError: It is not cached, and the registry does not answer.
        ArtefactError: The artefact is damaged.
    """
    return read_model_facts(name, version, registry.fetch(f"{name}/{version}"))


def cell_names(facts: ModelFacts, feature: FeatureProfile) -> tuple[str, ...]:
    """Name the cells of a feature in the order of `comparable_cells`, the absent ones last.

    As they are shown to people: ranges, categories, yes and no.
    """
    if feature.kind == "categorical":
        found = next(item for item in facts.contract.inputs if item.name == feature.name)
        listed = found.categories if isinstance(found, Categorical) else ()
        return (*listed, "(not listed)", "(missing)")
    if feature.kind == "boolean":
        return ("no", "yes", "(missing)")
    return (*range_names(feature.edges), "(missing)")


def range_names(edges: tuple[float, ...]) -> tuple[str, ...]:
    """Name the bins between cut points: `< 10`, `10 to 20`, `≥ 20`."""
    if not edges:
        return ("all",)
    ends = [_end(edge) for edge in edges]
    if len(set(ends)) < len(ends):
        ends = [repr(edge) for edge in edges]
    return (f"< {ends[0]}", *(f"{low} to {high}" for low, high in pairwise(ends)), f"≥ {ends[-1]}")


def _end(edge: float) -> str:
    return f"{edge:,.0f}" if abs(edge) >= 1_000 else f"{edge:.4g}"


def _evidence(data: bytes) -> _Evidence | None:
    """The document's part; None where it holds nothing but headline metrics, as of other tools."""
    try:
        return decode_json(data, type=_Evidence)
    except msgspec.ValidationError:
        return None
    except DECODE_ERRORS as error:
        raise ArtefactError(f"metrics.json cannot be read: {error}.") from error
