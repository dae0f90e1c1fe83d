"""Where alerts arrive: a mail server, and receivers that answer as Slack's and PagerDuty's do."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from tests.support.ports import free_port
from tools.cluster import kind
from tools.cluster.shell import run

SLACK, PAGERDUTY = "/services/T0/B0/secret", "/v2/enqueue"
RETRY_AFTER_SECONDS = 2


def host_address() -> str:
    """This machine as pods of the local cluster reach it: the gateway of the node's network."""
    listed = run(
        [
            "docker",
            "inspect",
            kind.NODE,
            "--format",
            "{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}",
        ]
    )
    return listed.split()[0]


@dataclass
class Receivers:
    """What has arrived so far.

    Attributes:
        mails: Every mail, whole.
        slack: Bodies that Slack's webhook has taken.
        pagerduty: Events that PagerDuty has taken.
        slack_is_busy: Slack answers 429 from now on, as it does to whoever posts too fast.
        slack_refused: How often it has done so.
    """

    address: str
    mails: list[Message] = field(default_factory=list[Message])
    slack: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pagerduty: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    slack_is_busy: bool = False
    slack_refused: int = 0

    def __post_init__(self) -> None:
        self._web = ThreadingHTTPServer((self.address, 0), _handler(self))
        threading.Thread(target=self._web.serve_forever, name="receivers", daemon=True).start()
        # It looks whether it answers, and so has to know its port.
        self._mail_port = free_port()
        self._mail = Controller(_Mailbox(self), hostname=self.address, port=self._mail_port)
        self._mail.start()

    @property
    def web(self) -> str:
        """Where Slack and PagerDuty answer: `HOST:PORT`."""
        return f"{self.address}:{self._web.server_port}"

    def channels(self) -> dict[str, str]:
        """The entries of the Secret that `monitor.channels.existingSecret` names."""
        web = f"http://{self.web}"
        return {
            "LEADSCORE_SLACK_URL": web + SLACK,
            "LEADSCORE_PAGERDUTY_URL": web + PAGERDUTY,
            "LEADSCORE_PAGERDUTY_KEY": "e2e-routing-key",
            "LEADSCORE_SMTP_URL": f"smtp://{self.address}:{self._mail_port}",
            "LEADSCORE_MAIL_FROM": "leadscore@example.com",
            "LEADSCORE_MAIL_TO": "oncall@example.com",
        }

    def close(self) -> None:
        """Stop them."""
        self._mail.stop()
        self._web.shutdown()
        self._web.server_close()

    def posted(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """Take a request; status and headers of the reply."""
        if path == SLACK and self.slack_is_busy:
            self.slack_refused += 1
            return 429, {"Retry-After": str(RETRY_AFTER_SECONDS)}
        taken = {SLACK: self.slack, PAGERDUTY: self.pagerduty}.get(path)
        if taken is None:
            return 404, {}
        taken.append(body)
        return (202 if path == PAGERDUTY else 200), {}


class _Mailbox:
    def __init__(self, receivers: Receivers) -> None:
        self._receivers = receivers

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        assert isinstance(envelope.content, bytes)
        self._receivers.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


def _handler(receivers: Receivers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers = receivers.posted(self.path, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Say nothing."""

    return Handler
