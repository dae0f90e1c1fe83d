"""One night in a process of its own, so that its peak memory is its own.

`python -m benchmarks.night_once MODEL LEADS HOME DATE` prints how many leads were
scored and the peak in bytes.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from benchmarks.processes import peak_bytes
from leadscore.batch import run as batch_run
from leadscore.batch.run import BatchRequest, run_batch
from leadscore.events.store import EventStore
from leadscore.settings import Home


def score_night(model: str, leads: str, folder: Path, day: date, *, reasons: bool, log: bool) -> int:
    """Score a night of a home; returns how many leads were scored.

    Args:
        model: Folder of an artefact.
        leads: Table of leads.
        folder: The home.
        day: Business date.
        reasons: Leads of grade A get reasons.
        log: Their predictions go to the embedded event store.
    """
    home = Home.from_environment({"LEADSCORE_HOME": str(folder)})
    request = BatchRequest(date=day, model=model, leads=leads, reasons=("A",) if reasons else (), threads=2)
    logged = batch_run._log  # noqa: SLF001
    try:
        if not log:
            batch_run._log = lambda _store, _claim, _piece: None  # noqa: SLF001
        with EventStore(home.events_url) as store:
            return run_batch(request, home, store).record.scored
    finally:
        batch_run._log = logged  # noqa: SLF001


if __name__ == "__main__":
    artefact, table, place, night = sys.argv[1:]
    scored = score_night(artefact, table, Path(place), date.fromisoformat(night), reasons=False, log=False)
    sys.stdout.write(f"{scored} {peak_bytes()}\n")
