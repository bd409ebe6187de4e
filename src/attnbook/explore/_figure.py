"""A figure as a notebook output: a custom element, its fallback and its script.

The script of figure ``name`` is ``explore/<name>.js``: a classic script that defines
``<ax-name>``, works in any order with its element and does nothing the second time. The
children of the element are the fallback, drawn here from the same numbers: they are
what print, GitHub and a browser without scripts show.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

# Space kept free until the script has drawn, so that the page does not jump.
RESERVE = (
    "<style>@media (scripting:enabled){{{tag}{{display:block;min-height:{wide}rem}}}}"
    "@media (scripting:enabled) and (max-width:40rem)"
    "{{{tag}{{min-height:{narrow}rem}}}}</style>"
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An interactive figure in one state.

    Args:
        name: the figure, and the stem of its script.
        state: what the figure starts from, as JSON can hold it.
        result: the numbers of that state, by name.
        fallback: readable HTML of the same numbers.
        text: readable plain text of the same numbers.
        heights: min-height on wide and narrow screens, in rem.
    """

    name: str
    state: dict[str, object]
    result: dict[str, object]
    fallback: str
    text: str
    heights: tuple[int, int]

    @property
    def script(self) -> str:
        """The text of the figure's script."""
        path = files("attnbook.explore") / f"{self.name}.js"
        return path.read_text(encoding="utf-8")

    @property
    def html(self) -> str:
        """The element with its fallback, then its script."""
        tag = "ax-" + self.name.replace("_", "-")
        state = json.dumps(self.state)
        for sign in "&<>'":  # so that the attribute is JSON and HTML at once
            state = state.replace(sign, f"\\u{ord(sign):04x}")
        wide, narrow = self.heights
        reserve = RESERVE.format(tag=tag, wide=wide, narrow=narrow)
        return (
            f"<{tag} state='{state}'>{reserve}{self.fallback}</{tag}>\n"
            f'<script data-explore="{self.name}">\n{self.script}</script>'
        )

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, str]:
        """Return the output for a notebook; the front end chooses."""
        return {"text/html": self.html, "text/plain": self.text}

    def __repr__(self) -> str:
        return self.text


def number(x: float, digits: int = 3) -> str:
    """Return `x` with `digits` decimals and a true minus sign; no "−0.000"."""
    if x == float("-inf"):
        return "−∞"
    return f"{round(float(x), digits) + 0.0:.{digits}f}".replace("-", "−")


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table; the first column is a header unless `head` is empty."""
    top = "".join(f'<th scope="col">{h}</th>' for h in head)
    body = ""
    for first, *rest in rows:
        lead = f'<th scope="row">{first}</th>' if head else f"<td>{first}</td>"
        body += f"<tr>{lead}{''.join(f'<td>{c}</td>' for c in rest)}</tr>"
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return f"<table><caption>{caption}</caption>{thead}<tbody>{body}</tbody></table>"


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` as lines with right-aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    )
