"""What chapter 8's trained translator relies on: lesions, and its cross-attention.

    python -m attnbook.experiments.probing .build/weights/NAME.safetensors

loads a stored Transformer (`translation.load_translator`) and asks two questions.
*Lesions*: the BLEU of greedy translation on the test set after one part is taken away
from the trained model, which is not trained again. *Alignment*: does cross-attention
look at the words that a person links? Six sentences were written and aligned by hand
for this; each is read in one forward pass that predicts and records (`tracing`).

A surprise: a decoder position looks for the word that it is about to write, while it
holds the word before. Whether a row is taken for the word *written* there or for the
word *read* there decides the score; both are stored. In our model the first is right;
Chen et al. 2020 (arXiv:2004.14837) found the second.
"""

import argparse
import datetime
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from attnbook import bleu, generation, runtime, tracing
from attnbook.batching import pad
from attnbook.experiments import translation
from attnbook.experiments.captions import CAPTIONS
from attnbook.models import Transformer
from attnbook.tokenizers import END, START, join_words, split_words, until_end

RESULTS = Path("benchmarks/results/probing")
ALIGNMENTS = Path(__file__).with_name("alignments.json")
END_WORD = "<end>"


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A German sentence, an English one, and which word comes from which."""

    source: str
    target: str
    links: str  # "target-source" positions, from 0

    @property
    def hand(self) -> list[tuple[int, int]]:
        """The links as pairs (target position, source position)."""
        pairs = (link.split("-") for link in self.links.split())
        return [(int(target), int(source)) for target, source in pairs]


# A separable verb, verbs at the end, subjects after the verb: the order differs in all.
SENTENCES = [
    Sentence(
        source="der mann zieht seine jacke an .",
        target="the man puts on his jacket .",
        links="0-0 1-1 2-2 3-5 4-3 5-4 6-6",
    ),
    Sentence(
        source="zwei kinder haben einen schneemann gebaut .",
        target="two children have built a snowman .",
        links="0-0 1-1 2-2 3-5 4-3 5-4 6-6",
    ),
    Sentence(
        source="im park spielen zwei kinder fußball .",
        target="two children are playing soccer in the park .",
        links="0-3 1-4 2-2 3-2 4-5 5-0 6-0 7-1 8-6",
    ),
    Sentence(
        source="auf einer bank sitzt ein alter mann .",
        target="an old man is sitting on a bench .",
        links="0-4 1-5 2-6 3-3 4-3 5-0 6-1 7-2 8-7",
    ),
    Sentence(
        source="eine frau , die einen großen hut trägt , liest ein buch .",
        target="a woman wearing a large hat is reading a book .",
        links="0-0 1-1 2-7 3-4 4-5 5-6 6-9 7-9 8-10 9-11 10-12",
    ),
    Sentence(
        source="ein junge , der einen roten ball hält , läuft durch den schnee .",
        target="a boy holding a red ball is running through the snow .",
        links="0-0 1-1 2-7 3-4 4-5 5-6 6-9 7-9 8-10 9-11 10-12 11-13",
    ),
]


# ---- lesions ----------------------------------------------------------------------


class Nothing(nn.Module):
    """Attention that finds nothing: zeros are added to the residual stream."""

    def forward(self, query: Tensor, *args, **options) -> Tensor:
        """Return zeros of the query's shape."""
        return torch.zeros_like(query)


@contextmanager
def without_cross_attention(model: Transformer) -> Iterator[None]:
    """Let the decoder's layers read nothing from the source."""
    kept = [layer.multihead_attn for layer in model.decoder.layers]
    try:
        for layer in model.decoder.layers:
            layer.multihead_attn = Nothing()
        yield
    finally:
        for layer, attention in zip(model.decoder.layers, kept, strict=True):
            layer.multihead_attn = attention


class PositionsOfOneSide(nn.Module):
    """Add positions for one of the two embeddings, by who asks: source or target."""

    def __init__(self, positions: nn.Module, model: Transformer, dropped: str):
        super().__init__()
        self.positions, self.dropped, self.side = positions, dropped, "target"
        self._encode = model.encode

    def encode(self, source: Tensor) -> Tensor:
        """Encode, and remember meanwhile that the source is read."""
        self.side = "source"
        try:
            return self._encode(source)
        finally:
            self.side = "target"

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Return x, with positions where they are not dropped."""
        return x if self.side == self.dropped else self.positions(x, start)


@contextmanager
def without_positions(model: Transformer, side: str) -> Iterator[None]:
    """Drop the position codes of the "source" or of the "target".

    Raises:
        ValueError: another side.
    """
    if side not in ("source", "target"):
        raise ValueError(f"side must be 'source' or 'target', got {side!r}")
    kept = model.positions
    one_side = PositionsOfOneSide(kept, model, side)
    try:
        model.positions, model.encode = one_side, one_side.encode
        yield
    finally:
        model.positions = kept
        del model.encode  # the class' own method is back


def shuffled(sources: Sequence[list[int]], seed: int = 0) -> list[list[int]]:
    """Return the same words of each sentence in random order (no marks inside).

    Example:
        >>> sorted(shuffled([[5, 6, 7]])[0])
        [5, 6, 7]
    """
    chance = random.Random(seed)
    return [chance.sample(ids, len(ids)) for ids in sources]


def lesions() -> dict[str, tuple[Callable, Callable]]:
    """Return name → what is done to the sources, and what to the model."""
    same, whole = list, _unharmed
    return {
        "nothing": (same, whole),
        "cross-attention": (same, without_cross_attention),
        "source order": (shuffled, whole),
        "source positions": (same, lambda model: without_positions(model, "source")),
        "target positions": (same, lambda model: without_positions(model, "target")),
    }


@contextmanager
def _unharmed(model: Transformer) -> Iterator[None]:
    yield


def measure_lesions(
    model: Transformer,
    vocabularies: tuple[list[str], list[str]],
    pairs: Sequence[tuple[str, str]],
    max_len: int = 64,
    batch_size: int = 250,
) -> list[dict]:
    """Translate greedily with each lesion; score words as the published ladder does.

    Args:
        model: in evaluation mode.
        vocabularies: of source and target, as `load_translator` returns them.
        pairs: German and English sentences.
        max_len: most words to write.
        batch_size: sentences translated at once.

    Returns:
        One record per lesion: what was removed, BLEU with interval, mean length, and
        what becomes of the first of our own captions ("samples"): the test sentences
        may not be passed on.
    """
    source_ids = {word: i for i, word in enumerate(vocabularies[0])}
    sources = [[source_ids.get(w, 1) for w in split_words(s, "de")] for s, _ in pairs]
    references = [" ".join(split_words(t, "en")) for _, t in pairs]
    own = [
        [source_ids.get(w, 1) for w in split_words(s, "de")] for s, _ in CAPTIONS[:3]
    ]
    records = []
    for removed, (change, harm) in lesions().items():
        with harm(model):
            outputs = _translated(model, change(sources), max_len, batch_size)
            shown = _translated(model, change(own), max_len, batch_size)
        words, samples = (
            [[vocabularies[1][i] for i in until_end(ids)] for ids in written]
            for written in (outputs, shown)
        )
        texts = [" ".join(sentence) for sentence in words]
        score = bleu.corpus_bleu(texts, references, "none")
        records.append(
            {
                "removed": removed,
                "bleu": score.score,
                "low": score.low,
                "high": score.high,
                "mean_length": sum(map(len, words)) / len(words),
                "samples": [join_words(sentence) for sentence in samples],
            }
        )
        print(f"  without {removed}: {score}", flush=True)
    return records


def measure_search(
    model: Transformer,
    vocabularies: tuple[list[str], list[str]],
    pairs: Sequence[tuple[str, str]],
    max_len: int = 64,
    batch_size: int = 250,
) -> list[dict]:
    """Translate greedily and with beams; compare each with greedy on these sentences.

    Args: as `measure_lesions`.

    Returns:
        One record per way to search: K, α, BLEU of the words, mean length, and the
        p-value of a paired bootstrap against greedy.
    """
    source_ids = {word: i for i, word in enumerate(vocabularies[0])}
    sources = [[source_ids.get(w, 1) for w in split_words(s, "de")] for s, _ in pairs]
    references = [" ".join(split_words(t, "en")) for _, t in pairs]
    records, first = [], None
    for num_beams, alpha in ((1, 0.0), (4, 0.0), (4, 0.6)):
        outputs = _translated(model, sources, max_len, batch_size, num_beams, alpha)
        words = [[vocabularies[1][i] for i in until_end(ids)] for ids in outputs]
        texts = [" ".join(sentence) for sentence in words]
        first = first or texts
        records.append(
            {
                "num_beams": num_beams,
                "alpha": alpha,
                "bleu": bleu.corpus_bleu(texts, references, "none").score,
                "mean_length": sum(map(len, words)) / len(words),
                "changed": sum(a != b for a, b in zip(texts, first, strict=True)),
                "p_value": bleu.compare(first, texts, references, "none"),
            }
        )
        print(f"  {records[-1]}", flush=True)
    return records


def _translated(
    model, sources, max_len: int, batch_size: int, num_beams: int = 1, alpha=0.0
) -> list[list[int]]:
    """Translate sentences of similar length together; keep their order."""
    device = next(model.parameters()).device
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    outputs: list[list[int]] = [[] for _ in sources]
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        source = pad([[*sources[i], END] for i in rows]).to(device)
        if num_beams == 1:
            written = generation.greedy(model, source, max_len)
        else:
            written = generation.beam(model, source, num_beams, max_len, alpha)
        for i, ids in zip(rows, written.tolist(), strict=True):
            outputs[i] = ids
    return outputs


# ---- alignment --------------------------------------------------------------------


def align(
    model: Transformer, vocabularies: tuple[list[str], list[str]], sentence: Sentence
) -> dict:
    """Read one pair in one forward pass and return words, links and cross-attention.

    Args:
        model: in evaluation mode.
        vocabularies: of source and target.
        sentence: every word must be in them.

    Returns:
        "source" and "target" words, both with the end mark; "weights"
        [layer][target][source], averaged over heads, as integers that sum to about 255
        per row, where row t is the step that *writes* target word t; "hand" links;
        "translation", what the model writes by itself.

    Raises:
        ValueError: a word that the model does not know.
    """
    words = sentence.source.split(), sentence.target.split()
    for side, vocabulary in zip(words, vocabularies, strict=True):
        if missing := [word for word in side if word not in vocabulary]:
            raise ValueError(f"the model does not know {', '.join(missing)}")
    source, target = (
        [vocabulary.index(word) for word in side]
        for side, vocabulary in zip(words, vocabularies, strict=True)
    )
    device = next(model.parameters()).device
    source = torch.tensor([[*source, END]], device=device)
    with torch.no_grad(), tracing.record() as trace:
        model(source, torch.tensor([[START, *target]], device=device))
    num_encoder = len(model.encoder.layers)
    cross = trace["weights"][num_encoder + 1 :: 2]  # per layer: own past, then source
    written = until_end(generation.greedy(model, source)[0].tolist())
    return {
        "source": [*words[0], END_WORD],
        "target": [*words[1], END_WORD],
        "weights": [_bytes(weights[0].mean(dim=0)) for weights in cross],
        "hand": [list(link) for link in sentence.hand],
        "translation": [vocabularies[1][i] for i in written],
    }


def _bytes(weights: Tensor) -> list[list[int]]:
    return (weights * 255).round().int().tolist()


def agreement(
    pair: dict, layer: int, read: bool = False, moved: bool = False
) -> tuple[int, int]:
    """Count the linked target words whose largest weight falls on a linked word.

    Args:
        pair: what `align` returns.
        layer: from 0.
        read: take for each word the step that reads it, the one after it is written.
        moved: count only the words that a straight diagonal links wrongly.

    Returns:
        Words that agree, and words with a link.

    Example:
        >>> pair = {"weights": [[[9, 246], [255, 0]]], "hand": [[0, 1], [1, 1]]}
        >>> agreement(pair, layer=0)
        (1, 2)
    """
    rows = pair["weights"][layer]
    linked = _linked(pair)
    if moved:
        linked = {t: s for t, s in linked.items() if _straight(pair, t) not in s}
    hits = 0
    for target, sources in linked.items():
        row = rows[target + read]
        hits += max(range(len(row)), key=row.__getitem__) in sources
    return hits, len(linked)


def _straight(pair: dict, target: int) -> int:
    """Return the source word at the same relative place."""
    last_target, last_source = len(pair["target"]) - 2, len(pair["source"]) - 2
    return round(target * last_source / last_target)


def looks_at(pair: dict, word: str, layer: int) -> str:
    """Return the source word with the largest weight when a word is written.

    Raises:
        ValueError: no such target word.
    """
    if word not in pair["target"]:
        raise ValueError(f"{word!r} is not among {pair['target']}")
    row = pair["weights"][layer][pair["target"].index(word)]
    return pair["source"][max(range(len(row)), key=row.__getitem__)]


def same_order(pair: dict) -> tuple[int, int]:
    """Count what a straight diagonal would link rightly: word 1 to word 1, and so on.

    The diagonal is stretched, so that the last words of both sentences meet.
    """
    linked = _linked(pair)
    hits = sum(_straight(pair, target) in sources for target, sources in linked.items())
    return hits, len(linked)


def _linked(pair: dict) -> dict[int, set[int]]:
    linked: dict[int, set[int]] = {}
    for target, source in pair["hand"]:
        linked.setdefault(target, set()).add(source)
    return linked


def alignment_scores(pairs: Sequence[dict]) -> dict:
    """Return the share of words aligned as by hand: per layer, and for a diagonal."""

    def share(counts: list[tuple[int, int]]) -> float:
        return sum(hits for hits, _ in counts) / sum(total for _, total in counts)

    layers = range(len(pairs[0]["weights"]))
    return {
        "written": [share([agreement(p, i) for p in pairs]) for i in layers],
        "read": [share([agreement(p, i, read=True) for p in pairs]) for i in layers],
        "written_moved": [
            share([agreement(p, i, moved=True) for p in pairs]) for i in layers
        ],
        "read_moved": [
            share([agreement(p, i, read=True, moved=True) for p in pairs])
            for i in layers
        ],
        "diagonal": share([same_order(p) for p in pairs]),
        "num_moved": sum(agreement(p, 0, moved=True)[1] for p in pairs),
        "num_words": sum(same_order(p)[1] for p in pairs),
    }


def load_alignments(path: Path = ALIGNMENTS) -> dict:
    """Return the stored sentences with their cross-attention and hand alignment."""
    return json.loads(path.read_text("utf-8"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Probe a stored translator and write what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m attnbook.experiments.probing", description=__doc__
    )
    parser.add_argument("weights", type=Path, help="what translation --weights kept")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--alignments", type=Path, default=ALIGNMENTS)
    parser.add_argument("--only-alignment", action="store_true")
    args = parser.parse_args(arguments)
    model, *both = translation.load_translator(args.weights)
    vocabularies = both[0], both[1]
    model = model.to(runtime.device())
    label = args.weights.stem
    stamp = {
        "model": label,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **translation.describe_device(),
    }
    pairs = [align(model, vocabularies, sentence) for sentence in SENTENCES]
    write_compact(args.alignments, {**stamp, "pairs": pairs})
    scores = alignment_scores(pairs)
    print(f"{label}: {scores}", flush=True)
    if args.only_alignment:
        return
    test = translation.TASKS["multi30k-de-en"].load().test
    result = {
        **stamp,
        "lesions": measure_lesions(model, vocabularies, test),
        "search": measure_search(model, vocabularies, test),
        "alignment": scores,
    }
    translation.write_json(args.out / f"{label}.json", result)


def write_compact(path: Path, content: dict) -> None:
    """Write JSON with one matrix row per line."""
    text = json.dumps(content, ensure_ascii=False, indent=None)
    for left in ('"pairs": [', '{"source"', '"weights"', '"hand"', '"translation"'):
        text = text.replace(left, "\n" + left)
    path.write_text(text.replace("], [", "],\n[") + "\n", "utf-8")


if __name__ == "__main__":
    main()
