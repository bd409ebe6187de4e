"""Interactive figures: one JavaScript file and one Python function each.

A function returns a `Figure` that a notebook displays: a custom element that holds a
static fallback (tables and a sentence, from the numbers Python computed), and the
figure's script. The scripts need no framework and no network. Their mathematics is on
`globalThis.ax.<name>` and agrees with the twin here to 1e-9 (`tests/test_explore.py`).

`<ax-softmax>` (chapter 2) and `<ax-self-attention>` (chapter 4) read their first state
from the `state` attribute and later ones from the address, as in
`#e2=dk:512,t:1,s:0` (d_k, temperature, scaled) and
`#e5=n:2,s:1,m:0,c:scores.0.1,X:1_0_1_0_…` (step from 0, scaled, causal, chosen cell,
changed matrices row by row); a second figure of a kind on a page is `e2-2`, `e5-2`.
Colours follow the page: `--ab-q`, `--ab-k`, `--ab-v`, `--ab-weights`, `--ab-out` and
`--pst-color-*`, with light and dark values of their own where a page has none.
"""

from attnbook.explore._figure import Figure
from attnbook.explore._self_attention import self_attention
from attnbook.explore._softmax import softmax

__all__ = ["Figure", "self_attention", "softmax"]
