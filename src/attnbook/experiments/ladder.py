"""The stored results of chapter 8's long runs, small enough to come with the package.

A notebook on Colab has no `benchmarks` folder, and no hour to train translators. So

    python -m attnbook.experiments.translation --summary

boils `benchmarks/results` down to `ladder.json` next to this file, and `load` reads it.
Every number was measured once, by the command named above, on the device and date that
stand beside it; nothing here is typed by hand but `PUBLISHED`.
"""

import html
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUMMARY = Path(__file__).with_name("ladder.json")

# BLEU on lower-cased words, greedy: pytorch-seq2seq, chapters 2, 3 and 6 (one seed
# each), and how this book calls the three models.
PUBLISHED = {"plain": 13.8, "additive": 28.3, "transformer": 36.5}
NAMES = {
    "plain": "GRU, one fixed vector",
    "additive": "GRU, additive attention",
    "transformer": "Transformer",
}
NUM_SAMPLES = 12


def summarise(results: Path, probing: Path) -> dict:
    """Boil result files down to what chapter 8 shows.

    Args:
        results: folder of `attnbook.experiments.translation`.
        probing: folder of `attnbook.experiments.probing`; may be missing.

    Returns:
        "runs", one record per model and seed; "samples", a dozen translations per
        pair by the Transformer of the lowest seed; "probes".
    """
    files = sorted(results.glob("*.json"))
    whole = [(file.stem, json.loads(file.read_text("utf-8"))) for file in files]
    runs = [_shortened(stem, result) for stem, result in whole]
    samples: dict[str, dict] = {}
    for stem, result in whole:  # sorted: the lowest seed comes first
        if result["model"] == "transformer":
            samples.setdefault(
                result["task"],
                {"run": stem, "sentences": result["samples"][:NUM_SAMPLES]},
            )
    probes = [json.loads(f.read_text("utf-8")) for f in sorted(probing.glob("*.json"))]
    return {"runs": runs, "samples": samples, "probes": probes}


def _shortened(stem: str, result: dict) -> dict:
    """Keep what a table can show."""
    return {
        "run": stem.rpartition("-seed")[0],
        "pair": result["task"],
        **{key: result[key] for key in ("model", "seed", "date", "device", "torch")},
        "words": result["tokens"],
        "words_greedy": result["tokens_greedy"]["score"],
        "words_validation": result["tokens_validation"]["score"],
        "detokenised": result["detokenised"],
        "exact_match": result["exact_match"],
        "seconds": result["train_seconds"],
        "num_parameters": result["num_parameters"],
        "num_pairs": result["num_pairs"],
        "d_model": result["recipe"]["d_model"],
        "epochs": result["recipe"]["epochs"],
        "dropout": result["recipe"]["dropout"],
    }


def write(results: Path, probing: Path, path: Path | None = None) -> None:
    """Write the summary to `SUMMARY` or another file, one record per line."""
    path = SUMMARY if path is None else path
    summary = summarise(results, probing)
    dump = lambda value: json.dumps(value, ensure_ascii=False)  # noqa: E731
    lists = {k: ",\n".join(map(dump, summary[k])) for k in ("runs", "probes")}
    samples = ",\n".join(f"{dump(k)}: {dump(v)}" for k, v in summary["samples"].items())
    path.write_text(
        f'{{"runs": [\n{lists["runs"]}\n],\n"samples": {{\n{samples}\n}},\n'
        f'"probes": [\n{lists["probes"]}\n]}}\n',
        "utf-8",
    )


class Table:
    """A table that a notebook displays; as text it is Markdown."""

    def __init__(self, head: Sequence[str], rows: Sequence[Sequence[str]]):
        self.head, self.rows = head, rows

    def __repr__(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _repr_html_(self) -> str:
        head = _cells("th", self.head)
        body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)


@dataclass(frozen=True)
class Ladder:
    """Stored results, and the few questions that chapter 8 asks of them."""

    runs: list[dict]
    samples: dict[str, dict]
    probes: list[dict]

    def of(self, model: str, pair: str = "multi30k-de-en", run: str = "") -> list[dict]:
        """Return the runs of a model, one per seed; without results, an empty list.

        Runs made with another `--tag` are left out unless `run` names them.
        """
        run = run or f"{pair}-{model}"
        return [record for record in self.runs if record["run"] == run]

    def values(self, read: Callable[[dict], float], model: str, **which) -> list[float]:
        """Return one number per seed, as `claims.claim` wants it.

        Two seeds give no interval that means anything: there the mean is returned.
        """
        values = [read(record) for record in self.of(model, **which)]
        return [statistics.fmean(values)] if len(values) == 2 else values

    def probe(self, model: str = "transformer", pair: str = "multi30k-de-en") -> dict:
        """Return the lesions and the alignment measured on one stored model.

        Raises:
            ValueError: none is stored.
        """
        for probe in self.probes:
            if probe["model"].rpartition("-seed")[0] == f"{pair}-{model}":
                return probe
        raise ValueError(f"no probe of {pair}-{model} among {len(self.probes)}")

    def table(self, pair: str = "multi30k-de-en") -> Table:
        """Return the ladder of one pair: means over seeds, with ranges."""
        head = ["model", "published, greedy", "greedy", "beam 4", "95 %", "seeds"]
        head += ["parameters"]
        rows = []
        for model, name in NAMES.items():
            runs = self.of(model, pair)
            published = f"{PUBLISHED[model]:.1f}" if pair == "multi30k-de-en" else ""
            cells = ["not run yet", *[""] * 4]
            if runs:
                cells = [
                    _range([r["words_greedy"] for r in runs]),
                    _range([r["words"]["score"] for r in runs]),
                    f"{runs[0]['words']['low']:.1f}–{runs[0]['words']['high']:.1f}",
                    ", ".join(str(r["seed"]) for r in runs),
                    f"{runs[0]['num_parameters'] / 1e6:.1f} M",
                ]
            rows.append([name, published, *cells])
        return Table(head, rows)

    def line(self, pair: str, model: str = "transformer") -> str:
        """Tell the score of a pair's text in one line, or that there is none yet."""
        runs = self.of(model, pair)
        if not runs:
            return f"{pair}: not run yet"
        scores = _range([run["detokenised"]["score"] for run in runs])
        seeds = ", ".join(str(run["seed"]) for run in runs)
        pairs = f"{runs[0]['num_pairs'][0]:,} training pairs"
        return (
            f"BLEU {scores}, beam 4, seeds {seeds}, {pairs}\n"
            f"{runs[0]['detokenised']['signature']}\n{self.where(pair)}"
        )

    def examples(self, *pairs: str, which: slice = slice(5)) -> Table:
        """Return stored translations of some pairs; a pair without any is left out."""
        keys = ("source", "translation", "reference")
        rows = [
            [sentence[key] for key in keys]
            for pair in pairs
            for sentence in self.samples.get(pair, {"sentences": []})["sentences"][
                which
            ]
        ]
        return Table(["source", "written by the model", "reference"], rows)

    def signatures(self, pair: str = "multi30k-de-en") -> list[str]:
        """Return what sacreBLEU did for the scores of words and of plain text."""
        runs = [run for run in self.runs if run["pair"] == pair]
        return sorted(
            {
                f"{k}: {r[k]['signature']}"
                for r in runs
                for k in ("words", "detokenised")
            }
        )

    def where(self, pair: str = "multi30k-de-en") -> str:
        """Tell on which devices and between which dates a pair's runs were made."""
        runs = [run for run in self.runs if run["pair"] == pair]
        dates = sorted({run["date"][:10] for run in runs})
        devices = sorted(
            {
                f"{run['device']}, torch {run['torch']}".replace(
                    "1 threads", "1 thread"
                )
                for run in runs
            }
        )
        between = (
            " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "never"
        )
        return f"{between}; {'; '.join(devices)}"


def _range(values: list[float]) -> str:
    mean = f"{statistics.fmean(values):.1f}"
    if len(values) == 1:
        return mean
    return f"{mean} ({min(values):.1f}–{max(values):.1f})"


def load(path: Path = SUMMARY) -> Ladder:
    """Return the stored results that came with the package."""
    return Ladder(**json.loads(path.read_text("utf-8")))
