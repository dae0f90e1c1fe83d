"""Attacks what reads strangers' input, with damaged input of its own making.

`python -m tests.fuzz models --cases 5000`.

`make fuzz` runs an attack whole, the tests a sample of it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz import arrow, isolated

_CASES = {"arrow": 1_000_000, "documents": 10_000, "http": 115_000, "models": 100_000}
# Beyond what the process has when the attack begins: far less than a body that unfolds would take.
GROWTH_BYTES = 256 << 20
# Processor seconds for one stream, on average; a hang takes more.
_SECONDS_PER_CASE = 0.02


def main() -> int:
    """Run an attack, say how the cases ended; exit code 1 if one of them is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=sorted(_CASES), help="what is attacked")
    parser.add_argument("--cases", type=int)
    parser.add_argument("--first", type=int, default=0, help="number of the first case (documents, models)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = given.cases or _CASES[given.what]
    if given.what == "arrow":
        return attack_arrow(cases, given.seed)
    if given.what == "http":
        # Loads much that the others' processes, which are many, do without.
        from tests.fuzz.service import attack

        return _say(*attack(cases, given.seed))
    if given.child is not None:
        isolated.run_cases(given.what, given.seed, given.first, cases, given.child)
        return 0
    return isolated.supervise(given.what, given.seed, given.first, cases)


def attack_arrow(cases: int, seed: int) -> int:
    """Damage Arrow streams in this process, within bounds.

    A crash, growth or a hang ends it with an error.
    """
    arrow.run(200, seed)  # all that is imported late is in memory now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _bound(cases)
    started = time.perf_counter()
    ended = arrow.run(cases, seed)
    seconds = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return _say(ended, f"{cases} streams in {seconds:.0f} s; peak memory grew by {grown / 1024:.1f} MiB")


def _say(ended: Counter[str], how: str) -> int:
    for what, count in ended.most_common():
        sys.stdout.write(f"{count:>9} {what}\n")
    sys.stdout.write(f"{how}\n")
    return 0


def _bound(cases: int) -> None:
    """Let memory and time run out soon after they should not be needed any more."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + GROWTH_BYTES, mapped + GROWTH_BYTES))
    used = int(time.process_time()) + 1
    seconds = used + 60 + int(_SECONDS_PER_CASE * cases)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


if __name__ == "__main__":
    raise SystemExit(main())
