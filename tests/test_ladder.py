"""The stored results: in step with the result files, honest about what is missing."""

import json

import pytest
from chapters import ROOT

from attnbook.experiments import ladder, probing, translation

RESULTS = ROOT / translation.RESULTS
PROBING = ROOT / probing.RESULTS


def result(model="transformer", seed=0, score=30.0, task="multi30k-de-en"):
    """Return a result file's content with the keys that the summary reads."""
    words = {"score": score, "low": score - 1, "high": score + 1, "signature": "tok:x"}
    return {
        "task": task,
        "model": model,
        "seed": seed,
        "date": "2026-01-02T03:04:05+00:00",
        "device": "cpu",
        "torch": "2",
        "tokens": words,
        "tokens_greedy": {"score": score - 1},
        "tokens_validation": {"score": score + 2},
        "detokenised": words | {"signature": "tok:13a"},
        "exact_match": 0.25,
        "train_seconds": 120.0,
        "num_parameters": 7_500_000,
        "num_pairs": [3, 2, 1],
        "recipe": {"d_model": 8, "epochs": 2, "dropout": 0.2},
        "samples": [
            {"source": f"s{i}", "reference": f"r{i}", "translation": f"t{seed}{i}"}
            for i in range(14)
        ],
    }


@pytest.fixture
def folder(tmp_path):
    """Write three Transformers, one plain model and a probe; return the folder."""
    (tmp_path / "probing").mkdir()
    for seed, score in enumerate((36.0, 38.0, 40.0)):
        name = f"multi30k-de-en-transformer-seed{seed}.json"
        translation.write_json(tmp_path / name, result(seed=seed, score=score))
    name = "multi30k-de-en-plain-seed0.json"
    translation.write_json(tmp_path / name, result("plain", score=14.0))
    name = "multi30k-de-en-transformer-big-seed0.json"
    translation.write_json(tmp_path / name, result(score=99.0))
    probe = {"model": "multi30k-de-en-transformer-seed0", "lesions": []}
    translation.write_json(tmp_path / "probing" / "p.json", probe)
    return tmp_path


@pytest.fixture
def stored(folder):
    ladder.write(folder, folder / "probing", folder / "ladder.txt")
    return ladder.load(folder / "ladder.txt")


def test_package_holds_what_the_result_files_say():
    if not RESULTS.exists():
        pytest.skip("no result files here")
    expected = ladder.summarise(RESULTS, PROBING)
    stored = json.loads(ladder.SUMMARY.read_text("utf-8"))
    assert stored == expected, "python -m attnbook.experiments.translation --summary"


def test_runs_come_one_per_seed_and_without_other_tags(stored):
    assert [run["seed"] for run in stored.of("transformer")] == [0, 1, 2]
    tagged = stored.of("transformer", run="multi30k-de-en-transformer-big")
    assert [run["words"]["score"] for run in tagged] == [99.0]
    assert stored.of("additive") == []


def test_values_are_one_per_seed_but_never_two(stored):
    read = lambda run: run["words"]["score"]  # noqa: E731
    assert stored.values(read, "transformer") == [36.0, 38.0, 40.0]
    assert stored.values(read, "additive") == []
    two = ladder.Ladder(stored.of("transformer")[:2], {}, [])
    assert two.values(read, "transformer") == [37.0]


def test_table_says_what_was_not_measured(stored):
    rows = repr(stored.table()).split("\n")
    assert len({row.count("|") for row in rows}) == 1
    assert [row.split(" | ")[0] for row in rows[2:]] == [
        "| GRU, one fixed vector",
        "| GRU, additive attention",
        "| Transformer",
    ]
    assert rows[3].startswith("| GRU, additive attention | 28.3 | not run yet |")
    greedy, beam = "37.0 (35.0–39.0)", "38.0 (36.0–40.0)"
    assert f"| 36.5 | {greedy} | {beam} | 35.0–37.0 | 0, 1, 2 |" in rows[4]
    assert rows[4].endswith("| 7.5 M |")


def test_table_shows_the_same_cells_in_a_notebook(stored):
    shown = ladder.Table(["a"], [["1 < 2"], ["b"]])._repr_html_()
    assert shown.count("<tr>") == 3
    assert "<td>1 &lt; 2</td>" in shown


def test_examples_are_of_the_lowest_seed_and_cope_with_absence(stored):
    rows = repr(stored.examples("no-such-pair", "multi30k-de-en")).split("\n")
    assert rows[2:] == [f"| s{i} | t0{i} | r{i} |" for i in range(5)]
    assert len(stored.samples["multi30k-de-en"]["sentences"]) == 12


def test_place_and_signatures_are_told(stored):
    assert stored.where() == "2026-01-02; cpu, torch 2"
    assert stored.where("dates") == "never; "
    assert stored.signatures() == ["detokenised: tok:13a", "words: tok:x"]


def test_one_line_tells_the_score_or_that_there_is_none(stored):
    assert stored.line("tatoeba-eng-cmn") == "tatoeba-eng-cmn: not run yet"
    first, signature, where = stored.line("multi30k-de-en").split("\n")
    assert first == "BLEU 38.0 (36.0–40.0), beam 4, seeds 0, 1, 2, 3 training pairs"
    assert (signature, where) == ("tok:13a", stored.where())


def test_probe_is_found_by_its_model(stored, as_user):
    assert stored.probe()["lesions"] == []
    with pytest.raises(ValueError, match="no probe of multi30k-de-en-plain among 1"):
        stored.probe("plain")


def test_command_writes_the_summary(folder, monkeypatch, capsys):
    monkeypatch.setattr(ladder, "SUMMARY", folder / "ladder.txt")
    places = ["--out", str(folder), "--probing", str(folder / "probing")]
    translation.main(["--summary", *places])
    assert "wrote" in capsys.readouterr().out
    assert len(ladder.load(folder / "ladder.txt").runs) == 5
