"""A service of its own that malformed requests are sent to, and its worker watched."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from tests.fuzz import arrow, http
from tests.integration.service.conftest import Served
from tests.support.artefacts import build_artefact

from leadscore.contract.openapi import example_lead
from leadscore.identity.apikeys import create_key
from leadscore.scoring.model import ScoringModel


def attack(cases: int, seed: int) -> tuple[Counter[str], str]:
    """Send malformed requests: how they were answered, and a sentence.

    AssertionError if the worker took harm.
    """
    with tempfile.TemporaryDirectory() as folder:
        artefact = build_artefact(Path(folder) / "artefact")
        home = Path(folder) / "home"
        key, _ = create_key(home / "api-keys.yaml", "fuzz", ["score", "explain", "outcomes"])
        lead = example_lead(ScoringModel.load(artefact).contract)
        environ = {"LEADSCORE_MODEL_DIR": str(artefact), "LEADSCORE_THREADS": "1", "LEADSCORE_SHIPPER": "off"}
        served = Served(home, environ, 1, None).start()
        try:
            stream = arrow.written(pa.Table.from_pylist([lead] * 3))
            target = http.Target(served.port, key, json.dumps(lead).encode(), stream)
            http.run(target, 200, seed)
            (worker,) = served.workers()
            before = _peak(worker)
            started = time.perf_counter()
            answered = http.run(target, cases, seed)
            seconds = time.perf_counter() - started
            assert served.workers() == [worker], "the worker was replaced"
            bad = ("internal error", "Traceback", "Exception in")
            lines = [
                line for line in served.log.read_text().splitlines() if any(word in line for word in bad)
            ]
            assert not lines, lines[:3]
            grown = (_peak(worker) - before) / 2**20
        finally:
            served.stop()
    return answered, f"{cases} requests in {seconds:.0f} s; peak memory grew by {grown:.1f} MiB"


def _peak(pid: int) -> int:
    """Bytes that a process held at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
