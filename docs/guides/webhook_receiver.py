"""A receiver of LeadScore's webhooks: copy it. Python's standard library alone.

    LEADSCORE_WEBHOOK_SECRET=whsec_… python3 webhook_receiver.py 8060

Replace `Records.apply` by an update of your CRM: of an existing record, by its id, and only if the sequence
is greater than the one that the record has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOLERANCE_SECONDS = 300


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether the body was signed with the secret within the last minutes.

    `headers` have names in lower case; `body` is exactly what came, before anything has parsed it.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(now - int(stamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # Several while a secret is being rotated.
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(each.encode(), expected.encode()) for each in given)


class Records:
    """Stands for the CRM: it knows some leads, and creates none."""

    def __init__(self, known: set[str] | None = None) -> None:
        self.scores: dict[str, dict[str, Any]] = {}
        self._known = known

    def apply(self, score: dict[str, Any]) -> str:
        """Write a score into its record; the same message twice, or an older one, changes nothing."""
        lead = score["lead_id"]
        if self._known is not None and lead not in self._known:
            return "no such record"
        if lead in self.scores and self.scores[lead]["sequence"] >= score["sequence"]:
            return "not newer"
        self.scores[lead] = score
        return "written"


def serve(port: int, secret: str, records: Records) -> ThreadingHTTPServer:
    """A server on this machine; put it behind TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdecimal():
                self._answer(400, "the length of the body is not said")
                return
            body = self.rfile.read(min(int(length), 256 * 1024))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if not verify(secret, headers, body, time.time()):
                self._answer(401, "the signature is wrong")
                return
            message = json.loads(body)
            if message.get("type") != "lead.scored":
                self._answer(204, "")
                return
            # Answer 2xx only when the score is kept: anything else is sent again, for three days.
            self._answer(200, records.apply(message["data"]))

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
            print(status, text, self.headers.get("webhook-id", ""), flush=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    if len(sys.argv) != 2 or "LEADSCORE_WEBHOOK_SECRET" not in os.environ:
        sys.exit("Usage: LEADSCORE_WEBHOOK_SECRET=whsec_… python3 webhook_receiver.py PORT")
    server = serve(int(sys.argv[1]), os.environ["LEADSCORE_WEBHOOK_SECRET"], Records())
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
