"""Plots as inline SVG: a feature's shares before and now. No script, no font, nothing that is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np

from leadscore.drift.report.document import FeatureReport
from leadscore.intervals import Estimate

_WIDTH: Final = 460
_BAR: Final = 17
_LABEL: Final = 142
_VALUES: Final = 118
_INTERVAL: Final = 150
_TITLE: Final = 24
_MOST_CELLS: Final = 16
_LABEL_CHARACTERS: Final = 22


def feature_plot(feature: FeatureReport) -> str:
    """Two bars per cell: share in the reference (grey) and in the window (colour)."""
    before, after, labels = _shares(feature)
    scale = max(float(before.max(initial=0.0)), float(after.max(initial=0.0)), 1e-9)
    room = _WIDTH - _LABEL - _VALUES
    height = _TITLE + len(labels) * (_BAR + 5) + 4
    parts = [
        (
            f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
            f'aria-label="{escape(feature.name, quote=True)}: shares in the reference and in the window">'
        ),
        f'<text x="0" y="15" class="title">{escape(feature.name)}</text>',
        f'<text x="{_WIDTH}" y="15" class="note" text-anchor="end">PSI {feature.statistics.psi:.3f}</text>',
    ]
    for i, label in enumerate(labels):
        y = _TITLE + i * (_BAR + 5)
        half = _BAR / 2
        parts += [
            (
                f'<text x="{_LABEL - 8}" y="{y + 13}" class="label" '
                f'text-anchor="end">{escape(_short(label))}</text>'
            ),
            (
                f'<rect x="{_LABEL}" y="{y}" width="{room * before[i] / scale:.1f}" '
                f'height="{half:.1f}" class="before"/>'
            ),
            (
                f'<rect x="{_LABEL}" y="{y + half:.1f}" width="{room * after[i] / scale:.1f}" '
                f'height="{half:.1f}" class="after"/>'
            ),
            (
                f'<text x="{_WIDTH}" y="{y + 13}" class="note" '
                f'text-anchor="end">{before[i]:.1%} → {after[i]:.1%}</text>'
            ),
        ]
    return "".join(parts) + "</svg>"


def auc_plot(lines: Sequence[tuple[str, Estimate]]) -> str:
    """AUCs with their intervals on one scale, the hold-out's first and its value as a line through all.

    Empty without one.
    """
    if not lines:
        return ""
    low, high = min(e.low for _, e in lines), max(e.high for _, e in lines)
    margin = max(0.01, 0.08 * (high - low))
    low, high = max(0.0, low - margin), min(1.0, high + margin)
    room, height = _WIDTH - _LABEL - _INTERVAL, _TITLE + len(lines) * (_BAR + 5) + 4

    def x(value: float) -> float:
        return _LABEL + room * (value - low) / (high - low)

    parts = [
        (
            f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
            'aria-label="AUC on the hold-out, by outcomes, and expected, with intervals">'
        ),
        '<text x="0" y="15" class="title">AUC</text>',
        (
            f'<line x1="{x(lines[0][1].value):.1f}" x2="{x(lines[0][1].value):.1f}" y1="{_TITLE}" '
            f'y2="{height}" class="line"/>'
        ),
    ]
    for i, (name, e) in enumerate(lines):
        y = _TITLE + i * (_BAR + 5) + _BAR / 2
        parts += [
            f'<text x="{_LABEL - 8}" y="{y + 4}" class="label" text-anchor="end">{escape(name)}</text>',
            f'<g class="{"then" if name == "hold-out" else "now"}">',
            f'<line x1="{x(e.low):.1f}" x2="{x(e.high):.1f}" y1="{y}" y2="{y}" class="bar"/>',
            f'<circle cx="{x(e.value):.1f}" cy="{y}" r="5" class="dot"/></g>',
            (
                f'<text x="{_WIDTH}" y="{y + 4}" class="note" text-anchor="end">{e.value:.3f} '
                f"({e.low:.3f}–{e.high:.3f})</text>"
            ),
        ]
    return "".join(parts) + "</svg>"


def _shares(feature: FeatureReport) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Shares and labels of the cells that either side fills; many small categories become one."""
    before = np.array(feature.reference) / max(sum(feature.reference), 1)
    after = np.array(feature.window) / max(sum(feature.window), 1)
    used = np.flatnonzero(before + after > 0)
    if len(used) <= _MOST_CELLS:
        return before[used], after[used], [feature.labels[i] for i in used]
    # The cells that differ most are kept.
    by_change = used[np.argsort(-np.abs(after - before)[used], kind="stable")]
    kept, rest = np.sort(by_change[: _MOST_CELLS - 1]), by_change[_MOST_CELLS - 1 :]
    labels = [feature.labels[i] for i in kept] + [f"{len(rest)} others"]
    return np.append(before[kept], before[rest].sum()), np.append(after[kept], after[rest].sum()), labels


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"
