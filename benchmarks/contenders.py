"""How each server is started and what is sent to it: the same model, the same leads, one worker, one core."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.bench import Bench
from benchmarks.environments import environment
from benchmarks.errors import BenchError
from benchmarks.processes import Plan, Running, free_port, running
from benchmarks.reference import reference_contract, write_lines
from benchmarks.service import api_key, service_plan
from benchmarks.wrk import Target
from leadscore.contract import Categorical

_SERVERS = Path(__file__).parent / "servers"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def ours(bench: Bench) -> Generator[tuple[Target, Target, Running]]:
    """The service with keys, validation, spool and counters.

    As targets without and with reasons in each reply.
    """
    folder = bench.folder / "ours"
    key = api_key(folder)
    bodies = write_lines(bench.folder / "leads.jsonl", bench.reference.leads)
    with running(service_plan(bench.reference.directory, folder)) as server:
        bare = Target("LeadScore", server.port, "/score-lead?reasons=0", bodies, key)
        explained = Target("LeadScore with reasons", server.port, "/score-lead?reasons=3", bodies, key)
        yield bare, explained, server


@contextmanager
def echo(bench: Bench, reply_bytes: int) -> Generator[Target]:
    """A bare ASGI app on uvloop and httptools that reads the body and answers as many bytes as we do."""
    plan = Plan(
        name="echo",
        command=(
            *(str(environment("echo")), "-m", "uvicorn", "echo_app:app", "--app-dir", str(_SERVERS)),
            *("--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", "httptools"),
            *("--lifespan", "off", "--no-access-log", "--log-level", "warning"),
        ),
        ready="/",
        folder=bench.folder / "echo",
        environ={"ECHO_BYTES": str(reply_bytes)},
    )
    with running(plan) as server:
        yield Target(
            "echo floor", server.port, "/", write_lines(bench.folder / "leads.jsonl", bench.reference.leads)
        )


@contextmanager
def mlserver(bench: Bench) -> Generator[tuple[Target, Running]]:
    """MLServer with its XGBoost runtime, inference in the HTTP process (on one core faster than a pool)."""
    folder = bench.folder / "mlserver"
    model = folder / "reference"
    model.mkdir(parents=True, exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    parameters = {"uri": str(bench.reference.booster), "version": "1"}
    described = {
        "name": "reference",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": parameters,
    }
    (model / "model-settings.json").write_text(json.dumps(described), encoding="utf-8")
    python = environment("mlserver")
    plan = Plan(
        name="mlserver",
        command=(str(python.parent / "mlserver"), "start", str(folder)),
        ready="/v2/models/reference/ready",
        folder=folder,
        environ={
            **_ONE_THREAD,
            "MLSERVER_HTTP_PORT": "{port}",
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        },
    )
    bodies = write_lines(bench.folder / "v2.jsonl", [_v2(row) for row in bench.reference.matrix.tolist()])
    with running(plan) as server:
        target = Target("MLServer", server.port, "/v2/models/reference/infer", bodies)
        _check(bench, target, lambda reply: reply["outputs"][0]["data"][0])
        yield target, server


@contextmanager
def stock_bentoml(bench: Bench) -> Generator[Target]:
    """A BentoML pydantic endpoint with `inplace_predict`, defaults everywhere."""
    folder = bench.folder / "bentoml"
    folder.mkdir(parents=True, exist_ok=True)
    features = [
        {"name": f.name, "categories": list(f.categories) if isinstance(f, Categorical) else []}
        for f in reference_contract().inputs
    ]
    (folder / "features.json").write_text(json.dumps(features), encoding="utf-8")
    python = environment("bentoml")
    plan = Plan(
        name="bentoml",
        command=(
            *(str(python.parent / "bentoml"), "serve", "stock_bento:StockLeadScoring"),
            *("--working-dir", str(_SERVERS), "--host", "127.0.0.1", "--port", "{port}"),
        ),
        ready="/readyz",
        folder=folder,
        environ={
            **_ONE_THREAD,
            "STOCK_FEATURES": str(folder / "features.json"),
            "STOCK_MODEL": str(bench.reference.booster),
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(folder),
        },
    )
    bodies = write_lines(bench.folder / "bento.jsonl", [{"lead": lead} for lead in bench.reference.leads])
    with running(plan) as server:
        target = Target("stock BentoML", server.port, "/score_lead", bodies)
        _check(bench, target, lambda reply: reply["probability"])
        yield target


def reply_to_first(target: Target) -> bytes:
    """The reply to the target's first body.

    Raises:
        BenchError: It is not a 200.
    """
    with target.bodies.open("rb") as lines:
        body = next(lines).strip()
    headers = {"Content-Type": "application/json"}
    if target.api_key:
        headers["Authorization"] = f"Bearer {target.api_key}"
    connection = HTTPConnection("127.0.0.1", target.port, timeout=30)
    try:
        connection.request("POST", target.path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
    finally:
        connection.close()
    if reply.status != 200:
        raise BenchError(f"{target.name} answered {reply.status}: {content[:300]!r}.")
    return content


def _check(bench: Bench, target: Target, probability_of) -> None:
    """A contender counts only if it serves this very model."""
    import xgboost  # noqa: PLC0415

    booster = xgboost.Booster(model_file=bench.reference.booster)
    expected = float(booster.inplace_predict(bench.reference.matrix[:1])[0])
    answered = float(probability_of(json.loads(reply_to_first(target))))
    if abs(answered - expected) > 1e-5:
        raise BenchError(f"{target.name} answers {answered}, the model {expected}: not the same model.")


def _v2(row: list[float]) -> dict[str, object]:
    """A request of the Open Inference Protocol (V2)."""
    data = [round(value, 1) for value in row]
    return {"inputs": [{"name": "leads", "shape": [1, len(row)], "datatype": "FP32", "data": data}]}
