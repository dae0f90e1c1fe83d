"""What a serving pod costs: size of its environment, memory of its worker, time from start to ready."""

from __future__ import annotations

import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks import contenders
from benchmarks.bench import Bench, single
from benchmarks.environments import environment, install
from benchmarks.errors import BenchError
from benchmarks.processes import Running, process_tree, running
from benchmarks.row import Row, at_most
from benchmarks.service import api_key, service_plan
from benchmarks.wrk import Target

_ROOT = Path(__file__).parents[2]
_REQUESTS = 1000


def _environment(bench: Bench) -> Row:
    bench.say("installing the serving environment anew")
    folder = bench.folder / "serve-environment"
    try:
        python = install(folder, (f"leadscore[serve] @ {_ROOT.as_uri()}",))
        size = folder_bytes(folder)
        loads = subprocess.run(
            [python, "-c", "import leadscore_service, leadscore.scoring.model"], check=False
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if loads.returncode:
        raise BenchError("The serving environment does not import the service: its size means nothing.")
    other = folder_bytes(environment("mlserver").parents[1])
    return Row(
        name="environment-mb",
        what="serving environment",
        value=size / 1e6,
        unit="MB",
        goal=at_most(330),
        beside=f"{size / 2**20:.0f} MiB; MLServer with its XGBoost runtime {other / 1e6:,.0f} MB",
        how=(
            "a fresh virtual environment with `leadscore[serve]` only, disk blocks of all "
            "its files (MB = 10⁶ bytes)"
        ),
    )


def _worker(bench: Bench) -> Row:
    bench.say(f"memory after {_REQUESTS:,} requests")
    with contenders.ours(bench) as (bare, _, server):
        ours = _pss_after_requests(bare, server)
    with contenders.mlserver(bench) as (target, other):
        theirs = _pss_after_requests(target, other)
    return Row(
        name="worker-mib",
        what=f"memory of the worker (PSS) after {_REQUESTS:,} requests",
        value=ours[0],
        unit="MiB",
        goal=at_most(200),
        beside=(
            f"all {len(ours)} processes of the service {sum(ours):.0f} MiB; MLServer {sum(theirs):.0f} MiB"
        ),
        how="`Pss` in smaps_rollup of the largest process",
    )


def _ready(bench: Bench) -> Row:
    turns = max(bench.effort.rounds - 2, 1)
    folder = bench.folder / "start"
    api_key(folder)
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(turns):
        bench.say(f"start to ready, round {turn + 1} of {turns}")
        with running(service_plan(bench.reference.directory, folder)) as server:
            ours.append(server.seconds)
        with contenders.mlserver(bench) as (_, other):
            theirs.append(other.seconds)
    return Row(
        name="ready-s",
        what="process start to ready",
        value=median(ours),
        unit="s",
        goal=at_most(6),
        beside=f"MLServer {median(theirs):.1f} s",
        how=f"until the readiness path answers 200, pinned to one core, median of {turns} alternating starts",
    )


def folder_bytes(folder: Path) -> int:
    """Disk blocks of the regular files below `folder`, in bytes, as `du` counts them (links not followed)."""
    found = (path.lstat() for path in folder.rglob("*"))
    return sum(status.st_blocks * 512 for status in found)


def _pss_after_requests(target: Target, server: Running) -> list[float]:
    """PSS in MiB of each process of the server, largest first."""
    headers = {"Content-Type": "application/json"}
    if target.api_key:
        headers["Authorization"] = f"Bearer {target.api_key}"
    bodies = target.bodies.read_bytes().splitlines()
    connection = HTTPConnection("127.0.0.1", target.port, timeout=30)
    for number in range(_REQUESTS):
        connection.request("POST", target.path, bodies[number % len(bodies)], headers)
        connection.getresponse().read()
    sizes = sorted((_pss_mib(pid) for pid in process_tree(server.pid)), reverse=True)
    connection.close()
    return sizes


def _pss_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise BenchError(f"Cannot read the memory of process {pid}: {error.strerror}.") from error
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


SUITES = (
    single("environment-mb", _environment),
    single("worker-mib", _worker),
    single("ready-s", _ready),
)
