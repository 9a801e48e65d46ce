"""A line chart as inline SVG: without scripts, legible in light and dark, with values in tooltips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from rtcpeer.cli.picture.dump import Curve

WIDTH, HEIGHT = 720, 180
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 8, 22
# as many lines are told apart
CURVES_MAX = 8
_POINTS_MAX = 600


def chart(title: str, unit: str, curves: Mapping[str, Curve], length: float) -> str:
    """One figure; without any value it says so.

    Args:
        title: heading.
        unit: of the values, such as "bit/s".
        curves: by name.
        length: seconds that the axis of time has.
    """
    shown = {name: curve for name, curve in list(curves.items())[:CURVES_MAX] if curve}
    if not shown:
        return f"<figure><figcaption>{escape(title)}</figcaption><p class=none>no values</p></figure>"
    top = nice(max(value for curve in shown.values() for _at, value in curve))
    length = max(length, 1e-3)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} in {escape(unit)}">',
        *_grid(top, length),
    ]
    parts += [
        _line(index, name, curve, top, length, unit) for index, (name, curve) in enumerate(shown.items())
    ]
    legend = "".join(
        f'<li class="c{index}">{escape(name)} <b>{text_of(curve[-1][1])}</b></li>'
        for index, (name, curve) in enumerate(shown.items())
    )
    more = len(curves) - CURVES_MAX
    if more > 0:
        legend += f"<li>and {more} more</li>"
    return (
        f"<figure><figcaption>{escape(title)} <small>{escape(unit)}</small></figcaption>"
        f"{''.join(parts)}</svg><ul class=legend>{legend}</ul></figure>"
    )


def _grid(top: float, length: float) -> list[str]:
    parts = []
    for step in range(5):
        y = TOP + (HEIGHT - TOP - BOTTOM) * step / 4
        parts.append(f'<line class=grid x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class=y>{text_of(top * (4 - step) / 4)}</text>')
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / 4
        anchor = "x last" if step == 4 else "x"
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 5}" class="{anchor}">{length * step / 4:.1f} s</text>')
    return parts


def _line(index: int, name: str, curve: Curve, top: float, length: float, unit: str) -> str:
    step = max(1, math.ceil(len(curve) / _POINTS_MAX))
    # of each stretch the largest value, so that no peak is lost
    thinned = [max(curve[i : i + step], key=lambda point: point[1]) for i in range(0, len(curve), step)]
    points = " ".join(
        f"{LEFT + (WIDTH - LEFT - RIGHT) * min(1, max(0, at / length)):.1f},"
        f"{TOP + (HEIGHT - TOP - BOTTOM) * (1 - max(0, value) / top):.1f}"
        for at, value in thinned
    )
    low, high = min(v for _, v in curve), max(v for _, v in curve)
    title = f"{name}: {text_of(low)} to {text_of(high)} {unit}"
    if len(thinned) == 1:
        x, _, y = points.partition(",")
        return f'<circle class="c{index}" cx="{x}" cy="{y}" r="3"><title>{escape(title)}</title></circle>'
    return f'<polyline class="c{index}" points="{points}"><title>{escape(title)}</title></polyline>'


def nice(value: float) -> float:
    """A round number that is not smaller, and above zero."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 4, 5, 10) if step * power >= value), 10 * power)


def text_of(value: float) -> str:
    """A number in at most six characters, such as "1.25 M"."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"
