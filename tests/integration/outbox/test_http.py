"""Where a message goes is a secret of whoever set the channel up."""

from __future__ import annotations

import logging

import pytest
from tests.support.receiver import Receiver

from leadscore.outbox.http import post_json


def test_a_delivery_writes_no_address_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Receiver() as receiver:
        assert post_json(f"{receiver.url}/slack/T0-B0-secret", b'{"text": "x"}').outcome == "accepted"
    assert "secret" not in caplog.text
    assert "127.0.0.1" not in caplog.text
