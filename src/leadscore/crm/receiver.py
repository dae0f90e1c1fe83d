"""A receiver of webhooks to look at: it verifies what arrives, keeps the newest scores, and shows them.

For trying things out. It forgets everything when it ends, and answers whoever can reach it.
"""

from __future__ import annotations

import html
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal

import msgspec

from leadscore.crm.signing import verify_webhook
from leadscore.crm.webhook import WebhookBody, WebhookScore
from leadscore.documents import DECODE_ERRORS
from leadscore.errors import UnauthorizedError, UnavailableError

_MOST_BYTES: Final = 256 * 1024
_MOST_IDS: Final = 100_000
_SHOWN: Final = 40
_SECONDS: Final = 10.0

Arrival = Literal["applied", "older", "again", "refused"]
_WORDS: Final[dict[Arrival, str]] = {
    "applied": "written into the record",
    "older": "older than what the record has: not written",
    "again": "arrived before: not written again",
    "refused": "refused",
}


@dataclass(frozen=True, slots=True)
class ReceivedScore:
    """One message that arrived.

    Attributes:
        at: When (seconds since the epoch).
        arrival: What became of it.
        why: Why it was refused; empty if it was not.
        score: What it says; None if it was refused.
    """

    at: float
    arrival: Arrival
    why: str
    score: WebhookScore | None


class ReceivedScores:
    """What has arrived. Safe between threads.

    Args:
        key: Of the secret.
        clock: Seconds since the epoch.
    """

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._ids: dict[str, None] = {}
        self.records: dict[str, WebhookScore] = {}
        self.recent: deque[ReceivedScore] = deque(maxlen=_SHOWN)
        self.counts: dict[Arrival, int] = dict.fromkeys(_WORDS, 0)

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Take a message; returns status and text of the reply."""
        now = self._clock()
        try:
            name = verify_webhook(self._key, headers, body, now)
            score = msgspec.json.decode(body, type=WebhookBody).data
        except UnauthorizedError as error:
            self._keep(ReceivedScore(now, "refused", error.message, None))
            return 401, error.message
        except DECODE_ERRORS:
            self._keep(ReceivedScore(now, "refused", "It is no lead.scored message.", None))
            return 400, "It is no lead.scored message."
        with self._lock:
            known = self.records.get(score.lead_id)
            arrival: Arrival = "applied"
            if name in self._ids:
                arrival = "again"
            elif known is not None and known.sequence >= score.sequence:
                arrival = "older"
            else:
                self.records[score.lead_id] = score
            self._ids[name] = None
            while len(self._ids) > _MOST_IDS:
                del self._ids[next(iter(self._ids))]
        self._keep(ReceivedScore(now, arrival, "", score))
        return 200, _WORDS[arrival]

    def _keep(self, item: ReceivedScore) -> None:
        with self._lock:
            self.recent.appendleft(item)
            self.counts[item.arrival] += 1

    def page(self) -> str:
        """What has arrived, for people."""
        with self._lock:
            recent, counts, leads = list(self.recent), dict(self.counts), len(self.records)
        rows = "".join(map(_row, recent)) or '<tr><td colspan="6">Nothing has arrived yet.</td></tr>'
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>CRM receiver</title>'
            '<meta http-equiv="refresh" content="2"><style>body{font:15px/1.5 system-ui,sans-serif;'
            "margin:2rem;max-width:75rem}td,th{text-align:left;padding:.2rem .8rem .2rem 0;"
            "vertical-align:top;border-bottom:1px solid #8884}:root{color-scheme:light dark}</style></head>"
            f"<body><h1>CRM receiver</h1><p>{leads:,} leads have a score. Messages: "
            f"{counts['applied']:,} written, {counts['older']:,} older, {counts['again']:,} again, "
            f"{counts['refused']:,} refused. The signature of each was checked.</p>"
            "<table><thead><tr><th>arrived (UTC)</th><th>lead</th><th>score</th><th>grade</th>"
            f"<th>why</th><th>what became of it</th></tr></thead><tbody>{rows}</tbody></table></body></html>"
        )


def _row(item: ReceivedScore) -> str:
    s = item.score
    cells = (
        f"{datetime.fromtimestamp(item.at, UTC):%H:%M:%S}",
        "–" if s is None else s.lead_id,
        "–" if s is None else f"{s.score:.1f}",
        "–" if s is None else s.grade,
        "" if s is None else " ".join(s.reasons),
        item.why or _WORDS[item.arrival],
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


class ReceiverServer:
    """Answers in threads of its own until closed: `POST /` takes messages, `GET /` shows them.

    Args:
        host: Address to listen on.
        port: Port; 0: any.
        received: What has arrived.

    Raises:
        UnavailableError: The address is taken, or not ours.
    """

    def __init__(self, host: str, port: int, received: ReceivedScores) -> None:
        class Handler(_Handler):
            scores = received

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise UnavailableError(
                f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Try another port."
            ) from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    scores: ReceivedScores
    timeout = _SECONDS
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Show what has arrived."""
        self._answer(200, self.scores.page(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        """Take a message."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and int(length) <= _MOST_BYTES):
            self.close_connection = True
            self._answer(413, f"At most {_MOST_BYTES} bytes.", "text/plain")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, said = self.scores.take(headers, self.rfile.read(int(length)))
        self._answer(status, said, "text/plain; charset=utf-8")

    def _answer(self, status: int, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # Whoever asked may be gone.
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing: the page does."""
