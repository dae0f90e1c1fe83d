"""Nights whose process is killed at random moments, again and again, and then run to their end.

    python -m tests.integration.batch.killed_nights FOLDER --kills 200

Each night is a process of its own (a fork of this one, which itself never opens a Delta table), killed by
SIGKILL after a random share of the time that an undisturbed night takes. Prints one JSON document: what was
lost or stands twice in the lake and in the event store. Exit code 1 if anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.support.artefacts import build_artefact, sample_leads

from leadscore.batch.run import BatchRequest, run_batch
from leadscore.events.store import EventStore
from leadscore.events.windows import labelled_window
from leadscore.lake.schemas import SCORES
from leadscore.lake.table import LakeTable, table_uri
from leadscore.settings import Home

FIRST = date(2026, 1, 1)
LEADS = 2_000


def main() -> int:
    """Kill and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    home = Home.from_environment({"LEADSCORE_HOME": str(given.folder / "home")})
    model = build_artefact(given.folder / "7")
    leads = str(given.folder / "crm")
    chance = random.Random(given.seed)
    in_child(lambda: write_leads(leads))

    def night(number: int) -> None:
        request = BatchRequest(
            date=FIRST + timedelta(days=number),
            model=str(model),
            leads=leads,
            everything=True,
            reasons=("A",),
        )
        with EventStore(home.events_url) as store:
            run_batch(request, home, store)

    begun = time.monotonic()
    in_child(lambda: night(0))
    whole = time.monotonic() - begun
    killed, number = 0, 0
    while killed < given.kills:
        number += 1
        # A night may be killed several times before it is left to end.
        for _ in range(chance.randint(1, 3)):
            killed += not in_child(lambda n=number: night(n), kill_after=chance.uniform(0, 1.1 * whole))
        in_child(lambda n=number: night(n))
    report = given.folder / "report.json"
    in_child(lambda: report.write_text(json.dumps(examine(home, number + 1))))
    found = json.loads(report.read_text()) | {"kills": killed}
    print(json.dumps(found))  # noqa: T201
    return int(any(found[name] for name in ("lost", "doubled", "differing", "commits_too_many")))


def write_leads(uri: str) -> None:
    """The CRM's table."""
    from deltalake import write_deltalake

    write_deltalake(uri, sample_leads(LEADS, seed=3))


def examine(home: Home, nights: int) -> dict[str, int]:
    """Hold lake and event store against what there must be: each lead once in each night."""
    table = LakeTable(table_uri(home.lake, SCORES.name), SCORES)
    scores = Counter(
        (row["business_date"].isoformat(), row["lead_id"], row["prediction_id"])
        for batch in table.read()
        for row in batch.select(["business_date", "lead_id", "prediction_id"]).to_pylist()
    )
    now = datetime.now(UTC)
    with EventStore(home.events_url) as store:
        window = labelled_window(store, now - timedelta(days=1), now + timedelta(days=1))
    logged = Counter(window.column("prediction_id").to_pylist())
    wanted = nights * LEADS
    version = table.version()
    return {
        "nights": nights,
        "lost": wanted - len({(day, lead) for day, lead, _ in scores}) + wanted - len(logged),
        "doubled": sum(scores.values()) - len(scores) + sum(logged.values()) - len(logged),
        "differing": len({identity for _, _, identity in scores} ^ set(logged)),
        "commits_too_many": -1 if version is None else version - nights,  # the first makes the table
    }


def in_child(work: Callable[[], object], kill_after: float | None = None) -> bool:
    """Do it in a fork; False if it was killed before it had ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise SystemExit("A night that nobody killed has failed.")
    return True


if __name__ == "__main__":
    sys.exit(main())
