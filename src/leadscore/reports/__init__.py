"""One renderer of reports.

What a report says is computed where it is known, how it looks stands in `templates/`.
"""

from leadscore.reports.renderer import Html, render_html, render_markdown

__all__ = ["Html", "render_html", "render_markdown"]
