"""Plots as inline SVG: a feature's shares before and now. No script, no font, nothing that is loaded."""

from __future__ import annotations

from html import escape
from typing import Final

import numpy as np

from leadscore.drift.reporting import FeatureReport

_WIDTH: Final = 460
_BAR: Final = 17
_LABEL: Final = 142
_VALUES: Final = 118
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
            f'<text x="{_LABEL - 8}" y="{y + 13}" class="label" text-anchor="end">{escape(_short(label))}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{room * before[i] / scale:.1f}" height="{half:.1f}" class="before"/>',
            f'<rect x="{_LABEL}" y="{y + half:.1f}" width="{room * after[i] / scale:.1f}" height="{half:.1f}" class="after"/>',
            f'<text x="{_WIDTH}" y="{y + 13}" class="note" text-anchor="end">{before[i]:.1%} → {after[i]:.1%}</text>',
        ]
    return "".join(parts) + "</svg>"


def _shares(feature: FeatureReport) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Shares and labels of the cells that either side fills; many small categories become one."""
    before = np.array(feature.reference) / max(sum(feature.reference), 1)
    after = np.array(feature.window) / max(sum(feature.window), 1)
    used = np.flatnonzero(before + after > 0)
    if len(used) <= _MOST_CELLS:
        return before[used], after[used], [feature.labels[i] for i in used]
    # What differs most is what the reader looks for.
    by_change = used[np.argsort(-np.abs(after - before)[used], kind="stable")]
    kept, rest = np.sort(by_change[: _MOST_CELLS - 1]), by_change[_MOST_CELLS - 1 :]
    labels = [feature.labels[i] for i in kept] + [f"{len(rest)} others"]
    return np.append(before[kept], before[rest].sum()), np.append(after[kept], after[rest].sum()), labels


def _short(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"
