"""End connections: after what is written was sent, and so that a last reply arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

# After a reply that the rest of the request does not change: so long, and so much, is read and thrown away,
# because a connection closed at once would take the reply with it (RFC 9112, 9.6).
_LINGER_S: Final = 2.0
_LINGER_BYTES: Final = 1 << 20
# A reply of which the client takes nothing for so long is given up.
_STALLED_S: Final = 30.0


class Closing:
    """The end of one connection.

    Attributes:
        begun: What comes now is not read any more.
    """

    __slots__ = ("_discarded", "_loop", "_timer", "_transport", "begun")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = False
        self._transport = transport
        self._loop = loop
        self._discarded = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, resume_reading: Callable[[], None] | None) -> None:
        """Close; with part of a request unread (`resume_reading`), let the reply arrive first."""
        self.begun = True
        if resume_reading is None or self._transport.is_closing() or not self._transport.can_write_eof():
            self._close()
            return
        resume_reading()
        self._transport.write_eof()
        self._timer = self._loop.call_later(_LINGER_S, self._close)

    def discard(self, size: int) -> None:
        """Discard unread input; too much of it ends the connection at once."""
        self._discarded += size
        if self._discarded > _LINGER_BYTES:
            self._transport.abort()

    def watch_writing(self, before: int | None = None) -> None:
        """Give the client up if it took nothing of the written bytes since the last check."""
        left = self._transport.get_write_buffer_size()
        if not left:
            return
        if before is not None and left >= before:
            self._transport.abort()
            return
        self._timer = self._loop.call_later(_STALLED_S, self.watch_writing, left)

    def is_taken(self) -> None:
        """Stop watching a client that takes what is written, unless the connection ends anyway."""
        if not self.begun:
            self._cancel()

    def done(self) -> None:
        """The connection is closed."""
        self.begun = True
        self._cancel()

    def _close(self) -> None:
        self._transport.close()
        self.watch_writing()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
