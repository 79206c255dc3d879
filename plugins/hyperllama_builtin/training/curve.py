"""A loss curve as a small SVG, drawn by hand so that no plotting library is needed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

__all__ = ("curve_svg",)

_WIDTH, _HEIGHT, _MARGIN = 640, 320, 48


def curve_svg(title: str, points: Sequence[tuple[float, float]]) -> str:
    """Return the curve as SVG: minutes to the right, loss upwards from zero."""
    last = max(minute for minute, _ in points)
    top = max(loss for _, loss in points)

    def place(minute: float, loss: float) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * minute / last
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * loss / top
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(minute, loss) for minute, loss in points)
    right, bottom = _WIDTH - _MARGIN, _HEIGHT - _MARGIN
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {frame}>
<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>
<text x="{_WIDTH / 2}" y="24" text-anchor="middle" font-size="15">{escape(title)}</text>
<path d="M{_MARGIN},{_MARGIN} V{bottom} H{right}" fill="none" stroke="#444"/>
<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="1.5"/>
<text x="{_MARGIN - 6}" y="{_MARGIN + 4}" text-anchor="end">{top:.2f}</text>
<text x="{_MARGIN - 6}" y="{bottom + 4}" text-anchor="end">0</text>
<text x="{right}" y="{bottom + 18}" text-anchor="end">{last:.0f} min</text>
<text x="{_MARGIN}" y="{bottom + 18}">loss at the end: {points[-1][1]:.3f}</text>
</svg>
"""
