"""E9, chapter 8: where the decoder looks while it writes.

The weights of the cross-attention are those of our own German–English Transformer,
mean of all heads, kept in `experiments/alignments.json` as whole numbers 0 … 255 with
an alignment by hand (`attnbook.experiments.probing`). Row t is the step that writes
word t. The step after it reads that word: with `read`, row t is that one.
"""

import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import numpy as np

from attnbook.explore._figure import Figure, html_table, number, text_table

ROW = 1.8  # height of a word, in rem


def alignment(
    pair: int = 0,
    layer: int | None = None,
    word: int = 0,
    map: bool = False,
    hand: bool = False,
    read: bool = False,
    pairs: Sequence[int] | None = None,
) -> Figure:
    """Show the weights of one output word on all source words, step by step.

    Args:
        pair: the sentence, from 0, among those of `pairs`.
        layer: the decoder layer, from 0; the last unless given.
        word: the output word, from 0.
        map: whether all words are shown as a heat map, not one as lines.
        hand: whether the alignment by hand is drawn, too.
        read: whether to show for each word the step after it is written, which reads
            it; then the last word, "<end>", has none.
        pairs: which of the stored sentences to offer; all unless given.

    Returns:
        A figure that displays itself; `.result` holds `weights` (T, S), the source word
        with the largest weight, `best` (T,), whether the hand alignment links it,
        `agrees` (T,) (−1 where it links nothing), and `hits` of `linked` words.

    Raises:
        ValueError: a sentence, layer or word that is not there.

    Example:
        >>> weights = alignment(pair=0, layer=0).result["weights"]
        >>> bool(abs(weights.sum(axis=1) - 1).max() < 0.05)
        True
    """
    stored = _stored()
    chosen = range(len(stored["pairs"])) if pairs is None else pairs
    if not chosen:
        raise ValueError("pairs must name at least one sentence, got none")
    for index in chosen:
        _require("each of pairs", index, len(stored["pairs"]))
    kept = [_plain(stored["pairs"][index]) for index in chosen]
    _require("pair", pair, len(kept))
    num_layers = len(kept[pair]["weights"])
    layer = num_layers - 1 if layer is None else layer
    _require("layer", layer, num_layers)
    _require("word", word, len(kept[pair]["target"]) - bool(read))
    state = {
        "model": stored["model"],
        "pairs": kept,
        "pair": int(pair),
        "layer": int(layer),
        "word": int(word),
        "map": bool(map),
        "hand": bool(hand),
        "read": bool(read),
    }
    result = numbers_of(kept[pair], int(layer), bool(read))
    rows = max(len(kept[pair][side]) for side in ("source", "target"))
    return Figure(
        name="alignment",
        state=state,
        result=result,
        fallback=_fallback(state, result),
        text=_text(state, result),
        heights=(round(26.4 + ROW * rows), round(43 + ROW * rows)),
    )


def numbers_of(pair: dict, layer: int, read: bool) -> dict[str, object]:
    """Return the weights and how they agree; the twin of `ax.alignment.compute`."""
    weights = np.array(pair["weights"][layer][read:]) / 255  # (T, S)
    best = weights.argmax(axis=1)
    agrees = [
        int(s in links) if (links := _links(pair, t)) else -1
        for t, s in enumerate(best.tolist())
    ]
    return {
        "weights": weights,
        "best": best,
        "agrees": agrees,
        "hits": agrees.count(1),
        "linked": agrees.count(1) + agrees.count(0),
    }


@cache
def _stored() -> dict:
    file = files("attnbook.experiments") / "alignments.json"
    return json.loads(file.read_text("utf-8"))


def _plain(pair: dict) -> dict:
    return {name: pair[name] for name in ("source", "target", "weights", "hand")}


def _require(name: str, value: int, size: int) -> None:
    if not 0 <= value < size or value != int(value):
        raise ValueError(f"{name} must be from 0 to {size - 1}, got {value}")


def _links(pair: dict, target: int) -> list[int]:
    return [source for t, source in pair["hand"] if t == target]


def _sentence(state: dict, result: dict) -> str:
    pair, t = state["pairs"][state["pair"]], state["word"]
    best = result["best"][t]
    doing = "Having just read" if state["read"] else "About to write"
    links = " and ".join(f"“{pair['source'][s]}”" for s in _links(pair, t))
    verdict = "they agree" if result["agrees"][t] == 1 else "they differ"
    by_hand = f"is {links}: {verdict}" if links else "has no link"
    return (
        f"{doing} “{pair['target'][t]}”, word {t + 1} of {len(result['best'])}, layer "
        f"{state['layer'] + 1} looks most at “{pair['source'][best]}”: "
        f"{number(result['weights'][t, best], 2)}. By hand it {by_hand}. In this layer "
        f"they agree for {result['hits']} of {result['linked']} words."
    )


def _rows(state: dict, result: dict) -> list[list[str]]:
    pair = state["pairs"][state["pair"]]
    rows = zip(pair["target"], result["weights"], strict=False)  # read: no last word
    return [
        ["weights", *pair["source"]],
        *([word, *(number(w, 2) for w in row)] for word, row in rows),
    ]


def _fallback(state: dict, result: dict) -> str:
    head, *body = [[escape(x) for x in row] for row in _rows(state, result)]
    caption = f"Output words down, source words across; {escape(state['model'])}"
    table = html_table(caption, head, body)
    return (
        f"<p>{escape(_sentence(state, result), quote=False)}</p>"
        f'<div style="overflow-x:auto">{table}</div>'
    )


def _text(state: dict, result: dict) -> str:
    return _sentence(state, result) + "\n" + text_table(_rows(state, result))
