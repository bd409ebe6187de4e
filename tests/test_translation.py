"""The translation experiment, small enough to run whole: train, stop, go on, score."""

import dataclasses
import json

import pytest
import torch
from torch.testing import assert_close

from attnbook.batching import Batch
from attnbook.checkpoints import save_tensors
from attnbook.corpora import Pairs
from attnbook.experiments import translation
from attnbook.experiments.translation import (
    MODELS,
    TASKS,
    Corpus,
    Recipe,
    build,
    main,
    recipe_for,
    sequence_loss,
    token_bleu,
    translate,
)
from attnbook.tokenizers import END, until_end

TINY = "--pair dates --limit 60 --epochs 2 --batch-size 16 --d-model 16 --num-layers 1"
TINY = [*TINY.split(), "--num-beams", "2", "--average", "2", "--warmup", "3"]


def command(folder, *arguments):
    """Run the command with all its files in one folder; return what it wrote."""
    places = ["--out", folder / "out", "--checkpoints", folder / "checkpoints"]
    main([*TINY, *map(str, places), *arguments])
    files = sorted((folder / "out").glob("*.json"))
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train all three models once."""
    folder = tmp_path_factory.mktemp("ladder")
    command(folder, "--model", *MODELS, "--weights", str(folder / "weights"))
    return folder


@pytest.fixture(scope="module")
def results(folder):
    files = (folder / "out").glob("*.json")
    return {file.stem: json.loads(file.read_text("utf-8")) for file in files}


@pytest.fixture(scope="module")
def corpus():
    return Corpus(TASKS["dates"], limit=60)


def tiny(name, corpus):
    torch.manual_seed(0)
    return build(name, corpus, Recipe(d_model=16, num_layers=1)).eval()


# end to end


def test_every_model_writes_its_result(results):
    assert sorted(results) == sorted(f"dates-{name}-seed0" for name in MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_result_tells_what_was_run_and_what_came_out(results, name):
    result = results[f"dates-{name}-seed0"]
    assert (result["model"], result["seed"], result["task"]) == (name, 0, "dates")
    assert result["recipe"]["d_model"] == 16
    assert result["num_pairs"] == [60, 60, 60]
    assert len(result["translations"]) == 60
    assert len(result["epochs"]) == 2
    for key in ("date", "device", "torch", "attnbook", "num_parameters"):
        assert result[key]
    for score in ("tokens", "tokens_greedy", "tokens_validation", "detokenised"):
        assert {"score", "low", "high", "signature"} == set(result[score])
        assert 0 <= result[score]["low"] <= result[score]["high"] <= 100


def test_samples_are_taken_from_the_test_set(results, corpus):
    sample = results["dates-plain-seed0"]["samples"][3]
    assert (sample["source"], sample["reference"]) == corpus.test[15]  # 60 / 12 · 3
    expected = results["dates-plain-seed0"]["translations"][15]
    assert sample["translation"] == expected


def test_table_has_a_row_per_model(folder, results, capsys):
    main(["--table", "--out", str(folder / "out")])
    rows = capsys.readouterr().out.strip().split("\n")
    assert len(rows) == 2 + len(MODELS)
    assert {row.count("|") for row in rows} == {11}
    score = results["dates-additive-seed0"]["tokens"]["score"]
    assert any(
        f"| dates-additive | {results['dates-additive-seed0']['device']} | 1 | "
        f"{score:.2f} |" in row
        for row in rows
    )


def test_table_gives_mean_and_range_over_seeds(folder, tmp_path, results):
    for seed, score in enumerate([31.0, 33.0, 38.0]):
        result = results["dates-plain-seed0"] | {"tokens": {"score": score}}
        translation.write_json(tmp_path / f"dates-plain-seed{seed}.json", result)
    row = translation.table(tmp_path).split("\n")[2]
    assert "| 3 | 34.00 (31.00–38.00) |" in row


def test_finished_run_is_left_alone(folder, capsys):
    file = folder / "out" / "dates-plain-seed0.json"
    before = file.read_bytes()
    command(folder, "--model", "plain")
    assert "dates-plain-seed0: finished before" in capsys.readouterr().out
    assert file.read_bytes() == before


LASTING = (
    "train_loss",
    "translations",
    "tokens",
    "tokens_validation",
    "num_parameters",
)


@pytest.mark.parametrize("name", ["transformer", "additive"])
def test_stopped_run_goes_on_to_the_same_result(
    tmp_path, results, monkeypatch, capsys, name
):
    whole = translation.validation_loss
    asked = []

    def stop_in_the_second_epoch(*arguments):
        asked.append(1)
        if len(asked) == 2:
            raise translation.TimeUp
        return whole(*arguments)

    monkeypatch.setattr(translation, "validation_loss", stop_in_the_second_epoch)
    assert command(tmp_path, "--model", name) == {}
    assert "give the command again to go on" in capsys.readouterr().out
    got = command(tmp_path, "--model", name)[f"dates-{name}-seed0"]
    expected = results[f"dates-{name}-seed0"]
    assert {key: got[key] for key in LASTING} == {key: expected[key] for key in LASTING}
    losses = [[e["validation_loss"] for e in r["epochs"]] for r in (got, expected)]
    assert losses[0] == losses[1]


def test_time_limit_stops_before_the_end(tmp_path, capsys):
    assert command(tmp_path, "--model", "plain", "--minutes", "0") == {}
    assert "the time is over" in capsys.readouterr().out


def test_restart_forgets_the_earlier_run(tmp_path, results):
    command(tmp_path, "--model", "plain", "--epochs", "1")
    anew = command(tmp_path, "--model", "plain", "--restart")["dates-plain-seed0"]
    expected = results["dates-plain-seed0"]
    assert {key: anew[key] for key in LASTING} == {
        key: expected[key] for key in LASTING
    }


# parts


def test_scores_and_samples_belong_to_their_sentences(corpus, monkeypatch):
    answers = dict(corpus.test + corpus.validation)

    def oracle(model, corpus, sentences, *, num_beams, **options):
        right = [corpus.target.encode(answers[s]) for s in sentences]
        return right if num_beams > 1 else [ids[:5] for ids in right]

    monkeypatch.setattr(translation, "translate", oracle)
    result = translation.evaluate(
        tiny("plain", corpus), corpus, TASKS["dates"], Recipe()
    )
    for score in ("tokens", "tokens_validation", "detokenised"):
        assert result[score]["score"] == 100.0
    assert result["exact_match"] == 1.0
    assert result["tokens_greedy"]["score"] < 100
    assert all(s["translation"] == s["reference"] for s in result["samples"])


def test_vocabularies_come_from_the_training_part_only():
    pairs = Pairs([("aab", "xx")], [("c", "y")], [("d", "z")])
    task = dataclasses.replace(TASKS["dates"], load=lambda: pairs)
    corpus = Corpus(task)
    assert corpus.source.vocabulary[4:] == ["a", "b"]
    assert corpus.target.vocabulary[4:] == ["x"]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_target_tokens_without_padding(corpus, smoothing):
    model = tiny("transformer", corpus)
    source = torch.tensor([[5, 6, 3], [4, 3, 0]])
    target = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    log_probs = model(source, target[:, :-1]).log_softmax(-1)
    wanted = log_probs.gather(-1, target[:, 1:, None]).squeeze(-1)
    losses = -(1 - smoothing) * wanted - smoothing * log_probs.mean(-1)
    expected = losses[target[:, 1:] != 0].mean()
    got = sequence_loss(model, Batch(source, target), smoothing)
    assert_close(got, expected, rtol=0, atol=1e-5)


def test_validation_meets_the_same_batches_without_dropout(corpus):
    model = tiny("transformer", corpus).train()
    batches = corpus.batches(corpus.validation, 7, 0, "cpu")
    first, second = (translation.validation_loss(model, batches) for _ in range(2))
    assert first == second
    assert batches.state_dict()["epoch"] == 0
    assert model.training


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("num_beams", [1, 2])
def test_translations_come_in_the_order_of_the_sentences(corpus, name, num_beams):
    model, sentences = tiny(name, corpus), [s for s, _ in corpus.test[:13]]
    options = {"num_beams": num_beams, "max_len": 9}
    alone = [translate(model, corpus, [s], **options)[0] for s in sentences]
    together = translate(model, corpus, sentences, batch_size=4, **options)
    assert list(map(until_end, together)) == list(map(until_end, alone))


def test_model_reads_the_end_mark_of_the_source(corpus, monkeypatch):
    read = []

    def spy(model, source, max_len):
        read.extend(source.tolist())
        return source

    monkeypatch.setattr(translation.generation, "greedy", spy)
    sentence = corpus.test[0][0]
    translate(tiny("plain", corpus), corpus, [sentence], num_beams=1)
    assert read == [[*corpus.source.encode(sentence), END]]


def test_average_is_the_mean_of_the_weights(tmp_path):
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for i, file in enumerate(files):
        save_tensors(file, {"w": torch.tensor([1.0, 10.0]) * i}, {})
    mean = translation.average_weights(files)
    assert_close(mean, {"w": torch.tensor([1.0, 10.0])}, rtol=0, atol=0)


def test_run_ends_with_the_average_of_its_last_epochs(folder):
    files = sorted((folder / "checkpoints" / "dates-plain-seed0").glob("epoch-*"))
    assert [file.stem for file in files] == ["epoch-001", "epoch-002"]
    expected = translation.average_weights(files)
    model, _, _ = translation.load_translator(
        folder / "weights" / "dates-plain-seed0.safetensors"
    )
    half = {name: weight.half().float() for name, weight in expected.items()}
    assert_close(dict(model.state_dict()), half, rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_saved_translator_brings_its_vocabularies(folder, corpus, name):
    file = folder / "weights" / f"dates-{name}-seed0.safetensors"
    model, source, target = translation.load_translator(file)
    assert (source, target) == (corpus.source.vocabulary, corpus.target.vocabulary)
    assert not model.training
    assert translate(model, corpus, ["2021/03/09"], num_beams=1, max_len=5)


def test_token_score_of_words_counts_lower_cased_words():
    pairs = [("ein hund", "A Dog runs here."), ("er", "He is it, too.")]
    task = dataclasses.replace(
        TASKS["multi30k-de-en"], load=lambda: Pairs(*[pairs * 2] * 3)
    )
    corpus = Corpus(task)
    outputs = [[*corpus.target.encode(t), 3] for _, t in pairs]
    assert token_bleu(corpus, outputs, pairs)["score"] == 100.0
    assert "tok:none" in token_bleu(corpus, outputs, pairs)["signature"]
    assert token_bleu(corpus, [[], []], pairs)["score"] == 0.0


def test_token_score_of_characters_keeps_spaces(corpus):
    corpus = Corpus(TASKS["dates"], limit=30)
    sources = [(s, s) for s, _ in corpus.train]  # sources have spaces
    corpus.target = corpus.source
    outputs = [corpus.source.encode(s) for s, _ in corpus.train]
    assert token_bleu(corpus, outputs, sources)["score"] == 100.0


def test_recipe_is_the_same_but_for_the_dropout():
    args = translation.parse(["--epochs", "3"])
    recipes = {name: recipe_for(name, args) for name in MODELS}
    assert [recipes[name].dropout for name in MODELS] == [0.2, 0.5, 0.5]
    assert len({dataclasses.replace(r, dropout=0.2) for r in recipes.values()}) == 1
    assert recipes["plain"].epochs == 3
    own = recipe_for(
        "plain", translation.parse(["--dropout", "0.1", "--peak", "0.002"])
    )
    assert (own.dropout, own.peak) == (0.1, 0.002)


# contract


@pytest.mark.parametrize(
    "name", ["epochs", "batch_size", "warmup", "average", "num_beams"]
)
def test_recipe_refuses_numbers_below_one(as_user, name):
    with pytest.raises(ValueError, match=f"{name} must be ≥ 1, got 0"):
        Recipe(**{name: 0})


def test_unknown_model_is_refused(as_user, corpus):
    with pytest.raises(ValueError, match="model must be one of .*, got 'bert'"):
        build("bert", corpus, Recipe())


@pytest.mark.parametrize("arguments", [["--model", "bert"], ["--pair", "de-en"]])
def test_command_line_refuses_unknown_names(capsys, arguments):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "invalid choice" in capsys.readouterr().err


def test_missing_weights_are_named(as_user, tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint .*w.safetensors"):
        translation.load_translator(tmp_path / "w.safetensors")


def test_file_that_is_no_translator_is_refused(as_user, tmp_path):
    save_tensors(tmp_path / "w.safetensors", {"w": torch.ones(2)}, {})
    with pytest.raises(ValueError, match="w.safetensors holds no translator"):
        translation.load_translator(tmp_path / "w.safetensors")


def test_corpus_that_may_not_be_passed_on_leaves_no_sentence_behind(corpus):
    task = dataclasses.replace(TASKS["dates"], samples=(("13 march 2021", "x"),))
    result = translation.evaluate(tiny("plain", corpus), corpus, task, Recipe())
    assert "translations" not in result
    assert [s["source"] for s in result["samples"]] == ["13 march 2021"]
    assert TASKS["multi30k-de-en"].samples
