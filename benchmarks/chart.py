"""Ratios as a bar chart, in SVG: a line at 1.0, a bar to the median, a whisker from least to most.

The scale is logarithmic, so that twice as fast and half as fast look alike.

Runs in: the benchmark's process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.harness import Spread

__all__ = ["Bar", "Group", "svg"]

LEFT, WIDTH, RIGHT = 300, 420, 150
LINE, GAP, TOP = 20, 34, 56
LOWEST, HIGHEST = 1 / 16, 16
TICKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16)
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.h{font-weight:600}.n{fill:#777}"
    ".t{stroke:#e5e5e5}.one{stroke:#555}.w{stroke:#333;stroke-width:1.5}"
    ".ahead{fill:#3a9d6e}.behind{fill:#d08c3f}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One ratio with its spread."""

    title: str
    ratio: Spread


@dataclass(frozen=True, slots=True)
class Group:
    """Bars under one heading."""

    title: str
    bars: Sequence[Bar]


def place(ratio: float) -> float:
    """Where a ratio lies on the scale, in pixels; what is beyond an end lies at it."""
    held = min(max(ratio, LOWEST), HIGHEST)
    return LEFT + WIDTH * math.log(held / LOWEST) / math.log(HIGHEST / LOWEST)


def svg(title: str, groups: Sequence[Group]) -> str:
    """The picture."""
    parts: list[str] = []
    y = TOP
    for group in groups:
        y += GAP - LINE
        parts.append(f'<text class="h" x="10" y="{y + 14}">{escape(group.title)}</text>')
        y += LINE
        for bar in group.bars:
            parts += _bar(bar, y)
            y += LINE
    size = (LEFT + WIDTH + RIGHT, y + 12)
    scale = [line for tick in TICKS for line in _tick(tick, y)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="0 0 {size[0]} {size[1]}">',
            f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#fff"/>',
            f'<text class="h" x="10" y="20">{escape(title)}</text>',
            *scale,
            *parts,
            "</svg>\n",
        ]
    )


def _bar(bar: Bar, y: int) -> list[str]:
    one, middle = place(1.0), place(bar.ratio.median)
    least, most = place(bar.ratio.least), place(bar.ratio.most)
    left, width = min(one, middle), max(abs(middle - one), 1.0)
    kind = "ahead" if bar.ratio.median >= 1 else "behind"
    centre = y + LINE / 2
    return [
        f'<text x="24" y="{y + 14}">{escape(bar.title)}</text>',
        f'<rect class="{kind}" x="{left:.1f}" y="{y + 4}" width="{width:.1f}" height="12"/>',
        f'<line class="w" x1="{least:.1f}" x2="{most:.1f}" y1="{centre}" y2="{centre}"/>',
        f'<text x="{LEFT + WIDTH + 12}" y="{y + 14}">{bar.ratio}</text>',
    ]


def _tick(ratio: float, bottom: int) -> list[str]:
    x = place(ratio)
    words = f"{ratio:g}" if ratio >= 1 else f"1/{1 / ratio:g}"
    kind = "one" if ratio == 1 else "t"
    return [
        f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{bottom}"/>',
        f'<text class="n" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{words}</text>',
    ]
