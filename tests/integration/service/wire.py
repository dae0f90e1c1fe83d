"""Bytes as they go over the wire: what no HTTP client would send, and what exactly comes back."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code; KeyError or ValueError if the reply is not in the one shape of errors."""
        found = json.loads(self.body)
        assert set(found) == {"error", "request_id"}
        assert set(found["error"]) == {"code", "message", "hint", "fields"}
        assert found["request_id"] == self.headers["x-request-id"]
        return found["error"]["code"]


class Wire:
    """One connection; every wait has a bound."""

    def __init__(self, port: int, seconds: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def reply(self) -> Reply:
        """The next reply, by its Content-Length."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers["content-length"])
        while len(self._read) < size:
            self._more()
        body, self._read = self._read[:size], self._read[size:]
        return Reply(int(first.split(" ")[1]), headers, body)

    def closed(self) -> bool:
        """Whether nothing comes any more; waits for the end."""
        assert not self._read, self._read
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise EOFError(self._read)
        self._read += part


def post(path: str, body: bytes, *headers: bytes, host: bytes = b"Host: x") -> bytes:
    """A request as every client sends it, and more headers."""
    lines = (b"POST " + path.encode() + b" HTTP/1.1", host, b"Content-Type: application/json", *headers)
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))
