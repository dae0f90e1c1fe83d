"""Where things are: the project's folders, and the cache."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "images"
# Of this package, what decides about an image's content; a change of the others makes no new image.
RECIPE_MODULES = ("bytecode.py", "code.py", "context.py", "normalise.py", "packages.py")


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/leadscore/images` (default `~/.cache/leadscore/images`)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leadscore" / "images"
