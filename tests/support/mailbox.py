"""A mail server on this machine that keeps what it gets, or refuses as it is told."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from tests.support.ports import free_port


class Mailbox:
    """The server; replies of the next mails are taken from `replies`, then it accepts."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[list[str]] = []
        self.replies: list[str] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port())
        self.url = f"smtp://127.0.0.1:{self._controller.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (its name there)
        del server, session
        reply = self.replies.pop(0) if self.replies else "250 OK"
        if reply.startswith("2"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
            self.recipients.append(list(envelope.rcpt_tos))
        return reply

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
