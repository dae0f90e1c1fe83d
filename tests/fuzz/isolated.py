"""Cases in a process of their own with bounded memory.

One that crashes, hangs or is killed is noted, and the next

process goes on behind it.

Each case is made from its number and the seed alone, so that one that failed is repeated by `--first N
--cases 1`.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HUNG_SECONDS = 120
_SLOW_CPU_SECONDS = 10.0
# On top of what the libraries take; a case that needs more is a fault, even where it ends in a sentence.
_MORE_MEMORY = 1536 * 1024 * 1024
_PROGRESS = "progress"


def supervise(what: str, seed: int, first: int, count: int) -> int:
    """Run cases `first` to `first + count`; exit code 1 if one of them is a fault."""
    started, ends, faults, peak = time.monotonic(), Counter[str](), 0, 0
    end = first + count
    while first < end:
        with tempfile.TemporaryDirectory(prefix="leadscore-fuzz-") as folder:
            command = [sys.executable, "-m", "tests.fuzz", what, "--seed", str(seed), "--first", str(first)]
            command += ["--cases", str(end - first), "--child", folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            for line in filter(None, done.stdout.splitlines()):
                told = json.loads(line)
                ends.update(told.get("ends", {}))
                peak = max(peak, told.get("peak_mib", 0))
                if "case" in told:
                    faults += 1
                    print(f"FAULT in case {told['case']}: {told['what']}", flush=True)
            if done.returncode == 0:
                break
            progress = Path(folder) / _PROGRESS
            if not progress.exists():
                print(f"The cases could not start (exit code {done.returncode}).")
                return 1
            case = int(progress.read_text())
            faults += 1
            print(f"FAULT in case {case}: the process ended with {done.returncode}", flush=True)
            first = case + 1
    print(
        f"{what}: {count} cases, {faults} faults; {dict(ends)}; peak {peak} MiB;"
        f" {time.monotonic() - started:.0f} s; seed {seed}"
    )
    return 1 if faults else 0


def run_cases(what: str, seed: int, first: int, count: int, folder: Path) -> None:
    """The same in this process, telling its standard output how they ended."""
    run = FUZZERS[what](folder)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + _MORE_MEMORY, hard))
    ends: Counter[str] = Counter()
    progress = os.open(folder / _PROGRESS, os.O_RDWR | os.O_CREAT, 0o600)
    for case in range(first, first + count):
        os.pwrite(progress, b"%012d" % case, 0)
        if case % 64 == 0:
            faulthandler.dump_traceback_later(_HUNG_SECONDS, exit=True)
            if len(ends) and case % 1024 == 0:
                _tell({"ends": dict(ends)})
                ends.clear()
        before = time.process_time()
        try:
            ends[run(random.Random(f"{seed}-{case}"))] += 1
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            _tell(
                {
                    "case": case,
                    "what": f"{type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})",
                }
            )
        if time.process_time() - before > _SLOW_CPU_SECONDS:
            _tell({"case": case, "what": f"took {time.process_time() - before:.1f} s of a processor"})
    faulthandler.cancel_dump_traceback_later()
    _tell({"ends": dict(ends), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024})


def _address_space() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _models(folder: Path) -> Callable[[random.Random], str]:
    from tests.fuzz.models import ModelFuzzer

    return ModelFuzzer(folder).run


def _documents(folder: Path) -> Callable[[random.Random], str]:
    from tests.fuzz.documents import DocumentFuzzer

    return DocumentFuzzer(folder).run


FUZZERS: dict[str, Callable[[Path], Callable[[random.Random], str]]] = {
    "documents": _documents,
    "models": _models,
}
