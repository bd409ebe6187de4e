"""Interactive figures: one JavaScript file and one Python function each.

A function returns a `Figure` that a notebook displays: a custom element that holds a
static fallback (tables and a sentence, from the numbers Python computed), and the
figure's script. The scripts need no framework and no network. Their mathematics is on
`globalThis.ax.<name>` and agrees with the twin here to 1e-9 (`tests/explore/`).

A figure reads its first state from the `state` attribute and later ones from the
address, where a second figure of a kind on a page is `e2-2`, `e5-2`, …:

    <ax-lookup>          #e1=q:16,w:1,k:gaussian   query, width, kernel
    <ax-softmax>         #e2=dk:512,t:1,s:0   d_k, temperature, scaled
    <ax-masks>           #e4=attention:cross,causal:false,late:true,query:1,key:0,…
                         and prefix, padding, real (keys), window, raised
    <ax-self-attention>  #e5=n:2,s:1,m:0,c:scores.0.1,X:1_0_…
                         step from 0, scaled, causal, chosen cell, changed matrices
    <ax-heads>           #e6=h:2,o:1_2,x:1,t:6
                         heads, heads switched off, sequence and token from 1
    <ax-positions>       #e8=s:rope,i:9,j:4,d:50,p:1,b:10000,v:pairs,h:1
                         scheme, positions, shift, pair, base, style, head
    <ax-patches>         #e7=d:0,p:2,t:2,s:0   digit, side, token from 1, shuffled
    <ax-alignment>       #e9=pair:1,layer:2,word:3,map:true,hand:true,read:true
                         all from 0; heat map, hand alignment, one step later

Colours follow the page: `--ab-q`, `--ab-k`, `--ab-v`, `--ab-weights`, `--ab-out` and
`--pst-color-*`, with light and dark values of their own where a page has none.
"""

from attnbook.explore._alignment import alignment
from attnbook.explore._figure import Figure
from attnbook.explore._heads import heads
from attnbook.explore._lookup import lookup
from attnbook.explore._masks import masks
from attnbook.explore._patches import patches
from attnbook.explore._positions import positions
from attnbook.explore._self_attention import self_attention
from attnbook.explore._softmax import softmax

__all__ = [
    "Figure",
    "alignment",
    "heads",
    "lookup",
    "masks",
    "patches",
    "positions",
    "self_attention",
    "softmax",
]
