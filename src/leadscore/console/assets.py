"""Our own files for browsers, under names that change with their content and may be kept for good."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from flask import Flask
from werkzeug.wrappers import Response

from leadscore.errors import NotFoundError

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class StaticFiles:
    """The files of a folder, read once.

    Args:
        folder: Theirs; what is of another kind than CSS, script or SVG is not served.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(folder.iterdir())
            if path.suffix in _TYPES
        }

    def url(self, name: str) -> str:
        """Where browsers find a file as it is now."""
        return f"/static/{name}?v={hashlib.sha256(self._files[name][0]).hexdigest()[:12]}"

    def install(self, flask: Flask) -> None:
        """Add the route to an app."""
        flask.add_url_rule("/static/<name>", "static_file", self._serve)

    def _serve(self, name: str) -> Response:
        found = self._files.get(name)
        if found is None:
            raise NotFoundError(f"There is no file {name[:60]!r}.")
        content, kind = found
        response = Response(content, mimetype=kind)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response
