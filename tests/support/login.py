"""Lets the test issuer log people in: authorization code with PKCE, without asking who they are."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.issuer import Issuer


def login_at(idp: Issuer, **claims: Any) -> dict[str, dict[str, str]]:
    """Add both endpoints; `claims` are those of whoever logs in. Returns what was asked, by code."""
    codes: dict[str, dict[str, str]] = {}
    found = json.loads(idp.documents["/.well-known/openid-configuration"])
    found |= {"authorization_endpoint": f"{idp.url}/authorize", "token_endpoint": f"{idp.url}/token"}
    idp.documents["/.well-known/openid-configuration"] = json.dumps(found).encode()

    def authorize(query: str) -> str:
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        code = secrets.token_urlsafe(8)
        codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def exchange(body: str) -> tuple[int, dict[str, Any]]:
        given = {name: values[0] for name, values in parse_qs(body).items()}
        asked = codes.pop(given.get("code", ""), None)
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or challenge != asked.get("code_challenge")
            or given["redirect_uri"] != asked["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        token = idp.token(nonce=asked["nonce"], **claims).decode()
        return 200, {"access_token": "opaque", "token_type": "Bearer", "expires_in": 600, "id_token": token}

    idp.authorize, idp.exchange = authorize, exchange
    return codes


def answer_login(idp: Issuer, handler: BaseHTTPRequestHandler) -> bool:
    """Answer a request of a login; False: it is none."""
    parts = urlsplit(handler.path)
    if parts.path == "/authorize" and idp.authorize is not None:
        handler.send_response(302)
        handler.send_header("Location", idp.authorize(parts.query))
        handler.end_headers()
        return True
    if parts.path == "/token" and idp.exchange is not None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        status, document = idp.exchange(body)
        text = json.dumps(document).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)
        return True
    return False
