"""Work that may hang in code that knows no deadline: waited for so long, and never when the process ends.

A name look-up ends when the machine's resolver gives up, a mail server or a plugin's service when it likes.
Such work goes on in a thread of its own, which ends by itself some time, or with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from leadscore.outbox.attempts import SendResult

if TYPE_CHECKING:
    from leadscore.outbox.queue import OutboxMessage
    from leadscore.outbox.worker import Sender

_Found = TypeVar("_Found")
# Shorter than the lease of a message: nobody else may be sending it meanwhile.
ATTEMPT_SECONDS: Final = 40.0


def begin_apart(work: Callable[[], _Found]) -> Future[_Found]:
    """Begin work in a thread that holds up nobody's end; its result, or what it raised, is in the future."""
    future: Future[_Found] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        # Handed to whoever waits, as an executor does.
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=run, name="apart", daemon=True).start()
    return future


class AttemptsApart:
    """Attempts of several channels: one at a time each, waited for so long.

    Args:
        seconds: How long an attempt is waited for.
    """

    def __init__(self, seconds: float = ATTEMPT_SECONDS) -> None:
        self._seconds = seconds
        self._under_way: dict[str, Future[SendResult]] = {}
        self._lock = threading.Lock()

    def make(self, channel: str, attempt: Callable[[], SendResult]) -> SendResult:
        """How an attempt ended; `uncertain` if it did not end in time.

        While it goes on, no other of that channel is begun: threads would pile up.
        """
        with self._lock:
            before = self._under_way.get(channel)
            if before is not None and not before.done():
                return SendResult("failed", "the attempt before has not ended yet")
            future = self._under_way[channel] = begin_apart(attempt)
        try:
            return future.result(self._seconds)
        except TimeoutError:
            return SendResult("uncertain", f"no end within {self._seconds:.0f} s")


@dataclass(frozen=True, slots=True)
class SenderApart:
    """A sender whose attempts are waited for so long and no longer.

    Attributes:
        sender: Whose attempts.
        channel: Its name.
        attempts: That are under way, of all channels.
    """

    sender: Sender
    channel: str
    attempts: AttemptsApart

    @property
    def pace_seconds(self) -> float:
        """As the sender's."""
        return self.sender.pace_seconds

    def send(self, message: OutboxMessage) -> SendResult:
        """Send it."""
        return self.attempts.make(self.channel, lambda: self.sender.send(message))
