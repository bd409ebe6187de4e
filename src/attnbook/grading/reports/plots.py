"""Histograms of points, as SVG that takes the page's colours.

Drawn 360 units wide, so that the letters keep their size on a phone. A plot repeats
numbers that a table beside it holds: `described` gives both the same bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from attnbook.grading.reports.pages import escaped, plural, points, table

WIDTHS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # points per bar
MOST_BARS = 14
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 360, 40, 8, 20, 44


@dataclass(frozen=True)
class Bars:
    """Counts of points, from 0 up, each bar as wide as `width`.

    `exact` says that every value stands at the start of its bar.
    """

    width: float
    counts: tuple[int, ...]
    exact: bool
    maximum: float

    def label(self, i: int) -> str:
        """Return the points that the i-th bar counts."""
        low = points(i * self.width)
        if self.exact:
            return low
        # the last bar also counts full marks
        if i == len(self.counts) - 1:
            return f"{low} to {points(self.maximum)}"
        return f"{low} to under {points((i + 1) * self.width)}"


def count(values: Sequence[float], maximum: float) -> Bars:
    """Sort points into at most 14 bars.

    Args:
        values: points of each submission, between 0 and the maximum.
        maximum: the most that can be had, above 0.

    Raises:
        ValueError: there is nothing to have.
    """
    if maximum <= 0:
        raise ValueError(f"points are counted up to a maximum above 0, not {maximum}")
    whole = all(float(value).is_integer() for value in values)
    widths = WIDTHS[1:] if whole else WIDTHS
    fitting = [width for width in widths if maximum / width <= MOST_BARS - 1]
    width = fitting[0] if fitting else maximum / MOST_BARS
    exact = all((value / width).is_integer() for value in map(float, values))
    ends = -(-maximum // width)
    number = int(maximum // width + 1 if exact else max(ends, 1))
    counts = [0] * number
    for value in values:
        counts[min(max(int(value // width), 0), number - 1)] += 1
    return Bars(width, tuple(counts), exact, maximum)


def histogram(name: str, title: str, bars: Bars, height: int = 220) -> str:
    """Draw bars over points.

    Args:
        name: unique on the page, letters, digits and hyphens.
        title: what is counted, as words.
        bars: from `count`.
        height: in units of which the plot is 360 wide.
    """
    most = max(bars.counts)
    step = next(s for s in _steps() if most / s <= 4)
    top = max(step * -(-most // step), 1)
    bottom = height - BOTTOM
    slot = (WIDTH - LEFT - RIGHT) / len(bars.counts)
    parts = [_grid(value, bottom, top) for value in range(0, top + 1, step)]
    for i, n in enumerate(bars.counts):
        tall = (bottom - TOP) * n / top
        x = LEFT + i * slot
        if n:
            parts.append(_bar(x, bottom - tall, slot, tall))
            parts.append(_text(x + slot / 2, bottom - tall - 4, str(n)))
    parts += _ticks(bars, slot, bottom)
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    parts.append(_text(middle, height - 6, "points", "quiet"))
    parts.append(
        f'<text class="quiet" text-anchor="middle" transform="rotate(-90)" '
        f'x="{-(TOP + bottom) / 2:.1f}" y="12">submissions</text>'
    )
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escaped(title)}</title>'
        f'<desc id="{name}-text">{escaped(described(bars))}</desc>'
        + "".join(parts)
        + "</svg>"
    )


def described(bars: Bars) -> str:
    """Say what a histogram shows."""
    filled = [i for i, n in enumerate(bars.counts) if n]
    if not filled:
        return "No submission is counted."
    most = max(range(len(bars.counts)), key=bars.counts.__getitem__)
    return (
        f"Points run from {bars.label(filled[0])} to {bars.label(filled[-1])}; "
        f"most frequent is {bars.label(most)}, in "
        f"{plural(bars.counts[most], 'submission')} of {sum(bars.counts)}."
    )


def numbers(caption: str, bars: Bars) -> str:
    """Return the table that holds what a histogram draws."""
    total = sum(bars.counts)
    rows = [
        [bars.label(i), str(n), f"{100 * n / total:.0f} %" if total else ""]
        for i, n in enumerate(bars.counts)
    ]
    head = ["Points", "Submissions", "Share"]
    return table(caption, head, rows, ["", "number", "number"], "narrow")


def _steps():
    scale = 1
    while True:
        yield from (scale, 2 * scale, 5 * scale)
        scale *= 10


def _grid(value: int, bottom: float, top: int) -> str:
    y = bottom - (bottom - TOP) * value / top
    kind = "grid" if value else "axis"
    line = f'<path class="{kind}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
    number = f'<text class="quiet" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">'
    return f"{line}{number}{value}</text>"


def _bar(x: float, y: float, slot: float, tall: float) -> str:
    gap = min(2.0, slot / 8)
    return (
        f'<rect class="bars" x="{x + gap:.1f}" y="{y:.1f}" '
        f'width="{slot - 2 * gap:.1f}" height="{tall:.1f}"/>'
    )


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    place = f'class="{kind}" text-anchor="middle" x="{x:.1f}" y="{y:.1f}"'
    return f"<text {place}>{escaped(text)}</text>"


def _ticks(bars: Bars, slot: float, bottom: float) -> list[str]:
    """Label bars in their middle if they stand for one value, else at their edges."""
    shift = slot / 2 if bars.exact else 0.0
    places = range(len(bars.counts) + (not bars.exact))
    widest = max(len(points(i * bars.width)) for i in places)
    every = max(1, -(-int(7.5 * widest + 6) // int(slot)))
    return [
        _text(LEFT + i * slot + shift, bottom + 16, points(i * bars.width), "quiet")
        for i in places
        if i % every == 0
    ]
