"""Channels: how a message takes Slack's, PagerDuty's, a mail's or another service's form, and gets there.

Addresses and keys are secrets. They are read anew for each message, from a file in the folder that
`LEADSCORE_ALERT_SECRETS` names or from the environment, and stand in no log, record or error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import os
import smtplib
import ssl
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from leadscore.alerts.messages import AlertMessage
from leadscore.documents import DECODE_ERRORS
from leadscore.files import read_file
from leadscore.outbox.attempts import LONGEST_SECONDS, SendResult
from leadscore.outbox.bounded import AttemptsApart, SenderApart
from leadscore.outbox.http import HttpConnections
from leadscore.outbox.queue import OutboxMessage
from leadscore.outbox.worker import Sender

_log = logging.getLogger(__name__)

SLACK_URL: Final = "LEADSCORE_SLACK_URL"
PAGERDUTY_KEY: Final = "LEADSCORE_PAGERDUTY_KEY"
PAGERDUTY_URL: Final = "LEADSCORE_PAGERDUTY_URL"
SMTP_URL: Final = "LEADSCORE_SMTP_URL"
MAIL_FROM: Final = "LEADSCORE_MAIL_FROM"
MAIL_TO: Final = "LEADSCORE_MAIL_TO"
CHANNEL_URLS: Final = "LEADSCORE_CHANNEL_URLS"
ALERTMANAGER_TOKEN: Final = "LEADSCORE_ALERTMANAGER_TOKEN"  # noqa: S105 (a variable's name)
_EVENTS: Final = "https://events.pagerduty.com/v2/enqueue"
_SMTP_SECONDS: Final = 10.0
_LIMIT: Final = 64 * 1024
# Neither mail servers nor Apprise's plugins are bound by a deadline of ours.
_ATTEMPTS: Final = AttemptsApart()


class _Reply(msgspec.Struct, frozen=True):
    ok: object = None
    success: object = None
    error: object = None
    errors: object = None


@dataclass(frozen=True, slots=True)
class ChannelSecrets:
    """Addresses and keys of channels, as they are now.

    Attributes:
        folder: Files named like the variables, as a mounted Secret has them; they win.
        environ: The environment.
    """

    folder: Path | None
    environ: Mapping[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ChannelSecrets:
        """As `LEADSCORE_ALERT_SECRETS` says."""
        folder = environ.get("LEADSCORE_ALERT_SECRETS")
        return cls(Path(folder) if folder else None, environ)

    def get(self, name: str) -> str:
        """The value of one; empty if there is none."""
        if self.folder is not None:
            try:
                return read_file(self.folder / name, _LIMIT).decode("utf-8", "replace").strip()
            except FileNotFoundError:
                pass
            except OSError as error:
                fields = {"name": name, "error": error.strerror or ""}
                _log.warning("a channel's secret cannot be read", extra={"fields": fields})
        return self.environ.get(name, "").strip()


def senders(secrets: ChannelSecrets) -> dict[str, Sender]:
    """The channels that are set up now, by name."""
    found: dict[str, Sender] = {}
    if secrets.get(SLACK_URL):
        found["slack"] = SlackSender(lambda: secrets.get(SLACK_URL))
    if secrets.get(PAGERDUTY_KEY):
        found["pagerduty"] = PagerDutySender(
            lambda: secrets.get(PAGERDUTY_URL) or _EVENTS, lambda: secrets.get(PAGERDUTY_KEY)
        )
    if secrets.get(SMTP_URL) and secrets.get(MAIL_TO):
        mail = MailSender(lambda: (secrets.get(SMTP_URL), secrets.get(MAIL_FROM), secrets.get(MAIL_TO)))
        found["email"] = SenderApart(mail, "email", _ATTEMPTS)
    for number, url in enumerate(secrets.get(CHANNEL_URLS).split(), 1):
        name = f"other-{number}"
        found[name] = SenderApart(AppriseSender(url), name, _ATTEMPTS)
    return found


@dataclass(frozen=True, slots=True)
class SlackSender:
    """An incoming webhook of Slack. It takes no key: what it may have twice is counted in the outbox."""

    url: Callable[[], str]
    # "1 per second", says Slack; more gets 429.
    pace_seconds: float = 1.0

    def send(self, message: OutboxMessage) -> SendResult:
        """Post the message."""
        said = _decoded(message)
        links = " · ".join(
            f"<{_slack_address(url)}|{_slack_text(name)}>" if "://" in url else _slack_text(f"{name}: {url}")
            for name, url in said.links
        )
        lines = [f"*{_slack_text(said.title)}*", *map(_slack_text, said.lines), links]
        body = {"text": "\n".join(line for line in lines if line), "unfurl_links": False}
        return _posted(self.url(), body)


@dataclass(frozen=True, slots=True)
class PagerDutySender:
    """PagerDuty's Events API v2; its `dedup_key` is the episode, so that a repeat is the same incident."""

    url: Callable[[], str]
    key: Callable[[], str]
    pace_seconds: float = 0.0

    def send(self, message: OutboxMessage) -> SendResult:
        """Trigger, acknowledge or resolve."""
        said = _decoded(message)
        action = {"resolved": "resolve", "acknowledged": "acknowledge", "test": "trigger"}.get(
            said.kind, "trigger"
        )
        body: dict[str, object] = {
            "routing_key": self.key(), "event_action": action, "dedup_key": said.episode_id[:255],
        }  # fmt: skip
        if action == "trigger":
            body["payload"] = {
                "summary": said.title[:1024],
                "source": said.source,
                "severity": said.severity if said.kind != "test" else "info",
                "class": said.rule,
                "custom_details": {"text": "\n".join(said.lines)},
            }
            body["links"] = [{"href": url, "text": name} for name, url in said.links if "://" in url]
        found = _posted(self.url(), body)
        # It says 400 of a key that is none, too, and that can be put right while the message waits.
        return dataclasses.replace(found, outcome="failed") if found.status == 400 else found


@dataclass(frozen=True, slots=True)
class MailSender:
    """A mail by SMTP. Its Message-ID is the message's, so that a mailbox can tell a repeat."""

    settings: Callable[[], tuple[str, str, str]]
    pace_seconds: float = 0.0

    def send(self, message: OutboxMessage) -> SendResult:
        """Hand the mail to the server."""
        said = _decoded(message)
        url, sender, to = self.settings()
        mail = EmailMessage()
        mail["Subject"] = " ".join(said.title.split())[:200]
        try:
            mail["From"] = sender or "leadscore@localhost"
            mail["To"] = ", ".join(_recipients(to))
        except (ValueError, IndexError):
            return SendResult("failed", f"{MAIL_FROM} or {MAIL_TO} holds no address")
        mail["Date"] = format_datetime(datetime.now(UTC))
        mail["Message-ID"] = f"<{hashlib.sha256(message.message_id.encode()).hexdigest()[:32]}@leadscore>"
        # Messages of one alert are one conversation.
        thread = hashlib.sha256(said.episode_id.encode()).hexdigest()[:32]
        mail["References"] = f"<{thread}@leadscore>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(said.text)
        return _hand_over(url, mail)


@dataclass(frozen=True, slots=True)
class AppriseSender:
    """Any service that Apprise knows, by its URL. It says only whether it worked."""

    url: str
    pace_seconds: float = 1.0

    def send(self, message: OutboxMessage) -> SendResult:
        """Notify it."""
        # A second of imports, for those who have such a channel.
        import apprise  # noqa: PLC0415

        said = _decoded(message)
        # Its log lines hold the address, which is a secret.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        service = apprise.Apprise()
        if not service.add(self.url):
            return SendResult("failed", "Apprise does not know this kind of URL")
        body = "\n".join([*said.lines, *(f"{name}: {url}" for name, url in said.links)])
        try:
            taken = service.notify(title=said.title, body=body or said.title, interpret_escapes=False)
        except Exception as error:  # noqa: BLE001 - plugins of strangers; other channels must go on
            return SendResult("uncertain", f"Apprise's plugin failed ({type(error).__name__})")
        if taken:
            return SendResult("accepted", "")
        return SendResult("uncertain", "the service did not confirm it")


def _recipients(text: str) -> list[str]:
    """Addresses with commas or spaces between them, or with names: `Ops <ops@example.com>`."""
    return text.split(",") if "<" in text else text.replace(",", " ").split()


def _server_of(url: str) -> SplitResult | None:
    """The parts of a mail server's address; None if it is none."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"smtp", "smtps"} and parts.hostname and parts.port != 0
    except ValueError:
        # Of a port or an IPv6 address.
        return None
    return parts if known else None


def _hand_over(url: str, mail: EmailMessage) -> SendResult:
    parts = _server_of(url)
    if parts is None:
        return SendResult("failed", "the mail server's address is no smtp:// or smtps:// URL")
    handed = False
    try:
        with _connected(parts.scheme, parts.hostname or "", parts.port) as server:
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            elif (
                parts.username and parts.scheme == "smtp" and parts.hostname not in {"127.0.0.1", "localhost"}
            ):
                return SendResult("failed", "the mail server offers no encryption for the password")
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            handed = True
            refused = server.send_message(mail)
            handed = False
            if refused:
                _log.warning("mail refused for some", extra={"fields": {"recipients": len(refused)}})
    except smtplib.SMTPRecipientsRefused as error:
        code = max((code for code, _ in error.recipients.values()), default=0)
        return SendResult("failed", f"SMTP {code} for every recipient", code)
    except smtplib.SMTPResponseException as error:
        # What the server says of the mail's content is final; of anything before, people may put right.
        final = handed and isinstance(error, smtplib.SMTPDataError) and 500 <= error.smtp_code < 600
        return SendResult("refused" if final else "failed", f"SMTP {error.smtp_code}", error.smtp_code)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return SendResult("uncertain" if handed else "failed", f"no answer ({type(error).__name__})")
    return SendResult("accepted", "")


@contextlib.contextmanager
def _connected(scheme: str, host: str, port: int | None) -> Generator[smtplib.SMTP]:
    if scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port or 465, timeout=_SMTP_SECONDS, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, port or 25, timeout=_SMTP_SECONDS)
    try:
        yield server
    finally:
        # The mail is delivered or not by now; a server that does not say goodbye changes nothing.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()


def _posted(url: str, body: Mapping[str, object]) -> SendResult:
    with HttpConnections() as connections:
        found = connections.post_json(url, msgspec.json.encode(body), headers={}, complaint=reply_complaint)
    if found.retry_after is None:
        return found
    # Whoever asks for a day would have critical alerts wait for a day, or given up at once.
    return dataclasses.replace(found, retry_after=min(found.retry_after, LONGEST_SECONDS))


def reply_complaint(content_type: str, body: bytes) -> str:
    """What a reply with a good status says is wrong all the same; empty: nothing.

    A page is of a proxy or a sign-in, not of a receiver. Slack-shaped receivers say `{"ok": false}`, others
    `{"success": false}` or an error, and Teams' connectors answer 200 with a sentence that delivery failed.
    """
    text = body.lstrip()
    if "html" in content_type.lower() or text[:9].lower().startswith((b"<!doctype", b"<html")):
        return "a web page answers, not a receiver"
    if b"delivery failed" in text[:200]:
        return "the receiver says that its delivery failed"
    try:
        said = msgspec.json.decode(text, type=_Reply)
    except DECODE_ERRORS:
        # A word, as `ok`, or nothing: the status says it all.
        return ""
    if said.ok is False or said.success is False or said.error or said.errors:
        return "the receiver says that it did not take it"
    return ""


def _decoded(message: OutboxMessage) -> AlertMessage:
    return msgspec.json.decode(message.payload, type=AlertMessage)


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _slack_address(url: str) -> str:
    """An address within `<…|…>`, whose own marks would end it (api.slack.com, Formatting text)."""
    return _slack_text(url).replace("|", "%7C").replace(" ", "%20")
