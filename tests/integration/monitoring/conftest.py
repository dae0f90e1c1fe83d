"""Event stores of both databases."""

from __future__ import annotations

from tests.support.stores import backend, postgres, url

__all__ = ["backend", "postgres", "url"]
