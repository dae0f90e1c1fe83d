"""Metrics of an artefact (`metrics.json`) as the registry shows them: values with intervals, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from leadscore.documents import DECODE_ERRORS, decode_json
from leadscore.errors import ArtefactError
from leadscore.scoring.artefact import METRICS, ArtefactManifest, read_verified


class ModelMetric(msgspec.Struct, frozen=True):
    """One figure with its interval (95 % unless the document says otherwise); None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


class _Document(msgspec.Struct, frozen=True):
    # Training writes much more (slices, gate inputs); only the headline figures belong in a list of versions.
    metrics: dict[str, ModelMetric | None] = msgspec.field(default_factory=dict[str, ModelMetric | None])


def read_metrics(directory: Path, manifest: ArtefactManifest) -> Mapping[str, ModelMetric]:
    """The headline metrics of a verified artefact folder; empty if it carries none."""
    if METRICS not in manifest.files:
        return {}
    return parse_metrics(read_verified(directory, manifest, METRICS))


def parse_metrics(data: bytes) -> Mapping[str, ModelMetric]:
    """The headline metrics of `metrics.json`; ArtefactError if it is not one."""
    try:
        figures = decode_json(data, type=_Document).metrics
    except DECODE_ERRORS as error:
        raise ArtefactError(f"metrics.json does not hold metrics: {error}.") from error
    return {name: figure for name, figure in figures.items() if figure is not None}
