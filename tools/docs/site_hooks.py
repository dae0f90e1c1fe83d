"""What MkDocs asks while it builds the site.

Pages from outside docs/, wildcards of the navigation, Mermaid from our own files.

Documents link each other as files of this project, so that they work wherever the
project is read. On the site a link out of docs/ becomes one to the page that the file is
there, or to a copy of the file below `source/`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs.mermaid import script

ROOT = Path(__file__).parents[2]
# Documents outside docs/ that are pages of the site.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "charts/lead-scoring/README.md": "chart.md",
}
_ORIGINS = {uri: path for path, uri in PAGES.items()}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#])")
# A line of text right before a list or a table.
_BLOCK = re.compile(r"^((?![-*|>#\s]|\d+\.\s).+)\n(?=(?:[-*]|\d+\.) |\|)", re.MULTILINE)
_CELL_CODE = re.compile(r"`[^`\n]*`")
_FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
_SCRIPT, _DIAGRAM = "assets/mermaid.min.js", '<pre class="mermaid">'


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the pages that the navigation's wildcards stand for."""
    docs = Path(config.docs_dir)
    named = {item for item in _leaves(config.nav) if not item.endswith("*")}

    def expanded(item: Any) -> list[Any]:
        if isinstance(item, dict):
            return [
                {title: _flat(expanded(each) for each in ([below] if isinstance(below, str) else below))}
                if not isinstance(below, str) or below.endswith("*")
                else {title: below}
                for title, below in item.items()
            ]
        if not item.endswith("*"):
            return [item]
        found = sorted(path.relative_to(docs).as_posix() for path in docs.glob(f"{item}.md"))
        return [uri for uri in found if uri not in named]

    config.nav = _flat(expanded(item) for item in config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and linked files from outside docs/, and Mermaid."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, _SCRIPT, abs_src_path=str(script())))
    linked = {
        target
        for file in files.documentation_pages()
        for target in _targets(file.src_uri, file.content_string)
        if _uri(target).startswith("source/") and (ROOT / target).is_file()
    }
    for target in sorted(linked):
        files.append(File.generated(config, _uri(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links at the pages and copies of the site.

    Set off lists and tables, as Python-Markdown wants them.
    """
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        return posixpath.relpath(_uri(_target(here, found[1])), posixpath.dirname(here) or ".")

    def set_off(text: str) -> str:
        # A bar in a cell's code is escaped for GitHub; Python-Markdown would show the backslash.
        plain = _CELL_CODE.sub(lambda found: found[0].replace(r"\|", "|"), _LINK.sub(moved, text))
        return _BLOCK.sub(r"\1\n\n", plain)

    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else set_off(part) for number, part in enumerate(parts))


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Bring Mermaid to the pages that have a diagram: the theme would fetch it from elsewhere."""
    if _DIAGRAM not in output:
        return output
    address = posixpath.relpath(_SCRIPT, posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace("</body>", f'<script src="{address}"></script></body>')


def _leaves(items: Any) -> Iterator[str]:
    for item in items if isinstance(items, list) else [items]:
        if isinstance(item, dict):
            for below in item.values():
                yield from _leaves(below)
        else:
            yield item


def _flat(lists: Iterator[list[Any]]) -> list[Any]:
    return [item for each in lists for item in each]


def _targets(uri: str, markdown: str) -> Iterator[str]:
    for number, part in enumerate(_FENCE.split(markdown)):
        if number % 2 == 0:
            yield from (_target(uri, link) for link in _LINK.findall(part))


def _target(uri: str, link: str) -> str:
    """The file of this project that a link in a page means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_ORIGINS.get(uri, f"docs/{uri}")), link))


def _uri(path: str) -> str:
    """Where a file of this project is on the site."""
    inside = path.removeprefix("docs/")
    return PAGES.get(path) or (inside if inside != path else f"source/{path}")
