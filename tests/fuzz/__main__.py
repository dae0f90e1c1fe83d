"""Attacks the service with damaged input of its own making: `python -m tests.fuzz arrow --cases 1000000`.

`arrow` reads damaged streams in this process under bounds of memory and processor time, so that a crash, growth or a hang ends
it with an error; `http` sends malformed requests to a service that it starts, and watches its worker. `make fuzz` runs both
whole, the tests a sample of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from tests.fuzz import arrow, http
from tests.integration.service.conftest import Served
from tests.support.artefacts import build_artefact

from leadscore.apikeys import create_key
from leadscore.contract.openapi import example_lead
from leadscore.scoring.model import ScoringModel

# Beyond what the process has when the attack begins: far less than a body that unfolds would take.
GROWTH_BYTES = 256 << 20
# Processor seconds for one stream, on average; a hang takes more.
_SECONDS_PER_CASE = 0.02
_CASES = {"arrow": 1_000_000, "http": 115_000}


def attack_reader(cases: int, seed: int) -> tuple[Counter[str], int]:
    """Damaged streams; how they ended, and bytes of memory that it took at most."""
    arrow.run(200, seed)  # all that is imported late is in memory now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bound(cases)
    ended = arrow.run(cases, seed)
    return ended, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def bound(cases: int) -> None:
    """Let memory and time run out soon after they should not be needed any more."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + GROWTH_BYTES, mapped + GROWTH_BYTES))
    seconds = int(time.process_time() + 60 + _SECONDS_PER_CASE * cases)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def attack_service(cases: int, seed: int) -> tuple[Counter[str], int]:
    """Malformed requests; how they were answered, and bytes by which the worker's largest size grew."""
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
            before = peak(worker)
            answered = http.run(target, cases, seed)
            assert served.workers() == [worker], "the worker was replaced"
            assert "internal error" not in served.log.read_text(), served.log.read_text()[-3000:]
            return answered, peak(worker) - before
        finally:
            served.stop()


def peak(pid: int) -> int:
    """Bytes that a process held at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def main() -> int:
    """Run the attack, say how the cases ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=tuple(_CASES), help="what is attacked")
    parser.add_argument("--cases", type=int, help="how many; by default what `make fuzz` runs")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    cases = given.cases or _CASES[given.what]
    started = time.perf_counter()
    ended, grown = (attack_reader if given.what == "arrow" else attack_service)(cases, given.seed)
    for what, count in ended.most_common():
        sys.stdout.write(f"{count:>9} {what}\n")
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{cases} cases in {seconds:.0f} s; peak memory grew by {grown / 2**20:.1f} MiB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
