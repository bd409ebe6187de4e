"""Chapter 8's ladder on a real corpus: no attention, additive attention, Transformer.

    python -m attnbook.experiments.translation --model transformer --seed 0 1 2

trains, translates the test set and writes one JSON file per model and seed. A run that
was stopped goes on from its checkpoint when the command is given again; one that is
finished is left alone. `--table` prints what there is; `--summary` writes it down for
the package (`ladder`), where chapter 8 finds it.

The setting is that of the published ladder (pytorch-seq2seq, chapters 2, 3 and 6):
Multi30k German to English, lower-cased words seen at least twice, test_2016_flickr,
BLEU over those words. What differs: `tokenizers.split_words` splits words, not spaCy;
all three models share one recipe (label smoothing, warm-up, beam 4), and "<unk>" is
never written. The second score, detokenised and against the untouched references, is
the one to compare with other work.
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import attnbook
from attnbook import bleu, corpora, generation, runtime
from attnbook.batching import PairBatches, pad
from attnbook.checkpoints import load_tensors, save_tensors
from attnbook.dates import dates
from attnbook.experiments import ladder
from attnbook.experiments.captions import CAPTIONS
from attnbook.models import Transformer, TransformerConfig
from attnbook.recurrent import RecurrentConfig, RecurrentTranslator
from attnbook.tokenizers import (
    END,
    PAD,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    split_words,
)
from attnbook.training import fit, linear_rate

MODELS = ("transformer", "additive", "plain")
RESULTS = Path("benchmarks/results/translation")
CHECKPOINTS = Path(".build/translation")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A corpus, how to tokenise it and how to score it."""

    name: str
    load: Callable[[], corpora.Pairs]
    source: Callable[[list[str]], Tokenizer]
    target: Callable[[list[str]], Tokenizer]
    bleu_tokenize: str  # for the detokenised score
    max_len: int
    samples: tuple[tuple[str, str], ...] = ()  # to show, if the corpus must not be


def words(language: str) -> Callable[[list[str]], Tokenizer]:
    """Return what builds a word tokenizer for a language."""
    return lambda texts: WordTokenizer(texts, min_count=2, language=language)


TASKS = {
    task.name: task
    for task in (
        Task(
            name="multi30k-de-en",
            load=lambda: corpora.multi30k("de", "en"),
            source=words("de"),
            target=words("en"),
            bleu_tokenize="13a",
            max_len=64,
            samples=CAPTIONS,
        ),
        Task(
            name="tatoeba-eng-fra",
            load=lambda: corpora.tatoeba("fra"),
            source=words("en"),
            target=words("fr"),
            bleu_tokenize="13a",
            max_len=64,
        ),
        Task(
            name="tatoeba-eng-cmn",
            load=lambda: corpora.tatoeba("cmn"),
            source=words("en"),
            target=lambda texts: CharTokenizer(texts, min_count=2),
            bleu_tokenize="zh",
            max_len=64,
        ),
        Task(
            name="dates",
            load=dates,
            source=CharTokenizer,
            target=CharTokenizer,
            bleu_tokenize="char",
            max_len=16,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained and used; the same for all three but for `dropout`."""

    epochs: int = 10
    batch_size: int = 128
    peak: float = 1e-3
    warmup: int = 400
    smoothing: float = 0.1
    dropout: float = 0.2
    clip: float = 1.0
    average: int = 3
    d_model: int = 256
    num_layers: int = 3
    num_beams: int = 4
    alpha: float = 0.6
    limit: int | None = None

    def __post_init__(self):
        for name in ("epochs", "batch_size", "warmup", "average", "num_beams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be ≥ 1, got {getattr(self, name)}")


class TimeUp(Exception):
    """The time that the command was given is over; the checkpoint stays."""


class Journal:
    """Notes made once per epoch; part of the checkpoint."""

    def __init__(self):
        self.entries: list[dict] = []

    def state_dict(self) -> dict:
        """Return the notes."""
        return {"entries": self.entries}

    def load_state_dict(self, state: dict) -> None:
        """Take over the notes of another journal."""
        self.entries = state["entries"]


class Corpus:
    """A task's sentences and their token numbers; vocabularies from train only."""

    def __init__(self, task: Task, limit: int | None = None):
        parts = task.load()
        cut = slice(limit)
        self.train, self.validation, self.test = (part[cut] for part in parts)
        self.source = task.source([s for s, _ in self.train])
        self.target = task.target([t for _, t in self.train])

    def batches(self, part: list, size: int, seed: int, device) -> PairBatches:
        """Return length-bucketed batches of one part."""
        sources = [self.source.encode(s) for s, _ in part]
        targets = [self.target.encode(t) for _, t in part]
        return PairBatches(sources, targets, size, seed, device)


def build(name: str, corpus: Corpus, recipe: Recipe) -> nn.Module:
    """Build an untrained model.

    Raises:
        ValueError: an unknown name.
    """
    sizes = {"source_vocab": len(corpus.source), "target_vocab": len(corpus.target)}
    if name == "transformer":
        config = TransformerConfig(
            **sizes,
            d_model=recipe.d_model,
            d_ff=2 * recipe.d_model,
            num_layers=recipe.num_layers,
            dropout=recipe.dropout,
        )
        return Transformer(config)
    contexts = {"additive": "additive", "plain": "fixed"}
    if name not in contexts:
        raise ValueError(f"model must be one of {MODELS}, got {name!r}")
    config = RecurrentConfig(
        **sizes,
        context=contexts[name],
        d_model=recipe.d_model,
        d_hidden=2 * recipe.d_model,
        dropout=recipe.dropout,
    )
    return RecurrentTranslator(config)


def sequence_loss(model: nn.Module, batch, smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy per target token: inputs y[:-1], labels y[1:]."""
    logits = model(batch.source, batch.target[:, :-1])
    return F.cross_entropy(
        logits.flatten(0, 1).float(),
        batch.target[:, 1:].flatten(),
        ignore_index=PAD,
        label_smoothing=smoothing,
    )


@torch.no_grad()
def validation_loss(model: nn.Module, batches: PairBatches) -> float:
    """Return the mean cross-entropy per batch, without smoothing or dropout.

    The stream is left where it was, so that every epoch meets the same batches.
    """
    place = batches.state_dict()
    model.eval()
    losses = [sequence_loss(model, batches.next()) for _ in range(len(batches))]
    model.train()
    batches.load_state_dict(place)
    return float(torch.stack(losses).mean())


def train(
    name: str,
    corpus: Corpus,
    recipe: Recipe,
    seed: int,
    folder: Path,
    deadline: float = math.inf,
) -> tuple[nn.Module, Journal, list[float]]:
    """Train a model, or go on training it; average its last epochs' weights.

    Raises:
        TimeUp: the deadline passed; the last epoch's checkpoint is in the folder.
    """
    runtime.seed_everything(seed)
    device = runtime.device()
    model = build(name, corpus, recipe).to(device)
    batches = corpus.batches(corpus.train, recipe.batch_size, seed, device)
    validation = corpus.batches(corpus.validation, 256, seed, device)
    per_epoch, journal = len(batches), Journal()
    steps = recipe.epochs * per_epoch
    warmup = min(recipe.warmup, steps)
    clock = time.perf_counter()

    def after_step(done: int) -> None:
        nonlocal clock
        if time.time() > deadline:
            raise TimeUp
        if done % per_epoch:
            return
        loss = validation_loss(model, validation)
        if done > steps - recipe.average * per_epoch:
            save_tensors(_epoch_file(folder, done // per_epoch), model.state_dict(), {})
        now = time.perf_counter()
        journal.entries.append({"validation_loss": loss, "seconds": now - clock})
        clock = now
        print(f"  epoch {done // per_epoch}: validation {loss:.3f}", flush=True)

    history = fit(
        model,
        lambda: sequence_loss(model, batches.next(), recipe.smoothing),
        steps=steps,
        clip=recipe.clip,
        optimizer=torch.optim.Adam(
            model.parameters(), betas=(0.9, 0.98), fused=device.type != "mps"
        ),
        schedule=lambda t: linear_rate(t, recipe.peak, warmup, steps),
        mixed=name == "transformer",
        checkpoint=folder / "run.safetensors",
        save_every=per_epoch,
        streams={"batches": batches, "journal": journal},
        after_step=after_step,
    )
    first = max(1, recipe.epochs - recipe.average + 1)
    files = [_epoch_file(folder, epoch) for epoch in range(first, recipe.epochs + 1)]
    model.load_state_dict(average_weights(files))
    return model.eval(), journal, history


def _epoch_file(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:03d}.safetensors"


def average_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Return the mean of the weights in several files."""
    states = [load_tensors(file)[0] for file in files]
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        for name in states[0]
    }


@torch.no_grad()
def translate(
    model: nn.Module,
    corpus: Corpus,
    sentences: Sequence[str],
    *,
    num_beams: int,
    alpha: float = 0.6,
    max_len: int = 64,
    batch_size: int = 250,
) -> list[list[int]]:
    """Translate sentences; return the token numbers of each translation."""
    device = next(model.parameters()).device
    sources = [[*corpus.source.encode(s), END] for s in sentences]
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    outputs: list[list[int]] = [[] for _ in sources]
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        source = pad([sources[i] for i in rows]).to(device)
        if num_beams == 1:
            written = generation.greedy(model, source, max_len)
        else:
            written = generation.beam(model, source, num_beams, max_len, alpha)
        for i, ids in zip(rows, written.tolist(), strict=True):
            outputs[i] = ids
    return outputs


def evaluate(model: nn.Module, corpus: Corpus, task: Task, recipe: Recipe) -> dict:
    """Translate validation and test sets and score them."""
    options = {"alpha": recipe.alpha, "max_len": task.max_len}
    clock = time.perf_counter()
    beam = translate(
        model,
        corpus,
        [s for s, _ in corpus.test],
        num_beams=recipe.num_beams,
        **options,
    )
    seconds = time.perf_counter() - clock
    greedy = translate(
        model, corpus, [s for s, _ in corpus.test], num_beams=1, **options
    )
    validation = translate(
        model,
        corpus,
        [s for s, _ in corpus.validation],
        num_beams=recipe.num_beams,
        **options,
    )
    texts = [corpus.target.decode(ids) for ids in beam]
    references = [t for _, t in corpus.test]
    cased = isinstance(corpus.target, CharTokenizer)
    return {
        "tokens": token_bleu(corpus, beam, corpus.test),
        "tokens_greedy": token_bleu(corpus, greedy, corpus.test),
        "tokens_validation": token_bleu(corpus, validation, corpus.validation),
        "detokenised": dataclasses.asdict(
            bleu.corpus_bleu(texts, references, task.bleu_tokenize, lowercase=not cased)
        ),
        "exact_match": sum(
            text == (r if cased else r.lower())
            for text, r in zip(texts, references, strict=True)
        )
        / len(texts),
        "seconds": seconds,
        "samples": samples(model, corpus, task, recipe),
        # The outputs for a corpus that may not be passed on stay here.
        **({} if task.samples else {"translations": texts}),
    }


def samples(model: nn.Module, corpus: Corpus, task: Task, recipe: Recipe) -> list[dict]:
    """Translate the sentences that the task names, else a dozen of the test set.

    They are evenly spaced: a corpus may be sorted by length.
    """
    apart = max(1, len(corpus.test) // 12)
    shown = task.samples or corpus.test[::apart][:12]
    written = translate(
        model,
        corpus,
        [s for s, _ in shown],
        num_beams=recipe.num_beams,
        alpha=recipe.alpha,
        max_len=task.max_len,
    )
    return [
        {"source": s, "reference": r, "translation": corpus.target.decode(ids)}
        for (s, r), ids in zip(shown, written, strict=True)
    ]


def token_bleu(corpus: Corpus, outputs: list[list[int]], part: list) -> dict:
    """Score the written tokens against the reference's, as the published ladder does.

    The reference keeps its rare words: what the model cannot write counts as wrong.
    """
    tokenizer = corpus.target
    if isinstance(tokenizer, WordTokenizer):
        references = [" ".join(split_words(t, tokenizer.language)) for _, t in part]
    else:
        references = [" ".join(t.replace(" ", "␣")) for _, t in part]
    hypotheses = [
        " ".join(tokenizer.words(ids)).replace("   ", " ␣ ") for ids in outputs
    ]
    return dataclasses.asdict(bleu.corpus_bleu(hypotheses, references, "none"))


def describe_device() -> dict:
    """Return what the run ran on."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    return {
        "device": name,
        "torch": torch.__version__,
        "attnbook": attnbook.__version__,
    }


def run(
    name: str, task: Task, seed: int, recipe: Recipe, args: argparse.Namespace
) -> dict:
    """Train, evaluate and write the result of one model and seed."""
    label = f"{task.name}-{name}{args.tag}-seed{seed}"
    print(f"{label}: {recipe}", flush=True)
    corpus = Corpus(task, recipe.limit)
    folder = Path(args.checkpoints, label)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    model, journal, history = train(name, corpus, recipe, seed, folder, args.deadline)
    seconds = sum(entry["seconds"] for entry in journal.entries)
    count = sum(
        len(corpus.source.encode(s)) + len(corpus.target.encode(t)) + 3
        for s, t in corpus.train
    )
    result = {
        "task": task.name,
        "model": name,
        "seed": seed,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **describe_device(),
        "recipe": dataclasses.asdict(recipe),
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "vocabularies": [len(corpus.source), len(corpus.target)],
        "num_pairs": [len(corpus.train), len(corpus.validation), len(corpus.test)],
        "train_seconds": seconds,
        "tokens_per_second": count * recipe.epochs / seconds,
        "peak_memory_mib": _peak_memory(),
        "train_loss": statistics.fmean(history[-100:]),
        "epochs": journal.entries,
        **evaluate(model, corpus, task, recipe),
    }
    write_json(Path(args.out, f"{label}.json"), result)
    if args.weights:
        save_translator(Path(args.weights, f"{label}.safetensors"), model, corpus, task)
    parts = ("tokens", "tokens_greedy", "tokens_validation", "detokenised")
    beam, greedy, validation, plain = (f"{result[part]['score']:.2f}" for part in parts)
    print(
        f"  {seconds:.0f} s, {result['tokens_per_second']:,.0f} tokens/s; BLEU {beam} "
        f"(greedy {greedy}, validation {validation}), detokenised {plain}, "
        f"exact {result['exact_match']:.3f}",
        flush=True,
    )
    return result


def _peak_memory() -> float | None:
    if not torch.cuda.is_available():
        return None
    return torch.cuda.max_memory_allocated() / 2**20


def write_json(path: Path, result: dict) -> None:
    """Write a result for people to read and compare, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, ensure_ascii=False, indent=1)
    temporary = path.with_suffix(".part")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


def save_translator(path: Path, model: nn.Module, corpus: Corpus, task: Task) -> None:
    """Save weights in half precision, with sizes and vocabularies."""
    record = {
        "task": task.name,
        "kind": type(model).__name__,
        "config": dataclasses.asdict(model.config),
        "source": corpus.source.vocabulary,
        "target": corpus.target.vocabulary,
    }
    save_tensors(path, {k: v.half() for k, v in model.state_dict().items()}, record)


def load_translator(path: str | Path) -> tuple[nn.Module, list[str], list[str]]:
    """Load what `save_translator` wrote.

    Returns:
        The model in evaluation mode, and both vocabularies.

    Raises:
        OSError: the file is damaged or missing.
        ValueError: it holds something else.
    """
    tensors, record = load_tensors(path)
    kinds = {
        "Transformer": (Transformer, TransformerConfig),
        "RecurrentTranslator": (RecurrentTranslator, RecurrentConfig),
    }
    if record.get("kind") not in kinds:
        raise ValueError(f"{path} holds no translator")
    kind, config = kinds[record["kind"]]
    model = kind(config(**record["config"]))
    model.load_state_dict({k: v.float() for k, v in tensors.items()})
    return model.eval(), record["source"], record["target"]


def table(folder: Path) -> str:
    """Summarise stored results: mean and range over seeds."""
    groups: dict[tuple, list[dict]] = {}
    for file in sorted(folder.glob("*.json")):
        result = json.loads(file.read_text("utf-8"))
        label = file.stem.rpartition("-seed")[0]
        groups.setdefault((label, result["device"]), []).append(result)
    lines = [
        "| run | device | seeds | BLEU, words | validation | greedy | detokenised "
        "| exact | seconds | tokens/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (label, device), results in groups.items():
        cells = [
            _mean(results, lambda r: r["tokens"]["score"]),
            _mean(results, lambda r: r["tokens_validation"]["score"]),
            _mean(results, lambda r: r["tokens_greedy"]["score"]),
            _mean(results, lambda r: r["detokenised"]["score"]),
            _mean(results, lambda r: 100 * r["exact_match"]),
            _mean(results, lambda r: r["train_seconds"], 0),
            _mean(results, lambda r: r["tokens_per_second"], 0),
        ]
        row = [label, device, str(len(results)), *cells]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _mean(results: list[dict], read: Callable[[dict], float], digits: int = 2) -> str:
    values = [read(result) for result in results]
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m attnbook.experiments.translation",
        description="Train and score chapter 8's translators.",
    )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["transformer"])
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--pair", choices=TASKS, default="multi30k-de-en")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    parser.add_argument("--weights", type=Path, help="also keep weights there")
    parser.add_argument("--restart", action="store_true", help="forget earlier runs")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after")
    parser.add_argument("--table", action="store_true", help="print stored results")
    parser.add_argument("--summary", action="store_true", help="write ladder.json")
    parser.add_argument("--probing", type=Path, default=Path(RESULTS.parent, "probing"))
    parser.add_argument("--tag", default="", help="added to the name of the run")
    for field in dataclasses.fields(Recipe):
        kind = float if field.type is float else int
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind)
    args = parser.parse_args(arguments)
    args.deadline = time.time() + 60 * args.minutes
    return args


def recipe_for(name: str, args: argparse.Namespace) -> Recipe:
    """Return a model's recipe: the defaults, changed by the command line."""
    given = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(Recipe)
        if getattr(args, field.name) is not None
    }
    own = {} if name == "transformer" else {"dropout": 0.5}
    return Recipe(**{**own, **given})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for, in order; skip what is finished."""
    args = parse(arguments)
    if args.table:
        print(table(args.out))
        return
    if args.summary:
        ladder.write(args.out, args.probing)
        print(f"wrote {ladder.SUMMARY}")
        return
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
        # Lengths vary from batch to batch; cuDNN would plan each shape anew.
        torch.backends.cuda.enable_cudnn_sdp(False)
    task = TASKS[args.pair]
    with contextlib.suppress(TimeUp):
        for name in args.model:
            for seed in args.seed:
                label = f"{task.name}-{name}{args.tag}-seed{seed}"
                if args.restart:
                    for file in Path(args.checkpoints, label).glob("*.safetensors"):
                        file.unlink()
                elif Path(args.out, f"{label}.json").exists():
                    print(f"{label}: finished before")
                    continue
                run(name, task, seed, recipe_for(name, args), args)
        return
    print("the time is over; give the command again to go on")


if __name__ == "__main__":
    main()
