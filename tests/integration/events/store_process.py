"""Uses a store or a spool with whichever release is on the path, by what both releases have in common.

`store_process.py URL` takes a JSON line per command; `store_process.py SPOOL COUNT` writes pairs of records
and says so.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leadscore.errors import LeadScoreError
from leadscore.events.records import Evidence, Outcome, Prediction, new_id, now_us
from leadscore.events.spool import SpoolWriter
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window


def scored(name: str, at: int) -> Prediction:
    return Prediction(name, f"L-{name}", "crm", "7", "abc", "champion", at, 0.5, 50.0, "B", b"1234", "r", ())


def spool(root: Path, count: int) -> None:
    """Each id is printed once its record is on the spool."""
    with SpoolWriter(root, segment_bytes=20_000, max_bytes=50_000_000) as writer:
        for _ in range(count):
            name = new_id()
            writer.append_prediction(scored(name, now_us()))
            os.write(1, f"p{name}\n".encode())
            writer.append_outcome(Outcome(name, f"L-{name}", None, True, None, now_us(), now_us()))
            os.write(1, f"o{name}\n".encode())


def answer(store: EventStore, said: dict[str, Any]) -> object:
    if said["do"] == "append":
        outcomes = [Outcome(f"o-{n}", f"L-{n}", n, True, 1.5, at, at, "test") for n, at in said["outcomes"]]
        new = store.append([scored(*each) for each in said["predictions"]], outcomes)
        return [new.predictions, new.outcomes]
    if said["do"] == "record":
        return store.record(Evidence(said["id"], "gate", "crm/7", 1, "{}"))
    if said["do"] == "read":
        end = datetime(2100, 1, 1, tzinfo=UTC)
        found = labelled_window(store, datetime(1970, 1, 1, tzinfo=UTC), end)
        # The release before returns the table beside its completeness.
        table = getattr(found, "table", found)
        pairs = zip(table["prediction_id"].to_pylist(), table["converted"].to_pylist(), strict=True)
        return {"labels": dict(pairs), "evidence": sorted(e.evidence_id for e in store.evidence())}
    raise ValueError(said["do"])


def serve(url: str) -> None:
    """Answer until there are no more commands."""
    with EventStore(url) as store:
        for line in sys.stdin:
            try:
                found = {"answer": answer(store, json.loads(line))}
            except LeadScoreError as error:
                found = {"error": error.code}
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        spool(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        serve(sys.argv[1])
