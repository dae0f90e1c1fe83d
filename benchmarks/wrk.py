"""Closed-loop load from wrk: as many requests as the connections carry, cycling through real leads."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.processes import client_core, on_core

_SCRIPT = Path(__file__).parent / "wrk.lua"


class Totals(msgspec.Struct, frozen=True):
    """What wrk counted; `refused` are replies that are not 2xx or 3xx, `broken` are connection errors."""

    requests: int
    microseconds: int
    refused: int
    broken: int
    p50_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / (self.microseconds / 1e6)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes: a port on 127.0.0.1, a path, a file of bodies (one per line), and any key."""

    name: str
    port: int
    path: str
    bodies: Path
    api_key: str = ""


def drive(target: Target, *, connections: int, seconds: int) -> Totals:
    """Load the target from one thread on a core of its own.

    Raises:
        BenchError: wrk is missing, or any reply was not a good one: such a rate means nothing.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchError("wrk is not installed.", hint="On Debian and Ubuntu: `apt-get install wrk`.")
    command = [
        *(wrk, "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s"),
        *("--timeout", "10s", "--script", str(_SCRIPT), f"http://127.0.0.1:{target.port}"),
        *("--", str(target.bodies), target.path),
    ]
    done = subprocess.run(
        on_core(client_core(), command),
        env={**os.environ, "BENCH_API_KEY": target.api_key},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"wrk failed on {target.name}: {(done.stderr or done.stdout).strip()[-500:]}")
    totals = parse_totals(done.stdout)
    if totals.refused or totals.broken or not totals.requests:
        raise BenchError(
            f"{target.name} gave {totals.refused} bad replies and {totals.broken} broken connections "
            f"in {totals.requests} requests: its rate is not reported."
        )
    return totals


def parse_totals(output: str) -> Totals:
    """The totals that our script prints as the last line.

    Raises:
        BenchError: There is no such line.
    """
    try:
        return msgspec.json.decode(output.strip().splitlines()[-1], type=Totals)
    except (IndexError, msgspec.DecodeError) as error:
        raise BenchError(f"wrk printed no totals: {output[-300:]!r}.") from error
