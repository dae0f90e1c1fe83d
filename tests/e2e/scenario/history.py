"""What a company has before it installs a loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.e2e.scenario.loop import MODEL
from tests.e2e.scenario.registry import ask_again, wait_for_mlflow
from tests.e2e.scenario.release import Release
from tests.e2e.scenario.toolbox import Toolbox

# A year of leads; the champion knows the first half, and then people begin to buy for other
# reasons. Of a shorter half the reference would be a month: five of some weekdays and four of
# others, which is a drift of `created_weekday`.
LEADS, MONTHS, CALM_MONTHS = 36_000, 12, 6


def history(made: Release) -> None:
    """Leads, a first model, and a log of what became of them."""
    wait_for_mlflow(made)
    toolbox = Toolbox(made)
    toolbox.start()
    month, today = timedelta(days=365.25 / 12), datetime.now(UTC)
    start, turn = (f"{today - n * month:%Y-%m-%d}" for n in (MONTHS, MONTHS - CALM_MONTHS))
    table = ("--data", "/tmp/crm.parquet")
    toolbox.leadscore(
        "data", "generate", "--rows", str(LEADS), "--seed", "5", "--start", start, "--months", str(MONTHS),
        "--scenario", f"concept_drift@{turn}", "-o", table[1], "--contract-out", "/tmp/contract.yaml",
    )  # fmt: skip
    toolbox.leadscore(
        "train", *table, "--contract", "/tmp/contract.yaml", "--name", MODEL, "--as-of", turn,
        "--months", str(CALM_MONTHS), "--min-records", "2000", "--trials", "2",
    )  # fmt: skip
    toolbox.leadscore("events", "backfill", *table, "--model", f"{MODEL}@champion", "--since", turn)
    ask_again(made)
