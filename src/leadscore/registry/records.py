"""How versions, decisions and metrics are kept in MLflow's tags (plain text, readable in its own UI)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from leadscore.documents import DECODE_ERRORS
from leadscore.registry.backend import StoredModel, StoredVersion
from leadscore.registry.metrics import ModelMetric
from leadscore.registry.transitions import Snapshot
from leadscore.registry.versions import ModelVersion, Stage, VersionDecision
from leadscore.scoring.artefact import ArtefactManifest

STAGE = "stage"
PENDING = "leadscore.pending"

_DIGEST = "digest"
_METRICS = "metrics"
_DECISION = "leadscore.decision."
_STAGES: Mapping[str, Stage] = {"Production": "Production", "Staging": "Staging", "Archived": "Archived"}

_log = logging.getLogger(__name__)


def publication_tags(
    manifest: ArtefactManifest, digest: str, metrics: Mapping[str, ModelMetric], by: str
) -> dict[str, str]:
    """Tags of a new version."""
    return {
        _DIGEST: digest,
        "algorithm": manifest.algorithm,
        "contract_version": manifest.contract_version,
        "code_revision": manifest.code_revision,
        "data_digest": manifest.data.digest,
        "size": str(manifest.size),
        "published_by": by,
        STAGE: "None",
        _METRICS: msgspec.json.encode(metrics).decode(),
    }


def decision_tag(decision: VersionDecision) -> tuple[str, str]:
    """Key and value under which a decision is appended to its version."""
    return f"{_DECISION}{decision.id}", encode_decision(decision)


def encode_decision(decision: VersionDecision) -> str:
    """The decision as JSON text."""
    return msgspec.json.encode(decision).decode()


def digest_of(version: StoredVersion) -> str:
    """Artefact digest of a version; empty if somebody else published it."""
    return version.tags.get(_DIGEST, "")


def decisions_of(version: StoredVersion) -> tuple[VersionDecision, ...]:
    """The decisions appended to a version, oldest first; what is not one (edited by hand) is left out."""
    found: list[VersionDecision] = []
    for key, value in version.tags.items():
        if key.startswith(_DECISION):
            decision = _decision(value)
            if decision is not None:
                found.append(decision)
    return tuple(sorted(found, key=lambda decision: (decision.at, decision.id)))


def snapshot_of(model: StoredModel, versions: Sequence[StoredVersion]) -> Snapshot:
    """The state that the rules look at."""
    pending = model.tags.get(PENDING)
    return Snapshot(
        name=model.name,
        aliases=dict(model.aliases),
        stages={version.version: version.tags.get(STAGE, "") for version in versions},
        digests={version.version: digest_of(version) for version in versions},
        pending=None if pending is None else _decision(pending),
        history=tuple(
            sorted((d for version in versions for d in decisions_of(version)), key=lambda d: (d.at, d.id))
        ),
    )


def model_version(name: str, version: StoredVersion, aliases: Mapping[str, int]) -> ModelVersion:
    """A version as callers see it."""
    return ModelVersion(
        name=name,
        version=version.version,
        aliases=tuple(sorted(alias for alias, number in aliases.items() if number == version.version)),
        stage=_STAGES.get(version.tags.get(STAGE, ""), "None"),
        digest=digest_of(version),
        algorithm=version.tags.get("algorithm", ""),
        contract_version=version.tags.get("contract_version", ""),
        created_at=version.created_at,
        metrics=_metrics(version.tags.get(_METRICS, "{}")),
        tags=dict(version.tags),
        decisions=decisions_of(version),
    )


def _decision(text: str) -> VersionDecision | None:
    try:
        return msgspec.json.decode(text, type=VersionDecision)
    except DECODE_ERRORS as error:
        _log.warning("ignoring a decision record that is not one: %s", error)
        return None


def _metrics(text: str) -> Mapping[str, ModelMetric]:
    try:
        return msgspec.json.decode(text, type=dict[str, ModelMetric])
    except DECODE_ERRORS as error:
        _log.warning("ignoring a metrics tag that is not one: %s", error)
        return {}
