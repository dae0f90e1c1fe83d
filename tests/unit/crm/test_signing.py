"""Signatures as the specification has them."""

from __future__ import annotations

import pytest

from leadscore.crm.signing import read_secret, sign_webhook, verify_webhook, write_secret
from leadscore.errors import BadInputError, UnauthorizedError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAME, SECONDS = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def headers(signature: str = SIGNED, seconds: str = str(SECONDS), name: str = NAME) -> dict[str, str]:
    return {"webhook-id": name, "webhook-timestamp": seconds, "webhook-signature": signature}


def test_the_signature_is_that_of_the_reference_library() -> None:
    assert sign_webhook([read_secret(SECRET)], NAME, SECONDS, BODY) == SIGNED


def test_a_secret_survives_being_passed_on() -> None:
    key = bytes(range(32))
    assert read_secret(f" {write_secret(key)}\n") == key
    for text in ("whsec_ä!", "", "whsec_", "whsec_c2hvcnQ="):
        with pytest.raises(BadInputError, match="no webhook secret"):
            read_secret(text)


def test_a_receiver_takes_what_any_of_its_keys_signed() -> None:
    old, new = bytes(32), bytes(range(32))
    both = sign_webhook([new, old], NAME, SECONDS, BODY)
    assert len(both.split()) == 2
    for key in (old, new):
        assert verify_webhook(key, headers(both), BODY, SECONDS) == NAME


@pytest.mark.parametrize(
    ("given", "body", "now"),
    [
        (headers("v1,AAAA"), BODY, SECONDS),
        (headers(""), BODY, SECONDS),
        (headers(SIGNED.replace("v1", "v1a")), BODY, SECONDS),
        (headers(name="msg_other"), BODY, SECONDS),
        (headers(seconds=str(SECONDS + 1)), BODY, SECONDS),
        (headers(seconds="yesterday"), BODY, SECONDS),
        (headers(name=""), BODY, SECONDS),
        (headers(), BODY + b" ", SECONDS),
        (headers(), BODY, SECONDS + 301),
        (headers(), BODY, SECONDS - 301),
    ],
)
def test_what_was_changed_or_recorded_is_refused(given: dict[str, str], body: bytes, now: float) -> None:
    with pytest.raises(UnauthorizedError):
        verify_webhook(read_secret(SECRET), given, body, now)
