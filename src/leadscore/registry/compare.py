"""Two published models side by side: metrics with intervals, contracts, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leadscore.contract import parse_contract
from leadscore.contract.diff import ContractDiff, diff_contracts
from leadscore.registry.metrics import ModelMetric, read_metrics
from leadscore.scoring.artefact import CONTRACT, ArtefactManifest, read_verified, verify_artefact


@dataclass(frozen=True, slots=True)
class ComparedVersion:
    """One of the two: its version and what its manifest says."""

    version: int
    manifest: ArtefactManifest

    @property
    def size(self) -> int:
        """Bytes of the artefact."""
        return self.manifest.size


@dataclass(frozen=True, slots=True)
class MetricPair:
    """One metric of both models; None where a model has not measured it.

    Attributes:
        difference: b minus a; None unless both have it. The models may have been measured on different
            windows: the gate, not this difference, says which one is better.
    """

    name: str
    a: ModelMetric | None
    b: ModelMetric | None
    difference: float | None


@dataclass(frozen=True, slots=True)
class VersionComparison:
    """Model `name`: version a (left) against version b (right)."""

    name: str
    a: ComparedVersion
    b: ComparedVersion
    metrics: tuple[MetricPair, ...]
    contract: ContractDiff


def compare_artefacts(name: str, a: tuple[int, Path], b: tuple[int, Path]) -> VersionComparison:
    """Compare two artefact folders, given with their version numbers.

    ArtefactError if one does not verify.
    """
    sides = [ComparedVersion(version, verify_artefact(folder)) for version, folder in (a, b)]
    left, right = (
        read_metrics(folder, side.manifest) for side, (_, folder) in zip(sides, (a, b), strict=True)
    )
    contracts = [
        parse_contract(read_verified(folder, side.manifest, CONTRACT), CONTRACT)
        for side, (_, folder) in zip(sides, (a, b), strict=True)
    ]
    names = dict.fromkeys([*left, *right])
    return VersionComparison(
        name=name,
        a=sides[0],
        b=sides[1],
        metrics=tuple(_pair(metric, left.get(metric), right.get(metric)) for metric in names),
        contract=diff_contracts(*contracts),
    )


def _pair(name: str, a: ModelMetric | None, b: ModelMetric | None) -> MetricPair:
    return MetricPair(name, a, b, None if a is None or b is None else b.value - a.value)
