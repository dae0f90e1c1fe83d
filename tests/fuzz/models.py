"""Model artefacts by a hostile publisher: one file spoiled, every digest right.

Loaded and used as a worker does.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import pyarrow as pa
from tests.fuzz.mutate import Mutator, mutate_bytes, mutate_json, mutate_ubjson, mutate_words
from tests.support.artefacts import build_artefact, sample_labels, sample_matrix

from leadscore.contract import contract_version, parse_contract
from leadscore.errors import ArtefactError, LeadScoreError
from leadscore.monitoring.references import load_outcomes, load_sample
from leadscore.registry.metrics import read_metrics
from leadscore.scoring import artefact
from leadscore.scoring.artefact import ArtefactManifest, FileEntry
from leadscore.scoring.golden import Golden
from leadscore.scoring.model import ScoringModel

_MUTATORS: dict[str, Sequence[Mutator]] = {
    "ubj": (mutate_bytes, mutate_ubjson, mutate_ubjson),
    "txt": (mutate_bytes, mutate_words, mutate_words),
    "json": (mutate_bytes, mutate_words, mutate_json, mutate_json),
    "yaml": (mutate_bytes, mutate_words, mutate_words),
    "arrow": (mutate_bytes,),
}
# How often each file is chosen: the trees are what native code works on.
_WEIGHTS = {"model.ubj": 8, "model.txt": 8, artefact.REFERENCE_SAMPLE: 3}
_SECRET = "reference_sample_secret"


class ModelFuzzer:
    """Two sound artefacts, one for each library, in `folder`.

    Each case spoils a file of one of them and fixes it.
    """

    def __init__(self, folder: Path) -> None:
        xgboost = build_artefact(folder / "xgboost", rows=300, trees=2)
        _add_documents(xgboost)
        self._artefacts = (xgboost, _with_lightgbm(xgboost, folder / "lightgbm"))
        self._model = ScoringModel.load(xgboost)

    def run(self, rng: random.Random) -> str:
        """One case; the word says how it ended. Whatever it raises is a fault."""
        directory = self._artefacts[rng.randrange(2)]
        manifest = artefact.read_manifest(directory)
        names = sorted([*manifest.files, artefact.MANIFEST])
        name = rng.choices(names, [_WEIGHTS.get(each, 1) for each in names])[0]
        kept = (directory / name).read_bytes()
        kept_manifest = (directory / artefact.MANIFEST).read_bytes()
        spoiled = rng.choice(_MUTATORS.get(name.rpartition(".")[2], (mutate_bytes,)))(kept, rng)
        try:
            (directory / name).write_bytes(spoiled)
            if name != artefact.MANIFEST:
                (directory / artefact.MANIFEST).write_bytes(_manifest_of(manifest, name, spoiled))
            return _use(directory, name)
        finally:
            (directory / name).write_bytes(kept)
            (directory / artefact.MANIFEST).write_bytes(kept_manifest)


def _use(directory: Path, name: str) -> str:
    try:
        model = ScoringModel.load(directory)
        load_sample(directory, model.contract)
        load_outcomes(directory, model.contract)
        read_metrics(directory, model.manifest)
    except ArtefactError as error:
        if not any(known in error.message for known in (name, artefact.MANIFEST, *_FILES)):
            raise AssertionError(f"the message names no file: {error.message}") from error
        return "refused"
    except LeadScoreError as error:
        raise AssertionError(f"{type(error).__name__} instead of ArtefactError: {error}") from error
    rows = np.full((3, len(model.contract.inputs)), np.nan, np.float32)
    rows[1], rows[2] = 0.0, 3.0
    for row in rows:
        score = model.score_row(row)
        if not (0.0 <= score.probability <= 1.0 and math.isfinite(score.margin)):
            raise AssertionError(f"a loaded model scores {score}")
        model.explain_row(row, 5)
    model.score_rows(rows)
    return "loaded"


_FILES = (
    *(
        "model.ubj",
        "model.txt",
        artefact.CONTRACT,
        artefact.CALIBRATION,
        artefact.GRADES_FILE,
        artefact.REFERENCE,
    ),
    *(
        artefact.GOLDEN,
        artefact.METRICS,
        artefact.REFERENCE_SAMPLE,
        artefact.REFERENCE_OUTCOMES,
        artefact.CARD,
    ),
)


def _manifest_of(manifest: ArtefactManifest, name: str, data: bytes) -> bytes:
    files = {**manifest.files, name: FileEntry(hashlib.sha256(data).hexdigest(), len(data))}
    version = manifest.contract_version
    if name == artefact.CONTRACT:
        with suppress(LeadScoreError):
            version = contract_version(parse_contract(data))
    return msgspec.json.encode(msgspec.structs.replace(manifest, files=files, contract_version=version))


def _add_documents(directory: Path) -> None:
    """The files that training adds: figures, the sample of the reference with outcomes."""
    contract = parse_contract((directory / artefact.CONTRACT).read_bytes())
    matrix = sample_matrix(contract, 40, 3)
    columns = {feature.name: matrix[:, i] for i, feature in enumerate(contract.inputs)}
    columns[contract.target.column] = sample_labels(matrix, 3)
    _write_table(directory / artefact.REFERENCE_SAMPLE, pa.table(columns))
    outcomes = pa.table({"days": np.arange(40.0), "age": np.arange(40.0) + 50})
    _write_table(directory / artefact.REFERENCE_OUTCOMES, outcomes)
    figures = {"metrics": {"auc": {"value": 0.8, "low": 0.7, "high": 0.9}, "ece": {"value": 0.01}}}
    (directory / artefact.METRICS).write_bytes(msgspec.json.encode(figures))
    _renew_manifest(directory, "xgboost")


def _with_lightgbm(xgboost: Path, directory: Path) -> Path:
    """The same artefact with trees of LightGBM."""
    directory.mkdir()
    for file in xgboost.iterdir():
        if file.name not in ("model.ubj", artefact.MANIFEST):
            (directory / file.name).write_bytes(file.read_bytes())
    contract = parse_contract((directory / artefact.CONTRACT).read_bytes())
    matrix = sample_matrix(contract, 300, 0)
    categorical = [i for i, feature in enumerate(contract.inputs) if hasattr(feature, "categories")]
    data = lightgbm.Dataset(matrix, sample_labels(matrix, 0), categorical_feature=categorical)
    settings = {
        "objective": "binary",
        "verbose": -1,
        "num_threads": 1,
        "num_leaves": 8,
        "min_data_per_group": 5,
    }
    booster = lightgbm.train(settings, data, 2)
    (directory / "model.txt").write_text(booster.model_to_string())
    margins = booster.predict(matrix[:16], raw_score=True, num_threads=1)
    (directory / artefact.GOLDEN).write_bytes(Golden.of(matrix[:16], np.asarray(margins)).to_json())
    _renew_manifest(directory, "lightgbm")
    return directory


def _renew_manifest(directory: Path, algorithm: artefact.Algorithm) -> None:
    artefact.write_manifest(
        directory,
        name="sample",
        algorithm=algorithm,
        data=artefact.DataSnapshot(rows=300, digest="0" * 64),
        code_revision="0" * 40,
        seed=0,
        libraries={},
    )
    ScoringModel.load(directory)


def _write_table(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
