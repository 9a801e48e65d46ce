"""A chart of a page: the place in which uPlot draws it, its curves as data, and their numbers as a table.

Owns: what is in a chart. Never: the drawing (`report.js`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from rtcpeer.cli.picture.dump import Curve

# as many lines are told apart: eight colours, three kinds of dashes
CURVES_MAX = 24


@dataclass(frozen=True)
class Chart:
    """A chart of a page.

    Attributes:
        title: heading.
        unit: of the values, such as "bit/s".
        curves: by name.
    """

    title: str
    unit: str
    curves: Mapping[str, Curve]

    @property
    def shown(self) -> dict[str, Curve]:
        """The curves that have a value, as many as can be told apart."""
        return dict([(name, curve) for name, curve in self.curves.items() if curve][:CURVES_MAX])

    def data(self) -> dict[str, Any]:
        """For `report.js`: times in seconds since the beginning, and values."""
        return {
            "curves": [
                {
                    "name": name,
                    "at": [round(at, 3) for at, _ in curve],
                    "value": [float(f"{value:.6g}") for _, value in curve],
                }
                for name, curve in self.shown.items()
            ]
        }

    def html(self, number: int) -> str:
        """The figure.

        Args:
            number: its place among the charts of the connection.
        """
        title = f"{escape(self.title)} <small>{escape(self.unit)}</small>"
        if not self.shown:
            return f"<figure><figcaption>{title}</figcaption><p class=none>no values</p></figure>"
        left_out = sum(bool(curve) for curve in self.curves.values()) - len(self.shown)
        more = f"<p class=none>and {left_out} more</p>" if left_out else ""
        return (
            f'<figure><figcaption>{title}</figcaption><div class="plot" data-chart="{number}"></div>'
            f"{self._numbers()}{more}</figure>"
        )

    def _numbers(self) -> str:
        rows = "".join(
            f"<tr><th scope=row>{escape(name)}</th>{''.join(f'<td class=number>{text_of(n)}</td>' for n in numbers)}"
            for name, numbers in ((name, _summary(curve)) for name, curve in self.shown.items())
        )
        heads = "".join(f"<th class=number>{head}</th>" for head in ("least", "median", "most", "last"))
        return (
            f'<details><summary>Numbers</summary><div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )


def _summary(curve: Curve) -> tuple[float, float, float, float]:
    values = sorted(value for _, value in curve)
    return values[0], values[len(values) // 2], values[-1], curve[-1][1]


def text_of(value: float) -> str:
    """A number in at most six characters, such as "1.25 M"."""
    for limit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"
