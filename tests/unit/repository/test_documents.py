"""What documents say of the code is so: quoted messages are the code's own; their lines fit beside code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
# In other blocks stands what programs print, and diagrams.
TYPED = {"sh", "python", "yaml"}


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


def _long_lines(text: str, columns: int = 120) -> Iterator[str]:
    """Lines over the limit; but for rows of tables, addresses of links, and what programs have printed."""
    block: str | None = None
    for line in text.splitlines():
        if fence := re.match(r"\s*```(\w*)", line):
            block = fence[1] if block is None else None
            continue
        checked = (block is None or block in TYPED) and not line.lstrip().startswith("|")
        if checked and len(re.sub(r"\]\([^)]*\)|https?://\S+", "", line)) > columns:
            yield line


def test_documents_have_lines_of_at_most_120_columns() -> None:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in listed.stdout.split()}
    assert {name: long for name, text in texts.items() if (long := list(_long_lines(text)))} == {}


def test_long_rows_links_and_output_are_let_through_and_prose_and_commands_are_not() -> None:
    words, link = "word " * 30, f"[a page](https://example.com/{'a' * 120})"
    assert list(_long_lines(f"{words}\n```sh\n{words}\n```\n")) == [words, words]
    assert list(_long_lines(f"| {words} |\n```\n{words}\n```\n{link}\n")) == []
