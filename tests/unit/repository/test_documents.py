"""What documents say of the code is so: quoted messages are the code's own, generated pages are whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _sources() -> str:
    """Everything that can say something to a person, with literals of adjacent lines put together."""
    listed = subprocess.run(
        ["git", "ls-files", "src", "bentos", "operators", "charts", "tools"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    texts = (ROOT / name for name in listed if Path(name).suffix in {".py", ".tpl", ".yaml", ".sh", ".txt"})
    text = "\n".join(path.read_text(encoding="utf-8") for path in texts if path.exists())
    return re.sub(r'"\s*\n\s*f?"', "", text)


def test_symptoms_are_quoted_as_the_program_says_them() -> None:
    sources, page = _sources(), (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    symptoms = [re.split(r"(?<!\\)\|", line)[1] for line in page.splitlines() if line.startswith("| ")]
    quoted = [quote for symptom in symptoms for quote in re.findall(r"`([^`]+)`", symptom)]
    assert len(quoted) > 30
    assert [quote for quote in quoted if quote not in sources] == []
