"""An OIDC issuer on loopback: its discovery document, its keys, and the tokens that it gives out."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from leadscore.identity.oidc_settings import OidcSettings

_ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


class Issuer:
    """Keys by id; `documents` is what it answers, `asked` what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Any] = {}
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.answers = True
        # Set by tests.support.login: what /authorize and /token do.
        self.authorize: Callable[[str], str] | None = None
        self.exchange: Callable[[str], tuple[int, dict[str, Any]]] | None = None
        self.add("first")

    def add(self, kid: str, kind: str = "EC") -> None:
        self.keys[kid] = {
            "RSA": lambda: rsa.generate_private_key(65537, 2048),
            "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
            "OKP": ed25519.Ed25519PrivateKey.generate,
        }[kind]()
        self.publish()

    def withdraw(self, kid: str) -> None:
        del self.keys[kid]
        self.publish()

    def publish(self, *more: dict[str, Any]) -> None:
        listed = [self.public(kid) for kid in self.keys]
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.documents["/.well-known/openid-configuration"] = json.dumps(discovery).encode()
        self.documents["/keys"] = json.dumps({"keys": [*listed, *more]}).encode()

    def public(self, kid: str) -> dict[str, Any]:
        key = self.keys[kid]
        maker = jwt.get_algorithm_by_name(self.algorithm(kid))
        return {**json.loads(maker.to_jwk(key.public_key())), "kid": kid, "use": "sig"}

    def algorithm(self, kid: str) -> str:
        key = self.keys[kid]
        return (
            "RS256"
            if isinstance(key, rsa.RSAPrivateKey)
            else "EdDSA"
            if isinstance(key, ed25519.Ed25519PrivateKey)
            else "ES256"
        )

    def token(self, kid: str = "first", *, headers: dict[str, Any] | None = None, **claims: Any) -> bytes:
        now = int(time.time())
        said = {
            "iss": self.url, "aud": "leadscore", "sub": "ada@example.com", "iat": now, "exp": now + 600,
            "scope": "openid leadscore:score leadscore:approve",
        } | claims  # fmt: skip
        payload = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(
            payload, self.keys[kid], algorithm=self.algorithm(kid), headers={"kid": kid, **(headers or {})}
        ).encode()

    def settings(self, **changes: Any) -> OidcSettings:
        return OidcSettings(**{"issuer": self.url, "audience": "leadscore", **changes})


@contextmanager
def issuer() -> Iterator[Issuer]:
    """One that answers until the block ends."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            from tests.support.login import answer_login

            made.asked.append(self.path)
            if answer_login(made, self):
                return
            document = made.documents.get(self.path)
            if document is None or not made.answers:
                self.send_error(503)
                return
            if document.startswith(b"http"):
                self.send_response(302)
                self.send_header("Location", document.decode())
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made = Issuer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
