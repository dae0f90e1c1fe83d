"""Any order of the three routes: no older score over a newer one, no record created, everything arrives.

`python -m tests.integration.crm.test_interleavings 1000` makes as many runs of ten leads, for the figure.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from tests.support.crm_interleavings import Interleaving

from leadscore.crm.tables import crm_cursors, crm_states
from leadscore.events.store import EventStore
from leadscore.monitoring.rollups.tables import lead_scores
from leadscore.outbox.tables import outbox, outbox_channels


def run_all(folder: Path, seeds: range) -> Counter[str]:
    """What went wrong over many runs; the store is emptied after each."""
    found: Counter[str] = Counter(runs=0, stale=0, created=0, disagreements=0)
    with EventStore(f"sqlite:///{folder / 'events.db'}") as store:
        for seed in seeds:
            one = Interleaving(store, seed)
            one.run()
            found.update(runs=1, stale=one.stale, created=one.created, disagreements=len(one.disagreements()))
            with store.writing() as connection:
                for table in (lead_scores, outbox, outbox_channels, crm_states, crm_cursors):
                    connection.execute(sa.delete(table))
    return found


def test_no_order_lets_an_older_score_overwrite_a_newer_one(tmp_path: Path) -> None:
    assert run_all(tmp_path, range(40)) == {"runs": 40, "stale": 0, "created": 0, "disagreements": 0}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as temporary:
        print(dict(run_all(Path(temporary), range(1_000, 1_000 + int(sys.argv[1])))))  # noqa: T201
