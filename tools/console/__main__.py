"""`python -m tools.console`: a picture of each page of a running console, into `docs/console/`.

`make up` in another terminal gives one; look at every picture before you commit it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image
from playwright.sync_api import Page

from leadscore.console.pages import PAGES
from tools.chromium import MISSING, chromium, find_chromium

TO = Path(__file__).parents[2] / "docs" / "console"
_WIDTH, _HEIGHT, _TALLEST = 1280, 860, 1_700
# A page of text and lines needs no more.
_COLOURS = 96
_DRAWN = (
    "() => [...document.querySelectorAll('.dash-graph')].every(graph => graph.querySelector('.main-svg'))"
)


def main(
    url: Annotated[str, typer.Option(help="The console.")] = "http://127.0.0.1:8050",
    key_file: Annotated[Path, typer.Option(help="A key that may look.")] = Path(".leadscore/local.key"),
    lead: Annotated[str, typer.Option(help="Id of the lead on the page of one lead.")] = "",
    only: Annotated[str, typer.Option(help="Only this page, by its path.")] = "",
) -> None:
    """Sign in, and take each page in the light theme, the first one in the dark theme too."""
    program = find_chromium()
    if program is None:
        raise SystemExit(MISSING)
    TO.mkdir(parents=True, exist_ok=True)
    with chromium(program) as browser:
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": _WIDTH, "height": _HEIGHT},
                color_scheme="dark" if theme == "dark" else "light",
            )
            page = context.new_page()
            page.goto(f"{url}/")
            if theme == "light" and not only:
                _keep(page, "sign-in")
            page.get_by_label("API key").fill(key_file.read_text().strip())
            page.get_by_role("button", name="Sign in").click()
            for known in PAGES:
                name = known.path.strip("/") or "overview"
                if (only and known.path != only) or (theme == "dark" and known.path != "/"):
                    continue
                page.goto(f"{url}{known.path}{f'?id={lead}' if known.path == '/lead' and lead else ''}")
                page.locator("#title:not(:empty)").wait_for()
                page.wait_for_function(_DRAWN)
                _keep(page, name if theme == "light" else f"{name}-dark")
            context.close()


def _keep(page: Page, name: str) -> None:
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), _TALLEST)
    clip = {"x": 0, "y": 0, "width": _WIDTH, "height": max(height, 200)}
    shot = page.screenshot(full_page=True, clip=clip)  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(_COLOURS)
    picture.save(TO / f"{name}.png", optimize=True)
    print(f"docs/console/{name}.png {(TO / f'{name}.png').stat().st_size // 1024} KiB")


if __name__ == "__main__":
    typer.run(main)
