"""`make faults`: sweep every story, print the table, write build/faults.json; 1 if a promise was broken."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console
from tests.faults.harness.controlplane import programs, running
from tests.faults.harness.story import Outcome
from tests.faults.harness.sweep import Swept, Trouble, kind, sweep, table
from tests.faults.stories import STORIES

notes = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def main() -> int:
    """Sweep what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="The fault sweep.")
    parser.add_argument("--story", action="append", help="only stories whose name holds this")
    parser.add_argument("--only", action="append", help="only troubles whose description holds this")
    parser.add_argument("--every", type=int, default=1, help="only each n-th trouble")
    parser.add_argument("--workers", type=int, default=2, help="replays at once")
    parser.add_argument("--output", type=Path, default=Path("build/faults.json"))
    parser.add_argument("--programs", action="store_true", help="only build etcd and kube-apiserver")
    options = parser.parse_args()
    if options.programs:
        programs()
        return 0
    stories = [s for s in STORIES if not options.story or any(word in s.name for word in options.story)]

    def choose(troubles: list[Trouble]) -> list[Trouble]:
        wanted = [
            t for t in troubles if not options.only or any(word in describe(t) for word in options.only)
        ]
        return wanted[:: options.every]

    with running() as plane:
        swept = [
            sweep(plane, story, choose=choose, workers=options.workers, done=report) for story in stories
        ]
    Console().print(table(swept))
    for one in swept:
        for outcome in one.broken:
            notes.print(f"\n{one.story}, {describe(outcome.faults)}:", style="red")
            notes.print("\n".join(outcome.problems))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps([summary(one) for one in swept], indent=2) + "\n")
    return 1 if any(one.broken for one in swept) else 0


def report(outcome: Outcome) -> None:
    """One line per replay, while the sweep runs."""
    end = "BROKEN" if outcome.problems else "ok" if outcome.reached else "ok (not reached)"
    notes.print(f"{outcome.seconds:6.1f} s  {describe(outcome.faults)}: {end}")


def describe(trouble: Trouble) -> str:
    """A trouble in words."""
    return " + ".join(str(fault) for fault in trouble) or "undisturbed"


def summary(swept: Swept) -> dict[str, object]:
    """A sweep for programs."""
    return {
        "story": swept.story,
        "calls": len(swept.undisturbed.calls),
        "replays": len(swept.outcomes),
        "reached": sum(outcome.reached for outcome in swept.outcomes),
        "broken": [
            {"trouble": describe(o.faults), "kind": kind(o.faults) if o.faults else "undisturbed", "problems": o.problems}
            for o in swept.broken
        ],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
