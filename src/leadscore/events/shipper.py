"""The shipper as a process of its own (arguments, signals, the parent's death, logs): one per spool.

`python -m leadscore.events.shipper --spool DIR --events-url URL`
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, cast

from leadscore.errors import ExitCode, LeadScoreError, UnavailableError
from leadscore.events.shipping import Shipment, Shipper, ShipperOptions
from leadscore.events.store import EventStore
from leadscore.logs import JsonLines
from leadscore.settings import Home

__all__ = ["Shipment", "Shipper", "ShipperOptions", "main"]

_PARENT_POLL_SECONDS: Final = 0.5
# A batch of two thousand records takes a fraction of a second; the rest is for a server that is busy.
_ANSWER_SECONDS: Final = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Ship until SIGTERM or SIGINT (or the parent's death); exit code 0, or that of a `LeadScoreError`."""
    given = _parse(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    log = logging.getLogger("leadscore.events.shipper")
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    # Scoring has priority on a shared core: the spool can hold a backlog.
    os.nice(given.nice)
    parent = cast("int | None", given.exit_with_parent)
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, stop), name="parent-watch", daemon=True).start()
    options = ShipperOptions(batch_records=given.batch_records, drain_seconds=given.drain_seconds)
    try:
        with (
            EventStore(given.events_url, answer_seconds=given.answer_seconds) as store,
            Shipper(given.spool, store, options) as shipper,
        ):
            with suppress(UnavailableError):  # a store that is down may come back; a wrong URL stays wrong
                store.check()
            log.info("shipper started", extra={"fields": {"spool": str(given.spool), "store": store.name}})
            shipper.run(stop)
    except LeadScoreError as error:
        log.error("shipper cannot run", extra={"fields": {"error": error.message, "hint": error.hint}})  # noqa: TRY400
        return int(error.exit_code)
    except Exception:
        # The process boundary: an exit code for the supervisor, the reason in the log.
        log.exception("shipper ended by a defect")
        return int(ExitCode.UNEXPECTED)
    log.info("shipper stopped")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    home, defaults = Home.from_environment(), ShipperOptions()
    parser = argparse.ArgumentParser(prog="python -m leadscore.events.shipper", description=__doc__)
    parser.add_argument("--spool", type=Path, default=home.spool, help="spool of this machine or pod")
    parser.add_argument(
        "--events-url",
        default=home.events_url,
        help="event store; with a password, give it in LEADSCORE_EVENTS_URL, where `ps` does not show it",
    )
    parser.add_argument("--exit-with-parent", type=int, metavar="PID", help="stop when this process is gone")
    parser.add_argument("--batch-records", type=int, default=defaults.batch_records)
    parser.add_argument("--drain-seconds", type=float, default=defaults.drain_seconds)
    parser.add_argument(
        "--answer-seconds",
        type=float,
        default=_ANSWER_SECONDS,
        help="how long the event store may be silent while it is asked",
    )
    parser.add_argument(
        "--nice", type=int, default=10, choices=range(20), metavar="0-19", help="scheduling priority"
    )
    return parser.parse_args(arguments)


def _watch(parent: int, stop: threading.Event) -> None:
    """Set `stop` when `parent` is gone, be it our parent (we get another one) or any process (no such id)."""
    is_ours = os.getppid() == parent
    while not stop.wait(_PARENT_POLL_SECONDS):
        if is_ours and os.getppid() != parent:
            stop.set()
        elif not is_ours:
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                stop.set()
            except PermissionError:  # it is there, and another user's
                continue


if __name__ == "__main__":
    raise SystemExit(main())
