from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from leadscore.console import app
from leadscore.console.palette import DASHES, SERIES, SYMBOLS, chart_text

STYLE = (Path(app.__file__).parent / "static" / "console.css").read_text(encoding="utf-8")
THEMES = [
    dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
    for block in re.findall(r"\{([^{}]*--ground:[^{}]*)\}", STYLE)
]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_there_are_two_themes_and_the_dark_one_is_written_twice_alike() -> None:
    assert len(THEMES) == 3
    assert THEMES[1] == THEMES[2]


@pytest.mark.parametrize("colour", SERIES)
@pytest.mark.parametrize("theme", THEMES[:2], ids=["light", "dark"])
def test_each_line_is_seen_on_both_backgrounds(colour: str, theme: dict[str, str]) -> None:
    assert contrast(colour, theme["card"]) >= 3.0


@pytest.mark.parametrize("theme", THEMES[:2], ids=["light", "dark"])
def test_text_is_readable_wherever_it_stands(theme: dict[str, str]) -> None:
    for word in ("good", "info", "warning", "critical", "unknown"):
        for ground in (theme["card"], theme[f"{word}-shade"]):
            assert contrast(theme[word], ground) >= 4.5, (word, ground)
        assert contrast(theme["ink"], theme[f"{word}-shade"]) >= 7
    for ground in ("card", "ground", "shade"):
        assert contrast(theme["soft"], theme[ground]) >= 4.5
        assert contrast(theme["accent"], theme[ground]) >= 4.5
    assert contrast(theme["accent"], theme["accent-ink"]) >= 4.5


# Machado et al. (2009), severity 1.0, in linear RGB.
BLINDNESS = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BLINDNESS)
def test_neighbours_are_told_apart_with_colour_blind_eyes_or_by_their_dash(kind: str) -> None:
    def seen(colour: str) -> tuple[float, ...]:
        rgb = [(int(colour[p : p + 2], 16) / 255) ** 2.2 for p in (1, 3, 5)]
        mixed = [sum(w * c for w, c in zip(row, rgb, strict=True)) for row in BLINDNESS[kind]]
        return tuple(max(0.0, min(1.0, m)) ** (1 / 2.2) for m in mixed)

    for a, b in combinations(SERIES[:4], 2):
        assert sum((x - y) ** 2 for x, y in zip(seen(a), seen(b), strict=True)) ** 0.5 > 0.12, (a, b)
    assert len(set(DASHES)) == len(set(SYMBOLS)) == len(SERIES)


def test_what_somebody_else_named_is_text_in_a_chart() -> None:
    assert chart_text("<b>a & b</b>") == "&lt;b&gt;a &amp; b&lt;/b&gt;"
