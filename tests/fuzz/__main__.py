"""Attacks the service's readers with damaged input of its own making: `python -m tests.fuzz arrow --cases 1000000`.

The attack runs in this process under bounds of memory and processor time, so that a crash, growth or a hang ends it with
an error; `make fuzz` runs it whole, the tests a sample of it.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from tests.fuzz import arrow

# Beyond what the process has when the attack begins: far less than a body that unfolds would take.
GROWTH_BYTES = 256 << 20
# Processor seconds for one case, on average; a hang takes more.
_SECONDS_PER_CASE = 0.02


def bound(cases: int) -> None:
    """Let memory and time run out soon after they should not be needed any more."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + GROWTH_BYTES, mapped + GROWTH_BYTES))
    used = int(time.process_time()) + 1
    seconds = used + 60 + int(_SECONDS_PER_CASE * cases)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def main() -> int:
    """Run the attack, say how the cases ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=("arrow",), help="the reader that is attacked")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    arrow.run(200, given.seed)  # all that is imported late is in memory now
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bound(given.cases)
    started = time.perf_counter()
    ended = arrow.run(given.cases, given.seed)
    seconds = time.perf_counter() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    for what, count in ended.most_common():
        sys.stdout.write(f"{count:>9} {what}\n")
    sys.stdout.write(
        f"{given.cases} streams in {seconds:.0f} s; peak memory grew by {grown / 1024:.1f} MiB\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
