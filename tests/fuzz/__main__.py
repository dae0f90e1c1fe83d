"""Attacks what reads strangers' input, with damaged input of its own making: `python -m tests.fuzz models --cases 5000`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.fuzz import isolated

_CASES = {"documents": 10_000, "models": 100_000}


def main() -> int:
    """Run an attack, say how the cases ended; exit code 1 if one of them is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("what", choices=sorted(_CASES), help="the reader that is attacked")
    parser.add_argument("--cases", type=int)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = given.cases or _CASES[given.what]
    if given.child is not None:
        isolated.run_cases(given.what, given.seed, given.first, cases, given.child)
        return 0
    return isolated.supervise(given.what, given.seed, given.first, cases)


if __name__ == "__main__":
    raise SystemExit(main())
