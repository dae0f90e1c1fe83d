"""Jinja2 with our rules.

HTML is escaped, Markdown's signs too where a text is the user's, a missing name is an error.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

# HTML that is escaped already, such as an inline picture.
Html = Markup
_MARKDOWN_SIGNS: Final = "\\`*_[]<>|#"


def render_html(template: str, **values: object) -> str:
    """Return a page; every value is escaped that is not `Html`."""
    return _environment(html=True).get_template(template).render(values)


def render_markdown(template: str, **values: object) -> str:
    """Return a Markdown document.

    Texts of users go through the filter `plain`, cells of tables through `cell`.
    """
    return _environment(html=False).get_template(template).render(values)


@cache
def _environment(*, html: bool) -> Environment:
    made = Environment(
        loader=PackageLoader("leadscore.reports"),
        autoescape=html,  # noqa: S701 (Markdown is not HTML; what is the user's goes through `plain`)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["plain"] = _plain
    made.filters["cell"] = _cell
    made.filters["paragraph"] = _paragraph
    made.filters["show"] = format
    return made


def _plain(text: str) -> str:
    """Names and categories are the user's: they must not become markup or break a table."""
    for sign in _MARKDOWN_SIGNS:
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")


def _cell(text: str) -> str:
    """Our own words in a table may have markup, and must not break it."""
    return text.replace("|", "\\|").replace("\n", " ")


def _paragraph(text: str) -> str:
    """Lines of a template as one line of the document."""
    return " ".join(text.split()) + "\n"
