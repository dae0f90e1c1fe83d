"""Work that hangs is given up, once at a time, and holds up no end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from leadscore.alerts.channels import ChannelSecrets, senders
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.bounded import ATTEMPT_SECONDS, AttemptsApart, SenderApart, begin_apart
from leadscore.outbox.queue import LEASE_SECONDS

ACCEPTED = SendResult("accepted", "")
HANGS = """
import threading
from leadscore.outbox.attempts import SendResult
from leadscore.outbox.bounded import AttemptsApart

def hang():
    threading.Event().wait()

print(AttemptsApart(0.01).make("email", hang).outcome)
"""


@pytest.fixture
def answers() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_what_ends_in_time_is_returned_and_what_is_raised_is_raised() -> None:
    attempts = AttemptsApart()
    assert attempts.make("email", lambda: ACCEPTED) == ACCEPTED
    with pytest.raises(ZeroDivisionError):
        attempts.make("email", lambda: SendResult("accepted", str(1 / 0)))
    assert attempts.make("email", lambda: ACCEPTED) == ACCEPTED


def test_an_attempt_that_hangs_is_uncertain_and_no_other_is_begun_beside_it(answers: threading.Event) -> None:
    begun: list[str] = []
    ended = threading.Event()

    def hang() -> SendResult:
        begun.append("email")
        answers.wait()
        ended.set()
        return ACCEPTED

    attempts = AttemptsApart(0.01)
    assert attempts.make("email", hang) == SendResult("uncertain", "no end within 0 s")
    assert attempts.make("email", hang) == SendResult("failed", "the attempt before has not ended yet")
    assert begun == ["email"]
    # Another channel knows nothing of it.
    assert AttemptsApart().make("other-1", lambda: ACCEPTED) == ACCEPTED
    answers.set()
    assert ended.wait(30)
    assert begin_apart(lambda: 3).result(30) == 3


def test_a_process_ends_while_an_attempt_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["uncertain"]


def test_mail_and_plugins_have_an_end_before_their_lease() -> None:
    assert ATTEMPT_SECONDS < LEASE_SECONDS
    environ = {
        "LEADSCORE_SMTP_URL": "smtp://mail.example",
        "LEADSCORE_MAIL_TO": "ops@example.com",
        "LEADSCORE_CHANNEL_URLS": "json://localhost",
    }
    found = senders(ChannelSecrets(None, environ))
    apart = {name: sender for name, sender in found.items() if isinstance(sender, SenderApart)}
    assert sorted(apart) == ["email", "other-1"]
    assert [apart[name].pace_seconds for name in sorted(apart)] == [0.0, 1.0]
