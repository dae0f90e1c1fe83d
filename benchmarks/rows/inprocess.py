"""One row inside the process: score, exact Shapley values, LIME, each beside the library's own call."""

from __future__ import annotations

import json
import time

import numpy as np

from benchmarks.bench import Bench, single
from benchmarks.row import Row, at_most
from benchmarks.timing import cycling, per_call
from leadscore.scoring.model import ScoringModel

_HOW = (
    "300 trees x depth 6, 25 features, one thread, 1,000 different leads in turn, "
    "median of alternating batches"
)


def _model(bench: Bench, what: str) -> ScoringModel:
    bench.say(f"in process, one lead at a time: {what}")
    return ScoringModel.load(bench.reference.directory, threads=1)


def _score_one(bench: Bench) -> Row:
    model = _model(bench, "score")
    bodies = [json.dumps(lead, separators=(",", ":")).encode() for lead in bench.reference.leads]
    matrix, booster = bench.reference.matrix, _booster(bench)
    decode = model.decoder.decode
    seconds = per_call(
        {
            "decode": cycling(lambda i: decode(bodies[i]), len(bodies)),
            "score": cycling(lambda i: model.score_row(decode(bodies[i]).row), len(bodies)),
            "xgboost": cycling(lambda i: booster.inplace_predict(matrix[i : i + 1]), len(matrix)),
        },
        batches=bench.effort.batches,
        calls={"decode": 2000, "score": 2000, "xgboost": 200},
    )
    return Row(
        name="score-one",
        what="JSON bytes → validated, encoded, predicted, calibrated, graded: one lead in process",
        value=seconds["score"] * 1e6,
        unit="µs",
        goal=at_most(30),
        beside=(
            f"of which decoding {seconds['decode'] * 1e6:.1f} µs; `inplace_predict` alone "
            f"{seconds['xgboost'] * 1e6:.0f} µs"
        ),
        how=f"{_HOW}; kernel: {model.kernel.backend}",
    )


def _shapley_one(bench: Bench) -> Row:
    import xgboost  # noqa: PLC0415

    model = _model(bench, "exact Shapley values")
    matrix, booster = bench.reference.matrix, _booster(bench)
    data = [xgboost.DMatrix(row[None, :], **_types(bench)) for row in matrix]
    seconds = per_call(
        {
            "ours": cycling(lambda i: model.kernel.shapley(matrix[i]), len(matrix)),
            "xgboost": cycling(lambda i: booster.predict(data[i], pred_contribs=True), len(matrix)),
        },
        batches=bench.effort.batches,
        calls={"ours": 200, "xgboost": 20},
        clock=time.process_time,
    )
    theirs = booster.predict(xgboost.DMatrix(matrix, **_types(bench)), pred_contribs=True)
    difference = float(np.abs(model.kernel.shapley_many(matrix) - theirs).max())
    return Row(
        name="shapley-one",
        what="exact Shapley values of one lead (path-dependent TreeSHAP)",
        value=seconds["ours"] * 1e3,
        unit="ms CPU",
        goal=at_most(0.5),
        beside=(
            f"`pred_contribs` {seconds['xgboost'] * 1e3:.2f} ms CPU; largest difference over "
            f"1,000 leads {difference:.1e}"
        ),
        how=_HOW,
    )


def _lime_one(bench: Bench) -> Row:
    from leadscore.scoring.lime import explain_lime  # noqa: PLC0415

    model = _model(bench, "LIME")
    matrix = bench.reference.matrix
    seconds = per_call(
        {"lime": cycling(lambda i: explain_lime(model, matrix[i], samples=1000, seed=i, top=5), len(matrix))},
        batches=bench.effort.batches,
        calls={"lime": 10},
    )
    return Row(
        name="lime-one",
        what="LIME explanation of one lead, 1,000 samples",
        value=seconds["lime"] * 1e3,
        unit="ms",
        goal=at_most(50),
        how=_HOW,
    )


def _booster(bench: Bench):
    import xgboost  # noqa: PLC0415

    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bench.reference.booster)
    # Loading brings back the parameters that the model was saved with.
    booster.set_param({"nthread": 1})
    return booster


def _types(bench: Bench) -> dict[str, object]:
    types = _booster(bench).feature_types
    return {"feature_types": types, "enable_categorical": True, "nthread": 1}


SUITES = (
    single("score-one", _score_one),
    single("shapley-one", _shapley_one),
    single("lime-one", _lime_one),
)
