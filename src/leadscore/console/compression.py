"""Replies in gzip: scripts once and for all, pages each time."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Final

from flask import Response, request

_SMALLEST: Final = 1_024
_FAST: Final = 5
_KINDS: Final = frozenset((
    "text/html", "text/css", "text/javascript", "application/javascript", "application/json", "image/svg+xml",
))  # fmt: skip


def compress(response: Response) -> Response:
    """Compress a reply where its browser takes it and it is worth it."""
    if (
        response.mimetype not in _KINDS
        or response.status_code != 200
        or "Content-Encoding" in response.headers
        or "gzip" not in request.headers.get("Accept-Encoding", "").lower()
    ):
        return response
    response.direct_passthrough = False
    data = response.get_data()
    if len(data) < _SMALLEST:
        return response
    lasting = request.path.startswith(("/static/", "/_dash-component-suites/"))
    # Pages hold no secret beside what somebody else chose: a CSRF token is in a cookie alone (BREACH).
    response.set_data(_lasting(data) if lasting else gzip.compress(data, _FAST, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.add("Vary", "Accept-Encoding")
    return response


@lru_cache(maxsize=64)
def _lasting(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)
