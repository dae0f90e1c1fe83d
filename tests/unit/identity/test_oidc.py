"""Tokens: those of the issuer for us are taken, and nothing else is, whatever is unreachable."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from tests.support.issuer import Issuer

from leadscore.errors import BadInputError
from leadscore.identity.oidc import (
    IssuerUnavailableError,
    TokenError,
    TokenExpiredError,
    TokenVerifier,
    parse_jwks,
)
from leadscore.identity.oidc_settings import OidcSettings


class Monotonic:
    """A clock that a test moves."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def verifier(idp: Issuer, clock: Monotonic | None = None, **settings: object) -> TokenVerifier:
    made = TokenVerifier(idp.settings(**settings), clock=clock or Monotonic())
    made.refresh()
    return made


def segment(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
def test_a_token_of_the_issuer_says_who_and_what(idp: Issuer, kind: str) -> None:
    idp.add("second", kind)
    token = verifier(idp).verify(idp.token("second", nonce="n"), time.time())
    assert (token.name, token.scopes, token.nonce) == ("ada@example.com", {"score", "approve"}, "n")


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": "https://other.example"}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "'aud'"),
        ({"sub": None}, "'sub'"),
        ({"exp": None}, "'exp'"),
        ({"iat": None}, "'iat'"),
        ({"exp": int(time.time()) - 31}, "expired"),
        ({"iat": int(time.time()) + 3600}, "not valid yet"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"exp": 1e300}, "no time"),
        ({"nbf": "tomorrow"}, "no time"),
        ({"sub": "a\nb"}, "does not name the caller"),
        ({"sub": "x" * 256}, "does not name the caller"),
    ],
)
def test_a_token_that_is_not_for_us_now_is_refused(idp: Issuer, claims: dict, message: str) -> None:
    with pytest.raises(TokenError, match=message):
        verifier(idp).verify(idp.token(**claims), time.time())


def test_clocks_may_differ_by_the_leeway_and_no_more(idp: Issuer) -> None:
    checks, now = verifier(idp), int(time.time())
    late = idp.token(exp=now)
    assert checks.verify(late, now + 29).name
    with pytest.raises(TokenExpiredError):
        checks.verify(late, now + 30)
    early = idp.token(iat=now + 30)
    assert checks.verify(early, now).name
    with pytest.raises(TokenError, match="not valid yet"):
        checks.verify(early, now - 1)


def test_no_algorithm_is_taken_that_needs_no_private_key(idp: Issuer) -> None:
    header, payload, _ = idp.token().split(b".")
    del header
    none = b".".join((segment({"alg": "none", "kid": "first"}), payload, b""))
    key = idp.keys["first"].public_key()
    public = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    signed = segment({"alg": "HS256", "kid": "first"}) + b"." + payload
    mac = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
    for forged in (none, signed + b"." + mac):
        with pytest.raises(TokenError, match="algorithm"):
            verifier(idp).verify(forged, time.time())


def test_an_algorithm_must_fit_the_key_and_be_one_of_ours(idp: Issuer) -> None:
    idp.add("rsa", "RSA")
    _, payload, signature = idp.token("rsa").split(b".")
    crossed = b".".join((segment({"alg": "ES256", "kid": "rsa"}), payload, signature))
    with pytest.raises(TokenError, match="does not list"):
        verifier(idp).verify(crossed, time.time())
    with pytest.raises(TokenError, match="algorithm"):
        verifier(idp, algorithms=("ES256",)).verify(idp.token("rsa"), time.time())
    for wrong in (("none",), ("HS256",), ("RS256", "HS256"), ()):
        with pytest.raises(BadInputError):
            OidcSettings(issuer="https://id.example", audience="a", algorithms=wrong)


def test_a_key_in_the_token_s_own_header_is_nobody_s(idp: Issuer) -> None:
    stranger = Issuer(idp.url)
    own = {"jwk": stranger.public("first"), "jku": f"{idp.url}/evil", "x5u": f"{idp.url}/evil"}
    with pytest.raises(TokenError, match="signature"):
        verifier(idp).verify(stranger.token(headers=own), time.time())
    assert idp.asked == ["/.well-known/openid-configuration", "/keys"]
    with pytest.raises(TokenError, match="extension"):
        verifier(idp).verify(idp.token(headers={"crit": ["b64"], "b64": False}), time.time())


@pytest.mark.parametrize(
    "garbage", [b"..", b"a.b.c", b"eyJ.eyJ.x", b"\xff.\xfe.\xfd", b"x" * 20_000 + b"..", b"[[[[.{}.x"]
)
def test_garbage_is_no_token(idp: Issuer, garbage: bytes) -> None:
    with pytest.raises(TokenError):
        verifier(idp).verify(garbage, time.time())


def test_a_new_key_is_fetched_and_a_withdrawn_one_is_none(idp: Issuer) -> None:
    clock = Monotonic()
    checks = verifier(idp, clock)
    old = idp.token()
    idp.add("second")
    with pytest.raises(TokenError, match="does not list"):
        checks.verify(idp.token("second"), time.time())
    clock.seconds += 11
    checks.refresh()
    assert checks.verify(idp.token("second"), time.time()).name
    generation = checks.generation
    idp.withdraw("first")
    clock.seconds += 301
    checks.refresh()
    assert checks.generation > generation
    with pytest.raises(TokenError, match="does not list"):
        checks.verify(old, time.time())


def test_unknown_keys_ask_the_issuer_at_most_every_ten_seconds(idp: Issuer) -> None:
    clock = Monotonic()
    checks = verifier(idp, clock)
    stranger = Issuer(idp.url)
    stranger.add("unheard of")
    for _ in range(50):
        with pytest.raises(TokenError):
            checks.verify_fetching(stranger.token("unheard of"), time.time())
    assert idp.asked.count("/keys") == 1


def test_without_the_issuer_nothing_is_allowed_until_it_answers(idp: Issuer) -> None:
    clock = Monotonic()
    idp.answers = False
    checks = verifier(idp, clock)
    with pytest.raises(IssuerUnavailableError, match="503") as caught:
        checks.verify(idp.token(), time.time())
    assert caught.value.status == 503
    idp.answers = True
    clock.seconds += 11
    checks.refresh()
    assert checks.verify(idp.token(), time.time()).name


def test_known_keys_outlive_the_issuer_for_a_day(idp: Issuer) -> None:
    clock = Monotonic()
    checks = verifier(idp, clock)
    idp.answers = False
    clock.seconds += 86_400
    checks.refresh()
    assert checks.verify(idp.token(), time.time()).name
    clock.seconds += 1
    with pytest.raises(IssuerUnavailableError):
        checks.verify(idp.token(), time.time())


@pytest.mark.parametrize("path", ["/keys", "/.well-known/openid-configuration"])
@pytest.mark.parametrize("document", [b"[]", b"\xff", b"{}", b"x" * 600_000, b"https://evil.example/keys"])
def test_a_document_that_is_none_leaves_no_keys_and_no_crash(idp: Issuer, path: str, document: bytes) -> None:
    idp.documents[path] = document
    with pytest.raises(IssuerUnavailableError):
        verifier(idp).verify(idp.token(), time.time())


def test_a_discovery_document_of_another_issuer_is_refused(idp: Issuer) -> None:
    other = {"issuer": "https://other.example", "jwks_uri": f"{idp.url}/keys"}
    idp.documents["/.well-known/openid-configuration"] = json.dumps(other).encode()
    with pytest.raises(IssuerUnavailableError, match="is of the issuer"):
        verifier(idp).verify(idp.token(), time.time())


def test_ten_thousand_keys_are_refused_and_the_ones_before_stay(idp: Issuer) -> None:
    clock = Monotonic()
    checks = verifier(idp, clock)
    few = [{**idp.public("first"), "kid": f"k{number}"} for number in range(101)]
    for count in (101, 10_000):
        idp.publish(*(few * 99)[:count])
        clock.seconds += 301
        checks.refresh()
        assert checks.verify(idp.token(), time.time()).name
    idp.publish(*few)
    with pytest.raises(IssuerUnavailableError, match="102 keys; at most 100"):
        parse_jwks(idp.documents["/keys"])


def test_keys_that_verify_nothing_safely_are_left_out(idp: Issuer) -> None:
    good = idp.public("first")
    odd = [
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {**good, "kid": "encryption", "use": "enc"},
        {**good, "kid": 7},
        {**good, "kid": "broken", "x": "!"},
        {
            "kty": "RSA",
            "kid": "small",
            "n": base64.urlsafe_b64encode(b"\xc3" * 64).decode().rstrip("="),
            "e": "AQAB",
        },
        {"kty": "XXX", "kid": "unknown"},
    ]
    assert set(parse_jwks(json.dumps({"keys": [good, *odd]}).encode())) == {("first", "EC")}


@pytest.mark.parametrize(
    ("claims", "path"),
    [
        ({"scope": "leadscore:score other"}, "scope"),
        ({"roles": ["leadscore:score", 7, "admin"]}, "roles"),
        (
            {"resource_access": {"leadscore": {"roles": ["leadscore:score"]}}},
            "resource_access.leadscore.roles",
        ),
        ({"https://example.com/roles": ["leadscore:score"]}, "https://example.com/roles"),
    ],
)
def test_scopes_are_found_where_issuers_put_them(idp: Issuer, claims: dict, path: str) -> None:
    checks = verifier(idp, scopes_claim=path)
    assert checks.verify(idp.token(**{"scope": None, **claims}), time.time()).scopes == {"score"}
    assert checks.verify(idp.token(scope={"a": 1}), time.time()).scopes == frozenset()


@pytest.mark.parametrize("issuer", ["http://id.example", "ftp://id.example", "id.example", "https//x"])
def test_an_issuer_is_asked_over_tls(issuer: str) -> None:
    with pytest.raises(BadInputError, match="no https URL"):
        OidcSettings.from_environment({"LEADSCORE_OIDC_ISSUER": issuer, "LEADSCORE_OIDC_AUDIENCE": "a"})
