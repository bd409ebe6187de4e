"""Figures: one style sheet, one colour per role, alt text that states the finding.

Every helper returns one object that displays, so a cell ends with it. Weights use a
sequential map fixed to 0–1, queries down and keys across; scores a diverging map
around 0. Chinese tokens are drawn as HTML (`weights_table`): matplotlib on Colab has
no font for them.
"""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas

STYLE = str(Path(__file__).with_name("attnbook.mplstyle"))
ROLES = {
    "q": "#1f5fbf",
    "k": "#b3541e",
    "v": "#2e7d32",
    "weights": "#7b3fa0",
    "out": "#37474f",
}
WIDTH = 7.0  # inches across the text column


class Figure:
    """A picture with its alt text, as a notebook displays it."""

    def __init__(self, canvas: Canvas, alt: str):
        if len(alt.split()) < 5:
            raise ValueError(f"alt text must state the finding, got {alt!r}")
        self.canvas = canvas
        self.alt = alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None):
        buffer = io.BytesIO()
        with matplotlib.style.context(STYLE):
            self.canvas.savefig(buffer, format="png", dpi=200)
        width, height = (
            round(100 * inches) for inches in self.canvas.get_size_inches()
        )
        png = base64.b64encode(buffer.getvalue()).decode()
        shown = {"width": width, "height": height, "alt": self.alt}
        return {"image/png": png, "text/plain": self.alt}, {"image/png": shown}


def subplots(rows: int = 1, columns: int = 1, height: float = 2.8, **options):
    """Make an empty figure in the book's style, as wide as the text.

    Args:
        rows, columns: the grid of axes.
        height: inches for one row.
        options: passed on to matplotlib's `Figure.subplots` (sharey, width_ratios…).

    Returns:
        The canvas and its axes (one, or an array). Draw on them, then end the cell
        with `show(canvas, alt=…)`.
    """
    matplotlib.style.use(STYLE)
    canvas = Canvas(figsize=(WIDTH, height * rows), layout="constrained")
    return canvas, canvas.subplots(rows, columns, **options)


def show(canvas: Canvas, alt: str) -> Figure:
    """Return a figure that displays, with the sentence that says what it shows.

    Raises:
        ValueError: the alt text has fewer than five words.
    """
    return Figure(canvas, alt)


def heatmap(
    axes,
    matrix,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    kind: str = "weights",
    title: str = "",
    numbers: bool | None = None,
    xlabel: str = "key",
    ylabel: str = "query",
):
    """Draw a matrix on axes: queries down, keys across.

    Args:
        axes: matplotlib axes.
        matrix: (T, S) array or tensor.
        rows, columns: tick labels, one per query and per key.
        kind: "weights" (0 to 1) or "scores" (diverging around 0).
        title: what the matrix is.
        numbers: write the values into the cells; by default up to 8 × 8.
        xlabel, ylabel: axis labels.

    Returns:
        The drawn image, for a colour bar.

    Raises:
        ValueError: an unknown kind, not a matrix, or labels that do not fit it.
    """
    matrix = _as_matrix(matrix)
    if kind not in ("weights", "scores"):
        raise ValueError(f"kind must be 'weights' or 'scores', got {kind!r}")
    for name, labels, size in zip(
        ("rows", "columns"), (rows, columns), matrix.shape, strict=True
    ):
        if labels is not None and len(labels) != size:
            raise ValueError(f"{len(labels)} labels for {size} {name}")
    limit = max(float(np.abs(matrix).max(initial=0)), 1e-12)
    colours = {"cmap": "Blues", "vmin": 0, "vmax": 1}
    if kind == "scores":
        colours = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit}
    image = axes.imshow(matrix, aspect="auto", **colours)
    if rows is not None:
        axes.set_yticks(range(len(rows)), rows)
    if columns is not None:
        axes.set_xticks(range(len(columns)), columns)
    if numbers if numbers is not None else max(matrix.shape) <= 8:
        _write_numbers(axes, matrix, image)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image


def _write_numbers(axes, matrix, image):
    """Write each value into its cell, in ink that its colour leaves readable."""
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(
            column,
            row,
            f"{value:.2f}",
            ha="center",
            va="center",
            fontsize=8.5,
            color=_ink(image.cmap(image.norm(value))[:3]),
        )


def _ink(colour: Sequence[float]) -> str:
    """Return black or white, whichever WCAG 2 finds more legible on a colour (0–1)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "white"


def _as_matrix(values) -> np.ndarray:
    """Read a (T, S) array, list or tensor, wherever it lives and whatever tracks it."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    matrix = np.asarray(values, dtype=float)
    if matrix.ndim != 2:
        raise ValueError(f"expected a matrix (T, S), got shape {matrix.shape}")
    return matrix


class Table:
    """A table of weights drawn as HTML, for tokens that matplotlib cannot write."""

    def __init__(self, markup: str, text: str):
        self.markup = markup
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.markup


def weights_table(
    weights, queries: Sequence[str], keys: Sequence[str], caption: str
) -> Table:
    """Draw weights as an HTML table: queries down, keys across, darker = more.

    Args:
        weights: (T, S), rows sum to 1.
        queries, keys: T and S tokens, in any script.
        caption: a sentence that states the finding; it stands above the table.

    Returns:
        A `Table` that displays.

    Raises:
        ValueError: the tokens do not fit the matrix.
    """
    weights = _as_matrix(weights)
    if weights.shape != (len(queries), len(keys)):
        raise ValueError(
            f"weights of shape {weights.shape} for {len(queries)} queries "
            f"and {len(keys)} keys"
        )
    head = "".join(f'<th scope="col">{html.escape(key)}</th>' for key in keys)
    body = "".join(
        f'<tr><th scope="row">{html.escape(query)}</th>{_cells(row)}</tr>'
        for query, row in zip(queries, weights, strict=True)
    )
    lines = ["\t".join(["", *keys])]
    lines += [
        "\t".join([query, *(f"{w:.2f}" for w in row)])
        for query, row in zip(queries, weights, strict=True)
    ]
    return Table(
        f'<table class="ab-weights"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr><td>query ╲ key</td>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>",
        "\n".join([caption, *lines]),
    )


def _cells(row) -> str:
    """Return one row of table cells, each shaded by its weight."""
    return "".join(_cell(weight, _shade(weight)) for weight in row)


def _cell(weight: float, colour: tuple[float, ...]) -> str:
    style = f"background:{to_hex(colour)};color:{_ink(colour)}"
    return f'<td style="{style}">{weight:.2f}</td>'


def _shade(weight: float) -> tuple[float, ...]:
    """Mix the weights' colour with white."""
    share = min(max(weight, 0.0), 1.0)
    return tuple(1 + share * (channel - 1) for channel in to_rgb(ROLES["weights"]))
